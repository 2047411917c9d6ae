//! A live stream resumes where its last event is gone.

use lunas_tests::harness::{BOUND, Fleet, Stage, VIEWER_TOKEN};

use crate::support::{lunas, run};

/// The ids of the first events that a stream tells after `last`, until it has told `wanted`.
async fn told(fleet: &mut Fleet, last: &str, wanted: usize) -> Vec<String> {
    let addr = fleet.api(0).addr("ADMIN_ADDR");
    let request = reqwest::Client::new()
        .get(format!("http://{addr}/admin/events"))
        .bearer_auth(VIEWER_TOKEN)
        .header("Last-Event-ID", last);
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut text = String::new();
    let ids = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("id: "));
        lines.map(str::to_owned).collect()
    };
    let reading = async {
        while ids(&text).len() < wanted {
            let chunk = answer
                .chunk()
                .await
                .unwrap()
                .expect("a stream does not end");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(BOUND, reading).await.unwrap();
    ids(&text)
}

#[tokio::test]
async fn a_stream_whose_last_event_is_removed_goes_on_with_the_oldest_that_is_kept() {
    let stage = Stage::new().await;
    run(
        stage.pool(),
        "INSERT INTO domain_events (event_type, data, created_at, published_at)
         SELECT 'order.paid', '{}', now() - (6 - n) * interval '10 days', now()
         FROM generate_series(1, 5) AS n",
    )
    .await;
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    assert_eq!(told(&mut fleet, "1", 4).await, ["2", "3", "4", "5"]);
    assert_eq!(
        lunas(&stage, &["retention", "--run", "--yes"]).await.code,
        0
    );
    for last in ["0", "1", "3"] {
        assert_eq!(told(&mut fleet, last, 2).await, ["4", "5"], "{last}");
    }
    fleet.stop().await;

    // Nothing is left: a process that knows of no event still tells the next one to somebody who
    // has heard the last.
    run(
        stage.pool(),
        "UPDATE domain_events SET created_at = now() - interval '31 days'",
    )
    .await;
    assert_eq!(
        lunas(&stage, &["retention", "--run", "--yes"]).await.code,
        0
    );
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    let next = tokio::spawn({
        let pool = stage.pool().clone();
        async move {
            run(
                &pool,
                "INSERT INTO domain_events (event_type, data) VALUES ('order.paid', '{}')",
            )
            .await;
        }
    });
    assert_eq!(told(&mut fleet, "5", 1).await, ["6"]);
    next.await.unwrap();
    fleet.stop().await;
}
