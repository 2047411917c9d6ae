//! Step one: under the lock of the order, what the wish comes to, and the session it needs.

use shared::apply::{ApplyError, Input, Item, OrderAsk, apply_in_txn};
use shared::domain::checkout::{
    Life, OpenSession, OrderToPay, PayMethod, Plan, Target, payable, plan,
};
use shared::domain::linking::{attempt_of, session_id};
use shared::domain::projection::OrderStatus;
use shared::domain::{Rupiah, Source, TransactionState};
use shared::fault;
use shared::store::Txn;
use shared::store::checkout_payments::{CheckoutOrder, CheckoutSession, NewSession, Opened};
use time::{Duration, OffsetDateTime};

use super::make::Making;
use super::problems::{not_payable, short_of, too_many_attempts};
use crate::app::App;
use crate::problem::Problem;

/// How long somebody who makes a payment is left alone; a call to Midtrans is over by then.
pub(super) const BUSY: std::time::Duration = std::time::Duration::from_secs(10);

/// How often it starts anew at once after a deadlock or its kin.
const CONTENTION_RETRIES: u32 = 5;

/// A session id that is taken is passed over, so often.
const IDS_TRIED: u32 = 20;

/// The highest number that a session id can carry.
const LAST_ATTEMPT: u32 = 9_999;

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Answer with this session.
    Use(String),
    /// Somebody is making this one.
    Wait(String),
    /// End these and look again.
    Close(Vec<CheckoutSession>),
    /// End these, then make this payment.
    Make {
        making: Making,
        /// The session was not there before.
        fresh: bool,
        close: Vec<CheckoutSession>,
    },
    /// Something was linked to the order: look again.
    Again,
    /// A payment came meanwhile that may be the order's: link it and look again.
    LinkFirst,
    /// It cannot be paid so.
    Refused(Problem),
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) order_code: &'a str,
    pub(super) method: PayMethod,
    pub(super) amount: Option<Rupiah>,
    /// Payments that came before their order are still to be looked for.
    pub(super) link_first: bool,
    /// A session id that is taken belongs to somebody else: use the next one.
    pub(super) pass_over: bool,
}

pub(super) async fn open(app: &App, ask: &Ask<'_>) -> Result<Step, Problem> {
    let mut retries = 0;
    loop {
        match open_once(app, ask).await {
            Err(error) if error.is_contention() && retries < CONTENTION_RETRIES => retries += 1,
            result => return result.map_err(Problem::from),
        }
    }
}

async fn open_once(app: &App, ask: &Ask<'_>) -> Result<Step, ApplyError> {
    let store = &app.store;
    let mut txn = store.begin().await?;
    let order = store
        .checkout_order_lock_in_txn(&mut txn, ask.order_code)
        .await?;
    let Some(order) = order else {
        return Ok(Step::Refused(Problem::OrderNotFound));
    };
    if ask.link_first && link_waiting(app, &mut txn, &order).await? {
        store.commit(txn).await?;
        return Ok(Step::Again);
    }
    if ask
        .amount
        .is_some_and(|amount| amount.get() != order.gross_amount)
    {
        let why = "is not what the order costs";
        return Ok(Step::Refused(crate::body::invalid_body(
            "gross_amount",
            why,
        )));
    }
    let life = match payable(&facts(&order)) {
        Ok(life) => life,
        Err(why) => return Ok(Step::Refused(not_payable(why))),
    };
    let mut sessions = store
        .checkout_sessions_lock_in_txn(&mut txn, order.id)
        .await?;
    sessions.reverse();
    let views: Vec<OpenSession> = sessions.iter().map(view).collect();
    let (target, close) = match plan(&views, ask.method, life) {
        Plan::Wait(place) => return Ok(Step::Wait(sessions[place].session_id.clone())),
        Plan::Go { target, close } => (target, close),
    };
    let closing: Vec<CheckoutSession> = close.iter().map(|at| sessions[*at].clone()).collect();
    match target {
        Target::Reuse(at) if closing.is_empty() => Ok(Step::Use(sessions[at].session_id.clone())),
        Target::Reuse(_) => Ok(Step::Close(closing)),
        Target::Adopt(at) => {
            let session = &sessions[at];
            let making = making_of(&order, session, ask.method);
            store
                .checkout_session_claim_in_txn(&mut txn, &session.session_id, BUSY.as_secs_f64())
                .await?;
            store.commit(txn).await?;
            Ok(Step::Make {
                making,
                fresh: false,
                close: closing,
            })
        }
        Target::New => open_new(app, txn, &order, &sessions, ask, life, closing).await,
    }
}

/// Takes in the payments of this order that came before it. Their order is locked already, so
/// that a notification of one of them waits.
async fn link_waiting(app: &App, txn: &mut Txn, order: &CheckoutOrder) -> Result<bool, ApplyError> {
    let waiting = app
        .store
        .orders_waiting_sessions_in_txn(txn, &order.order_code)
        .await?;
    if waiting.is_empty() {
        return Ok(false);
    }
    let items: Vec<Item> = waiting
        .into_iter()
        .map(|session_id| {
            Item::new(Input::Link {
                session_id,
                source: Source::System,
            })
        })
        .collect();
    apply_in_txn(&app.store, txn, app.rules.confirm_policy, &items).await?;
    Ok(true)
}

/// Opens a session, and the order again where it was closed.
async fn open_new(
    app: &App,
    mut txn: Txn,
    order: &CheckoutOrder,
    sessions: &[CheckoutSession],
    ask: &Ask<'_>,
    life: Life,
    close: Vec<CheckoutSession>,
) -> Result<Step, ApplyError> {
    let store = &app.store;
    let method = ask.method;
    if order.released
        && let Some(lacks) = store.checkout_shortage_in_txn(&mut txn, order.id).await?
    {
        return Ok(Step::Refused(short_of(&lacks)));
    }
    let ttl = Duration::try_from(app.rules.order_ttl).unwrap_or(Duration::DAY);
    let (left, new_ttl) = match life {
        Life::Open => (order.expires_at - order.now, None),
        Life::Extended | Life::Renewed => (ttl, Some(ttl.as_seconds_f64())),
    };
    let lasting = method.life(left);
    let next = next_session(app, &mut txn, order, sessions, ask, lasting).await?;
    let session = match next {
        Next::Session(id) => id,
        Next::LookAgain => return Ok(Step::LinkFirst),
        Next::TooMany => return Ok(Step::Refused(too_many_attempts())),
    };
    store
        .checkout_order_point_in_txn(&mut txn, order.id, &session, new_ttl)
        .await?;
    if life != Life::Open
        && let Some(refused) = reopen(app, &mut txn, order).await?
    {
        return Ok(Step::Refused(refused));
    }
    fault::point("checkout.before_commit").await;
    store.commit(txn).await?;
    fault::point("checkout.opened").await;
    Ok(Step::Make {
        making: Making {
            session_id: session,
            order_code: Some(order.order_code.clone()),
            gross_amount: Rupiah::new(order.gross_amount),
            method,
            now: order.now,
            life: lasting,
            transaction_id: None,
        },
        fresh: true,
        close,
    })
}

/// The id of a session to open.
enum Next {
    Session(String),
    /// It belongs to a payment that came meanwhile, perhaps of this order.
    LookAgain,
    /// The order has had as many as can be counted.
    TooMany,
}

/// Opens the next session of an order.
async fn next_session(
    app: &App,
    txn: &mut Txn,
    order: &CheckoutOrder,
    sessions: &[CheckoutSession],
    ask: &Ask<'_>,
    lasting: Duration,
) -> Result<Next, ApplyError> {
    let method = ask.method;
    let used = sessions
        .iter()
        .filter(|session| !is_stray(session))
        .filter_map(|session| attempt_of(&order.order_code, &session.session_id));
    let first = used.max().unwrap_or(0) + 1;
    let last = LAST_ATTEMPT.min(first + IDS_TRIED);
    for attempt in first..=last {
        let id = session_id(&order.order_code, attempt);
        let new = NewSession {
            session_id: &id,
            order_id: Some(order.id),
            user_id: Some(&order.user_id),
            gross_amount: order.gross_amount,
            method: method.as_str(),
            bank: method.bank(),
            store: method.store(),
            life_seconds: lasting.as_seconds_f64(),
            check_in_seconds: app.rules.reconcile_after.as_secs_f64(),
            busy_seconds: BUSY.as_secs_f64(),
        };
        match app.store.checkout_session_open_in_txn(txn, &new).await? {
            Opened::New => return Ok(Next::Session(id)),
            Opened::IdTaken if !ask.pass_over => return Ok(Next::LookAgain),
            Opened::IdTaken => {}
        }
    }
    Ok(Next::TooMany)
}

/// A session that a notification made and that nobody believed yet: it may become ours.
fn is_stray(session: &CheckoutSession) -> bool {
    session.status == "created" && session.method.is_none() && session.transaction_id.is_none()
}

/// Projects the order over its new session, which reserves again what was given back; why it
/// stays closed, if it does.
async fn reopen(
    app: &App,
    txn: &mut Txn,
    order: &CheckoutOrder,
) -> Result<Option<Problem>, ApplyError> {
    let item = Item::new(Input::Order {
        order_code: order.order_code.clone(),
        ask: OrderAsk::Recheck,
        source: Source::System,
        actor: None,
    });
    let store = &app.store;
    apply_in_txn(store, txn, app.rules.confirm_policy, &[item]).await?;
    let now = store
        .checkout_order_lock_in_txn(txn, &order.order_code)
        .await?;
    if now.is_some_and(|now| now.status == OrderStatus::Pending.as_str() && !now.released) {
        return Ok(None);
    }
    let lacks = store.checkout_shortage_in_txn(txn, order.id).await?;
    let ended = not_payable(shared::domain::checkout::NotPayable::Ended);
    Ok(Some(lacks.map_or(ended, |lacks| short_of(&lacks))))
}

fn facts(order: &CheckoutOrder) -> OrderToPay {
    OrderToPay {
        // The column holds known words only, by a CHECK.
        status: OrderStatus::parse(&order.status).unwrap_or(OrderStatus::Review),
        was_paid: order.was_paid,
        closed_by_operator: order.closed_by_operator,
        released: order.released,
        left: order.expires_at - order.now,
        event_past: order.event_past,
        is_free: order.gross_amount == 0,
    }
}

fn view(session: &CheckoutSession) -> OpenSession {
    OpenSession {
        state: state_of(session),
        method: method_of(session),
        answered: session.answered,
        busy: session.busy,
        over: session.over,
    }
}

pub(super) fn state_of(session: &CheckoutSession) -> TransactionState {
    TransactionState::of_stored(
        &session.status,
        session.fraud_status.as_deref(),
        session.payment_type.as_deref(),
        session.payment_channel.as_deref(),
    )
}

fn method_of(session: &CheckoutSession) -> Option<PayMethod> {
    if let Some(method) = session.method.as_deref() {
        let (bank, store) = (session.bank.as_deref(), session.store.as_deref());
        return PayMethod::parse(method, bank, store).ok();
    }
    let channel = session.payment_channel.as_deref();
    PayMethod::of_transaction(session.payment_type.as_deref()?, channel)
}

fn making_of(order: &CheckoutOrder, session: &CheckoutSession, method: PayMethod) -> Making {
    let ends: OffsetDateTime = session.expires_at.unwrap_or(order.expires_at);
    Making {
        session_id: session.session_id.clone(),
        order_code: Some(order.order_code.clone()),
        gross_amount: Rupiah::new(session.gross_amount),
        method,
        now: order.now,
        life: method.life(ends - order.now),
        transaction_id: session.transaction_id.clone(),
    }
}
