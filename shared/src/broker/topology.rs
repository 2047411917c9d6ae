//! Every exchange, queue and binding of the fleet, and how far a broker is from them.
//!
//! The arguments are the ones that mean the same on RabbitMQ 3.10 to 4.x, and all of them are
//! given explicitly: a queue that exists cannot be declared with others, and defaults differ
//! between versions. Nothing outside this file names an argument.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};
use thiserror::Error;

pub use super::drift::{Drift, QueueDepth, check, queue_depth};

/// The topic exchange that work is published to.
pub const EXCHANGE: &str = "lunas";
/// The topic exchange of outgoing domain events; the queues behind it belong to their owners.
pub const EVENTS_EXCHANGE: &str = "lunas.events";
/// The fanout exchange of dead letters.
pub const DEAD_EXCHANGE: &str = "lunas.dead";
/// Verified notifications.
pub const WEBHOOKS_QUEUE: &str = "lunas.webhooks";
/// Jobs of the scheduler and follow-ups of the worker.
pub const JOBS_QUEUE: &str = "lunas.jobs";
/// Dead letters on their way to the keeper.
pub const DEAD_QUEUE: &str = "lunas.dead";
/// Routing key of a notification of Midtrans.
pub const WEBHOOK_KEY: &str = "webhook.midtrans";
/// What the routing key of every job starts with; the job's name follows.
pub const JOB_KEY_PREFIX: &str = "job.";

/// Returns of one message before the broker takes it for one that kills workers.
pub const DELIVERY_LIMIT: i32 = 20;
/// The dead-letter queue must never drop what nobody has stored yet, however often it was looked at.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000;
/// How long `declare` and `check` wait for the broker, all in all.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Declares the whole topology. Doing it again changes nothing.
///
/// Targets come before the queues that dead-letter to them: the broker tries a missing target
/// again only after minutes.
///
/// # Errors
/// [`TopologyError`] when the broker refuses a declaration, most often because the queue exists
/// with other arguments, or does not answer.
pub async fn declare(connection: &Connection) -> Result<(), TopologyError> {
    within_limit(async {
        let channel = open(connection).await?;
        for exchange in exchanges() {
            declare_exchange(&channel, &exchange)
                .await
                .map_err(|source| TopologyError::Refused {
                    name: exchange.name.clone(),
                    source,
                })?;
        }
        for queue in queues() {
            let refused = |source| TopologyError::Refused {
                name: queue.name.clone(),
                source,
            };
            declare_queue(&channel, &queue).await.map_err(refused)?;
            let refused = |source| TopologyError::Refused {
                name: queue.name.clone(),
                source,
            };
            bind_queue(&channel, &queue).await.map_err(refused)?;
        }
        Ok(())
    })
    .await
}

/// Every queue of the fleet, in the order in which it is declared.
#[must_use]
pub fn queue_names() -> Vec<String> {
    queues().into_iter().map(|queue| queue.name).collect()
}

/// How long a message waits before it comes back to its work queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DelayLevel {
    /// 500 milliseconds.
    Ms500,
    /// 2 seconds.
    S2,
    /// 10 seconds.
    S10,
    /// 1 minute.
    M1,
    /// 5 minutes.
    M5,
    /// 30 minutes.
    M30,
}

impl DelayLevel {
    /// Every level, shortest first.
    pub const ALL: [Self; 6] = [
        Self::Ms500,
        Self::S2,
        Self::S10,
        Self::M1,
        Self::M5,
        Self::M30,
    ];

    /// How long the level holds a message.
    #[must_use]
    pub const fn delay(self) -> Duration {
        Duration::from_millis(match self {
            Self::Ms500 => 500,
            Self::S2 => 2_000,
            Self::S10 => 10_000,
            Self::M1 => 60_000,
            Self::M5 => 300_000,
            Self::M30 => 1_800_000,
        })
    }

    /// Name of the level's queue, and of the exchange before it.
    #[must_use]
    pub const fn queue(self) -> &'static str {
        match self {
            Self::Ms500 => "lunas.retry.500ms",
            Self::S2 => "lunas.retry.2s",
            Self::S10 => "lunas.retry.10s",
            Self::M1 => "lunas.retry.1m",
            Self::M5 => "lunas.retry.5m",
            Self::M30 => "lunas.retry.30m",
        }
    }
}

/// The shortest level that holds a message at least as long as wanted, or else the longest.
#[must_use]
pub fn level_for(wanted: Duration) -> DelayLevel {
    DelayLevel::ALL
        .into_iter()
        .find(|level| level.delay() >= wanted)
        .unwrap_or(DelayLevel::M30)
}

/// Why the topology could not be declared or compared.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// No channel could be opened.
    #[error("the broker opened no channel")]
    Channel(#[source] lapin::Error),
    /// The broker refused the exchange or queue.
    #[error("the broker refused {name}")]
    Refused {
        /// Name of the exchange or queue.
        name: String,
        /// The broker's answer.
        #[source]
        source: lapin::Error,
    },
    /// The broker did not answer in time.
    #[error("the broker did not answer within {} s", TIME_LIMIT.as_secs())]
    Timeout,
}

pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) kind: ExchangeKind,
}

pub(super) struct Queue {
    pub(super) name: String,
    arguments: FieldTable,
    exchange: &'static str,
    binding: &'static str,
}

pub(super) fn exchanges() -> Vec<Exchange> {
    let fanout = |name: &str| Exchange {
        name: name.to_owned(),
        kind: ExchangeKind::Fanout,
    };
    let topic = |name: &str| Exchange {
        name: name.to_owned(),
        kind: ExchangeKind::Topic,
    };
    let mut all = vec![
        fanout(DEAD_EXCHANGE),
        topic(EXCHANGE),
        topic(EVENTS_EXCHANGE),
    ];
    all.extend(
        DelayLevel::ALL
            .into_iter()
            .map(|level| fanout(level.queue())),
    );
    all
}

pub(super) fn queues() -> Vec<Queue> {
    let queue = |name: &str, arguments, exchange, binding| Queue {
        name: name.to_owned(),
        arguments,
        exchange,
        binding,
    };
    let mut all = vec![
        queue(DEAD_QUEUE, quorum(DEAD_DELIVERY_LIMIT), DEAD_EXCHANGE, ""),
        queue(
            WEBHOOKS_QUEUE,
            dead_lettering(DEAD_EXCHANGE),
            EXCHANGE,
            WEBHOOK_KEY,
        ),
        queue(JOBS_QUEUE, dead_lettering(DEAD_EXCHANGE), EXCHANGE, "job.*"),
    ];
    for level in DelayLevel::ALL {
        let mut arguments = dead_lettering(EXCHANGE);
        let millis = i64::try_from(level.delay().as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
        all.push(queue(level.queue(), arguments, level.queue(), ""));
    }
    all
}

/// At-most-once dead-lettering loses messages when the leader of the target dies; the safe
/// strategy needs `reject-publish`.
fn dead_lettering(exchange: &str) -> FieldTable {
    let mut arguments = quorum(DELIVERY_LIMIT.into());
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn quorum(delivery_limit: i64) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongLongInt(delivery_limit),
    );
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub(super) async fn declare_exchange(channel: &Channel, exchange: &Exchange) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let name = exchange.name.as_str().into();
    channel
        .exchange_declare(name, exchange.kind.clone(), options, FieldTable::default())
        .await
}

pub(super) async fn declare_queue(channel: &Channel, queue: &Queue) -> lapin::Result<()> {
    let name = queue.name.as_str().into();
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare(name, options, queue.arguments.clone())
        .await
        .map(|_| ())
}

async fn bind_queue(channel: &Channel, queue: &Queue) -> lapin::Result<()> {
    let (name, exchange) = (queue.name.as_str().into(), queue.exchange.into());
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            name,
            exchange,
            queue.binding.into(),
            options,
            FieldTable::default(),
        )
        .await
}

pub(super) async fn open(connection: &Connection) -> Result<Channel, TopologyError> {
    connection
        .create_channel()
        .await
        .map_err(TopologyError::Channel)
}

pub(super) async fn within_limit<T>(
    work: impl Future<Output = Result<T, TopologyError>>,
) -> Result<T, TopologyError> {
    tokio::time::timeout(TIME_LIMIT, work)
        .await
        .unwrap_or(Err(TopologyError::Timeout))
}
