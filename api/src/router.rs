//! The two routers, and what holds for every request of both.
//!
//! From the outside in: measured and traced, a panic caught, errors made problem documents, time
//! and size limited; then the role, then the handler.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, http};
use shared::telemetry::metrics::names;
use shared::telemetry::{propagation, traces_enabled};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument as _, Span, error, info_span};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::cors::Origins;
use crate::guard::{self, Door, Gate};
use crate::problem::{self, Problem};
use crate::tokens::Role;
use crate::{
    admin, alerts, backfill, catalog, cors, counter, events, monitor, openapi, orders, payments,
    shop, tickets,
};

/// Orders of a hundred lines have less than a tenth of it.
const BODY_LIMIT: usize = 64 * 1024;

/// Reading gives up after 5 s; whoever needs this long has not sent the request.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// What the shop reaches; web pages of the given origins may ask it too.
pub(crate) fn shop(app: App, door: &Door, origins: Option<&Origins>) -> Router {
    let routes = OpenApiRouter::with_openapi(openapi::base("Lunas for shops")).merge(behind(
        shop_routes(),
        door,
        Role::Shop,
    ));
    let routes = for_everybody(openapi::served(routes).with_state(app), TIME_LIMIT);
    match cors::layer(origins) {
        // Outside of the guard: browsers ask whether they may ask without a token.
        Some(layer) => routes.layer(layer),
        None => routes,
    }
}

/// What operators reach.
pub(crate) fn admin(app: App, door: &Door) -> Router {
    let routes = OpenApiRouter::with_openapi(openapi::base("Lunas for operators"))
        .merge(behind(viewer_routes(), door, Role::Viewer))
        .merge(behind(operator_routes(), door, Role::Operator));
    for_everybody(openapi::served(routes).with_state(app), TIME_LIMIT)
}

fn shop_routes() -> OpenApiRouter<App> {
    shop::routes()
        .merge(orders::routes())
        .merge(payments::routes())
        .merge(catalog::shop_routes())
        .merge(tickets::shop_routes())
        .merge(events::shop_routes())
}

fn viewer_routes() -> OpenApiRouter<App> {
    admin::viewer_routes()
        .merge(catalog::viewer_routes())
        .merge(events::viewer_routes())
        .merge(monitor::viewer_routes())
        .merge(alerts::viewer_routes())
}

fn operator_routes() -> OpenApiRouter<App> {
    catalog::operator_routes()
        .merge(backfill::operator_routes())
        .merge(counter::operator_routes())
        .merge(tickets::operator_routes())
        .merge(payments::operator_routes())
        .merge(alerts::operator_routes())
}

fn behind(mut routes: OpenApiRouter<App>, door: &Door, needed: Role) -> OpenApiRouter<App> {
    openapi::guarded(&mut routes, needed);
    let gate = Gate {
        door: door.clone(),
        needed,
    };
    routes.route_layer(middleware::from_fn_with_state(gate, guard::pass))
}

fn for_everybody(routes: Router, time_limit: Duration) -> Router {
    routes
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(move |request, next| {
            limited(time_limit, request, next)
        }))
        .layer(CatchPanicLayer::custom(caught))
        .layer(middleware::map_response(problem::everywhere))
        .layer(middleware::from_fn(measured))
}

/// Answers a request that announces too much, or takes too long to be answered. What is answered
/// then, a stream for example, may take as long as it likes.
async fn limited(time_limit: Duration, request: Request, next: Next) -> Response {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT as u64) {
        return Problem::BodyTooLarge.into_response();
    }
    match tokio::time::timeout(time_limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::RequestTimeout.into_response(),
    }
}

/// The text of a panic may hold anything, so it goes to the log and no further.
fn caught(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("not a text");
    error!(panic = text, "A request's handler panicked");
    Problem::Internal.into_response()
}

/// Measures and traces a request. What is answered is about somebody's money, so nobody in between
/// may keep it.
async fn measured(request: Request, next: Next) -> Response {
    let since = Instant::now();
    let method = known_method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", |path| path.as_str())
        .to_owned();
    let span = request_span(&request, method, &route);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    metrics::histogram!(
        names::HTTP_REQUEST_DURATION,
        "method" => method,
        "route" => route,
        "status" => status.as_str().to_owned(),
    )
    .record(since.elapsed());
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Free text would make a time series of each.
fn known_method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn request_span(request: &Request, method: &'static str, route: &str) -> Span {
    if !traces_enabled() {
        return Span::none();
    }
    let span = info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        "http.request.method" = method,
        "http.route" = route,
        "http.response.status_code" = tracing::field::Empty,
    );
    let traceparent = request.headers().get(propagation::TRACEPARENT);
    propagation::continue_from(&span, traceparent.and_then(|value| value.to_str().ok()));
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::routing::{get, post};
    use tower::ServiceExt as _;

    async fn answer(request: http::request::Builder, body: Body) -> (u16, serde_json::Value) {
        let routes = Router::new()
            .route("/panics", get(|| async { panic!("the secret word") as () }))
            .route(
                "/slow",
                get(|| async { std::future::pending::<()>().await }),
            )
            .route("/text", post(|body: String| async move { body }));
        let response = for_everybody(routes, Duration::from_millis(100))
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_does_not_tell_its_text() {
        let (status, document) = answer(http::Request::get("/panics"), Body::empty()).await;
        assert_eq!(status, 500);
        assert_eq!(document["code"], "internal_error");
        assert!(!document.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_given_up() {
        let (status, document) = answer(http::Request::get("/slow"), Body::empty()).await;
        assert_eq!(
            (status, &document["code"]),
            (408, &"request_timeout".into())
        );
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
        let big = "x".repeat(BODY_LIMIT + 1);
        let announced = http::Request::post("/text").header(CONTENT_LENGTH, big.len());
        let (status, document) = answer(announced, Body::from(big.clone())).await;
        assert_eq!((status, &document["code"]), (413, &"body_too_large".into()));
        let (status, document) = answer(http::Request::post("/text"), Body::from(big)).await;
        assert_eq!((status, &document["code"]), (413, &"body_too_large".into()));
    }

    #[tokio::test]
    async fn what_the_framework_refuses_is_a_problem_too() {
        let (status, document) = answer(http::Request::get("/nowhere"), Body::empty()).await;
        assert_eq!((status, &document["code"]), (404, &"not_found".into()));
        let (status, document) = answer(http::Request::put("/text"), Body::empty()).await;
        assert_eq!(
            (status, &document["code"]),
            (405, &"method_not_allowed".into())
        );
        assert_eq!(document["type"], "urn:lunas:problem:method_not_allowed");
    }
}
