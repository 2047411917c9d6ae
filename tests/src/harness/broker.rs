//! A virtual host per test, with a user of its own and the topology of the fleet.

use std::collections::BTreeMap;

use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use shared::broker::topology;

use super::database::{by_way_of, host_and_port};
use super::ground::unique_word;

/// A virtual host of its own; it is deleted with this value.
#[derive(Debug)]
pub struct TestBroker {
    name: String,
    api: String,
    url: String,
    connection: tokio::sync::OnceCell<Connection>,
}

/// A message taken out of a queue.
#[derive(Debug, Clone)]
pub struct TakenMessage {
    /// The body as it was.
    pub body: Vec<u8>,
    /// The headers that are text or numbers, as text.
    pub headers: BTreeMap<String, String>,
    /// The routing key it had last.
    pub routing_key: String,
}

impl TestBroker {
    /// Makes one on the node whose management API is `api`, and declares the topology in it.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn create(api: &str, amqp_url: &str) -> Self {
        let broker = Self::create_empty(api, amqp_url).await;
        let declared = topology::declare(broker.connection().await).await;
        declared.expect("the topology can be declared in an empty virtual host");
        broker
    }

    /// The same without the topology.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn create_empty(api: &str, amqp_url: &str) -> Self {
        let name = format!("lunas_test_{}", unique_word());
        let password = unique_word();
        put(api, &format!("vhosts/{name}"), serde_json::json!({})).await;
        let user = serde_json::json!({ "password": password, "tags": "" });
        put(api, &format!("users/{name}"), user).await;
        let all = serde_json::json!({ "configure": ".*", "write": ".*", "read": ".*" });
        put(api, &format!("permissions/{name}/{name}"), all).await;
        let url = format!(
            "amqp://{name}:{password}@{}/{name}",
            host_and_port(amqp_url)
        );
        Self {
            name,
            api: api.to_owned(),
            url,
            connection: tokio::sync::OnceCell::new(),
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address by way of something else that listens, such as a [`super::Proxy`].
    pub fn url_by_way_of(&self, listener: std::net::SocketAddr) -> String {
        by_way_of(&self.url, listener)
    }

    /// Where the node listens.
    pub fn server_addr(&self) -> String {
        host_and_port(&self.url)
    }

    /// The name of the virtual host, which is its user's too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Messages that wait in a queue: asked over AMQP, because the figures of the management API
    /// are seconds old. Messages in the hands of a consumer are not in it.
    ///
    /// # Panics
    /// When the queue does not exist or the node does not answer.
    pub async fn depth(&self, queue: &str) -> u32 {
        match self.try_depth(queue).await {
            Ok(ready) => ready,
            Err(why) => panic!("the depth of {queue}: {why}"),
        }
    }

    /// The depth of every queue of the topology that is not empty.
    ///
    /// # Errors
    /// When a queue is missing or the node does not answer.
    pub async fn waiting(&self) -> Result<BTreeMap<String, u32>, String> {
        let mut waiting = BTreeMap::new();
        for queue in topology::queue_names() {
            let ready = self.try_depth(&queue).await?;
            if ready > 0 {
                waiting.insert(queue, ready);
            }
        }
        Ok(waiting)
    }

    async fn try_depth(&self, queue: &str) -> Result<u32, String> {
        // A connection of its own each time the shared one broke: tests restart their brokers.
        let shared = self
            .connection
            .get()
            .filter(|open| open.status().connected());
        let fresh = match shared {
            Some(_) => None,
            None => Some(connect(&self.url).await?),
        };
        let connection = shared.or(fresh.as_ref()).ok_or("no connection")?;
        let depth = topology::queue_depth(connection, queue)
            .await
            .map_err(|e| e.to_string())?;
        depth
            .map(|depth| depth.ready)
            .ok_or_else(|| format!("there is no queue {queue}"))
    }

    /// Publishes raw bytes with text headers and waits for the broker's confirm.
    ///
    /// # Panics
    /// When the message is not confirmed or not routed.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let channel = self
            .connection()
            .await
            .create_channel()
            .await
            .expect("a channel");
        let confirming = channel
            .confirm_select(ConfirmSelectOptions::default())
            .await;
        confirming.expect("confirms can be switched on");
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_headers(table);
        let options = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let published = channel
            .basic_publish(
                exchange.into(),
                routing_key.into(),
                options,
                body,
                properties,
            )
            .await
            .expect("the message is written");
        let confirmation = published.await.expect("the broker answers");
        assert!(
            matches!(confirmation, Confirmation::Ack(None)),
            "{routing_key}: {confirmation:?}"
        );
    }

    /// Takes everything out of a queue.
    ///
    /// # Panics
    /// When the queue does not exist or the node does not answer.
    pub async fn take_all(&self, queue: &str) -> Vec<TakenMessage> {
        let channel = self
            .connection()
            .await
            .create_channel()
            .await
            .expect("a channel");
        let mut taken = Vec::new();
        loop {
            let got = channel
                .basic_get(queue.into(), BasicGetOptions::default())
                .await;
            let Some(message) = got.expect("the queue can be read") else {
                return taken;
            };
            let headers = message.properties.headers().as_ref();
            taken.push(TakenMessage {
                body: message.data.to_vec(),
                headers: headers.map(readable).unwrap_or_default(),
                routing_key: message.routing_key.to_string(),
            });
            let acked = message.acker.ack(BasicAckOptions::default()).await;
            acked.expect("a taken message can be acknowledged");
        }
    }

    /// A connection to the virtual host, made when it is first needed.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn connection(&self) -> &Connection {
        let connected = self
            .connection
            .get_or_try_init(async || connect(&self.url).await);
        connected.await.expect("the test's RabbitMQ answers")
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let (api, name) = (self.api.clone(), self.name.clone());
        super::in_a_thread_of_its_own(async move {
            let client = reqwest::Client::new();
            for what in [format!("vhosts/{name}"), format!("users/{name}")] {
                // A test that broke the node leaves nothing to delete.
                let _ = client.delete(format!("{api}/api/{what}")).send().await;
            }
        });
    }
}

async fn connect(url: &str) -> Result<Connection, String> {
    let limit = std::time::Duration::from_secs(10);
    let attempt = Connection::connect(url, ConnectionProperties::default());
    match tokio::time::timeout(limit, attempt).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err("the node does not answer".to_owned()),
    }
}

async fn put(api: &str, what: &str, body: serde_json::Value) {
    let request = reqwest::Client::new()
        .put(format!("{api}/api/{what}"))
        .json(&body);
    let answer = request.send().await.expect("the management API answers");
    assert!(
        answer.status().is_success(),
        "PUT {what}: {}",
        answer.status()
    );
}

fn readable(table: &FieldTable) -> BTreeMap<String, String> {
    let texts = table.inner().iter().filter_map(|(name, value)| {
        let text = match value {
            AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            AMQPValue::ShortString(text) => text.to_string(),
            AMQPValue::LongLongInt(number) => number.to_string(),
            AMQPValue::LongInt(number) => number.to_string(),
            AMQPValue::LongUInt(number) => number.to_string(),
            AMQPValue::ShortShortUInt(number) => number.to_string(),
            _ => return None,
        };
        Some((name.to_string(), text))
    });
    texts.collect()
}
