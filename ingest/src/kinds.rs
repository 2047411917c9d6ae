//! The check that each kind of notification asks for. What passes is what gets published.

use bytes::Bytes;
use hyper::http::request::Parts;
use shared::config::{NoticeSettings, ServerKeySettings};
use shared::domain::notice::bi_snap::{self, BiSnapKeys, Echo, Product, Signature};
use shared::domain::notice::{Recurring, verify};
use shared::domain::{Notice, NoticeKind, RawNotification, ServerKeys, VerifiedNotification};

use crate::allowance::Allowance;
use crate::answer::{Answer, Problem};
use crate::route::Route;

/// The keys of every kind.
pub(crate) struct Kinds {
    keys: ServerKeys,
    payout_keys: Option<ServerKeys>,
    bi_snap_keys: Option<BiSnapKeys>,
    bi_snap_prefix: String,
    unsigned: Allowance,
}

/// A request that passed: what is published of it, and the answer once the broker has it.
pub(crate) struct Checked {
    pub(crate) body: Bytes,
    pub(crate) kind: Option<NoticeKind>,
    pub(crate) reply: Reply,
}

/// An answer, and what a virtual account's answer repeats of its request.
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) echo: Option<Echo>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, echo: None }
    }
}

impl Kinds {
    pub(crate) fn new(keys: &ServerKeySettings, others: &NoticeSettings) -> Self {
        Self {
            keys: keys.midtrans_server_key.clone(),
            payout_keys: others.midtrans_iris_key.clone(),
            bi_snap_keys: others.midtrans_bisnap_public_key.clone(),
            bi_snap_prefix: others.midtrans_bisnap_prefix.clone(),
            unsigned: Allowance::new(others.ingest_unsigned_per_second),
        }
    }

    /// What a path takes.
    pub(crate) fn route(&self, path: &str) -> Option<Route> {
        Route::of(path, &self.bi_snap_prefix)
    }

    /// Checks a request as its route asks.
    pub(crate) fn check(
        &self,
        route: Route,
        head: &Parts,
        body: Bytes,
    ) -> Result<Checked, Problem> {
        match route {
            Route::Classic => {
                let verified = RawNotification::new(body).verify(&self.keys)?;
                Ok(classic(&verified))
            }
            Route::PayAccount => Ok(notice(&verify::pay_account(body, &self.keys)?)),
            Route::Payouts => {
                let keys = self.payout_keys.as_ref().ok_or(Problem::NotConfigured)?;
                let signature = header(head, verify::PAYOUT_SIGNATURE);
                Ok(notice(&verify::payout(body, signature, keys)?))
            }
            Route::Recurring => match verify::recurring(body, &self.keys)? {
                Recurring::Classic(verified) => Ok(classic(&verified)),
                Recurring::Unsigned(_) if !self.unsigned.take() => Err(Problem::Overloaded),
                Recurring::Unsigned(unsigned) => Ok(notice(&unsigned)),
            },
            Route::BiSnap(product) => self.check_bi_snap(product, head, body),
        }
    }

    fn check_bi_snap(
        &self,
        product: Product,
        head: &Parts,
        body: Bytes,
    ) -> Result<Checked, Problem> {
        let keys = self.bi_snap_keys.as_ref().ok_or(Problem::NotConfigured)?;
        let signature = Signature {
            signature: header(head, bi_snap::SIGNATURE),
            timestamp: header(head, bi_snap::TIMESTAMP),
            path: head.uri.path(),
        };
        let (verified, echo) = bi_snap::verify(product, body, &signature, keys)?;
        let mut checked = notice(&verified);
        checked.reply.echo = echo;
        Ok(checked)
    }
}

fn classic(verified: &VerifiedNotification) -> Checked {
    let answer = match verified.is_test() {
        true => Answer::Test,
        false => Answer::Accepted,
    };
    Checked {
        body: verified.body().clone(),
        kind: None,
        reply: answer.into(),
    }
}

fn notice(notice: &Notice) -> Checked {
    Checked {
        body: notice.body().clone(),
        kind: Some(notice.kind()),
        reply: Answer::Accepted.into(),
    }
}

/// A header as text; one with other bytes in it is as good as missing.
fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}
