//! The metrics of ingest as handles: looking them up by name for each request would cost more than
//! the rest of the bookkeeping.

use std::time::Duration;

use hyper::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use shared::broker::PublishError;
use shared::telemetry::metrics::{names, published};

use crate::answer::{Answer, Problem};

/// Every status that the public listener answers with.
const STATUSES: [StatusCode; 10] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
];

pub(crate) struct Meters {
    accepted: Counter,
    answers: [(StatusCode, Counter, Histogram); STATUSES.len()],
    rejected: [Counter; Problem::CODES.len()],
    confirmed: Counter,
    confirm_duration: Histogram,
    /// Notifications whose sender went away before the broker's confirm.
    pub(crate) abandoned: Counter,
    /// Open connections.
    pub(crate) connections: Gauge,
}

impl Meters {
    /// Registers everything, so that a series is there, at zero, before its first event.
    pub(crate) fn new() -> Self {
        let answer = |status: StatusCode| {
            let counter = counter!(names::INGEST_ANSWERS, "status" => status.as_str().to_owned());
            let duration = histogram!(
                names::HTTP_REQUEST_DURATION,
                "http_route" => "/webhooks/midtrans",
                "http_response_status_code" => status.as_str().to_owned()
            );
            (status, counter, duration)
        };
        Self {
            accepted: counter!(names::INGEST_ACCEPTED),
            answers: STATUSES.map(answer),
            rejected: Problem::CODES.map(|code| counter!(names::INGEST_REJECTED, "code" => code)),
            confirmed: counter!(
                names::PUBLISHES, "destination" => "webhooks", "outcome" => "confirmed"
            ),
            confirm_duration: histogram!(names::PUBLISH_CONFIRM_DURATION),
            abandoned: counter!(names::INGEST_ABANDONED),
            connections: gauge!(names::INGEST_CONNECTIONS),
        }
    }

    /// Counts a publish and how long the broker took to confirm it.
    pub(crate) fn published(&self, result: &Result<(), PublishError>, took: Duration) {
        match result {
            Ok(()) => {
                self.confirmed.increment(1);
                self.confirm_duration.record(took);
            }
            Err(error) => published("webhooks", error.as_str(), took),
        }
    }

    /// Counts an answer and how long it took.
    pub(crate) fn answered(&self, answer: Answer, status: StatusCode, took: Duration) {
        match answer {
            Answer::Accepted | Answer::Test => self.accepted.increment(1),
            Answer::Rejected(problem) => self.rejected[problem.index()].increment(1),
        }
        if let Some((_, count, duration)) = self.answers.iter().find(|one| one.0 == status) {
            count.increment(1);
            duration.record(took);
        }
    }
}
