//! `lunas dlq list`, `groups` and `show`.

use lunas_tests::harness::{Method, Payment, Stage};
use serde_json::json;

use super::support::{DEAD, bury, bury_bytes, count, keep_waiting, lunas};

/// Three letters of one cause and one of another.
async fn four_letters(stage: &Stage) {
    for number in 1..=3 {
        let session = format!("LNS-{number}");
        let payment = Payment::new(Method::Gopay, &session, 10_000 * number);
        bury(
            stage,
            &payment.settlement(),
            "wrong_currency",
            &format!("order {session}: not IDR"),
        )
        .await;
    }
    bury_bytes(stage, b"\xff\xfe", "undecodable_body", "not UTF-8").await;
    keep_waiting(stage, 4).await;
}

#[tokio::test]
async fn letters_are_listed_by_filter_and_page() {
    let stage = Stage::new().await;
    four_letters(&stage).await;
    let all = lunas(&stage, &["dlq", "list", "--json"]).await.json(0);
    assert_eq!(
        (all["items"].as_array().unwrap().len(), &all["next_cursor"]),
        (4, &json!(null))
    );
    assert!(all["items"][0]["id"].as_i64() > all["items"][3]["id"].as_i64());

    let page = lunas(&stage, &["dlq", "list", "--json", "--limit", "3"])
        .await
        .json(0);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = lunas(&stage, &["dlq", "list", "--json", "--cursor", cursor])
        .await
        .json(0);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);

    for (filter, expected) in [
        (["--reason", "wrong_currency"], 3),
        (["--order-code", "LNS-2"], 1),
        (["--q", "lns-3"], 1),
        (["--q", "\u{fffd}"], 0),
        (["--since", "2026-11-14T03:12:42Z"], 4),
        (["--until", "2026-11-14T03:12:42Z"], 0),
        (["--status", "replayed"], 0),
        (["--status", "all"], 4),
    ] {
        let found = lunas(&stage, &["dlq", "list", "--json", filter[0], filter[1]])
            .await
            .json(0);
        assert_eq!(
            found["items"].as_array().unwrap().len(),
            expected,
            "{filter:?}"
        );
    }
    let text = lunas(&stage, &["dlq", "list"]).await;
    assert!(
        text.out.contains("LNS-2") && text.out.contains("Rp 20.000"),
        "{text:?}"
    );
}

#[tokio::test]
async fn letters_of_one_cause_are_one_group() {
    let stage = Stage::new().await;
    four_letters(&stage).await;
    let groups = lunas(&stage, &["dlq", "groups", "--json"]).await.json(0);
    let largest = &groups["items"][0];
    assert_eq!(groups["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&largest["count"], &largest["amount"]),
        (&json!(3), &json!(60_000))
    );
    let print = largest["fingerprint"].as_str().unwrap();
    let of_it = lunas(&stage, &["dlq", "list", "--json", "--fingerprint", print])
        .await
        .json(0);
    assert_eq!(of_it["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_letter_is_shown_with_everything_it_carried() {
    let stage = Stage::new().await;
    four_letters(&stage).await;
    let ids = lunas(&stage, &["dlq", "list", "--json"]).await.json(0);
    let id = |n: usize| ids["items"][n]["id"].to_string();
    let shown = lunas(&stage, &["dlq", "show", "--json", &id(0), &id(1)])
        .await
        .json(0);
    let text = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["order_code"] == "LNS-3");
    let payload = text.unwrap()["payload"].as_str().unwrap();
    assert!(payload.contains("\"LNS-3\""), "{payload}");
    assert_eq!(text.unwrap()["headers"]["x-lunas-attempt"], 8);
    let binary = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["order_code"].is_null());
    assert_eq!(binary.unwrap()["payload_base64"], "//4=");

    let missing = lunas(&stage, &["dlq", "show", "999999"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.err.contains("999999"), "{missing:?}");
}

#[tokio::test]
async fn a_hostile_letter_cannot_write_to_the_terminal() {
    let stage = Stage::new().await;
    let headers = [
        ("x-lunas-error", "\u{1b}]0;owned\u{7}\u{1b}[2J"),
        ("x-lunas-version", "1"),
    ];
    stage
        .broker()
        .publish(
            DEAD,
            "\u{1b}[31mkey",
            &headers,
            b"{\"order_id\":\"\\u001b[31m\"}",
        )
        .await;
    keep_waiting(&stage, 1).await;
    let id = count(&stage, "SELECT max(id) FROM dead_letters")
        .await
        .to_string();
    for arguments in [
        &["dlq", "list"][..],
        &["dlq", "groups"],
        &["dlq", "show", &id],
    ] {
        let shown = lunas(&stage, arguments).await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(
            !shown.out.contains('\u{1b}'),
            "{arguments:?}: {:?}",
            shown.out
        );
    }
}
