//! One POST to a notification URL, with Midtrans' headers, limits and redirect rules.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION, USER_AGENT};

use super::retry::Outcome;

/// Redirects by 307 and 308 that are followed.
const MOST_HOPS: u32 = 5;

/// The HTTP client of the courier.
pub(crate) struct Post {
    client: reqwest::Client,
    timeout: Duration,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'static str>,
    pub(crate) latency: Duration,
    pub(crate) hops: u32,
}

impl Post {
    /// A client that follows no redirect by itself and speaks TLS up to 1.2 only.
    pub(crate) fn new(timeout: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_version_max(reqwest::tls::Version::TLS_1_2)
            .http1_only()
            .no_proxy()
            .build()?;
        Ok(Self { client, timeout })
    }

    /// Posts the body and follows 307 and 308; the time-out spans all hops.
    pub(crate) async fn exchange(&self, url: &str, body: &Bytes) -> Reply {
        let began = Instant::now();
        let mut reply = tokio::time::timeout(self.timeout, self.follow(url, body))
            .await
            .unwrap_or_else(|_| Reply {
                error: Some("timeout"),
                ..Reply::default()
            });
        reply.latency = began.elapsed();
        reply
    }

    async fn follow(&self, url: &str, body: &Bytes) -> Reply {
        let mut target = url.to_owned();
        let mut reply = Reply::default();
        loop {
            let Ok(answer) = self.post(&target, body).await else {
                reply.error = Some("connection");
                return reply;
            };
            let status = answer.status().as_u16();
            let location = answer.headers().get(LOCATION);
            let next = location
                .and_then(|value| value.to_str().ok())
                .and_then(|value| answer.url().join(value).ok());
            match (status, next) {
                (307 | 308, Some(next)) if reply.hops < MOST_HOPS => {
                    reply.hops += 1;
                    target = next.into();
                }
                (307 | 308, Some(_)) => {
                    reply.error = Some("redirects");
                    return reply;
                }
                _ => {
                    // The body is read so that the connection can be used again.
                    let _ = answer.bytes().await;
                    reply.status = Some(status);
                    return reply;
                }
            }
        }
    }

    async fn post(&self, url: &str, body: &Bytes) -> reqwest::Result<reqwest::Response> {
        self.client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "Veritrans")
            .body(body.clone())
            .send()
            .await
    }
}

impl Reply {
    /// The reply as the retry policy sees it.
    pub(crate) fn outcome(&self) -> Outcome {
        self.status.map_or(Outcome::NoAnswer, Outcome::Answered)
    }
}
