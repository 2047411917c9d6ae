//! Ends a session at Midtrans, so that nobody can pay through it any more.

use shared::apply::Input;
use shared::domain::{Observation, Source, StatusAnswer, TransactionState, TransactionStatus};
use shared::fault;
use shared::midtrans::{ActionAnswer, PageClosed};
use shared::store::checkout_payments::CheckoutSession;

use super::make::{end, observe};
use super::open::state_of;
use super::problems::{not_cancelled, of_call, of_gateway};
use crate::app::App;
use crate::problem::Problem;

/// Ends a session. When its customer was faster and has paid, that is what is known after it.
pub(super) async fn close(app: &App, session: &CheckoutSession) -> Result<(), Problem> {
    let state = state_of(session);
    if let Some(id) = session
        .transaction_id
        .as_deref()
        .filter(|_| state.is_alive())
    {
        cancel(app, &session.session_id, id).await?;
        return close_page(app, session).await.map(drop);
    }
    let page = close_page(app, session).await?;
    if page == Some(PageClosed::Closed) && state == TransactionState::Created {
        return end(app, &session.session_id, TransactionStatus::Cancel).await;
    }
    if page == Some(PageClosed::Closed) {
        return Ok(());
    }
    // No page, or one in which somebody has begun to pay, or one that is closed already.
    match ask(app, &session.session_id, &session.session_id).await? {
        Some(seen) if is_alive(&seen) => {
            let id = seen.transaction_id.clone();
            observe(app, Input::Observed(seen)).await?;
            cancel(app, &session.session_id, &id).await?;
            close_page(app, session).await.map(drop)
        }
        Some(seen) => observe(app, Input::Observed(seen)).await,
        None if state == TransactionState::Created => {
            let how = if session.over {
                TransactionStatus::Expire
            } else {
                TransactionStatus::Cancel
            };
            end(app, &session.session_id, how).await
        }
        None => Ok(()),
    }
}

/// Cancels a transaction. When its state does not allow it, the state says why.
pub(super) async fn cancel(app: &App, session_id: &str, id: &str) -> Result<(), Problem> {
    let answer = app
        .gateway
        .cancel(id, session_id)
        .await
        .map_err(|error| of_call(&error))?;
    fault::point("checkout.cancelled").await;
    if let ActionAnswer::Done(seen) = answer {
        return observe(app, Input::Observed(seen)).await;
    }
    match ask(app, session_id, id).await? {
        Some(seen) if is_alive(&seen) => Err(not_cancelled()),
        Some(seen) => observe(app, Input::Observed(seen)).await,
        None => Err(not_cancelled()),
    }
}

/// Closes the session's page; `None` when it has none.
async fn close_page(app: &App, session: &CheckoutSession) -> Result<Option<PageClosed>, Problem> {
    let Some(token) = session.snap_token.as_deref() else {
        return Ok(None);
    };
    let closed = app.gateway.cancel_page(token).await;
    closed.map(Some).map_err(|error| of_call(&error))
}

async fn ask(app: &App, session_id: &str, id: &str) -> Result<Option<Box<Observation>>, Problem> {
    let answer = app
        .gateway
        .status(id, session_id, None, Source::Poll)
        .await
        .map_err(|error| of_gateway(&error))?;
    Ok(match answer {
        StatusAnswer::Found(seen) => Some(seen),
        StatusAnswer::NotFound | StatusAnswer::Error { .. } => None,
    })
}

pub(super) fn is_alive(seen: &Observation) -> bool {
    TransactionState::of(&seen.status, seen.fraud.as_ref(), seen.rail())
        .is_some_and(TransactionState::is_alive)
}
