//! A virtual host per test, and bounded waits for facts.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use shared::broker::{
    BrokerUrls, Connection, Consumer, Delivery, Destination, Envelope, Headers, PublishError,
    Publisher, PublisherOptions, connect, topology,
};
use time::OffsetDateTime;
use tokio::time::timeout;

/// The time a fact may take before the test fails.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// The time a publish may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(3);

/// A virtual host that goes away with the test.
pub(crate) struct VirtualHost {
    api: Api,
    name: String,
    host: String,
    credentials: String,
}

impl VirtualHost {
    /// An empty virtual host.
    pub(crate) async fn empty() -> Self {
        let (credentials, host) = split(&variable("LUNAS_TEST_AMQP_URL"));
        let api = Api::from_environment();
        let name = format!("broker-{}", uuid::Uuid::new_v4().simple());
        api.put(&format!("vhosts/{name}"), json!({})).await;
        let user = credentials.split(':').next().unwrap();
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        api.put(&format!("permissions/{name}/{user}"), all).await;
        Self {
            api,
            name,
            host,
            credentials,
        }
    }

    /// A virtual host with the whole topology.
    pub(crate) async fn with_topology() -> Self {
        let this = Self::empty().await;
        topology::declare(&this.connection().await).await.unwrap();
        this
    }

    pub(crate) fn urls(&self) -> BrokerUrls {
        self.urls_at(&self.host)
    }

    /// The same virtual host by way of another address, such as a proxy's.
    pub(crate) fn urls_at(&self, host: &str) -> BrokerUrls {
        let Self {
            name, credentials, ..
        } = self;
        BrokerUrls::parse(&format!("amqp://{credentials}@{host}/{name}")).unwrap()
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) async fn connection(&self) -> Connection {
        connect(&self.urls(), "test").await.unwrap()
    }

    pub(crate) async fn publisher(&self) -> Publisher {
        publisher(&self.urls(), PublisherOptions::default()).await
    }

    pub(crate) async fn depth(&self, queue: &str) -> u32 {
        let connection = self.connection().await;
        topology::queue_depth(&connection, queue)
            .await
            .unwrap()
            .expect("the queue is there")
            .ready
    }

    /// Waits until the queue holds that many ready messages.
    pub(crate) async fn depth_becomes(&self, queue: &str, wanted: u32) {
        let mut last = None;
        let reached = timeout(SOON, async {
            while last != Some(wanted) {
                last = Some(self.depth(queue).await);
            }
        });
        assert!(
            reached.await.is_ok(),
            "{queue} holds {last:?} messages, expected {wanted}"
        );
    }

    /// Lets the queue hold no more than one message, or as many as it likes.
    pub(crate) async fn limit_length(&self, queue: &str, limit: Option<u32>) {
        let path = format!("policies/{}/full", self.name);
        match limit {
            Some(limit) => {
                let definition = json!({"max-length": limit});
                let policy = json!({"pattern": format!("^{queue}$"), "definition": definition});
                self.api.put(&path, policy).await;
            }
            None => self.api.delete(&path).await,
        }
    }

    /// Makes the broker close the connection with that name; waits for the connection to show up.
    pub(crate) async fn close_connection(&self, client: &str) {
        let list = format!("vhosts/{}/connections", self.name);
        let found = timeout(SOON, async {
            loop {
                let all = self.api.get(&list).await;
                let named = |it: &&Value| it["client_properties"]["connection_name"] == client;
                if let Some(name) = all.as_array().unwrap().iter().find(named) {
                    return name["name"].as_str().unwrap().to_owned();
                }
            }
        });
        let name = found
            .await
            .unwrap_or_else(|_| panic!("{client} never showed up"));
        let escaped = name.replace(' ', "%20").replace('>', "%3E");
        self.api.delete(&format!("connections/{escaped}")).await;
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        let (api, path) = (self.api.clone(), format!("vhosts/{}", self.name));
        let delete = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(api.delete(&path));
        });
        // A second panic while one unwinds would hide the first.
        let _ = delete.join();
    }
}

#[derive(Clone)]
struct Api {
    url: String,
    user: String,
    password: String,
}

impl Api {
    fn from_environment() -> Self {
        let (credentials, host) = split(&variable("LUNAS_TEST_RABBIT_API"));
        let (user, password) = credentials.split_once(':').unwrap();
        let (user, password) = (user.to_owned(), password.to_owned());
        Self {
            url: format!("http://{host}/api"),
            user,
            password,
        }
    }

    async fn get(&self, path: &str) -> Value {
        let text = self.send(reqwest::Method::GET, path, None).await;
        serde_json::from_str(&text).unwrap()
    }

    async fn put(&self, path: &str, body: Value) {
        self.send(reqwest::Method::PUT, path, Some(body)).await;
    }

    async fn delete(&self, path: &str) {
        self.send(reqwest::Method::DELETE, path, None).await;
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> String {
        let url = format!("{}/{path}", self.url);
        let request = reqwest::Client::new().request(method, url);
        let mut request = request.basic_auth(&self.user, Some(&self.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the management API answers");
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(
            status.is_success(),
            "management API: {path}: {status}: {text}"
        );
        text
    }
}

/// A connected publisher.
pub(crate) async fn publisher(urls: &BrokerUrls, options: PublisherOptions) -> Publisher {
    let publisher = Publisher::start(urls, &options);
    assert!(
        publisher.connected(SOON).await,
        "the publisher never connected"
    );
    publisher
}

/// A message whose body is its name.
pub(crate) fn message(name: &str) -> Envelope {
    let headers = Headers::new("webhook", OffsetDateTime::now_utc());
    Envelope {
        body: Bytes::copy_from_slice(name.as_bytes()),
        headers,
    }
}

/// Publishes that many notifications, named by their number, one after the other.
pub(crate) async fn publish_numbers(publisher: &Publisher, count: usize) {
    for number in 0..count {
        let sent = message(&number.to_string());
        publisher
            .publish(&Destination::Webhooks, sent, WITHIN)
            .await
            .unwrap();
    }
}

pub(crate) async fn publish_one(publisher: &Publisher, name: &str) -> Result<(), PublishError> {
    publisher
        .publish(&Destination::Webhooks, message(name), WITHIN)
        .await
}

/// The next batch, or a failed test.
pub(crate) async fn batch(consumer: &mut Consumer, max: usize) -> Vec<Delivery> {
    let next = timeout(SOON, consumer.next_batch(max))
        .await
        .expect("a batch arrives");
    next.expect("the consumer goes on")
}

/// That many deliveries, in as many batches as it takes.
pub(crate) async fn deliveries(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(batch(consumer, count - all.len()).await);
    }
    all
}

pub(crate) fn name_of(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.body).unwrap()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: the broker's tests need a RabbitMQ; tests/run.sh starts one")
    })
}

/// Takes `scheme://user:password@host:port/...` apart.
fn split(url: &str) -> (String, String) {
    let rest = url.split_once("://").expect("a URL").1;
    let (credentials, host) = rest.rsplit_once('@').expect("a URL with user and password");
    (
        credentials.to_owned(),
        host.split('/').next().unwrap().to_owned(),
    )
}
