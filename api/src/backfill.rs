//! `POST /admin/backfill`: links between orders and payments that are missing, shown or mended, so
//! many at a time.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use shared::apply::ApplyError;
use shared::apply::backfill::{BackfillItem, Cursor, Direction, Mending, page};
use shared::domain::Source;
use tokio::time::Instant;
use tracing::{error, warn};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::openapi::problems;
use crate::paging;
use crate::problem::Problem;
use crate::tokens::Caller;

/// Rows per transaction.
const ROWS: i64 = 200;
/// Once there are so many items, the rest is for the next request.
const ITEMS: usize = 1_000;
/// The same for the time it takes.
const PATIENCE: Duration = Duration::from_secs(8);

/// What operators may change.
pub(crate) fn operator_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(backfill))
}

problems!(BackfillProblems: Problem::BadRequest, paging::NO_CURSOR);

/// What is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Only shows what would change.
    #[serde(default)]
    dry_run: bool,
    /// Goes on where another answer ended.
    cursor: Option<String>,
}

/// What was missing.
#[derive(Debug, Serialize, ToSchema)]
struct Answer {
    /// Nothing was changed.
    dry_run: bool,
    /// Each link that is missing, or was and has been mended.
    items: Vec<Link>,
    /// How many were mended.
    changed: usize,
    /// Where to go on; null at the end.
    next_cursor: Option<String>,
}

/// A link between an order and one of its sessions.
#[derive(Debug, Serialize, ToSchema)]
struct Link {
    /// The order.
    order_code: String,
    /// The session.
    session_id: String,
    /// `payment_to_order` or `order_to_session`.
    direction: &'static str,
    /// What says that they belong together.
    why: &'static str,
}

impl From<BackfillItem> for Link {
    fn from(item: BackfillItem) -> Self {
        Self {
            order_code: item.order_code,
            session_id: item.session_id,
            direction: match item.direction {
                Direction::PaymentToOrder => "payment_to_order",
                Direction::OrderToSession => "order_to_session",
            },
            why: item.why,
        }
    }
}

/// Finds links between orders and payments that are missing, and mends them unless it is a dry run.
#[utoipa::path(
    post,
    path = "/admin/backfill",
    tag = "operators",
    params(Asked),
    responses(
        (status = 200, description = "What was missing, so far.", body = Answer,
         example = json!({
            "dry_run": true,
            "items": [{
                "order_code": "LNS-7K2M9QXA",
                "session_id": "LNS-7K2M9QXA-2",
                "direction": "payment_to_order",
                "why": "the session's id is made of the order's code"
            }],
            "changed": 0,
            "next_cursor": null
        })),
        BackfillProblems,
    ),
)]
async fn backfill(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Answer>, Problem> {
    let Query(asked) = asked.map_err(|_| Problem::BadRequest)?;
    let mut next = Some(match asked.cursor.as_deref() {
        None | Some("") => Cursor::START,
        Some(text) => text.parse().map_err(|_| paging::NO_CURSOR)?,
    });
    let mending = (!asked.dry_run).then(|| Mending {
        policy: app.rules.confirm_policy,
        source: Source::Backfill,
        actor: Some(&caller.name),
    });
    let until = Instant::now() + PATIENCE;
    let mut items = Vec::new();
    while let Some(cursor) = next {
        if items.len() >= ITEMS || Instant::now() >= until {
            break;
        }
        match page(&app.store, cursor, ROWS, mending).await {
            Ok(found) => {
                items.extend(found.items.into_iter().map(Link::from));
                next = found.next;
            }
            // What was mended before stays; the caller hears of it and goes on from here.
            Err(error) if items.is_empty() => return Err(failed(error)),
            Err(error) => {
                warn!(error = %error, "Backfill ended early");
                break;
            }
        }
    }
    let changed = if asked.dry_run { 0 } else { items.len() };
    Ok(Json(Answer {
        dry_run: asked.dry_run,
        items,
        changed,
        next_cursor: next.map(Cursor::to_text),
    }))
}

fn failed(error: ApplyError) -> Problem {
    match error {
        ApplyError::Store(error) => error.into(),
        ApplyError::LinkedMeanwhile => Problem::DatabaseUnavailable,
        ApplyError::Contradiction(_) | ApplyError::NotAvailable { .. } => {
            error!(error = %error, "Backfill failed");
            Problem::Internal
        }
    }
}
