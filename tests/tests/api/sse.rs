//! Somebody who listens to live events.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet};
use reqwest::Response;
use serde_json::Value;
use sqlx::PgPool;

/// An open stream.
pub(crate) struct Listening {
    response: Response,
    buffer: String,
}

/// What came: an event, or a comment.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Event {
        id: i64,
        event_type: String,
        data: Value,
    },
    Comment(String),
}

/// Asks for a stream; whatever the answer is.
pub(crate) async fn ask_for_stream(
    fleet: &mut Fleet,
    listener: &str,
    path: &str,
    token: &str,
    last_event_id: Option<&str>,
) -> Response {
    let addr = fleet.api(0).addr(listener);
    let request = reqwest::Client::new().get(format!("http://{addr}{path}"));
    let mut request = request.bearer_auth(token);
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    request.send().await.unwrap()
}

/// Opens a stream and checks how it begins.
pub(crate) async fn listen(
    fleet: &mut Fleet,
    listener: &str,
    path: &str,
    token: &str,
    last_event_id: Option<&str>,
) -> Listening {
    let response = ask_for_stream(fleet, listener, path, token, last_event_id).await;
    assert_eq!(response.status(), 200, "{path}");
    let headers = response.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-accel-buffering"], "no");
    let mut listening = Listening {
        response,
        buffer: String::new(),
    };
    let opening = listening.heard(BOUND).await.unwrap();
    assert_eq!(opening, Heard::Comment("listening".to_owned()));
    listening
}

impl Listening {
    /// The next thing that comes; `None` at the end of the stream.
    pub(crate) async fn heard(&mut self, bound: Duration) -> Option<Heard> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let heard = parse(block);
                self.buffer = rest.to_owned();
                return Some(heard);
            }
            let chunk = tokio::time::timeout(bound, self.response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("nothing was heard within {bound:?}"));
            self.buffer
                .push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    /// The id of the next event, with its type and data; comments are passed over.
    pub(crate) async fn event(&mut self) -> (i64, String, Value) {
        let event = async {
            loop {
                match self.heard(BOUND).await.unwrap() {
                    Heard::Event {
                        id,
                        event_type,
                        data,
                    } => return (id, event_type, data),
                    Heard::Comment(_) => {}
                }
            }
        };
        let event = tokio::time::timeout(BOUND, event).await;
        event.expect("an event comes, not only comments")
    }

    /// The ids of the next events.
    pub(crate) async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.event().await.0);
        }
        ids
    }
}

fn parse(block: &str) -> Heard {
    let field = |name: &str| {
        let values = block.lines().filter_map(|line| line.strip_prefix(name));
        values.map(|value| value.trim_start().to_owned()).next()
    };
    match field("data:") {
        Some(data) => Heard::Event {
            id: field("id:").unwrap().parse().unwrap(),
            event_type: field("event:").unwrap(),
            data: serde_json::from_str(&data).unwrap(),
        },
        None => Heard::Comment(field(":").unwrap_or_default()),
    }
}

/// Writes an event of an order, or of a payment without one; its id.
pub(crate) async fn tell(pool: &PgPool, order: Option<&str>, event_type: &str) -> i64 {
    let told = sqlx::query_scalar(
        r#"INSERT INTO domain_events (event_type, order_code, data)
           VALUES ($1, $2, '{"status": "PAID", "at": "2026-03-14T02:12:41Z"}') RETURNING id"#,
    );
    let told = told.bind(event_type).bind(order);
    told.fetch_one(pool).await.unwrap()
}
