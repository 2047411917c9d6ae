//! `reconcile_status`: asks about the payments that are due, and says when each is due again.

use std::collections::HashMap;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use shared::apply::{Item, OrderAsk};
use shared::domain::TransactionState;
use shared::domain::checks::{CheckFacts, next_check};
use shared::domain::outcome::{Class, Classify as _};
use shared::midtrans::GatewayError;
use shared::store::job_runs::{PageEnd, RunRow, Totals};
use shared::store::reconcile::{DuePayment, NextCheck, Standing};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::ask::{self, Asked};
use super::{Interrupted, Page, Runs, SLICE, order_item};

/// Payments that are read for one page.
const PAGE: i64 = 2_048;
/// Questions under way at once: more than the budget lets through at Midtrans' usual pace.
const QUESTIONS: usize = 128;

/// A payment after it was asked about.
enum Look {
    /// What Midtrans said, to be applied; nothing when nothing had to be asked.
    Answered(Vec<Item>),
    /// About this payment nothing could be learned.
    Odd,
    /// The page is over before its turn came.
    NotReached,
    /// Midtrans is away.
    Away(GatewayError),
}

/// Where answers go.
type Answers<'a> = mpsc::UnboundedSender<(&'a DuePayment, Look)>;

/// How far a page has come.
#[derive(Default)]
struct Progress {
    /// How many were looked at.
    looked: usize,
    found: Totals,
    away: Option<GatewayError>,
}

impl Runs {
    pub(super) async fn status(&self, run: &RunRow) -> Result<Page, Interrupted> {
        let store = self.applier.store();
        let due = self
            .read(|| store.reconcile_due(run.created_at, PAGE))
            .await?;
        let end = Instant::now() + SLICE;
        let (answers, answered) = mpsc::unbounded_channel();
        // Side by side: questions go out at their pace while answers are applied.
        let asking = async {
            self.ask_all(&due, end, answers).await;
            Ok(())
        };
        let ((), progress) = tokio::try_join!(asking, self.take_all_in(answered))?;
        if let (Some(error), true) = (progress.away, progress.found.checked == 0) {
            return Err(Interrupted::Gateway(error));
        }
        let full = i64::try_from(due.len()).is_ok_and(|read| read == PAGE);
        Ok(Page {
            found: progress.found,
            end: match full || progress.looked < due.len() {
                true => PageEnd::Next(String::new()),
                false => PageEnd::Done,
            },
        })
    }

    /// Asks about each, many at once.
    async fn ask_all<'a>(&self, due: &'a [DuePayment], end: Instant, answers: Answers<'a>) {
        let looks: Vec<BoxFuture<'_, _>> = due
            .iter()
            .map(|payment| async move { (payment, self.look(payment, end).await) }.boxed())
            .collect();
        let mut looks = stream::iter(looks).buffer_unordered(QUESTIONS);
        while let Some(looked) = looks.next().await {
            // Nobody listens any more when applying failed; then this ends too.
            if answers.send(looked).is_err() {
                return;
            }
        }
    }

    /// Applies what is answered, together with all that is answered meanwhile, and says when each
    /// is due again.
    async fn take_all_in(
        &self,
        mut answered: mpsc::UnboundedReceiver<(&DuePayment, Look)>,
    ) -> Result<Progress, Interrupted> {
        let mut progress = Progress::default();
        let mut together = Vec::new();
        while answered.recv_many(&mut together, QUESTIONS).await > 0 {
            let chunk = std::mem::take(&mut together);
            let looked = self.take_in(chunk, &mut progress).await?;
            if !looked.is_empty() {
                progress.looked += looked.len();
                progress.found += self.reschedule(&looked).await?;
            }
        }
        Ok(progress)
    }

    /// Applies some answers; tells for each payment that was looked at whether nothing could be
    /// learned or done.
    async fn take_in<'a>(
        &self,
        chunk: Vec<(&'a DuePayment, Look)>,
        progress: &mut Progress,
    ) -> Result<Vec<(&'a DuePayment, bool)>, Interrupted> {
        let (mut items, mut answered, mut looked) = (Vec::new(), Vec::new(), Vec::new());
        for (payment, look) in chunk {
            match look {
                Look::Answered(more) => {
                    answered.push((payment, more.len()));
                    items.extend(more);
                }
                Look::Odd => looked.push((payment, true)),
                Look::NotReached => {}
                Look::Away(error) => progress.away = Some(error),
            }
        }
        let mut applied = self.apply_each(&items).await?.into_iter();
        for (payment, count) in answered {
            let failed = applied.by_ref().take(count).filter(|well| !well).count();
            looked.push((payment, failed > 0));
        }
        Ok(looked)
    }

    /// Asks about one payment.
    async fn look(&self, payment: &DuePayment, end: Instant) -> Look {
        if Instant::now() >= end {
            return Look::NotReached;
        }
        let agrees = agrees(&payment.status, payment.order_status.as_deref());
        if payment.busy || (agrees && self.next(facts(&payment.standing())).is_none()) {
            return Look::Answered(Vec::new());
        }
        let asked = match self.ask_and_expire(payment, None).await {
            Ok(asked) => asked,
            Err(error) if error.classify() == Class::Wait => return Look::Away(error),
            Err(error) => {
                let session = &payment.session_id;
                tracing::warn!(
                    %error,
                    payment.session_id = session,
                    "a payment cannot be asked about"
                );
                return Look::Odd;
            }
        };
        let mut items = asked.items;
        if !agrees {
            let order = payment.order_code.as_deref();
            items.extend(order.map(|code| order_item(code, OrderAsk::Recheck)));
        }
        Look::Answered(items)
    }

    /// Asks, and ends at Midtrans what is over here.
    pub(super) async fn ask_and_expire(
        &self,
        payment: &DuePayment,
        closing: Option<OffsetDateTime>,
    ) -> Result<Asked, GatewayError> {
        let mut asked = ask::ask(&self.gateway, payment).await?;
        if ask::is_over(payment, closing)
            && let Err(error) = ask::expire(&self.gateway, payment, &mut asked).await
        {
            asked.not_ended = true;
            tracing::warn!(
                error = %error.cause(),
                payment.session_id = payment.session_id,
                "a payment could not be ended at Midtrans"
            );
        }
        Ok(asked)
    }

    /// Says when what was looked at is due again, and counts what had changed.
    pub(super) async fn reschedule(
        &self,
        looked: &[(&DuePayment, bool)],
    ) -> Result<Totals, Interrupted> {
        let ids: Vec<i64> = looked.iter().map(|(payment, _)| payment.id).collect();
        let store = self.applier.store();
        let standings = self.read(|| store.reconcile_standings(&ids)).await?;
        let standings: HashMap<i64, Standing> = standings
            .into_iter()
            .map(|standing| (standing.id, standing))
            .collect();
        let mut found = Totals::default();
        let mut checks = Vec::with_capacity(looked.len());
        for (payment, odd) in looked {
            let Some(now) = standings.get(&payment.id) else {
                continue;
            };
            found.checked += 1;
            let changed = now.status != payment.status || now.order_status != payment.order_status;
            let agrees = agrees(&now.status, now.order_status.as_deref());
            if changed {
                found.repaired += 1;
            }
            if *odd || !agrees {
                found.given_up += 1;
            }
            if changed || *odd || !agrees {
                found.rupiah_at_risk += payment.gross_amount;
            }
            let next = self.next(facts(now));
            checks.push(NextCheck {
                id: now.id,
                status: now.status.clone(),
                // What contradicts its order stays in sight.
                at: next.or((!agrees).then(|| now.now + time::Duration::hours(1))),
                checks: match changed {
                    true => 0,
                    false => now.checks.saturating_add(1),
                },
            });
        }
        self.read(|| store.reconcile_schedule(&checks)).await?;
        Ok(found)
    }

    fn next(&self, facts: Facts<'_>) -> Option<OffsetDateTime> {
        let first = time::Duration::try_from(self.options.first_check);
        next_check(&CheckFacts {
            state: facts.state,
            payment_type: facts.payment_type,
            expires_at: facts.expires_at,
            checks: u32::try_from(facts.checks).unwrap_or(0),
            now: facts.now,
            first: first.unwrap_or(time::Duration::minutes(5)),
        })
    }
}

/// What the next check of a payment depends on.
struct Facts<'a> {
    state: TransactionState,
    payment_type: Option<&'a str>,
    expires_at: Option<OffsetDateTime>,
    checks: i32,
    now: OffsetDateTime,
}

fn facts(standing: &Standing) -> Facts<'_> {
    Facts {
        state: TransactionState::of_stored(
            &standing.status,
            standing.fraud_status.as_deref(),
            standing.payment_type.as_deref(),
            standing.payment_channel.as_deref(),
        ),
        payment_type: standing.payment_type.as_deref(),
        expires_at: standing.expires_at,
        checks: standing.checks,
        now: standing.now,
    }
}

/// Whether the order says what a paid payment demands. An order that says it is closed although it
/// was paid contradicts its payment; what an operator closed does not come here as paid.
fn agrees(payment: &str, order: Option<&str>) -> bool {
    let paid = matches!(payment, "settlement" | "capture");
    let open_or_closed =
        |order: &str| matches!(order, "PENDING" | "EXPIRED" | "FAILED" | "CANCELLED");
    !(paid && order.is_some_and(open_or_closed))
}
