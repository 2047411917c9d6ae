//! Three processes, one budget: together they keep to it, whoever waits goes first, and all of them
//! slow down when Midtrans says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use lunas_tests::harness::{BOUND, Ground, TestDatabase, wait_for};
use lunas_tests::sim::{SimOptions, Simulator};
use serde_json::json;
use shared::domain::Source;
use shared::midtrans::{Gateway, GatewayError, Priority};
use shared::store::gateway_budget::TokensWanted;
use tokio::task::JoinSet;

use crate::support::{gateway, let_pass};

async fn ground() -> (TestDatabase, Simulator) {
    let database = TestDatabase::create(&Ground::of_this_run().database_url).await;
    let sim = Simulator::start(SimOptions::default()).await.unwrap();
    (database, sim)
}

/// Of an order that nobody knows; the answer to that is as good as any.
async fn ask(gateway: &Gateway) -> Result<(), GatewayError> {
    let asked = gateway.status("nobody", "nobody", None, Source::Reconcile);
    asked.await.map(drop)
}

/// The rate as another process sees it.
async fn rate(database: &TestDatabase, per_second: u32) -> f64 {
    let look = TokensWanted {
        per_second,
        count: 0,
        horizon: Duration::ZERO,
        burst: Duration::ZERO,
    };
    let seen = database.store().gateway_budget_take(look).await;
    seen.unwrap().unwrap().rate
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_together_keep_to_the_rate() {
    const RATE: u32 = 60;
    const COUNTED: usize = 300;
    // The burst and what was under way when counting began.
    const SKIPPED: usize = 40;
    for priority in [Priority::Periodic, Priority::Waiting] {
        let (database, sim) = ground().await;
        let gateways = [0; 3].map(|_| gateway(&database, &sim, RATE).with_priority(priority));
        let mut asking = JoinSet::new();
        for gateway in &gateways {
            for _ in 0..20 {
                let gateway = gateway.clone();
                asking.spawn(async move {
                    let mut answered = Vec::new();
                    for _ in 0..(SKIPPED + COUNTED).div_ceil(60) {
                        ask(&gateway).await.unwrap();
                        answered.push(Instant::now());
                    }
                    answered
                });
            }
        }
        let mut answered: Vec<Instant> = asking.join_all().await.into_iter().flatten().collect();
        answered.sort();
        let took = answered[SKIPPED + COUNTED - 1] - answered[SKIPPED - 1];
        let rate = COUNTED as f64 / took.as_secs_f64();
        let full = f64::from(RATE);
        assert!(
            (rate / full - 1.0).abs() <= 0.05,
            "{priority:?}: {rate} a second, not {full}"
        );
        sim.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_answer_overtakes_two_hundred_periodic_questions() {
    const RATE: u32 = 20;
    let (database, sim) = ground().await;
    let reconciler = gateway(&database, &sim, RATE).with_priority(Priority::Periodic);
    let answered = Arc::new(AtomicUsize::new(0));
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let (gateway, answered) = (reconciler.clone(), answered.clone());
        asking.spawn(async move {
            ask(&gateway).await.unwrap();
            answered.fetch_add(1, Ordering::Relaxed);
        });
    }
    wait_for(
        "the first periodic questions to be answered",
        BOUND,
        async || {
            let count = answered.load(Ordering::Relaxed);
            if count >= 10 { Ok(()) } else { Err(count) }
        },
    )
    .await;
    // In the process of the reconciler and in another one.
    for operator in [
        reconciler.with_priority(Priority::Waiting),
        gateway(&database, &sim, RATE),
        gateway(&database, &sim, RATE).with_priority(Priority::Confirm),
    ] {
        let before = answered.load(Ordering::Relaxed);
        ask(&operator).await.unwrap();
        let overtaken_by = answered.load(Ordering::Relaxed) - before;
        // A horizon of 250 ms is five of them, and another five may be under way.
        assert!(overtaken_by <= 12, "{overtaken_by} went first");
    }
    assert!(answered.load(Ordering::Relaxed) < 100);
    asking.abort_all();
    sim.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_people_leaves_nothing_to_what_is_periodic_until_it_ends() {
    let (database, sim) = ground().await;
    let people = gateway(&database, &sim, 20);
    let reconciler = gateway(&database, &sim, 20).with_priority(Priority::Periodic);
    let began = Instant::now();
    let (asked, periodic) = tokio::join!(join_all((0..40).map(|_| ask(&people))), async {
        // The people are in the line before it.
        wait_for("people to wait", BOUND, async || {
            match rate_is_taken(&database).await {
                true => Ok(()),
                false => Err("nobody waits"),
            }
        })
        .await;
        ask(&reconciler).await.map(|()| began.elapsed())
    });
    assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    // Forty at 20 a second, but for the burst.
    assert!(periodic.unwrap() >= Duration::from_millis(1_400));
    sim.stop().await.unwrap();
}

/// Whether tokens are taken for more than a second ahead.
async fn rate_is_taken(database: &TestDatabase) -> bool {
    let query = "SELECT due_at > clock_timestamp() + interval '1 second' FROM gateway_budget";
    let taken = sqlx::query_scalar(query).fetch_one(database.pool());
    taken.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_halves_the_rate_of_all_processes_once_and_it_recovers() {
    let (database, sim) = ground().await;
    let midtrans = sim.client().unwrap();
    let (one, two) = (gateway(&database, &sim, 20), gateway(&database, &sim, 20));
    ask(&one).await.unwrap();
    ask(&two).await.unwrap();
    assert!((rate(&database, 20).await - 20.0).abs() < 0.01);

    // Both are under way when the first is refused: they say the same.
    let refused = json!({"times": 2, "api": {"answer": "too_many_requests", "delay_ms": 500}});
    midtrans.arm(refused).await.unwrap();
    let (first, second) = tokio::join!(ask(&one), ask(&two));
    let began = Instant::now();
    // Asked again after the pause.
    first.unwrap();
    second.unwrap();
    let halved = rate(&database, 20).await;
    assert!((10.0..=11.0).contains(&halved), "{halved}");

    // Half of what is missing after half a minute, nothing after a minute.
    let missing = 20.0 - halved;
    let_pass(&database, 30.0).await;
    let later = rate(&database, 20).await;
    let passed = began.elapsed().as_secs_f64();
    assert!(
        (later - (20.0 - missing / 2.0)).abs() < 0.5 + passed,
        "{halved} became {later}"
    );
    let_pass(&database, 30.0).await;
    assert!((rate(&database, 20).await - 20.0).abs() < 0.5);
    ask(&two).await.unwrap();
    sim.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_one_process_was_told_holds_for_the_other() {
    let (database, sim) = ground().await;
    let other = gateway(&database, &sim, 20);
    let pause = Duration::from_secs(60);
    let told = database.store();
    let halved = told.gateway_budget_reduce(20, pause, Duration::ZERO).await;
    assert!(halved.unwrap());
    let again = told.gateway_budget_reduce(20, pause, Duration::from_secs(5));
    assert!(!again.await.unwrap(), "an older request halved it again");
    let error = ask(&other).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::BudgetExhausted { .. }),
        "{error:?}"
    );
    assert!(error.retry_after() > Some(Duration::from_secs(50)));
    let_pass(&database, 60.0).await;
    ask(&other).await.unwrap();
    sim.stop().await.unwrap();
}
