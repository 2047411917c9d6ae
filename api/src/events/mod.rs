//! Live events (server-sent events): what happens to orders and payments, as it happens.
//!
//! `feed` is this process's one reader of the outbox and goes no further than the `horizon`;
//! each `stream` hears it, and reads from the database what it missed. `id` is that of
//! `domain_events`, so a listener resumes at any process after any pause.

mod feed;
mod horizon;
mod stream;
mod streams;

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{self as futures_stream, StreamExt as _};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::openapi::problems;
use crate::problem::Problem;
use crate::tokens::Caller;
use stream::{Listener, Scope, wire};

pub(crate) use feed::Feed;
pub(crate) use streams::Streams;

/// Listeners and what stands between hear at least this often that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// After a break clients come back this much later.
const RETRY: Duration = Duration::from_secs(2);

/// How long a listener waits for its place, before it hears that the database is away.
const BEGIN_LIMIT: Duration = Duration::from_secs(5);

/// What streams need of the process.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) feed: Feed,
    pub(crate) streams: Streams,
    /// Ends every stream.
    pub(crate) stop: CancellationToken,
}

pub(crate) fn shop_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_orders))
}

pub(crate) fn viewer_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_everything))
}

/// What a listener may say.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only the events of this order.
    order_code: Option<String>,
    /// Resumes after this event; the header wins.
    #[param(value_type = Option<i64>, minimum = 0)]
    last_event_id: Option<String>,
}

/// The place after which a listener resumes, from the header or else from the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoParams)]
#[into_params(names("Last-Event-ID"), parameter_in = Header)]
struct LastEventId(
    /// Resumes after this event; `0` is before the first.
    #[param(minimum = 0)]
    Option<i64>,
);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(header) = parts.headers.get("last-event-id") else {
            return Ok(Self(None));
        };
        parse_id(header.to_str().map_err(|_| NO_EVENT_ID)?).map(Self)
    }
}

const NO_EVENT_ID: Problem =
    Problem::InvalidParameter("Last-Event-ID must be the id of an event, or 0.");

/// Clients that have heard nothing yet may send an empty one.
fn parse_id(text: &str) -> Result<Option<i64>, Problem> {
    match text {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(id) if id >= 0 => Ok(Some(id)),
            _ => Err(NO_EVENT_ID),
        },
    }
}

problems!(StreamProblems: Problem::BadRequest, NO_EVENT_ID, Problem::TooManyStreams);

/// Live events of orders.
///
/// A stream of server-sent events that does not end. `id` is the event's, `event` its type, `data`
/// the JSON that also goes to `lunas.events`. Begins with what happens from now on, or after
/// `Last-Event-ID`. An event may come twice, never out of order for one order. A comment comes at
/// least every 15 s. An order that does not exist yet has no events yet. Events are kept for
/// `RETENTION_EVENTS`, 30 days: a stream that resumes after one that is gone goes on with the oldest
/// that is kept.
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "events",
    params(Asked, LastEventId),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream",
         example = json!("id: 4711\nevent: order.paid\ndata: {\"id\":4711,\"type\":\"order.paid\",\"order_code\":\"LNS-7K2M9QXA\",\"status\":\"PAID\",\"review_reasons\":[],\"at\":\"2026-03-14T02:12:41Z\"}\n\n")),
        StreamProblems,
    ),
)]
async fn of_orders(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    LastEventId(after): LastEventId,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|_| Problem::BadRequest)?;
    open(app, &caller, asked, after, Scope::Orders).await
}

/// Live events of everything, also of payments without order.
///
/// The same as the shop's stream. Begins with what happens from now on, or after `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/admin/events",
    tag = "events",
    params(Asked, LastEventId),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream",
         example = json!("id: 4712\nevent: payment.refunded\ndata: {\"id\":4712,\"type\":\"payment.refunded\",\"order_code\":null,\"session_id\":\"LNS-7K2M9QXA\",\"status\":\"refund\",\"at\":\"2026-03-14T02:12:41Z\"}\n\n")),
        StreamProblems,
    ),
)]
async fn of_everything(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    LastEventId(after): LastEventId,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|_| Problem::BadRequest)?;
    open(app, &caller, asked, after, Scope::Everything).await
}

async fn open(
    app: App,
    caller: &Caller,
    asked: Asked,
    after: Option<i64>,
    all: Scope,
) -> Result<Response, Problem> {
    let after = match (after, asked.last_event_id.as_deref()) {
        (None, Some(text)) => parse_id(text)?,
        (after, _) => after,
    };
    let scope = asked.order_code.map_or(all, Scope::Order);
    let live = app.live;
    let seat = live.streams.take(&caller.name);
    let seat = seat.ok_or(Problem::TooManyStreams)?;
    let begin = Listener::begin(&live.feed, app.store, scope, after, seat);
    let listener = match tokio::time::timeout(BEGIN_LIMIT, begin).await {
        Ok(begun) => begun?,
        Err(_) => return Err(Problem::DatabaseUnavailable),
    };
    Ok(answer(listener, live.stop))
}

fn answer(listener: Listener, stop: CancellationToken) -> Response {
    // The first line is there at once: the client, and any proxy between, sees the stream begin.
    let opening = Event::default().comment("listening").retry(RETRY);
    let opening = futures_stream::once(async move { Ok::<_, Infallible>(opening) });
    let events = futures_stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(wire(&event)), listener))
    });
    let events = opening.chain(events).take_until(stop.cancelled_owned());
    let heartbeat = KeepAlive::new().interval(HEARTBEAT);
    let mut response = Sse::new(events).keep_alive(heartbeat).into_response();
    // Proxies of the kind of nginx would collect events before they pass them on.
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    // axum says no-cache, which lets it be kept.
    response.headers_mut().insert(
        axum::http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    response
}
