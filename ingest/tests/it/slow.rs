//! Slow clients: each ends by itself, and others are served meanwhile.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Notification, Reply, TestBroker, client, head, post, started};

/// Sends `first` and then one byte of `rest` after the other until the service has had enough.
async fn drip(to: std::net::SocketAddr, first: &str, rest: &str) -> (Option<Reply>, Duration) {
    let since = Instant::now();
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for byte in rest.bytes().cycle().take(1_000) {
        pace.tick().await;
        let mut probe = [0];
        let closed = matches!(
            tokio::time::timeout(Duration::from_millis(1), stream.peek(&mut probe)).await,
            Ok(Ok(_) | Err(_))
        );
        if closed || stream.write_all(&[byte]).await.is_err() {
            break;
        }
    }
    let reply = client::read_reply(&mut stream, since).await;
    (reply, since.elapsed())
}

#[tokio::test]
async fn a_body_that_drips_is_408_after_five_seconds() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let head = head("POST", "/webhooks/midtrans", 1_000);
    let (reply, took) = drip(ingest.addr(), &head, "{").await;
    let reply = reply.expect("no answer");
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (408, "body_timeout"),
        "{reply:?}"
    );
    assert!((5..8).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn a_head_that_drips_ends_the_connection_while_others_are_served() {
    let broker = TestBroker::with_topology().await;
    // The second of two connections must do for everybody else.
    let (ingest, _stop) = started(&broker.url, &["--ingest-max-connections=2"]).await;
    let dripping = tokio::spawn(drip(ingest.addr(), "POST /webhooks/mid", "trans"));
    for _ in 0..20 {
        let reply = post(ingest.addr(), Notification::new("LNS-4001").body()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let (reply, took) = dripping.await.unwrap();
    assert!(reply.is_none(), "{reply:?}");
    assert!((5..12).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn a_silent_connection_is_ended_and_its_place_goes_to_the_next() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &["--ingest-max-connections=1"]).await;
    let _silent = TcpStream::connect(ingest.addr()).await.unwrap();
    let reply = post(ingest.addr(), Notification::new("LNS-4002").body()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.took < Duration::from_secs(12), "{reply:?}");
}
