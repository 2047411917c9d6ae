//! Alerts for operators: what needs somebody, and the word that somebody knows.

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use shared::domain::alerts::{Rule, Severity};
use shared::store::Store;
use shared::store::alerts_read::{Ack, AlertFilter, AlertView};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::body::{Body, invalid_body};
use crate::openapi::problems;
use crate::paging::{self, Asked, Cursor, Items, Page};
use crate::problem::Problem;
use crate::reading::{reading, writing};
use crate::tokens::Caller;

/// The longest reason, in characters.
const LONGEST_WHY: usize = 1_000;

const NO_STATE: Problem = Problem::InvalidParameter("status must be open or all.");
const NO_RULE: Problem = Problem::InvalidParameter("rule must be the name of a rule.");
const NO_SEVERITY: Problem = Problem::InvalidParameter("severity must be critical or high.");

pub(crate) fn viewer_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

pub(crate) fn operator_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(ack))
}

problems!(ListProblems: Problem::BadRequest, paging::NO_CURSOR);
problems!(AckProblems:
    invalid_body("why", "must be 1 to 1000 characters"),
    alert_not_found(),
);

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `open` (those that have not ended; so unless it says) or `all`.
    status: Option<String>,
    /// Only those of this rule.
    rule: Option<String>,
    /// Only `critical` or `high` ones.
    severity: Option<String>,
}

impl Which {
    fn filter(self) -> Result<AlertFilter, Problem> {
        let open_only = match self.status.as_deref() {
            None | Some("" | "open") => true,
            Some("all") => false,
            Some(_) => return Err(NO_STATE),
        };
        let rule = self.rule.filter(|rule| !rule.is_empty());
        if rule
            .as_deref()
            .is_some_and(|rule| Rule::parse(rule).is_none())
        {
            return Err(NO_RULE);
        }
        let severity = self.severity.filter(|severity| !severity.is_empty());
        if severity
            .as_deref()
            .is_some_and(|word| Severity::parse(word).is_none())
        {
            return Err(NO_SEVERITY);
        }
        Ok(AlertFilter {
            open_only,
            rule,
            severity,
        })
    }
}

/// A place in the list: before the alert with this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before(Option<i64>);

impl Cursor for Before {
    fn start() -> Self {
        Self(None)
    }

    fn to_text(&self) -> String {
        self.0.unwrap_or(i64::MAX).to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|id| Self(Some(id)))
    }
}

/// Alerts, the newest first.
#[utoipa::path(
    get,
    path = "/admin/alerts",
    tag = "alerts",
    params(Which, Asked),
    responses(
        (status = 200, description = "A page of them.", body = Items<AlertView>,
         example = json!({
            "items": [{
                "id": 17,
                "rule": "paid_not_applied",
                "severity": "critical",
                "order_code": "LNS-7K2M9QXA7K2M9QXA",
                "session_id": "LNS-7K2M9QXA7K2M9QXA",
                "order_status": "EXPIRED",
                "payment_status": "settlement",
                "amount": 150_000,
                "since": "2026-03-14T02:12:41Z",
                "summary": "Payment LNS-7K2M9QXA7K2M9QXA over Rp 150.000 is settlement, but order LNS-7K2M9QXA7K2M9QXA is EXPIRED",
                "runbook": "deploy/RUNBOOK.md#paid_not_applied",
                "opened_at": "2026-03-14T02:15:00Z",
                "last_seen_at": "2026-03-14T02:19:00Z",
                "resolved_at": null,
                "acked_at": null,
                "acked_by": null,
                "ack_why": null,
                "messages_sent": 2,
                "messages_waiting": 0,
                "last_error": null
            }],
            "next_cursor": null
        })),
        ListProblems,
    ),
)]
async fn list(
    State(store): State<Store>,
    which: Result<Query<Which>, axum::extract::rejection::QueryRejection>,
    page: Page<Before>,
) -> Result<Json<Items<AlertView>>, Problem> {
    let Query(which) = which.map_err(|_| Problem::BadRequest)?;
    let filter = which.filter()?;
    let alerts = reading(|| store.alerts_list(&filter, page.after.0, page.to_read())).await?;
    Ok(Json(page.of(alerts, |alert| Before(Some(alert.id)))))
}

/// What somebody who knows says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AckBody {
    /// What is being done about it.
    #[schema(min_length = 1, max_length = 1000)]
    why: String,
}

/// Say that somebody knows of an alert
///
/// It is not repeated any more. The first words stay.
#[utoipa::path(
    post,
    path = "/admin/alerts/{id}/ack",
    tag = "alerts",
    params(("id" = i64, Path, description = "The alert.")),
    request_body = AckBody,
    responses((status = 200, description = "The alert.", body = AlertView), AckProblems),
)]
async fn ack(
    State(store): State<Store>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AckBody>,
) -> Result<Json<AlertView>, Problem> {
    let why = body.why.trim();
    let is_right = !why.is_empty() && why.chars().count() <= LONGEST_WHY && !why.contains('\0');
    if !is_right {
        return Err(invalid_body("why", "must be 1 to 1000 characters"));
    }
    // What is no number names no alert.
    let id: i64 = id.parse().map_err(|_| alert_not_found())?;
    if writing(store.alert_ack(id, &caller.name, why)).await?? == Ack::Unknown {
        return Err(alert_not_found());
    }
    let alert = reading(|| store.alert_find(id)).await?;
    alert.map(Json).ok_or_else(alert_not_found)
}

fn alert_not_found() -> Problem {
    let detail = "There is no such alert.";
    Problem::particular(
        StatusCode::NOT_FOUND,
        "alert_not_found",
        detail,
        Value::Null,
    )
}
