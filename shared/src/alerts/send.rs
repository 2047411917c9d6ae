//! Sends the messages that wait. One is marked only after a channel took it; a crash in between
//! sends it again, with the same id.

use std::time::Duration;

use futures::future::join_all;

use super::channels::Channels;
use crate::fault;
use crate::store::alert_messages::ClaimedMessage;
use crate::store::{Store, StoreError};

/// How long a message belongs to who claimed it: longer than two channels may take.
const HOLD: Duration = Duration::from_secs(30);

/// Messages under way at the same time.
const AT_ONCE: i64 = 8;

/// The pause after the first failure; the next ones double.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// What became of the messages that were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// A channel took them.
    pub sent: usize,
    /// None did; they are tried again.
    pub failed: usize,
}

/// The pause after so many attempts that failed.
pub fn backoff(attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1).min(16));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

/// Sends what is due, a few at a time, until nothing is.
///
/// # Errors
/// When the database does not answer. What was sent by then and not marked is sent again.
pub async fn send_due(store: &Store, channels: &Channels) -> Result<Sent, StoreError> {
    let routes = channels.routes();
    let mut total = Sent::default();
    if routes.is_empty() {
        return Ok(total);
    }
    loop {
        let claimed = store.alert_messages_claim(&routes, HOLD, AT_ONCE).await?;
        if claimed.is_empty() {
            return Ok(total);
        }
        let sending = claimed.iter().map(|message| send(store, channels, message));
        for sent in join_all(sending).await {
            match sent? {
                true => total.sent += 1,
                false => total.failed += 1,
            }
        }
    }
}

/// Whether a channel took it.
async fn send(
    store: &Store,
    channels: &Channels,
    message: &ClaimedMessage,
) -> Result<bool, StoreError> {
    match channels.deliver(message.route, &message.notice).await {
        Ok(channel) => {
            fault::point("alerts.sent").await;
            store
                .alert_message_sent(message.id, channel.as_str())
                .await?;
            Ok(true)
        }
        Err((channel, error)) => {
            let again = backoff(message.attempts.unsigned_abs());
            let channel = channel.map(super::Channel::as_str);
            store
                .alert_message_failed(message.id, channel, &error.chain(), again)
                .await?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds: Vec<u64> = (1..=9).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(backoff(u32::MAX), LONGEST_PAUSE);
    }
}
