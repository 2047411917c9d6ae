//! The end of the process: what is in hand is answered, nothing new is taken.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Notification, TestBroker, client, get, head, started, stored_message};

#[tokio::test]
async fn a_request_in_hand_is_answered_and_a_new_connection_is_refused() {
    let broker = TestBroker::with_topology().await;
    let (ingest, stop) = started(&broker.url, &[]).await;
    let body = Notification::new("LNS-5001").body();
    let request = format!("{}{body}", head("POST", "/webhooks/midtrans", body.len()));
    let (first, last) = request.split_at(request.len() - 10);
    let mut in_hand = TcpStream::connect(ingest.addr()).await.unwrap();
    in_hand.write_all(first.as_bytes()).await.unwrap();
    // The answer to another request shows that the connection above was accepted before it.
    assert_eq!(get(ingest.addr(), "/").await.status, 404);

    let since = Instant::now();
    stop.cancel();
    let (addr, health) = (ingest.addr(), ingest.health_addr());
    let ready = get(health, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains(r#""draining":true"#), "{ready:?}");
    let finished = tokio::spawn(ingest.finished());
    let refused = async { while TcpStream::connect(addr).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), refused)
        .await
        .expect("still accepting");

    in_hand.write_all(last.as_bytes()).await.unwrap();
    let reply = client::read_reply(&mut in_hand, since)
        .await
        .expect("cut off");
    assert_eq!(reply.status, 200, "{reply:?}");
    tokio::time::timeout(Duration::from_secs(5), finished)
        .await
        .expect("does not end")
        .unwrap();
    assert!(stored_message(&broker).await.is_some());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let broker = TestBroker::with_topology().await;
    let (ingest, stop) = started(&broker.url, &[]).await;
    let body = Notification::new("LNS-5002").body();
    let request =
        head("POST", "/webhooks/midtrans", body.len()).replace("connection: close\r\n", "");
    let mut kept = TcpStream::connect(ingest.addr()).await.unwrap();
    for _ in 0..2 {
        kept.write_all(format!("{request}{body}").as_bytes())
            .await
            .unwrap();
        let mut answer = vec![0; 12];
        kept.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 200");
        let rest = async {
            let mut seen = Vec::new();
            while !seen.ends_with(b"\"accepted\"}") {
                seen.push(kept.read_u8().await.unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(5), rest)
            .await
            .expect("half an answer");
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), ingest.finished())
        .await
        .expect("held up");
    assert_eq!(
        kept.read(&mut [0]).await.unwrap(),
        0,
        "the connection is still open"
    );
}
