//! `lunas dlq discard`.

use lunas_tests::harness::Stage;

use super::support::{bury_bytes, count, keep_waiting, lunas};

async fn three_letters(stage: &Stage) -> Vec<i64> {
    for body in [&b"1"[..], b"2", b"3"] {
        bury_bytes(stage, body, "undecodable_body", "not an object").await;
    }
    keep_waiting(stage, 3).await;
    let ids = sqlx::query_scalar("SELECT id FROM dead_letters ORDER BY id");
    ids.fetch_all(stage.pool()).await.unwrap()
}

#[tokio::test]
async fn discarding_needs_a_reason_and_a_word_about_which() {
    let stage = Stage::new().await;
    let ids = three_letters(&stage).await;
    let id = ids[0].to_string();
    for arguments in [
        &["dlq", "discard", &id][..],
        &["dlq", "discard", &id, "--why", "  "],
        &["dlq", "discard", "--why", "noise"],
        // More than one thing, nobody to ask, and no --yes.
        &["dlq", "discard", "--all", "--why", "noise"],
    ] {
        let refused = lunas(&stage, arguments).await;
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
    }
    assert_eq!(
        count(
            &stage,
            "SELECT count(*) FROM dead_letters WHERE status = 'dead'"
        )
        .await,
        3
    );
    assert_eq!(
        count(&stage, "SELECT count(*) FROM dead_letter_actions").await,
        0
    );
}

#[tokio::test]
async fn a_discarded_letter_stays_with_who_and_why_and_is_not_replayed() {
    let stage = Stage::new().await;
    let ids = three_letters(&stage).await;
    let (first, second) = (ids[0].to_string(), ids[1].to_string());
    let one = lunas(
        &stage,
        &["dlq", "discard", &first, "--why", "a probe", "--json"],
    )
    .await
    .json(0);
    assert_eq!(one["discarded"], serde_json::json!([ids[0]]));
    let again = [
        "dlq", "discard", &first, &second, "--why", "a probe", "--yes", "--json",
    ];
    let again = lunas(&stage, &again).await.json(1);
    assert_eq!(again["discarded"], serde_json::json!([ids[1]]));
    assert_eq!(again["skipped"], serde_json::json!([ids[0]]));

    let actions = "SELECT count(*) FROM dead_letter_actions
                   WHERE action = 'discard' AND actor = 'budi' AND why = 'a probe'";
    assert_eq!(count(&stage, actions).await, 2);
    let replay = ["dlq", "replay", &first, "--why", "x", "--json"];
    let replay = lunas(&stage, &replay).await.json(1);
    assert_eq!(replay["skipped"], serde_json::json!([ids[0]]));
    assert_eq!(stage.broker().depth("lunas.webhooks").await, 0);
}
