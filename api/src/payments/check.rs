//! What became of a payment: asks Midtrans while it is open, and not too often.

use std::time::Duration;

use shared::apply::Input;
use shared::domain::checkout::PayMethod;
use shared::domain::{Rupiah, TransactionState};
use shared::store::checkout_read::PaymentRead;
use tracing::warn;

use super::make::{Making, adopt, look, observe};
use super::pay::in_time;
use super::problems::no_payment;
use crate::app::App;
use crate::problem::{Problem, chain};
use crate::reading::reading;

/// Seconds between two questions about one session, over all processes.
const EVERY: f64 = 5.0;

/// What is stored is answered when Midtrans has not answered by then.
const PATIENCE: Duration = Duration::from_secs(8);

/// A payment as it is now.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) payment: PaymentRead,
    /// Midtrans could not be asked.
    pub(super) stale: bool,
}

pub(super) async fn check(app: App, key: String) -> Result<Checked, Problem> {
    let found = reading(|| app.store.checkout_payment_find(&key)).await?;
    let payment = found.ok_or_else(no_payment)?;
    let session_id = payment.session_id.clone();
    if !may_change(&payment) || payment.busy {
        return Ok(Checked {
            payment,
            stale: false,
        });
    }
    if !app.store.checkout_check_claim(&session_id, EVERY).await? {
        return Ok(Checked {
            payment,
            stale: false,
        });
    }
    in_time(async move {
        let stale = match tokio::time::timeout(PATIENCE, ask(&app, &payment)).await {
            Ok(asked) => !asked?,
            Err(_) => true,
        };
        let payment = app.store.checkout_payment_read(&session_id).await?;
        let payment = payment.ok_or_else(no_payment)?;
        Ok(Checked { payment, stale })
    })
    .await
}

/// Asks Midtrans and applies its answer; `false` when there was none. A page that nobody used is
/// not known there: it has not begun, which is no error.
async fn ask(app: &App, payment: &PaymentRead) -> Result<bool, Problem> {
    let making = making_of(payment);
    match look(app, &making).await {
        Ok(Some(seen)) if !payment.answered && payment.method.is_some() => {
            adopt(app, &making, seen).await?;
            Ok(true)
        }
        Ok(Some(seen)) => {
            observe(app, Input::Observed(seen)).await?;
            Ok(true)
        }
        Ok(None) => Ok(true),
        Err(error) => {
            warn!(error = chain(&error), "Midtrans could not be asked");
            Ok(false)
        }
    }
}

/// Whether Midtrans may know more than we do. In a page the customer may try again after a deny.
fn may_change(payment: &PaymentRead) -> bool {
    let state = state_of(payment);
    let in_page = state == TransactionState::Deny && payment.snap_token.is_some();
    state.is_alive() || (in_page && payment.left_seconds.is_some_and(|left| left > 0.0))
}

fn state_of(payment: &PaymentRead) -> TransactionState {
    TransactionState::of_stored(
        &payment.status,
        payment.fraud_status.as_deref(),
        payment.payment_type.as_deref(),
        payment.payment_channel.as_deref(),
    )
}

/// The payment as its maker would have it. A transaction that is over is not asked about by its
/// own id: in a page another one may have followed.
fn making_of(payment: &PaymentRead) -> Making {
    let (bank, store) = (payment.bank.as_deref(), payment.store.as_deref());
    let method = payment.method.as_deref().unwrap_or_default();
    let alive = state_of(payment).is_alive();
    let left = payment.left_seconds.unwrap_or_default();
    Making {
        session_id: payment.session_id.clone(),
        order_code: payment.order_code.clone(),
        gross_amount: Rupiah::new(payment.gross_amount),
        // Only what is asked of Midtrans depends on it: a page tells nothing once.
        method: PayMethod::parse(method, bank, store).unwrap_or(PayMethod::Snap),
        now: payment.now,
        life: time::Duration::seconds_f64(left),
        transaction_id: payment.transaction_id.clone().filter(|_| alive),
    }
}
