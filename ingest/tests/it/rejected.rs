//! Every row of the answer table that is the sender's fault; none of them reaches the queue.

use crate::support::{
    KEY, Notification, Reply, TestBroker, head, post, raw, started, stored_message,
};

/// A request whose body comes in chunks, so that its size is not known in advance.
pub(crate) fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut request = b"POST /webhooks/midtrans HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for piece in body.chunks(chunk) {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (status, code),
        "{reply:?}"
    );
    assert!(
        !reply.body.contains(KEY) && !reply.body.contains("LNS-"),
        "{reply:?}"
    );
}

type Case = (&'static str, Vec<u8>, u16, &'static str);

fn bad_bodies() -> [Case; 16] {
    const MALFORMED: (u16, &str) = (400, "malformed_body");
    const MISSING: (u16, &str) = (400, "missing_field");
    const MISMATCH: (u16, &str) = (401, "signature_mismatch");
    let case = |name, body: &[u8], (status, code)| (name, body.to_vec(), status, code);
    let good = Notification::new("LNS-2001");
    let body = good.body();
    let without = |name: &str| body.replace(&format!("\"{name}\""), "\"other\"");
    let with = |extra: &str| {
        Notification {
            extra: extra.to_owned(),
            ..good.clone()
        }
        .body()
    };
    let deep = format!(",\"deep\":{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let number = body.replace("\"150000.00\"", "150000.00");
    let changed = body.replace("150000.00", "950000.00");
    let short = body.replace(&good.signature()[1..], "");
    let forged = Notification {
        key: "SB-Mid-server-of-somebody-else",
        ..good.clone()
    }
    .body();
    let mut not_utf8 = body.clone().into_bytes();
    not_utf8.splice(2..2, *b"\"x\":\"\xff\xfe\",");
    [
        case("empty", b"", MALFORMED),
        case("form", b"order_id=LNS-2001&status_code=200", MALFORMED),
        case("array", b"[]", MALFORMED),
        case("truncated", &body.as_bytes()[..body.len() - 1], MALFORMED),
        case("trailing", format!("{body}{{}}").as_bytes(), MALFORMED),
        case("not UTF-8", &not_utf8, MALFORMED),
        case("nested", with(&deep).as_bytes(), MALFORMED),
        case("only nested", "[".repeat(10_000).as_bytes(), MALFORMED),
        case("no signature", without("signature_key").as_bytes(), MISSING),
        case("no order id", without("order_id").as_bytes(), MISSING),
        case("no amount", without("gross_amount").as_bytes(), MISSING),
        case("number", number.as_bytes(), (400, "field_not_text")),
        case(
            "twice",
            with(",\"order_id\":\"LNS-2002\"").as_bytes(),
            (400, "repeated_field"),
        ),
        case("changed", changed.as_bytes(), MISMATCH),
        case("short", short.as_bytes(), MISMATCH),
        case("forged", forged.as_bytes(), MISMATCH),
    ]
}

#[tokio::test]
async fn bodies_that_no_signature_covers_are_400_and_forged_ones_401() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    for (name, body, status, code) in bad_bodies() {
        let reply = post(ingest.addr(), &body).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{name}: {reply:?}"
        );
        assert_problem(&reply, status, code);
    }
    assert!(
        stored_message(&broker).await.is_none(),
        "something reached the queue"
    );
}

#[tokio::test]
async fn a_body_over_64_kib_is_413_whole_or_in_chunks() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let body = Notification::new("LNS-2003").body_of(64 * 1024 + 1);
    assert_problem(&post(ingest.addr(), &body).await, 413, "body_too_large");
    for chunk in [1_000, 60_000] {
        let reply = raw(ingest.addr(), &chunked(body.as_bytes(), chunk))
            .await
            .unwrap();
        assert_problem(&reply, 413, "body_too_large");
    }
    let far_too_large = vec![b'x'; 900 * 1024];
    assert_problem(
        &post(ingest.addr(), &far_too_large).await,
        413,
        "body_too_large",
    );
    // Said in the head only: answered without waiting for a body that would never end.
    let request = head("POST", "/webhooks/midtrans", usize::MAX / 4);
    let reply = raw(ingest.addr(), request.as_bytes()).await.unwrap();
    assert_problem(&reply, 413, "body_too_large");
    assert!(
        stored_message(&broker).await.is_none(),
        "something reached the queue"
    );
}

#[tokio::test]
async fn another_method_is_405_and_another_path_404_and_nothing_redirects() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let body = Notification::new("LNS-2004").body();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let request = format!("{}{body}", head(method, "/webhooks/midtrans", body.len()));
        let reply = raw(ingest.addr(), request.as_bytes()).await.unwrap();
        assert_problem(&reply, 405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    for path in [
        "/",
        "/webhooks",
        "/webhooks/midtrans/",
        "//webhooks/midtrans",
        "/livez",
    ] {
        let request = format!("{}{body}", head("POST", path, body.len()));
        let reply = raw(ingest.addr(), request.as_bytes()).await.unwrap();
        assert_problem(&reply, 404, "not_found");
    }
    assert!(
        stored_message(&broker).await.is_none(),
        "something reached the queue"
    );
}
