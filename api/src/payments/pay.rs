//! A wish to pay, from the request to what the customer pays with.

use std::future::Future;
use std::time::{Duration, Instant};

use shared::apply::Input;
use shared::domain::checkout::{NotPayable, PayMethod};
use shared::domain::projection::OrderStatus;
use shared::domain::{Rupiah, TransactionStatus};
use shared::store::checkout_payments::{CheckoutSession, NewSession, Opened};
use shared::store::checkout_read::PaymentRead;
use tracing::{Instrument as _, error};
use uuid::Uuid;

use super::close::{cancel, close, is_alive};
use super::make::{Making, end, look, make, observe};
use super::open::{Ask, BUSY, Step, open};
use super::problems::{in_progress, not_payable, of_gateway, refused};
use super::request::Wish;
use crate::app::App;
use crate::problem::Problem;

/// A caller hears within this time, below the limit of every request.
const LIMIT: Duration = Duration::from_secs(13);

/// How often a wish is looked at; each look but the last finds the world changed.
const LOOKS: u32 = 20;

/// Waiting for somebody else who makes the payment: the first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What a customer pays with.
#[derive(Debug)]
pub(super) struct Paid {
    pub(super) payment: PaymentRead,
    /// It was there before.
    pub(super) duplicate: bool,
}

/// Begins a payment, or finds the one that is open.
pub(super) async fn pay(app: App, wish: Wish) -> Result<Paid, Problem> {
    in_time(async move {
        match wish {
            Wish::Order {
                code,
                method,
                amount,
            } => pay_order(&app, &code, method, amount).await,
            Wish::Alone { method, amount } => pay_alone(&app, method, amount).await,
        }
    })
    .await
}

/// Does the work in a task of its own, which goes on when the caller hangs up or has waited long
/// enough: Midtrans may be making a payment, and its answer is worth having.
pub(super) async fn in_time<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    in_time_or(in_progress, work).await
}

/// The same with what a caller hears who has waited long enough.
pub(super) async fn in_time_or<T: Send + 'static>(
    late: fn() -> Problem,
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let task = tokio::spawn(work.in_current_span());
    match tokio::time::timeout(LIMIT, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(died)) => {
            error!(error = %died, "The work of a request died");
            Err(Problem::Internal)
        }
        Err(_) => Err(late()),
    }
}

async fn pay_order(
    app: &App,
    code: &str,
    method: PayMethod,
    amount: Option<Rupiah>,
) -> Result<Paid, Problem> {
    let mut ask = Ask {
        order_code: code,
        method,
        amount,
        link_first: true,
        pass_over: false,
    };
    for _ in 0..LOOKS {
        match open(app, &ask).await? {
            Step::Use(session_id) => return found(app, &session_id, true).await,
            Step::Wait(session_id) => wait(app, &session_id).await?,
            Step::Close(sessions) => close_all(app, &sessions).await?,
            Step::Make {
                making,
                fresh,
                close,
            } => {
                if !close.is_empty() {
                    close_beside(app, &making, fresh, &close).await?;
                }
                make(app, &making, fresh).await?;
                return found(app, &making.session_id, !fresh).await;
            }
            Step::LinkFirst => {
                (ask.link_first, ask.pass_over) = (true, true);
                continue;
            }
            Step::Again => {}
            Step::Refused(problem) => return Err(problem),
        }
        ask.link_first = false;
    }
    Err(in_progress())
}

async fn pay_alone(app: &App, method: PayMethod, amount: Rupiah) -> Result<Paid, Problem> {
    // Nobody can guess it, and no order's code begins so.
    let prefix = &app.rules.order_code_prefix;
    let session_id = format!("{prefix}-QR-{}", Uuid::new_v4().simple());
    let life = method.life(time::Duration::DAY);
    let new = NewSession {
        session_id: &session_id,
        order_id: None,
        user_id: None,
        gross_amount: amount.get(),
        method: method.as_str(),
        bank: method.bank(),
        store: method.store(),
        life_seconds: life.as_seconds_f64(),
        check_in_seconds: app.rules.reconcile_after.as_secs_f64(),
        busy_seconds: BUSY.as_secs_f64(),
    };
    let mut txn = app.store.begin().await?;
    let now = app.store.now_in_txn(&mut txn).await?;
    let opened = app
        .store
        .checkout_session_open_in_txn(&mut txn, &new)
        .await?;
    app.store.commit(txn).await?;
    if opened == Opened::IdTaken {
        error!("A random session id was taken");
        return Err(Problem::Internal);
    }
    let making = Making {
        session_id,
        order_code: None,
        gross_amount: amount,
        method,
        now,
        life,
        transaction_id: None,
    };
    make(app, &making, true).await?;
    found(app, &making.session_id, false).await
}

async fn found(app: &App, session_id: &str, duplicate: bool) -> Result<Paid, Problem> {
    let payment = app.store.checkout_payment_read(session_id).await?;
    let payment = payment.ok_or(Problem::Internal)?;
    Ok(Paid { payment, duplicate })
}

/// Waits until nobody makes this payment any more. No connection is held meanwhile.
async fn wait(app: &App, session_id: &str) -> Result<(), Problem> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    while began.elapsed() < BUSY + BUSY {
        tokio::time::sleep(pause).await;
        let session = app.store.checkout_payment_read(session_id).await?;
        match session.filter(|session| session.busy || is_refused(session)) {
            None => return Ok(()),
            Some(session) if !session.busy => return Err(refusal(&session)),
            Some(_) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(in_progress())
}

/// Midtrans made no payment: that is the answer for all who wait for it.
fn is_refused(session: &PaymentRead) -> bool {
    session.status == "deny" && session.transaction_id.is_none() && !session.answered
}

fn refusal(session: &PaymentRead) -> Problem {
    let code = session
        .answer
        .as_ref()
        .and_then(|answer| answer["status_code"].as_str()?.parse().ok());
    refused(code.unwrap_or_default())
}

async fn close_all(app: &App, sessions: &[CheckoutSession]) -> Result<(), Problem> {
    for session in sessions {
        close(app, session).await?;
    }
    Ok(())
}

/// Ends what must not be payable beside the payment that is to be made. It exists already as a
/// session, so that the order keeps what it holds; should one of the others turn out to be paid,
/// it is given up.
async fn close_beside(
    app: &App,
    making: &Making,
    fresh: bool,
    sessions: &[CheckoutSession],
) -> Result<(), Problem> {
    let closed = close_all(app, sessions).await;
    if closed.is_err() {
        // The next call ends the others first; if this fails too, the claim ends by itself.
        let _ = app.store.checkout_session_release(&making.session_id).await;
        return closed;
    }
    let session = found(app, &making.session_id, false).await?.payment;
    let status = session.order_status.as_deref().and_then(OrderStatus::parse);
    let why = match status {
        Some(OrderStatus::Pending) => return Ok(()),
        Some(OrderStatus::Paid | OrderStatus::PartiallyRefunded) => NotPayable::AlreadyPaid,
        Some(OrderStatus::Review) => NotPayable::InReview,
        Some(_) | None => NotPayable::Ended,
    };
    give_up(app, making, fresh).await?;
    Err(not_payable(why))
}

/// Ends a session that was opened and is not needed. One that is not new may have been charged by
/// a predecessor.
async fn give_up(app: &App, making: &Making, fresh: bool) -> Result<(), Problem> {
    if !fresh {
        let seen = look(app, making)
            .await
            .map_err(|error| of_gateway(&error))?;
        if let Some(seen) = seen {
            let (id, alive) = (seen.transaction_id.clone(), is_alive(&seen));
            observe(app, Input::Observed(seen)).await?;
            return match alive {
                true => cancel(app, &making.session_id, &id).await,
                false => Ok(()),
            };
        }
    }
    end(app, &making.session_id, TransactionStatus::Cancel).await
}
