//! Keeps one connection to the broker up for as long as somebody holds the link.
//!
//! A lost connection is dialled again at once and then with growing pauses. A link for publishing
//! counts a connection as up only when the broker has answered a publish on it, because during a
//! memory or disk alarm a connection opens as if nothing were wrong and then hangs.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, Event};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{BrokerState, BrokerUrls, Dialer, hang_up};
use super::topology;

/// A connection that lived this long was a good one: the pauses begin short again.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// How long the broker may take to answer the probe.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The connection's status is also looked at without an event, in case one is missed.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOK_FOR_ALARM_EVERY: Duration = Duration::from_millis(5);

/// What a connection will be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Publish,
    Consume,
}

/// A supervised connection. Dropping the link closes it.
pub(super) struct Link<T> {
    live: watch::Receiver<Option<Arc<Live<T>>>>,
    stopped: CancellationToken,
    stop: CancellationToken,
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// One connection and what its user keeps with it; gone with the connection.
pub(super) struct Live<T> {
    pub(super) connection: Connection,
    pub(super) kept: T,
    over: CancellationToken,
}

impl<T> Live<T> {
    /// Gives the connection up; the link dials another one.
    pub(super) fn give_up(&self) {
        self.over.cancel();
    }

    /// Is cancelled when the connection is lost or given up. What waits for the client library
    /// must wait for this too: an answer that was asked for while a connection died may never come.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// What this connection can do now.
    pub(super) fn state(&self) -> BrokerState {
        let status = self.connection.status();
        if self.over.is_cancelled() || !status.connected() {
            BrokerState::Down
        } else if status.blocked() {
            BrokerState::Blocked
        } else {
            BrokerState::Up
        }
    }

    /// Returns when the connection is lost or given up.
    async fn ended(&self) {
        let mut events = self.connection.events_listener();
        let mut look = tokio::time::interval(LOOK_EVERY);
        while self.connection.status().connected() {
            tokio::select! {
                () = self.over.cancelled() => return,
                _ = look.tick() => {}
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(broker.reason = reason, "broker blocks publishing");
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("broker accepts messages again");
                    }
                    Some(_) => {}
                    None => { look.tick().await; }
                },
            }
        }
    }
}

impl<T: Default + Send + Sync + 'static> Link<T> {
    /// Starts dialling in the background. Needs a tokio runtime.
    pub(super) fn start(urls: &BrokerUrls, name: &str, purpose: Purpose) -> Self {
        let (sender, live) = watch::channel(None);
        let stop = CancellationToken::new();
        let stopped = CancellationToken::new();
        let dialer = Dialer::new(urls, name);
        let (stopping, done) = (stop.clone(), stopped.clone().drop_guard());
        tokio::spawn(async move {
            let _done = done;
            tokio::select! {
                () = stopping.cancelled() => {}
                () = supervise(dialer, &sender, purpose) => {}
            }
            let last: Option<Arc<Live<T>>> = sender.send_replace(None);
            if let Some(live) = last {
                live.give_up();
                hang_up(&live.connection).await;
            }
        });
        Self {
            live,
            stopped,
            stop,
        }
    }
}

impl<T> Link<T> {
    /// The connection, if there is one. It may have been lost a moment ago: see [`Live::state`].
    pub(super) fn live(&self) -> Option<Arc<Live<T>>> {
        self.live.borrow().clone()
    }

    pub(super) fn state(&self) -> BrokerState {
        self.live
            .borrow()
            .as_ref()
            .map_or(BrokerState::Down, |live| live.state())
    }

    /// Waits for a connection that is not lost. `None` when the link was closed.
    pub(super) async fn connected(&self) -> Option<Arc<Live<T>>> {
        let mut live = self.live.clone();
        loop {
            let current = live.borrow_and_update().clone();
            match current {
                Some(current) if current.state() != BrokerState::Down => return Some(current),
                _ => live.changed().await.ok()?,
            }
        }
    }

    /// Closes the connection and waits until the broker knows, for two seconds at most.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

async fn supervise<T: Default + Send + Sync + 'static>(
    mut dialer: Dialer,
    sender: &watch::Sender<Option<Arc<Live<T>>>>,
    purpose: Purpose,
) {
    let mut known_down = false;
    loop {
        match dial(&mut dialer, purpose).await {
            Ok(connection) => {
                tracing::info!("broker connected");
                known_down = false;
                let since = Instant::now();
                let over = CancellationToken::new();
                let live = Arc::new(Live {
                    connection,
                    kept: T::default(),
                    over,
                });
                sender.send_replace(Some(live.clone()));
                live.ended().await;
                live.give_up();
                sender.send_replace(None);
                tracing::warn!("broker connection lost");
                tokio::spawn(async move { hang_up(&live.connection).await });
                if since.elapsed() >= LONG_ENOUGH {
                    dialer.succeeded();
                    continue;
                }
            }
            // Said once per outage; the state is visible in readiness and metrics all the while.
            Err(error) if !known_down => {
                known_down = true;
                tracing::warn!(error = %Chain(&*error), "broker not reachable");
            }
            Err(_) => {}
        }
        dialer.pause().await;
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn dial(dialer: &mut Dialer, purpose: Purpose) -> Result<Connection, BoxError> {
    let connection = dialer.dial().await?;
    if purpose == Purpose::Publish {
        let proof = tokio::time::timeout(ANSWER_LIMIT, prove(&connection)).await;
        let silent = "the broker opened a connection and then answered no publish";
        proof.map_err(|_| silent)?;
        if !connection.status().connected() {
            return Err("the broker closed the connection at its first publish".into());
        }
    }
    Ok(connection)
}

/// Publishes to a routing key that nothing is bound to; any answer proves that the broker takes
/// messages, a refusal of this one message included. Returns early when an alarm is on.
#[expect(
    clippy::disallowed_methods,
    reason = "a probe carries no message: whatever the broker answers is good"
)]
async fn prove(connection: &Connection) {
    let probe = async {
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let (exchange, key) = (topology::EXCHANGE.into(), "probe".into());
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish(exchange, key, options, b"", properties)
            .await?
            .await
    };
    tokio::pin!(probe);
    let mut look = tokio::time::interval(LOOK_FOR_ALARM_EVERY);
    loop {
        tokio::select! {
            answer = &mut probe => {
                if let Err(error) = answer {
                    tracing::debug!(%error, "the probe was refused");
                }
                return;
            }
            _ = look.tick() => if connection.status().blocked() { return },
        }
    }
}

/// An error with its causes, in one line.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
