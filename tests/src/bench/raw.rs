//! The limit beside ingest: confirmed publishing by the same client library to the same queue,
//! with nothing around it.
//!
//! Four connections with one channel each, shared by the publishers of the connection: the
//! fastest way that the library has. (The product does not publish like this, because the library
//! hands confirms to the wrong publisher when a channel is shared.)

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use shared::broker::topology;

use super::pace::Pace;
use super::stats::Round;

const CONNECTIONS: usize = 4;

/// Publishers on each connection, and so messages in flight, when it goes as fast as it can.
pub(super) const IN_FLIGHT: usize = 64;

/// Publishes for `length`, as fast as possible or at `rate`, with `in_flight` publishers on each
/// of the four connections.
pub(super) async fn round(
    amqp_url: &str,
    bodies: Arc<Vec<String>>,
    in_flight: usize,
    length: Duration,
    rate: Option<f64>,
) -> anyhow::Result<Round> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = connect(amqp_url).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        channels.push((connection, channel));
    }
    let pace = Arc::new(Pace::start(bodies.len(), length, rate));
    let mut tasks = Vec::new();
    for (_, channel) in &channels {
        for _ in 0..in_flight {
            let (channel, bodies, pace) = (channel.clone(), Arc::clone(&bodies), Arc::clone(&pace));
            tasks.push(tokio::spawn(publisher(channel, bodies, pace)));
        }
    }
    let mut micros = Vec::new();
    for task in tasks {
        micros.extend(task.await??);
    }
    for (connection, _) in channels {
        connection.close(200, "OK".into()).await?;
    }
    ensure!(
        !pace.ran_out(),
        "too few messages were prepared for the round"
    );
    Ok(Round::of(micros, pace.counted()))
}

async fn publisher(
    channel: Channel,
    bodies: Arc<Vec<String>>,
    pace: Arc<Pace>,
) -> anyhow::Result<Vec<u32>> {
    let mut micros = Vec::new();
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    while let Some((index, since)) = pace.next().await {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let confirm = channel
            .basic_publish(
                topology::EXCHANGE.into(),
                topology::WEBHOOK_KEY.into(),
                options,
                bodies[index].as_bytes(),
                properties,
            )
            .await?;
        ensure!(
            matches!(confirm.await?, Confirmation::Ack(None)),
            "the broker refused a message"
        );
        if pace.counts(since) {
            micros.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }
    Ok(micros)
}

async fn connect(amqp_url: &str) -> anyhow::Result<Connection> {
    Connection::connect(amqp_url, ConnectionProperties::default())
        .await
        .context("connecting to the broker")
}

/// A handle on the queue of notifications: counting and emptying it.
pub(super) struct Queue {
    connection: Connection,
}

impl Queue {
    /// Declares the topology of the fleet and keeps a connection.
    pub(super) async fn open(amqp_url: &str) -> anyhow::Result<Self> {
        let connection = connect(amqp_url).await?;
        topology::declare(&connection).await?;
        Ok(Self { connection })
    }

    /// Messages that wait for a consumer.
    pub(super) async fn depth(&self) -> anyhow::Result<u32> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let channel = self.connection.create_channel().await?;
        let queue = channel
            .queue_declare(
                topology::WEBHOOKS_QUEUE.into(),
                options,
                FieldTable::default(),
            )
            .await?;
        channel.close(200, "OK".into()).await?;
        Ok(queue.message_count())
    }

    /// Empties the queue; answers how many messages were in it.
    pub(super) async fn purge(&self) -> anyhow::Result<u32> {
        let channel = self.connection.create_channel().await?;
        let purged = channel
            .queue_purge(
                topology::WEBHOOKS_QUEUE.into(),
                QueuePurgeOptions::default(),
            )
            .await?;
        channel.close(200, "OK".into()).await?;
        Ok(purged)
    }
}
