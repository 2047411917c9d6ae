//! `POST /admin/orders/{order_code}/sync-payment`: what Midtrans knows of an order, applied now.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use shared::reconcile::sync::{Sync, SyncError, Synced};
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::pay::in_time_or;
use super::problems::{RETRY, later, of_gateway, unavailable};
use crate::app::App;
use crate::code::OrderCode;
use crate::openapi::problems;
use crate::problem::{Problem, chain};
use crate::tokens::Caller;

pub(super) fn operator_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sync_payment))
}

problems!(SyncProblems:
    Problem::OrderNotFound,
    unavailable(RETRY),
    incomplete(&Synced {
        order_code: None,
        updated: true,
        status: "PENDING".to_owned(),
        answered: 1,
        unanswered: Vec::new(),
    }),
    in_progress(),
);

/// What a sync came to.
#[derive(Debug, Serialize, ToSchema)]
struct SyncAnswer {
    /// Whether anything changed.
    updated: bool,
    /// What the order is now; of a payment without an order, what the payment is.
    status: String,
}

/// Ask Midtrans about an order now, apply its answers and repair what is missing
///
/// Every session of the order is asked about. The code may also be a session id.
#[utoipa::path(post, path = "/admin/orders/{order_code}/sync-payment", tag = "operators",
    params(OrderCode),
    responses(
        (status = 200, description = "Midtrans was asked", body = SyncAnswer,
         example = json!({"updated": true, "status": "PAID"})),
        SyncProblems,
    ))]
async fn sync_payment(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    OrderCode(code): OrderCode,
) -> Result<Json<SyncAnswer>, Problem> {
    in_time_or(in_progress, async move {
        let sync = Sync {
            store: &app.store,
            gateway: &app.gateway,
            policy: app.rules.confirm_policy,
            actor: &caller.name,
        };
        answered(sync.run(&code).await)
    })
    .await
    .map(Json)
}

fn answered(ended: Result<Synced, SyncError>) -> Result<SyncAnswer, Problem> {
    let synced = match ended {
        Ok(synced) => synced,
        Err(SyncError::Unknown) => return Err(Problem::OrderNotFound),
        Err(SyncError::Store(error)) => return Err(error.into()),
        Err(SyncError::Apply(error)) => return Err(error.into()),
    };
    match synced.unanswered.first() {
        None => Ok(SyncAnswer {
            updated: synced.updated,
            status: synced.status,
        }),
        Some(failed) if synced.answered == 0 => Err(of_gateway(&failed.error)),
        Some(failed) => {
            warn!(
                error = chain(&failed.error),
                "Midtrans answered some of the questions about an order"
            );
            Err(incomplete(&synced))
        }
    }
}

/// What was answered is applied; the rest is not known.
fn incomplete(synced: &Synced) -> Problem {
    let sessions = synced.unanswered.iter().map(|failed| &failed.session_id);
    let pauses = synced.unanswered.iter();
    let pause = pauses.filter_map(|failed| failed.error.retry_after()).max();
    Problem::particular(
        StatusCode::SERVICE_UNAVAILABLE,
        "sync_incomplete",
        "Midtrans answered some of the questions; what it answered is applied. Ask again.",
        json!({
            "updated": synced.updated,
            "order_status": synced.status,
            "unanswered": sessions.collect::<Vec<_>>(),
            "retryAfter": pause.unwrap_or(RETRY).as_secs().max(1),
        }),
    )
}

/// Midtrans takes long; what it answers will still be applied.
fn in_progress() -> Problem {
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "sync_in_progress",
        "Midtrans is still being asked about the order; ask again.",
        RETRY,
    )
}
