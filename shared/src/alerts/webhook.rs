//! JSON by POST. `id` in the body and `Idempotency-Key` are the same each time a message is sent.

use std::fmt;

use super::channels::{ChannelError, accepted};
use crate::config::Secret;
use crate::domain::alerts::Notice;

#[derive(Clone)]
pub(super) struct Webhook {
    client: reqwest::Client,
    url: Secret<String>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook")
    }
}

impl Webhook {
    pub(super) fn new(client: reqwest::Client, url: &str) -> Self {
        Self {
            client,
            url: Secret::new(url.to_owned()),
        }
    }

    pub(super) async fn send(&self, notice: &Notice) -> Result<(), ChannelError> {
        let response = self
            .client
            .post(self.url.expose())
            .header("Idempotency-Key", &notice.message_id)
            .json(&notice.json())
            .send()
            .await
            .map_err(ChannelError::of_request)?;
        accepted(&response)
    }
}
