//! `expire_orders`: closes orders whose time is over. Midtrans is asked first, and told to end what
//! it still waits for: nobody may pay for what somebody else is given.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use shared::apply::{Item, OrderAsk};
use shared::domain::outcome::{Class, Classify as _};
use shared::midtrans::GatewayError;
use shared::store::job_runs::{PageEnd, RunRow, Totals};
use shared::store::reconcile::{DuePayment, OverdueOrder};

use super::{Interrupted, Page, Runs, ask, order_item};

/// Orders that one page looks at.
const PAGE: i64 = 100;
/// Orders that are asked about at once.
const QUESTIONS: usize = 32;

/// What became of one order.
enum Closing {
    /// What to apply; afterwards the order is closed, or paid.
    Apply(Vec<Item>),
    /// It may still be paid; the next run asks again.
    Alive,
    /// Nothing could be learned.
    Odd,
    /// Midtrans is away.
    Away(GatewayError),
}

impl Runs {
    pub(super) async fn expire(&self, run: &RunRow) -> Result<Page, Interrupted> {
        let store = self.applier.store();
        let after = run
            .cursor
            .as_deref()
            .and_then(|id| id.parse().ok())
            .unwrap_or(0);
        let orders = self
            .read(|| store.reconcile_overdue_orders(run.created_at, after, PAGE))
            .await?;
        let sessions: Vec<i64> = orders
            .iter()
            .flat_map(|o| o.open_payments.clone())
            .collect();
        let payments = self.read(|| store.reconcile_payments(&sessions)).await?;
        let closings: Vec<BoxFuture<'_, Closing>> = orders
            .iter()
            .map(|order| self.close(order, &payments).boxed())
            .collect();
        let closings: Vec<Closing> = stream::iter(closings).buffered(QUESTIONS).collect().await;
        let mut found = Totals::default();
        let mut away = None;
        let mut asked: Vec<i64> = Vec::new();
        for (order, closing) in orders.iter().zip(closings) {
            match closing {
                Closing::Apply(items) => {
                    found.checked += 1;
                    asked.extend(&order.open_payments);
                    if !self.apply(&items).await? {
                        found.given_up += 1;
                        found.rupiah_at_risk += order.gross_amount;
                    }
                }
                Closing::Alive => {
                    found.checked += 1;
                    asked.extend(&order.open_payments);
                }
                Closing::Odd => {
                    found.checked += 1;
                    found.given_up += 1;
                    found.rupiah_at_risk += order.gross_amount;
                }
                Closing::Away(error) => away = Some(error),
            }
        }
        found += self.rescheduled(&payments, &asked).await?;
        // The page begins anew when Midtrans is back; what was closed is not overdue any more.
        if let Some(error) = away {
            return Err(Interrupted::Gateway(error));
        }
        let full = i64::try_from(orders.len()).is_ok_and(|read| read == PAGE);
        Ok(Page {
            found,
            end: match orders.last().filter(|_| full) {
                Some(last) => PageEnd::Next(last.id.to_string()),
                None => PageEnd::Done,
            },
        })
    }

    /// The checks of payments that were asked about begin anew; what changed counts as found.
    async fn rescheduled(
        &self,
        payments: &[DuePayment],
        asked: &[i64],
    ) -> Result<Totals, Interrupted> {
        let looked: Vec<(&DuePayment, bool)> = payments
            .iter()
            .filter(|payment| asked.contains(&payment.id))
            .map(|payment| (payment, false))
            .collect();
        let found = self.reschedule(&looked).await?;
        // An order that expires as it should is no repair; one that turns out to be paid is.
        Ok(Totals {
            checked: 0,
            ..found
        })
    }

    async fn close(&self, order: &OverdueOrder, payments: &[DuePayment]) -> Closing {
        let mut items = Vec::new();
        let open = payments
            .iter()
            .filter(|payment| order.open_payments.contains(&payment.id));
        for payment in open {
            if payment.busy {
                return Closing::Alive;
            }
            let closing = Some(order.expires_at);
            match self.ask_and_expire(payment, closing).await {
                // A page that nobody used yet can be used until it is closed at Midtrans.
                Ok(asked)
                    if asked.is_alive()
                        || asked.not_ended
                        || (asked.unknown && !ask::is_over(payment, closing)) =>
                {
                    tracing::warn!(
                        order.code = order.order_code,
                        payment.session_id = payment.session_id,
                        "an order whose time is over can still be paid: it stays open"
                    );
                    return Closing::Alive;
                }
                Ok(asked) => items.extend(asked.items),
                Err(error) if error.classify() == Class::Wait => return Closing::Away(error),
                Err(error) => {
                    tracing::warn!(
                        %error,
                        order.code = order.order_code,
                        "a payment of an order cannot be asked about"
                    );
                    return Closing::Odd;
                }
            }
        }
        items.push(order_item(&order.order_code, OrderAsk::Close));
        Closing::Apply(items)
    }
}
