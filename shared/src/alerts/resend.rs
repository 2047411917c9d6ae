//! Mail by Resend's HTTP API (`POST /emails`). A repeated message carries the same
//! `Idempotency-Key`, so Resend sends it once.

use std::fmt;

use serde_json::json;

use super::channels::{ChannelError, accepted};
use crate::config::Secret;
use crate::domain::alerts::Notice;

#[derive(Clone)]
pub(super) struct Resend {
    client: reqwest::Client,
    url: String,
    key: Secret<String>,
    from: String,
    to: Vec<String>,
}

impl fmt::Debug for Resend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resend")
    }
}

impl Resend {
    pub(super) fn new(
        client: reqwest::Client,
        base: &str,
        key: &str,
        from: &str,
        to: &[&str],
    ) -> Self {
        Self {
            client,
            url: format!("{base}/emails"),
            key: Secret::new(key.to_owned()),
            from: from.to_owned(),
            to: to.iter().map(|address| (*address).to_owned()).collect(),
        }
    }

    pub(super) async fn send(&self, notice: &Notice) -> Result<(), ChannelError> {
        let mail = json!({
            "from": self.from,
            "to": self.to,
            "subject": notice.subject(),
            "text": notice.text(),
            "headers": { "X-Entity-Ref-ID": notice.message_id },
        });
        let response = self
            .client
            .post(&self.url)
            .bearer_auth(self.key.expose())
            .header("Idempotency-Key", &notice.message_id)
            .json(&mail)
            .send()
            .await
            .map_err(ChannelError::of_request)?;
        accepted(&response)
    }
}
