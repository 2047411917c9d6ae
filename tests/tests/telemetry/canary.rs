//! Values that must stay inside, sent through every path, and then looked for in every log, every
//! page of metrics and every span.

use lunas_tests::harness::{Expect, Method, Payment, SERVER_KEY, Shop, Signed};
use serde_json::{Value, json};

use crate::collector::Collector;

const NAME: &str = "Nyai Canary Ontosoroh";
const PHONE: &str = "0899-canary-7781";

#[tokio::test]
async fn no_secret_and_no_customer_ever_surfaces_in_a_log() {
    let collector = Collector::start().await;
    let mut shop = Shop::open_with(|fleet| {
        fleet
            .workers(1)
            .schedulers(1)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .env("CONFIRM_RETRIES", "0")
            .env("MAX_ATTEMPTS", "1")
            // Everything that anybody ever writes.
            .env("RUST_LOG", "trace")
    })
    .await;
    let signatures = every_path(&mut shop).await;
    let mut pages = String::new();
    for process in shop.fleet.processes() {
        pages += &process.health_page("/metrics").await.unwrap().1;
        pages += &process.health_page("/readyz").await.unwrap().1;
    }
    let passwords = [shop.stage().broker().url(), shop.stage().database().url()].map(password);
    let logs: Vec<_> = shop
        .fleet
        .processes()
        .iter()
        .map(|p| p.log_path().to_owned())
        .collect();
    shop.close_expecting(Expect::clean().dead_letters(3)).await;

    let mut canaries = vec![NAME.to_owned(), PHONE.to_owned(), SERVER_KEY.to_owned()];
    // Basic authentication carries the key in base64.
    let key = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{SERVER_KEY}:"));
    canaries.push(key);
    canaries.extend(signatures);
    canaries.extend(passwords.into_iter().flatten());
    let mut read = vec![
        ("metrics".to_owned(), pages),
        ("spans".to_owned(), collector.text()),
    ];
    for path in logs {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(" TRACE "),
            "{} says too little",
            path.display()
        );
        read.push((path.display().to_string(), text));
    }
    for (place, text) in read {
        for canary in &canaries {
            let line = text.lines().find(|line| line.contains(canary.as_str()));
            assert_eq!(line, None, "{canary} surfaced in {place}");
        }
    }
}

/// Good, repeated, forged, refused, dead, orphaned, unreadable; the signatures that were sent.
async fn every_path(shop: &mut Shop) -> Vec<String> {
    shop.order("LNS-1", 48_500).await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 48_500);
    let genuine = [
        payment.pending(),
        payment.settlement(),
        payment.settlement(),
        payment.refund("rf-1"),
        payment.status("unheard_of", "200"),
        payment.expire().field("currency", "USD"),
        payment.settlement().field("gross_amount", "1.50"),
        Payment::new(Method::Gopay, "LNS-9", 48_500)
            .settlement()
            .field("transaction_id", payment.transaction_id()),
    ];
    let mut signatures = Vec::new();
    for sent in genuine {
        let sent = with_customer(sent);
        let body: Value = serde_json::from_slice(&sent.body()).unwrap();
        signatures.push(body["signature_key"].as_str().unwrap().to_owned());
        assert_eq!(shop.post(&sent).await, 200);
        shop.until_posts_are_recorded().await;
    }
    let forged = with_customer(payment.settlement().signed_with(NAME));
    assert_eq!(shop.post(&forged).await, 401);
    let truncated = with_customer(payment.settlement()).body();
    let url = shop.fleet.webhook_url();
    let half = truncated[..truncated.len() - 9].to_vec();
    let client = reqwest::Client::new();
    let answer = lunas_tests::harness::post_bytes(&client, &url, half).await;
    assert_eq!(answer.unwrap(), 400);
    shop.until_verdicts(
        "LNS-1",
        &[
            ("applied", 1),
            ("applied", 2),
            ("refused", 1),
            ("stale", 1),
            ("dead", 1),
            ("dead", 1),
        ],
    )
    .await;
    signatures
}

fn with_customer(sent: Signed) -> Signed {
    sent.field(
        "customer_details",
        json!({"first_name": NAME, "phone": PHONE}),
    )
    .field("payer_phone_number", PHONE)
    .field("custom_field1", NAME)
    .field("status_message", NAME)
    .field("metadata", json!({"order_id": NAME, "who": NAME}))
}

/// The password of a URL, when it has one.
fn password(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split_once('@')?.0;
    authority
        .split_once(':')
        .map(|(_, password)| password.to_owned())
}
