//! One request of the public listener, from its head to its answer.
//!
//! The order matters: nothing is published that was not verified, and nothing is answered with 200
//! before the broker confirmed it on a durable queue.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use shared::broker::{Destination, Envelope, Headers, PublishError, Publisher};
use shared::domain::NoticeKind;
use shared::telemetry::{propagation, traces_enabled};
use time::OffsetDateTime;
use tracing::{Instrument as _, Span, info_span};

use crate::answer::{Answer, Problem};
use crate::kinds::{Checked, Kinds, Reply};
use crate::meters::Meters;
use crate::rejections::Rejections;
use crate::route::Route;
use crate::{bi_snap, body};

/// With what else a request needs, the answer is out within 4 s; Midtrans waits 5.
const CONFIRM_LIMIT: Duration = Duration::from_secs(3);

/// What messages say about where they come from.
const SOURCE: &str = "webhook";

/// Answers requests; shared by all connections.
pub(crate) struct Webhook {
    kinds: Kinds,
    publisher: Publisher,
    outstanding: AtomicU32,
    max_outstanding: u32,
    pub(crate) meters: Meters,
    rejections: Rejections,
}

impl Webhook {
    pub(crate) fn new(kinds: Kinds, publisher: Publisher, max_outstanding: u32) -> Self {
        Self {
            kinds,
            publisher,
            outstanding: AtomicU32::new(0),
            max_outstanding,
            meters: Meters::new(),
            rejections: Rejections::new(),
        }
    }

    /// Answers one request, with a span around it when spans go anywhere.
    pub(crate) async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let since = Instant::now();
        let route = self.kinds.route(request.uri().path());
        let reply = if traces_enabled() {
            let span = request_span(&request);
            let reply = self.reply(route, request).instrument(span.clone()).await;
            span.record("http.response.status_code", reply.answer.status().as_u16());
            reply
        } else {
            self.reply(route, request).await
        };
        let response = match route {
            Some(Route::BiSnap(product)) => {
                let now = OffsetDateTime::now_utc();
                bi_snap::response(product, reply.answer, reply.echo.as_ref(), now)
            }
            _ => reply.answer.response(),
        };
        let status = response.status();
        self.meters.answered(reply.answer, status, since.elapsed());
        response
    }

    async fn reply(&self, route: Option<Route>, request: Request<Incoming>) -> Reply {
        match self.accept(route, request).await {
            Ok(reply) => reply,
            Err(Refusal { problem, cause }) => {
                self.rejections.log(problem, cause);
                Reply::from(Answer::Rejected(problem))
            }
        }
    }

    async fn accept(
        &self,
        route: Option<Route>,
        request: Request<Incoming>,
    ) -> Result<Reply, Refusal> {
        let route = route.ok_or(Problem::NotFound)?;
        if request.method() != Method::POST {
            return Err(Problem::MethodNotAllowed.into());
        }
        let (head, body) = request.into_parts();
        let body = body::read(body).await?;
        let Checked { body, kind, reply } = self.kinds.check(route, &head, body)?;
        self.publish(body, kind).await?;
        Ok(reply)
    }

    async fn publish(&self, body: Bytes, kind: Option<NoticeKind>) -> Result<(), Refusal> {
        let _place = self.place().ok_or(Problem::Overloaded)?;
        let mut headers = Headers::new(SOURCE, OffsetDateTime::now_utc());
        if let Some(kind) = kind {
            headers = headers.of_kind(kind.as_str());
        }
        let span = publish_span();
        headers.traceparent = span.in_scope(propagation::inject);
        let envelope = Envelope { body, headers };
        let publish = self
            .publisher
            .publish(&Destination::Webhooks, envelope, CONFIRM_LIMIT);
        let abandoned = Abandoned(self);
        let since = Instant::now();
        let result = if span.is_disabled() {
            publish.await
        } else {
            publish.instrument(span).await
        };
        std::mem::forget(abandoned);
        self.meters.published(&result, since.elapsed());
        result.map_err(Refusal::from)
    }

    /// A place among those who wait for a confirm; `None` when all are taken.
    fn place(&self) -> Option<Place<'_>> {
        let place = Place(&self.outstanding);
        (self.outstanding.fetch_add(1, Ordering::Relaxed) < self.max_outstanding).then_some(place)
    }
}

/// Gives the place back when dropped, also when the request is cancelled.
struct Place<'a>(&'a AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Dropped, and not forgotten, when the client leaves while the broker is asked: the message may
/// be stored though nobody was told, which the loss ledger must be able to explain.
struct Abandoned<'a>(&'a Webhook);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.0.meters.abandoned.increment(1);
    }
}

/// A problem and, when it lies with the broker, what kind.
#[derive(Debug)]
struct Refusal {
    problem: Problem,
    cause: &'static str,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, cause: "" }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let problem = match error {
            PublishError::Busy => Problem::Overloaded,
            PublishError::Down
            | PublishError::Blocked
            | PublishError::Timeout
            | PublishError::Returned
            | PublishError::Nacked
            | PublishError::Lost
            | PublishError::Amqp(_) => Problem::NotConfirmed,
        };
        Self {
            problem,
            cause: error.as_str(),
        }
    }
}

/// The span of a request, in the trace of whoever sent it if it says so.
fn request_span(request: &Request<Incoming>) -> Span {
    let span = info_span!(
        "POST /webhooks/midtrans",
        otel.kind = "server",
        "http.request.method" = request.method().as_str(),
        "http.route" = "/webhooks/midtrans",
        "http.response.status_code" = tracing::field::Empty,
    );
    let traceparent = request.headers().get(propagation::TRACEPARENT);
    propagation::continue_from(&span, traceparent.and_then(|value| value.to_str().ok()));
    span
}

fn publish_span() -> Span {
    if !traces_enabled() {
        return Span::none();
    }
    info_span!(
        "publish lunas:webhook.midtrans",
        otel.kind = "producer",
        "messaging.system" = "rabbitmq",
        "messaging.operation.name" = "publish",
        "messaging.operation.type" = "send",
        "messaging.destination.name" = "lunas:webhook.midtrans",
        "messaging.rabbitmq.destination.routing_key" = "webhook.midtrans",
    )
}
