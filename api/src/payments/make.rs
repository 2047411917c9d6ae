//! Steps two and three: get the payment from Midtrans, store it.
//!
//! Whoever makes a payment may have had a predecessor that died after Midtrans made it. So a
//! session that is not new is asked about first, and what is found is adopted; and when a charge
//! has no answer, it is asked about again before it is repeated, with the same id.

use std::time::Duration;

use serde_json::{Value, json};
use shared::apply::{ApplyError, Input, Item, apply, apply_in_txn};
use shared::domain::checkout::PayMethod;
use shared::domain::{Observation, Rupiah, Source, TransactionStatus};
use shared::fault;
use shared::midtrans::{CallError, Charge, ChargeAnswer, GatewayError, SnapAnswer};
use shared::store::checkout_payments::SessionAnswer;
use time::OffsetDateTime;
use tracing::warn;

use super::problems::{of_call, of_gateway, outcome_unknown, refused};
use super::view::kept;
use crate::app::App;
use crate::problem::Problem;

/// How often it starts anew at once after a deadlock or its kin.
const CONTENTION_RETRIES: u32 = 5;

/// Charges of one call: the first, and one more when Midtrans knows nothing of it.
const CHARGES: u32 = 2;

/// Looks for a charge that is still being made, and the pause before each.
const LOOKS: u32 = 4;
const LOOK_PAUSE: Duration = Duration::from_millis(400);

/// A payment to make.
#[derive(Debug, Clone)]
pub(super) struct Making {
    pub(super) session_id: String,
    pub(super) order_code: Option<String>,
    pub(super) gross_amount: Rupiah,
    pub(super) method: PayMethod,
    /// The database's clock when it was decided.
    pub(super) now: OffsetDateTime,
    pub(super) life: time::Duration,
    /// Known already, when a notification told it.
    pub(super) transaction_id: Option<String>,
}

/// What Midtrans made of it.
enum Made {
    Transaction(Box<Observation>),
    Page {
        token: String,
        redirect_url: String,
    },
    /// It is being made, or was made before: look for it.
    Elsewhere,
    Refused(u16),
}

/// Makes the payment, or finds that it is made. Whatever fails, the next call goes on from there.
pub(super) async fn make(app: &App, making: &Making, fresh: bool) -> Result<(), Problem> {
    let made = make_once(app, making, fresh).await;
    if made.is_err() {
        // Nobody is at it any more; if this fails too, the claim ends by itself.
        if let Err(error) = app.store.checkout_session_release(&making.session_id).await {
            warn!(%error, "A payment session stays claimed for a while");
        }
    }
    made
}

async fn make_once(app: &App, making: &Making, fresh: bool) -> Result<(), Problem> {
    if !fresh
        && let Some(seen) = look(app, making)
            .await
            .map_err(|error| of_gateway(&error))?
    {
        return adopt(app, making, seen).await;
    }
    for _ in 0..CHARGES {
        match send(app, making).await {
            Ok(Made::Transaction(seen)) => {
                fault::point("checkout.charged").await;
                let answer = kept(&seen.raw_body);
                return store_transaction(app, making, seen, &answer).await;
            }
            Ok(Made::Page {
                token,
                redirect_url,
            }) => {
                fault::point("checkout.charged").await;
                return store_page(app, making, &token, &redirect_url).await;
            }
            Ok(Made::Refused(code)) => {
                warn!(gateway.code = code, "Midtrans refuses to make a payment");
                store_refusal(app, making, code).await?;
                return Err(refused(code));
            }
            Ok(Made::Elsewhere) => {
                if let Some(seen) = look_until_found(app, making).await? {
                    return adopt(app, making, seen).await;
                }
            }
            Err(error @ CallError::NotDone(_)) => return Err(of_call(&error)),
            Err(CallError::Unknown(error)) => {
                warn!(%error, "A charge has no answer");
                match look(app, making).await {
                    Ok(Some(seen)) => return adopt(app, making, seen).await,
                    Ok(None) => {}
                    Err(error) => {
                        warn!(%error, "Nor has the question what became of it");
                        return Err(outcome_unknown());
                    }
                }
            }
        }
    }
    Err(outcome_unknown())
}

async fn send(app: &App, making: &Making) -> Result<Made, CallError> {
    let charge = Charge {
        session_id: &making.session_id,
        gross_amount: making.gross_amount,
        method: making.method,
        order_code: making.order_code.as_deref(),
        now: making.now,
        life: making.life,
    };
    if making.method == PayMethod::Snap {
        return Ok(match app.gateway.snap(&charge).await? {
            SnapAnswer::Open {
                token,
                redirect_url,
            } => Made::Page {
                token,
                redirect_url,
            },
            SnapAnswer::Taken | SnapAnswer::Running => Made::Elsewhere,
            SnapAnswer::Refused { code } => Made::Refused(code),
        });
    }
    Ok(match app.gateway.charge(&charge).await? {
        ChargeAnswer::Made(seen) => Made::Transaction(seen),
        ChargeAnswer::Taken | ChargeAnswer::Running => Made::Elsewhere,
        ChargeAnswer::Refused { code } => Made::Refused(code),
    })
}

/// What Midtrans knows of the session.
pub(super) async fn look(
    app: &App,
    making: &Making,
) -> Result<Option<Box<Observation>>, GatewayError> {
    let id = making
        .transaction_id
        .as_deref()
        .unwrap_or(&making.session_id);
    shared::reconcile::sync::look(&app.gateway, id, &making.session_id, Source::Poll).await
}

async fn look_until_found(app: &App, making: &Making) -> Result<Option<Box<Observation>>, Problem> {
    for _ in 0..LOOKS {
        match look(app, making).await {
            Ok(None) => tokio::time::sleep(LOOK_PAUSE).await,
            found => return found.map_err(|_| outcome_unknown()),
        }
    }
    Ok(None)
}

/// Takes in what Midtrans has of the session. What a customer pays with is told by some charges
/// only; their answer is asked for once more by its key, which makes nothing new: the order id is
/// in use. Of that answer the status is not believed, for it is as old as the charge.
pub(super) async fn adopt(
    app: &App,
    making: &Making,
    seen: Box<Observation>,
) -> Result<(), Problem> {
    let mut answer = kept(&seen.raw_body);
    let told_once = making.method.is_told_once() && seen.status == TransactionStatus::Pending;
    if told_once
        && let Ok(Made::Transaction(first)) = send(app, making).await
        && first.transaction_id == seen.transaction_id
    {
        answer = kept(&first.raw_body);
    }
    store_transaction(app, making, seen, &answer).await
}

/// What is stored beside what is applied.
enum Stored<'a> {
    Answer(SessionAnswer<'a>),
    Refusal(Value),
}

/// Applies what was seen, and stores the answer.
async fn store_transaction(
    app: &App,
    making: &Making,
    seen: Box<Observation>,
    answer: &Value,
) -> Result<(), Problem> {
    let stored = Stored::Answer(SessionAnswer {
        answer,
        snap_token: None,
        redirect_url: answer["redirect_url"].as_str(),
    });
    store_both(app, &making.session_id, Input::Observed(seen), &stored).await
}

/// Ends a session that Midtrans refused. As a deny: the customer may try again, and what the order
/// holds stays held.
async fn store_refusal(app: &App, making: &Making, code: u16) -> Result<(), Problem> {
    let ended = Input::SessionEnded {
        session_id: making.session_id.clone(),
        status: TransactionStatus::Deny,
        source: Source::Poll,
    };
    let refusal = Stored::Refusal(json!({ "status_code": code.to_string() }));
    store_both(app, &making.session_id, ended, &refusal).await
}

/// In one transaction, and again at once after a deadlock or its kin.
async fn store_both(
    app: &App,
    session_id: &str,
    input: Input,
    stored: &Stored<'_>,
) -> Result<(), Problem> {
    let item = Item::new(input);
    let mut retries = 0;
    loop {
        match store_once(app, session_id, &item, stored).await {
            Err(error) if error.is_contention() && retries < CONTENTION_RETRIES => retries += 1,
            result => return result.map_err(Problem::from),
        }
    }
}

async fn store_once(
    app: &App,
    session_id: &str,
    item: &Item,
    stored: &Stored<'_>,
) -> Result<(), ApplyError> {
    let store = &app.store;
    let mut txn = store.begin().await?;
    let items = std::slice::from_ref(item);
    apply_in_txn(store, &mut txn, app.rules.confirm_policy, items).await?;
    match stored {
        Stored::Answer(answer) => {
            store
                .checkout_answer_in_txn(&mut txn, session_id, answer)
                .await?;
        }
        Stored::Refusal(refusal) => {
            store
                .checkout_refusal_in_txn(&mut txn, session_id, refusal)
                .await?;
        }
    }
    store.commit(txn).await?;
    Ok(())
}

/// A page makes no transaction, so there is nothing to apply.
async fn store_page(
    app: &App,
    making: &Making,
    token: &str,
    redirect_url: &str,
) -> Result<(), Problem> {
    let page = json!({"token": token, "redirect_url": redirect_url});
    let answer = SessionAnswer {
        answer: &page,
        snap_token: Some(token),
        redirect_url: Some(redirect_url),
    };
    let store = &app.store;
    let mut txn = store.begin().await?;
    store
        .checkout_answer_in_txn(&mut txn, &making.session_id, &answer)
        .await?;
    Ok(store.commit(txn).await?)
}

/// A session ends without a transaction.
pub(super) async fn end(
    app: &App,
    session_id: &str,
    status: TransactionStatus,
) -> Result<(), Problem> {
    observe(
        app,
        Input::SessionEnded {
            session_id: session_id.to_owned(),
            status,
            source: Source::Poll,
        },
    )
    .await
}

/// Sends something down the one path.
pub(super) async fn observe(app: &App, input: Input) -> Result<(), Problem> {
    apply(&app.store, app.rules.confirm_policy, &[Item::new(input)])
        .await
        .map_err(Problem::from)?;
    Ok(())
}
