//! Recording notifications other than the classic one, each distinct one once, with its verdict.
//!
//! What a notice is about is locked first, so that two workers never judge two notices of one
//! payout at the same time. Nothing here is acted on: a notice that nobody signed, or that does not
//! say enough, waits for the status API, whose answer goes the one way ([`crate::apply`]).

use std::collections::HashMap;

use time::OffsetDateTime;

use crate::domain::notice::progress::{Progress, progress};
use crate::domain::notice::{NoticeKind, NoticeReading};
use crate::domain::outcome::Settled;
use crate::store::notices::{KnownState, NewNotice, NoticeUpdate, StoredNotice};
use crate::store::{Store, StoreError, Txn};

/// Tries before a transaction that keeps meeting a deadlock waits like one whose database is away.
const CONTENTION_TRIES: usize = 3;

/// A notice that came out of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// What kind it is.
    pub kind: NoticeKind,
    /// What it says.
    pub reading: &'a NoticeReading,
    /// Its body.
    pub body: &'a [u8],
    /// When ingest took it.
    pub received_at: OffsetDateTime,
    /// Why it was given up, for one that died before it was recorded.
    pub dead: Option<&'a str>,
}

/// How each notice of a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The verdict.
    pub settled: Settled,
    /// The status API must be asked. It follows from the stored state, so a message that is
    /// delivered again after a crash says it again.
    pub ask: bool,
}

/// Records a batch in one transaction; one answer per notice, in their order.
///
/// # Errors
/// The database does not answer, or refuses a row: nothing is recorded.
pub async fn record(store: &Store, batch: &[Incoming<'_>]) -> Result<Vec<Recorded>, StoreError> {
    let mut tries = 1;
    loop {
        match record_once(store, batch).await {
            Err(error) if error.is_contention() && tries < CONTENTION_TRIES => tries += 1,
            answer => return answer,
        }
    }
}

async fn record_once(store: &Store, batch: &[Incoming<'_>]) -> Result<Vec<Recorded>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut txn = store.begin().await?;
    let subjects: Vec<String> = batch.iter().map(subject).collect();
    store.notices_lock_in_txn(&mut txn, &subjects).await?;
    let mut desk = Desk::load(store, &mut txn, batch).await?;
    let recorded = batch.iter().map(|notice| desk.take(notice)).collect();
    store.notices_insert_in_txn(&mut txn, &desk.new).await?;
    let updates: Vec<NoticeUpdate> = desk.known.into_values().filter_map(Known::update).collect();
    store.notices_update_in_txn(&mut txn, &updates).await?;
    store.commit(txn).await?;
    Ok(recorded)
}

fn subject(notice: &Incoming<'_>) -> String {
    format!("{} {}", notice.kind.as_str(), notice.reading.external_id)
}

/// A notice that is stored already, and what the batch does to it.
struct Known {
    stored: StoredNotice,
    verdict: Option<(&'static str, Option<String>)>,
    more: i32,
}

impl Known {
    /// `None` when the batch only met it as a dead letter that changes nothing.
    fn update(self) -> Option<NoticeUpdate> {
        let (verdict, processing_error) = self.verdict?;
        Some(NoticeUpdate {
            event_key: self.stored.event_key,
            received_at: self.stored.received_at,
            verdict,
            processing_error,
            more_deliveries: self.more,
        })
    }
}

/// What is known, and what the batch adds.
struct Desk {
    known: HashMap<Vec<u8>, Known>,
    states: Vec<KnownState>,
    new: Vec<NewNotice>,
}

impl Desk {
    async fn load(
        store: &Store,
        txn: &mut Txn,
        batch: &[Incoming<'_>],
    ) -> Result<Self, StoreError> {
        let keys: Vec<Vec<u8>> = batch
            .iter()
            .map(|notice| notice.reading.event_key.as_bytes().to_vec())
            .collect();
        let kinds: Vec<&str> = batch.iter().map(|notice| notice.kind.as_str()).collect();
        let ids: Vec<&str> = batch
            .iter()
            .map(|notice| notice.reading.external_id.as_str())
            .collect();
        let found = store.notices_find_in_txn(txn, &keys).await?;
        let known = found.into_iter().map(|stored| {
            let known = Known {
                verdict: None,
                more: 0,
                stored,
            };
            (known.stored.event_key.clone(), known)
        });
        Ok(Self {
            known: known.collect(),
            states: store.notices_states_in_txn(txn, &kinds, &ids).await?,
            new: Vec::new(),
        })
    }

    fn take(&mut self, notice: &Incoming<'_>) -> Recorded {
        let key = notice.reading.event_key.as_bytes().as_slice();
        let before = self.verdict_of(key);
        if notice.dead.is_some() && before.is_some() {
            return Recorded::of(Settled::Duplicate);
        }
        let asks = notice.reading.question.is_some();
        let is_final = match before.as_deref() {
            None | Some("dead") => false,
            Some("unconfirmed" | "refused") => !asks,
            Some(_) => true,
        };
        if let (Some(verdict), true) = (&before, is_final) {
            let verdict = word(verdict);
            self.count(key, |kept| (verdict, kept));
            return Recorded::of(Settled::Duplicate);
        }
        let (settled, why) = self.judge(notice);
        let verdict = match notice.dead {
            Some(_) => "dead",
            None => settled.as_str(),
        };
        let why = notice.dead.or(why).map(str::to_owned);
        match before {
            Some(_) => self.count(key, |_| (verdict, why.clone())),
            None => self.new.push(row(notice, verdict, why)),
        }
        if verdict == Settled::Applied.as_str() {
            self.remember(notice);
        }
        Recorded {
            settled,
            ask: settled == Settled::Unconfirmed && asks && notice.dead.is_none(),
        }
    }

    fn judge(&self, notice: &Incoming<'_>) -> (Settled, Option<&'static str>) {
        let reading = notice.reading;
        if reading.question.is_some() {
            return (Settled::Unconfirmed, None);
        }
        if !notice.kind.is_verified() {
            let why = "nothing signs it, and it names no transaction to ask about";
            return (Settled::Unconfirmed, Some(why));
        }
        let next = reading.status.as_deref();
        let mut states = self.states.iter().filter(|state| {
            state.kind == notice.kind.as_str() && state.external_id == reading.external_id
        });
        let unknown = progress(notice.kind, None, next) == Progress::Stale;
        let overtaken =
            states.any(|state| progress(notice.kind, Some(&state.status), next) == Progress::Stale);
        match (unknown, overtaken) {
            (true, _) => (Settled::Stale, Some("the state is not known")),
            (false, true) => (Settled::Stale, Some("a later state is known")),
            (false, false) => (Settled::Applied, None),
        }
    }

    fn verdict_of(&self, key: &[u8]) -> Option<String> {
        if let Some(known) = self.known.get(key) {
            let now = known.verdict.as_ref().map(|(verdict, _)| *verdict);
            return Some(now.unwrap_or(&known.stored.verdict).to_owned());
        }
        let new = self.new.iter().find(|new| new.event_key == key)?;
        Some(new.verdict.to_owned())
    }

    /// One more delivery of a notice that is known, with the verdict it has from now on.
    fn count(
        &mut self,
        key: &[u8],
        verdict: impl Fn(Option<String>) -> (&'static str, Option<String>),
    ) {
        if let Some(known) = self.known.get_mut(key) {
            known.more += 1;
            let kept = known.verdict.take().and_then(|(_, why)| why);
            known.verdict = Some(verdict(kept));
        } else if let Some(new) = self.new.iter_mut().find(|new| new.event_key == key) {
            new.deliveries += 1;
            (new.verdict, new.processing_error) = verdict(new.processing_error.take());
        }
    }

    fn remember(&mut self, notice: &Incoming<'_>) {
        if let Some(status) = &notice.reading.status {
            self.states.push(KnownState {
                kind: notice.kind.as_str().to_owned(),
                external_id: notice.reading.external_id.clone(),
                status: status.clone(),
            });
        }
    }
}

impl Recorded {
    const fn of(settled: Settled) -> Self {
        Self {
            settled,
            ask: false,
        }
    }
}

/// The stored word as one of ours; the column's CHECK lists the same ones.
fn word(stored: &str) -> &'static str {
    ["applied", "stale", "unconfirmed", "refused", "dead"]
        .into_iter()
        .find(|word| *word == stored)
        .unwrap_or("dead")
}

fn row(notice: &Incoming<'_>, verdict: &'static str, why: Option<String>) -> NewNotice {
    let reading = notice.reading;
    NewNotice {
        event_key: reading.event_key.as_bytes().to_vec(),
        received_at: notice.received_at,
        kind: notice.kind.as_str(),
        external_id: reading.external_id.clone(),
        status: reading.status.clone(),
        transaction_id: reading.question.as_ref().map(|asked| asked.id.clone()),
        raw_body: String::from_utf8_lossy(notice.body).into_owned(),
        is_verified: notice.kind.is_verified(),
        verdict,
        processing_error: why,
        deliveries: 1,
    }
}
