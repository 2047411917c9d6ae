//! How far a broker is from the topology, and how full its queues are, without changing anything.
//!
//! What should be there is said in `topology` alone.

use std::fmt;

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{Connection, ErrorKind};

use super::topology::{
    Exchange, TopologyError, declare_exchange, declare_queue, exchanges, open, queues, within_limit,
};

/// Compares the broker with the topology; an empty answer means that all of it is there.
///
/// It asks for each name passively and then declares what exists again with the expected
/// arguments, which the broker only compares. Bindings are invisible to an AMQP client: a
/// missing one shows as [`PublishError::Returned`](super::PublishError::Returned), and
/// [`declare`](super::topology::declare) mends it.
///
/// # Errors
/// [`TopologyError`] when the broker does not answer or refuses for another reason than a
/// difference, such as missing permissions.
pub async fn check(connection: &Connection) -> Result<Vec<Drift>, TopologyError> {
    within_limit(async {
        let mut drifts = Vec::new();
        for exchange in exchanges() {
            let passive = passive_exchange(connection, &exchange).await;
            let equal = async || {
                let channel = open(connection).await?;
                Ok(declare_exchange(&channel, &exchange).await)
            };
            drifts.extend(drift_of(exchange.name.clone(), "exchange", passive?, equal).await?);
        }
        for queue in queues() {
            let passive = passive_queue(connection, &queue.name).await;
            let equal = async || {
                let channel = open(connection).await?;
                Ok(declare_queue(&channel, &queue).await)
            };
            drifts
                .extend(drift_of(queue.name.clone(), "queue", passive?.map(|_| ()), equal).await?);
        }
        Ok(drifts)
    })
    .await
}

/// What waits in a queue, exact at the moment of the answer (statistics lag by seconds).
///
/// `None` when the queue does not exist.
///
/// # Errors
/// [`TopologyError`] when the broker does not answer or refuses.
pub async fn queue_depth(
    connection: &Connection,
    queue: &str,
) -> Result<Option<QueueDepth>, TopologyError> {
    within_limit(async {
        match passive_queue(connection, queue).await? {
            Ok(found) => Ok(Some(QueueDepth {
                ready: found.message_count(),
                consumers: found.consumer_count(),
            })),
            Err(error) if has_code(&error, AMQPSoftError::NOTFOUND) => Ok(None),
            Err(source) => Err(TopologyError::Refused {
                name: queue.to_owned(),
                source,
            }),
        }
    })
    .await
}

/// What waits in a queue and who listens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that no consumer holds.
    pub ready: u32,
    /// Subscribed consumers.
    pub consumers: u32,
}

/// One difference between the broker and the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// The exchange or queue is not there.
    Missing {
        /// `exchange` or `queue`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It is there with another type or other arguments.
    Different {
        /// `exchange` or `queue`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The broker's own words about what differs.
        detail: String,
    },
}

impl Drift {
    /// Name of the exchange or queue.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Missing { name, .. } | Self::Different { name, .. } => name,
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { kind, name } => write!(f, "{kind} {name} is missing"),
            Self::Different { kind, name, detail } => write!(f, "{kind} {name} differs: {detail}"),
        }
    }
}

/// Asks on a channel of its own, because a refusal closes the channel.
async fn passive_exchange(
    connection: &Connection,
    exchange: &Exchange,
) -> Result<lapin::Result<()>, TopologyError> {
    let channel = open(connection).await?;
    let options = ExchangeDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let name = exchange.name.as_str().into();
    let kind = exchange.kind.clone();
    Ok(channel
        .exchange_declare(name, kind, options, FieldTable::default())
        .await)
}

async fn passive_queue(
    connection: &Connection,
    name: &str,
) -> Result<lapin::Result<lapin::Queue>, TopologyError> {
    let channel = open(connection).await?;
    let options = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    Ok(channel
        .queue_declare(name.into(), options, FieldTable::default())
        .await)
}

async fn drift_of(
    name: String,
    kind: &'static str,
    passive: lapin::Result<()>,
    equal: impl AsyncFnOnce() -> Result<lapin::Result<()>, TopologyError>,
) -> Result<Option<Drift>, TopologyError> {
    match passive {
        Ok(()) => match equal().await? {
            Ok(()) => Ok(None),
            Err(error) if has_code(&error, AMQPSoftError::PRECONDITIONFAILED) => {
                Ok(Some(Drift::Different {
                    kind,
                    name,
                    detail: error.to_string(),
                }))
            }
            Err(source) => Err(TopologyError::Refused { name, source }),
        },
        Err(error) if has_code(&error, AMQPSoftError::NOTFOUND) => {
            Ok(Some(Drift::Missing { kind, name }))
        }
        Err(source) => Err(TopologyError::Refused { name, source }),
    }
}

fn has_code(error: &lapin::Error, code: AMQPSoftError) -> bool {
    let ErrorKind::ProtocolError(answer) = error.kind() else {
        return false;
    };
    *answer.kind() == AMQPErrorKind::Soft(code)
}
