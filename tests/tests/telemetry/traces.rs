//! One trace from the request to the commit and the outgoing event.

use lunas_tests::harness::{BOUND, Method, Payment, Shop, wait_for};
use serde_json::{Value, json};

use crate::collector::{Collector, Seen};

#[tokio::test]
async fn one_trace_leads_from_the_request_through_the_queue_to_the_outgoing_event() {
    let collector = Collector::start().await;
    let mut shop = Shop::open_with(|fleet| {
        let fleet = fleet.workers(2).schedulers(1);
        fleet.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
    })
    .await;
    for number in 0..3 {
        let code = format!("LNS-{number}");
        shop.order(&code, 5_000).await;
        let payment = Payment::new(Method::Gopay, &code, 5_000);
        assert_eq!(shop.post(&payment.settlement()).await, 200);
        shop.until_order(&code, json!({"status": "PAID"})).await;
    }
    let mut events = Vec::new();
    for number in 0..3 {
        events.push(published_event(&shop, &format!("LNS-{number}")).await);
    }
    // The end of a process sends what it still holds.
    shop.close().await;
    let spans = collector.spans();
    for event in &events {
        assert_one_trace(&spans, event);
    }
    let traces: std::collections::BTreeSet<&str> =
        events.iter().map(|event| trace_of(event)).collect();
    assert_eq!(traces.len(), 3, "each notification has a trace of its own");
}

#[tokio::test]
async fn a_question_to_the_gateway_stays_in_the_trace_of_the_notification() {
    let collector = Collector::start().await;
    let shop = Shop::open_with(|fleet| {
        let fleet = fleet.workers(1).schedulers(1);
        fleet.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
    })
    .await;
    shop.order_and_charge("LNS-1", 5_000, json!({"payment_type": "gopay"}))
        .await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.step("LNS-1", "refund", json!({"confirm": "never"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;
    let query = "SELECT to_jsonb(d) FROM domain_events d
                 WHERE order_code = $1 AND event_type = 'order.refunded'";
    let event = shop.row(query, "LNS-1").await;
    shop.close().await;
    let spans = collector.spans();
    let request = one(
        &spans,
        trace_of(&event),
        "ingest",
        "POST /webhooks/midtrans",
    );
    // Three notifications came; the event belongs to the refund, the newest of them.
    let requests = spans.iter().filter(|span| span.name == request.name);
    assert_eq!(requests.clone().count(), 3);
    assert!(
        requests
            .clone()
            .all(|other| other.started_at <= request.started_at)
    );
}

/// An event of an order once it went out.
async fn published_event(shop: &Shop, code: &str) -> Value {
    let query = "SELECT to_jsonb(d) || jsonb_build_object(
                     'at', (extract(epoch FROM created_at) * 1000000)::bigint)
                 FROM domain_events d WHERE order_code = $1 AND published_at IS NOT NULL";
    wait_for("the event to go out", BOUND, async || {
        let row = shop.row(query, code).await;
        (!row.is_null()).then_some(row)
    })
    .await
}

fn assert_one_trace(spans: &[Seen], event: &Value) {
    let trace = trace_of(event);
    let request = one(spans, trace, "ingest", "POST /webhooks/midtrans");
    let publish = one(spans, trace, "ingest", "publish lunas:webhook.midtrans");
    let process = one(spans, trace, "worker", "process lunas.webhooks");
    let tell = one(spans, trace, "scheduler", "publish lunas.events");
    assert_eq!(publish.parent_id, request.span_id);
    assert_eq!(process.parent_id, publish.span_id);
    assert_eq!(tell.parent_id, process.span_id);
    // The event names the span that it was written in, and that span lasts beyond the commit.
    assert_eq!(
        event["traceparent"].as_str().unwrap().split('-').nth(2),
        Some(&*process.span_id)
    );
    let written = event["at"].as_u64().unwrap() * 1_000;
    assert!(process.started_at <= written && written <= process.ended_at);
    assert!(tell.started_at >= written);
}

fn one<'a>(spans: &'a [Seen], trace: &str, service: &str, name: &str) -> &'a Seen {
    let of_trace = spans.iter().filter(|span| span.trace_id == trace);
    let found: Vec<&Seen> = of_trace
        .clone()
        .filter(|span| span.service.ends_with(service) && span.name == name)
        .collect();
    let [span] = found[..] else {
        panic!(
            "{} spans {name} of {service} among {:#?}",
            found.len(),
            of_trace.collect::<Vec<_>>()
        );
    };
    span
}

fn trace_of(event: &Value) -> &str {
    let traceparent = event["traceparent"]
        .as_str()
        .expect("an event belongs to a trace");
    traceparent.split('-').nth(1).unwrap()
}
