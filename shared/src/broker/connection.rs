//! Where the broker is, and one attempt to reach it.
//!
//! A connection speaks up or counts as dead within ten seconds (`heartbeat=5`), and no attempt
//! takes longer than two: the client library would wait for a frozen broker for ever. Keeping a
//! connection up is the business of `link`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use thiserror::Error;
use tokio::time::timeout;

/// How long one attempt on one URL may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(2);
/// How long the broker may take to close a connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Seconds between heartbeats when the URL asks for none.
const HEARTBEAT: u16 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Tries every URL once, beginning at a random one.
///
/// For what needs a connection for a moment, such as declaring the topology. `name` is what
/// operators see in the broker's list of connections.
///
/// # Errors
/// The last URL's [`ConnectError`] when none could be reached.
pub async fn connect(urls: &BrokerUrls, name: &str) -> Result<Connection, ConnectError> {
    let mut dialer = Dialer::new(urls, name);
    let mut attempts = 1;
    loop {
        match dialer.dial().await {
            Err(_) if attempts < urls.0.len() => attempts += 1,
            last => return last,
        }
    }
}

/// Closes a connection that is no longer needed, and waits for the broker's answer for two seconds
/// at most: the client library may wait for it for ever.
pub async fn hang_up(connection: &Connection) {
    let close = connection.close(200, "OK".into());
    // A connection that is lost already needs no goodbye, and a frozen broker gives no answer.
    let _ = timeout(ANSWER_LIMIT, close).await;
}

/// The broker's URLs, in any order; they are rotated.
#[derive(Clone)]
pub struct BrokerUrls(Arc<[AMQPUri]>);

impl BrokerUrls {
    /// Reads comma-separated AMQP URLs, `amqp[s]://user:password@host:port/vhost?heartbeat=5`.
    ///
    /// A URL that ends in a slash means the default virtual host, like one without a path.
    ///
    /// # Errors
    /// [`BrokerUrlError`]; its text never repeats the URL, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, BrokerUrlError> {
        let urls = text
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .enumerate()
            .map(|(index, url)| {
                let invalid = |_| BrokerUrlError::Invalid {
                    position: index + 1,
                };
                let mut uri: AMQPUri = url.parse().map_err(invalid)?;
                uri.query.heartbeat.get_or_insert(HEARTBEAT);
                let limit = u64::try_from(ATTEMPT_LIMIT.as_millis()).unwrap_or(u64::MAX);
                uri.query.connection_timeout.get_or_insert(limit);
                if uri.vhost.is_empty() {
                    "/".clone_into(&mut uri.vhost);
                }
                Ok(uri)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(BrokerUrlError::Empty);
        }
        Ok(Self(urls.into()))
    }
}

impl std::str::FromStr for BrokerUrls {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for BrokerUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, uri) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", Address(uri))?;
        }
        Ok(())
    }
}

impl fmt::Debug for BrokerUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrls({self})")
    }
}

/// A URL without its user and password.
struct Address<'a>(&'a AMQPUri);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = self.0;
        write!(
            f,
            "{scheme}://{}:{}/{vhost}",
            authority.host, authority.port
        )
    }
}

/// Why a list of URLs cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BrokerUrlError {
    /// There is no URL in it.
    #[error("no broker URL is given")]
    Empty,
    /// One of them is not an AMQP URL.
    #[error("broker URL {position} is not of the form amqp://user:password@host:port/vhost")]
    Invalid {
        /// Which one, from 1.
        position: usize,
    },
}

/// Why the broker could not be reached.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// It did not finish the handshake in time.
    #[error("{address} did not answer within {} s", ATTEMPT_LIMIT.as_secs())]
    Timeout {
        /// Host, port and virtual host.
        address: String,
    },
    /// It refused, or there is nothing at the address.
    #[error("{address} could not be connected to")]
    Amqp {
        /// Host, port and virtual host.
        address: String,
        /// The client library's error.
        #[source]
        source: lapin::Error,
    },
}

/// What the broker can do for a publisher or consumer right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    /// Connected.
    Up,
    /// Connected, but a memory or disk alarm keeps publishers from writing.
    Blocked,
    /// Not connected.
    Down,
}

impl BrokerState {
    /// The word for logs, metrics and readiness answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Blocked => "blocked",
            Self::Down => "down",
        }
    }
}

/// Goes round the URLs, one attempt after the other, with a growing pause in between.
pub(super) struct Dialer {
    urls: BrokerUrls,
    name: String,
    next: usize,
    failures: u32,
}

impl Dialer {
    /// Starts at a random URL, so that a fleet spreads over the nodes of a cluster.
    pub(super) fn new(urls: &BrokerUrls, name: &str) -> Self {
        let next = rand::random_range(0..urls.0.len());
        Self {
            urls: urls.clone(),
            name: name.to_owned(),
            next,
            failures: 0,
        }
    }

    /// One attempt on the next URL.
    pub(super) async fn dial(&mut self) -> Result<Connection, ConnectError> {
        let uri = &self.urls.0[self.next];
        self.next = (self.next + 1) % self.urls.0.len();
        let address = Address(uri).to_string();
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let attempt = Connection::connect_uri(uri.clone(), properties);
        match tokio::time::timeout(ATTEMPT_LIMIT, attempt).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(ConnectError::Amqp { address, source }),
            Err(_) => Err(ConnectError::Timeout { address }),
        }
    }

    /// The broker was there for long enough to begin again with short pauses.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, longer with every failure.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(pause_after(self.failures)).await;
        self.failures = self.failures.saturating_add(1);
    }
}

/// Half of the pause is fixed and half is drawn, so that a fleet does not come back in step.
pub(super) fn pause_after(failures: u32) -> Duration {
    let full = FIRST_PAUSE
        .saturating_mul(1 << failures.min(8))
        .min(LONGEST_PAUSE);
    full.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_urls_are_read_and_never_show_their_password() {
        let urls = BrokerUrls::parse("amqp://u:geheim@a:1/v, amqps://u:geheim@b/, ").unwrap();
        assert_eq!(urls.to_string(), "amqp://a:1/v,amqps://b:5671//");
        assert_eq!(
            format!("{urls:?}"),
            "BrokerUrls(amqp://a:1/v,amqps://b:5671//)"
        );
        assert_eq!(urls.0[0].query.heartbeat, Some(5));
        assert_eq!(urls.0[1].vhost, "/");
    }

    #[test]
    fn a_heartbeat_in_the_url_is_kept() {
        let urls = BrokerUrls::parse("amqp://a/v?heartbeat=30").unwrap();
        assert_eq!(urls.0[0].query.heartbeat, Some(30));
    }

    #[test]
    fn a_bad_url_is_named_by_its_place_and_not_repeated() {
        let error = BrokerUrls::parse("amqp://a/v,http://u:geheim@b").unwrap_err();
        assert_eq!(error, BrokerUrlError::Invalid { position: 2 });
        assert!(!error.to_string().contains("geheim"));
        assert_eq!(BrokerUrls::parse(" , ").unwrap_err(), BrokerUrlError::Empty);
    }

    #[test]
    fn pauses_grow_to_a_second_and_no_further() {
        for failures in 0..40 {
            let pause = pause_after(failures);
            assert!(pause >= Duration::from_millis(25) && pause <= Duration::from_secs(1));
        }
        assert!(pause_after(20) >= Duration::from_millis(500));
    }
}
