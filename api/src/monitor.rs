//! What operators are asked to look at: payments that are stuck or contradict their order, orders
//! that do not name their session, and what the periodic jobs did about it.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use serde::Deserialize;
use shared::store::Store;
use shared::store::monitor::{MismatchView, MissingSessionView, StuckView};
use shared::store::runs::RunView;
use time::OffsetDateTime;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::openapi::problems;
use crate::paging::{self, Asked, Items, Newest, Page};
use crate::problem::Problem;
use crate::reading::reading;

pub(crate) fn viewer_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stuck))
        .routes(routes!(mismatches))
        .routes(routes!(missing_session))
        .routes(routes!(runs))
}

/// After what time a payment that waits is stuck.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingSla(pub(crate) Duration);

problems!(ListProblems: Problem::BadRequest, paging::NO_CURSOR);
problems!(RunProblems: Problem::BadRequest, paging::NO_CURSOR, NO_JOB);

/// Payments that still wait for their customer long after their time was over, oldest first.
///
/// Their time is over at `expires_at`, or 24 hours after they were made; long after is `PENDING_SLA`.
#[utoipa::path(
    get,
    path = "/admin/payments/stuck",
    tag = "operators",
    params(Asked),
    responses(
        (status = 200, description = "A page of them.", body = Items<StuckView>,
         example = json!({
            "items": [{
                "session_id": "LNS-7K2M9QXA",
                "order_code": "LNS-7K2M9QXA",
                "status": "pending",
                "payment_type": "bank_transfer",
                "gross_amount": 150_000,
                "created_at": "2026-03-13T02:12:41Z",
                "due_at": "2026-03-14T02:12:41Z",
                "next_check_at": "2026-03-14T03:00:00Z",
                "checks": 7
            }],
            "next_cursor": null
        })),
        ListProblems,
    ),
)]
async fn stuck(
    State(store): State<Store>,
    State(PendingSla(sla)): State<PendingSla>,
    page: Page<(OffsetDateTime, i64)>,
) -> Result<Json<Items<StuckView>>, Problem> {
    let found = reading(|| store.monitor_stuck(sla, page.after, page.to_read())).await?;
    Ok(Json(page.of(found, |payment| (payment.due_at, payment.id))))
}

/// Payments that are paid while their order does not say so.
///
/// Of orders that are open, or were closed within the last week. Right after a payment it may stand
/// here for a moment; `since` says for how long it has.
#[utoipa::path(
    get,
    path = "/admin/payments/mismatches",
    tag = "operators",
    params(Asked),
    responses(
        (status = 200, description = "A page of them.", body = Items<MismatchView>,
         example = json!({
            "items": [{
                "session_id": "LNS-7K2M9QXA",
                "order_code": "LNS-7K2M9QXA",
                "payment_status": "settlement",
                "order_status": "PENDING",
                "payment_type": "qris",
                "gross_amount": 150_000,
                "paid_at": "2026-03-14T02:12:41Z",
                "since": "2026-03-14T02:12:42Z"
            }],
            "next_cursor": null
        })),
        ListProblems,
    ),
)]
async fn mismatches(
    State(store): State<Store>,
    page: Page<i64>,
) -> Result<Json<Items<MismatchView>>, Problem> {
    let found = reading(|| store.monitor_mismatches(page.after, page.to_read())).await?;
    Ok(Json(page.of(found, |payment| payment.id)))
}

/// Orders that have a payment and name none.
///
/// Those that are open, fulfilled or in review, and those that were closed within the last week.
/// `session_id` is the newest of their payments; `lunas backfill` mends them.
#[utoipa::path(
    get,
    path = "/admin/orders/missing-session",
    tag = "operators",
    params(Asked),
    responses(
        (status = 200, description = "A page of them.", body = Items<MissingSessionView>,
         example = json!({
            "items": [{
                "order_code": "LNS-7K2M9QXA",
                "status": "PENDING",
                "gross_amount": 150_000,
                "created_at": "2026-03-14T02:12:41Z",
                "session_id": "LNS-7K2M9QXA-2"
            }],
            "next_cursor": null
        })),
        ListProblems,
    ),
)]
async fn missing_session(
    State(store): State<Store>,
    page: Page<i64>,
) -> Result<Json<Items<MissingSessionView>>, Problem> {
    let found = reading(|| store.monitor_missing_session(page.after, page.to_read())).await?;
    Ok(Json(page.of(found, |order| order.id)))
}

/// Of which job.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct JobAsked {
    /// Only the runs of this job.
    #[param(pattern = "^[a-z_]{1,64}$", example = "reconcile_status")]
    name: Option<String>,
}

/// The job that is asked for, in letters that a job's name may have.
struct JobName(Option<String>);

const NO_JOB: Problem =
    Problem::InvalidParameter("name must be the name of a job: small letters and underscores.");

impl<S: Send + Sync> FromRequestParts<S> for JobName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::<JobAsked>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::BadRequest)?;
        let is_name = |name: &String| {
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            (1..=64).contains(&name.len()) && name.chars().all(plain)
        };
        match asked.name {
            Some(name) if !is_name(&name) => Err(NO_JOB),
            name => Ok(Self(name)),
        }
    }
}

/// What the periodic jobs did, newest first.
#[utoipa::path(
    get,
    path = "/admin/reconcile/runs",
    tag = "operators",
    params(JobAsked, Asked),
    responses(
        (status = 200, description = "A page of their runs.", body = Items<RunView>,
         example = json!({
            "items": [{
                "id": 4711,
                "name": "reconcile_status",
                "scheduled_for": "2026-03-14T02:12:00Z",
                "trigger": "schedule",
                "requested_by": null,
                "covers": 1,
                "status": "done",
                "checked": 38,
                "repaired": 2,
                "given_up": 0,
                "rupiah_at_risk": 300_000,
                "started_at": "2026-03-14T02:12:00Z",
                "finished_at": "2026-03-14T02:12:02Z",
                "duration_seconds": 1.9,
                "error": null
            }],
            "next_cursor": null
        })),
        RunProblems,
    ),
)]
async fn runs(
    State(store): State<Store>,
    JobName(name): JobName,
    page: Page<Newest>,
) -> Result<Json<Items<RunView>>, Problem> {
    let before = page.after.0;
    let found = reading(|| store.runs_list(name.as_deref(), before, page.to_read())).await?;
    let place = |run: &RunView| Newest(Some((run.scheduled_for, run.id)));
    Ok(Json(page.of(found, place)))
}
