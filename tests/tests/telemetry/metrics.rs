//! `/metrics`: well-formed, and the loss ledger adds up.

use std::collections::{BTreeMap, BTreeSet};

use lunas_tests::harness::{BOUND, Expect, Fleet, Method, Payment, Shop, Signed, wait_for};
use serde_json::json;

#[tokio::test]
async fn every_metric_is_named_and_explained_as_prometheus_wants_it() {
    let mut shop = Shop::open_with(|fleet| fleet.workers(1).schedulers(1)).await;
    shop.order("LNS-1", 5_000).await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 5_000);
    assert_eq!(shop.post(&payment.settlement()).await, 200);
    assert_eq!(shop.post(&payment.settlement().signed_with("x")).await, 401);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    for process in shop.fleet.processes() {
        let (status, page) = process.health_page("/metrics").await.unwrap();
        assert_eq!(status, 200);
        let faults = lint(&page);
        assert!(faults.is_empty(), "{}: {faults:#?}", process.name());
    }
    shop.close().await;
}

/// What is wrong with a page in the text format.
fn lint(page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut helps, mut types) = (BTreeSet::new(), BTreeMap::new());
    for line in page.lines().filter(|line| line.starts_with('#')) {
        let mut words = line.splitn(4, ' ').skip(1);
        let (what, name, text) = (words.next(), words.next(), words.next());
        match (what, name, text) {
            (Some("HELP"), Some(name), Some(text)) if !text.trim().is_empty() => {
                if !helps.insert(name) {
                    faults.push(format!("explained twice: {name}"));
                }
            }
            (Some("TYPE"), Some(name), Some(kind)) => {
                if types.insert(name, kind).is_some() {
                    faults.push(format!("typed twice: {name}"));
                }
            }
            _ => faults.push(format!("not understood: {line}")),
        }
    }
    for line in page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|family| types.get(family) == Some(&"histogram"))
            .unwrap_or(name);
        let kind = types.get(family).copied().unwrap_or("missing");
        let known = family.starts_with("lunas_")
            || family.starts_with("http_server_")
            || family.starts_with("process_");
        let well_named = known
            && family
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && (kind == "counter") == family.ends_with("_total");
        let valued = line
            .rsplit(' ')
            .next()
            .is_some_and(|value| value.parse::<f64>().is_ok());
        if !helps.contains(family) || kind == "missing" || !well_named || !valued {
            faults.push(format!("{kind}: {line}"));
        }
    }
    faults
}

#[tokio::test]
async fn the_loss_ledger_adds_up_after_a_mixed_load() {
    let mut shop = Shop::open_with(|fleet| {
        let fleet = fleet.workers(2).env("CONFIRM_RETRIES", "1");
        fleet.env("MAX_ATTEMPTS", "2")
    })
    .await;
    shop.order_and_charge("LNS-1", 48_500, json!({"payment_type": "gopay"}))
        .await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    // Unconfirmed, then applied, and again; unconfirmed, then refused; never heard of.
    shop.step("LNS-1", "refund", json!({"amount": 500, "confirm": "now"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "PARTIALLY_REFUNDED"}))
        .await;
    let strange = Payment::new(Method::Gopay, "LNS-2", 48_500);
    shop.order("LNS-2", 48_500).await;
    assert_eq!(shop.post(&strange.settlement()).await, 200);
    shop.until_order("LNS-2", json!({"status": "PAID"})).await;
    for sent in mixed(&strange) {
        assert_eq!(shop.post(&sent).await, 200);
    }
    for _ in 0..2 {
        let test = shop
            .midtrans
            .post("/sim/test-notification", json!({}))
            .await;
        assert_eq!(test.unwrap().status, 200);
    }
    shop.until_verdicts(
        "LNS-2",
        &[
            ("applied", 3),
            ("stale", 1),
            ("stale", 1),
            ("refused", 1),
            ("refused", 1),
            ("dead", 1),
            ("dead", 1),
        ],
    )
    .await;

    let settled = until_the_ledger_is_even(&mut shop.fleet).await;
    // Six of the simulator's (charge, payment, two of the refund, two tests) and eleven of ours.
    let accepted: f64 = settled.values().sum();
    assert_eq!(accepted, 17.0, "{settled:?}");
    assert_eq!(settled["dead"], 3.0, "{settled:?}");
    assert_eq!(settled["test"], 2.0, "{settled:?}");
    assert_eq!(settled["duplicate"], 2.0, "{settled:?}");
    assert_eq!(settled["stale"], 2.0, "{settled:?}");
    shop.close_expecting(Expect::clean().dead_letters(3)).await;
}

/// Everything that can become of a notification of an order that is paid.
fn mixed(strange: &Payment) -> Vec<Signed> {
    vec![
        strange.refund("rf-1"),
        strange.chargeback(),
        // Duplicates, stale ones, an unknown status, dead ones, an orphan.
        strange.settlement(),
        strange.settlement(),
        strange.pending(),
        strange.status("unheard_of", "200"),
        strange.expire().field("currency", "USD"),
        strange.settlement().field("gross_amount", "1.50"),
        // A contradiction: this transaction belongs to another session.
        Payment::new(Method::Gopay, "LNS-3", 48_500)
            .settlement()
            .field("transaction_id", strange.transaction_id()),
        Payment::new(Method::Gopay, "LNS-2-2", 48_500).settlement(),
    ]
}

/// Waits until nothing is in flight by the figures of the processes; what settled, by verdict.
async fn until_the_ledger_is_even(fleet: &mut Fleet) -> BTreeMap<&'static str, f64> {
    let accepted = fleet
        .ingest(0)
        .metric("lunas_ingest_accepted_total", &[])
        .await;
    wait_for("accepted to equal settled", BOUND, async || {
        let mut settled = BTreeMap::new();
        for verdict in [
            "applied",
            "duplicate",
            "stale",
            "unconfirmed",
            "refused",
            "test",
            "dead",
        ] {
            let label = format!("verdict=\"{verdict}\"");
            let mut count = 0.0;
            for worker in 0..2 {
                let worker = fleet.worker(worker);
                count += worker
                    .metric("lunas_notifications_settled_total", &[&label])
                    .await;
            }
            settled.insert(verdict, count);
        }
        let sum: f64 = settled.values().sum();
        if sum == accepted {
            Ok(settled)
        } else {
            Err(format!("{accepted} = {settled:?}"))
        }
    })
    .await
}
