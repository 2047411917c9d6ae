//! The budget's arithmetic, which is the database's: against a model of it, with time that passes
//! by moving the row.

use std::time::{Duration, Instant};

use futures::future::join_all;
use lunas_tests::harness::{Ground, TestDatabase};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared::store::gateway_budget::{TokensGiven, TokensWanted};

use crate::support::let_pass;

const BURST: Duration = Duration::from_millis(250);
/// What a busy machine adds to the time that passes.
const SLACK: f64 = 0.25;

/// Something that happens after a while.
#[derive(Debug, Clone, Copy)]
enum Step {
    Take { count: u32, horizon: f64 },
    Limited { pause: f64, age: f64 },
}

fn steps() -> impl Strategy<Value = Vec<(f64, Step)>> {
    let take = (1_u32..60, 0.0..3.0_f64).prop_map(|(count, horizon)| Step::Take { count, horizon });
    let limited =
        (0.0..5.0_f64, 0.0..10.0_f64).prop_map(|(pause, age)| Step::Limited { pause, age });
    let gap = prop_oneof![8 => 0.0..0.4_f64, 1 => 0.4..90.0_f64];
    prop::collection::vec((gap, prop_oneof![9 => take, 1 => limited]), 1..60)
}

/// What the row should say, by a clock of its own.
struct Model {
    began: Instant,
    moved: f64,
    share: f64,
    closed_until: f64,
    reduced_at: Option<f64>,
    /// When each token was due.
    sent: Vec<f64>,
}

impl Model {
    fn now(&self) -> f64 {
        self.moved + self.began.elapsed().as_secs_f64()
    }

    fn share_at(&self, now: f64) -> f64 {
        let since = (now - self.closed_until).max(0.0);
        (self.share + (1.0 - self.share) * since / 60.0).min(1.0)
    }

    fn limit(&mut self, rate: f64, pause: f64, age: f64, halved: bool) {
        let now = self.now();
        let left = self.share_at(now);
        let expected = self.reduced_at.is_none_or(|at| at < now - age);
        let near = self
            .reduced_at
            .is_some_and(|at| (at - (now - age)).abs() < SLACK);
        assert!(near || halved == expected, "halved: {halved}");
        self.share = if halved {
            (left / 2.0).max(1.0 / rate).min(1.0)
        } else {
            left
        };
        if halved {
            self.reduced_at = Some(now);
        }
        self.closed_until = self.closed_until.max(now + pause);
    }

    fn take(&mut self, given: &TokensGiven, count: u32, horizon: f64, rate: f64) {
        let now = self.now();
        let expected = rate * self.share_at(now);
        assert!(
            (given.rate / expected - 1.0).abs() < 0.05,
            "{} is not {expected}",
            given.rate
        );
        assert!(given.count <= count);
        let due = |n: u32| given.due_in(n).as_secs_f64();
        if given.count < count {
            // All that fits was given.
            assert!(due(given.count) > horizon - 1e-3, "{given:?}");
        }
        if given.count == 0 {
            return;
        }
        assert!(due(given.count - 1) <= horizon + 1e-3, "{given:?}");
        assert!(now + due(0) > self.closed_until - SLACK, "{given:?}");
        self.sent.extend((0..given.count).map(|n| now + due(n)));
    }
}

#[test]
fn no_second_sees_more_than_the_rate_and_a_burst_and_the_rate_is_what_the_clock_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::create(&Ground::of_this_run().database_url));
    let mut runner = TestRunner::new(Config {
        cases: 40,
        ..Config::default()
    });
    let done = runner.run(&(1_u32..300, steps()), |(rate, steps)| {
        runtime.block_on(play(&database, rate, &steps));
        Ok(())
    });
    done.unwrap();
}

async fn play(database: &TestDatabase, per_second: u32, steps: &[(f64, Step)]) {
    let store = database.store();
    let fresh = "UPDATE gateway_budget SET due_at = now() - interval '1 day', share = 1,
                     closed_until = now() - interval '1 day', reduced_at = NULL";
    sqlx::query(fresh).execute(database.pool()).await.unwrap();
    let rate = f64::from(per_second);
    let mut model = Model {
        began: Instant::now(),
        moved: 0.0,
        share: 1.0,
        closed_until: f64::MIN,
        reduced_at: None,
        sent: Vec::new(),
    };
    for (gap, step) in steps {
        let_pass(database, *gap).await;
        model.moved += gap;
        match *step {
            Step::Limited { pause, age } => {
                let (wait, old) = (Duration::from_secs_f64(pause), Duration::from_secs_f64(age));
                let halved = store.gateway_budget_reduce(per_second, wait, old).await;
                model.limit(rate, pause, age, halved.unwrap());
            }
            Step::Take { count, horizon } => {
                let wanted = TokensWanted {
                    per_second,
                    count,
                    horizon: Duration::from_secs_f64(horizon),
                    burst: BURST,
                };
                let given = store.gateway_budget_take(wanted).await.unwrap().unwrap();
                model.take(&given, count, horizon, rate);
            }
        }
    }
    let sent = &mut model.sent;
    sent.sort_by(f64::total_cmp);
    let most = rate * (1.0 + BURST.as_secs_f64() + SLACK) + 2.0;
    for (index, first) in sent.iter().enumerate() {
        let within = sent[index..].iter().take_while(|at| **at < first + 1.0);
        let count = within.count() as f64;
        assert!(count <= most, "{count} of {most} in a second");
    }
}

#[tokio::test]
async fn tokens_taken_at_the_same_instant_are_due_one_after_the_other() {
    let database = TestDatabase::create(&Ground::of_this_run().database_url).await;
    let wanted = TokensWanted {
        per_second: 10,
        count: 3,
        horizon: Duration::from_secs(3_600),
        burst: Duration::ZERO,
    };
    let stores: Vec<_> = (0..8).map(|_| database.store()).collect();
    let taking = stores.iter().flat_map(|store| {
        (0..10).map(move |_| async move {
            let given = store.gateway_budget_take(wanted).await.unwrap().unwrap();
            assert_eq!(given.count, 3);
            given.due_in(0)
        })
    });
    let began = Instant::now();
    let mut due = join_all(taking).await;
    let took = began.elapsed();
    due.sort();
    // 80 times three tokens of 100 ms, as if one had asked after the other.
    let spread = due[due.len() - 1] - due[0];
    let wanted = Duration::from_millis(79 * 300);
    assert!(
        spread <= wanted + took && spread + took >= wanted,
        "{spread:?} and not {wanted:?} within {took:?}"
    );
}
