//! Load through the front door: a shop's customers who pay while something breaks, and a Midtrans
//! that sends again whatever got no 200.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lunas_tests::harness::{
    BOUND, Expect, Fleet, Ledger, Method, Payment, Signed, Stage, post_bytes, wait_for,
};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What every order costs.
pub(crate) const AMOUNT: i64 = 150_000;
/// Customers who pay side by side.
const CLIENTS: usize = 8;
/// A notification gets its 200 within this time, whatever happens to the fleet meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two tries of a notification.
const AGAIN: Duration = Duration::from_millis(50);
/// Midtrans hangs up after 5 s.
const HANG_UP: Duration = Duration::from_secs(5);
/// The methods whose customers pay.
const METHODS: [Method; 4] = [Method::Gopay, Method::BcaVa, Method::Qris, Method::Alfamart];

/// Customers who pay until they are told to stop.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Ledger>,
}

struct Shared {
    url: String,
    orders: usize,
    begun: AtomicUsize,
    accepted: AtomicUsize,
    stop: CancellationToken,
    answers: Mutex<Answers>,
}

/// How requests were answered while load ran.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Answers by status; 0 for a line that broke or a client that hung up.
    pub(crate) by_status: BTreeMap<u16, u32>,
    /// The longest that a client waited for an answer.
    pub(crate) slowest: Duration,
}

impl Answers {
    /// Whether there were no answers but these.
    pub(crate) fn only(&self, expected: &[u16]) -> bool {
        self.by_status
            .keys()
            .all(|status| expected.contains(status))
    }
}

/// What load left when it ended.
pub(crate) struct Sent {
    ledger: Ledger,
    /// Orders that were paid.
    pub(crate) orders: usize,
    /// How requests were answered.
    pub(crate) answers: Answers,
}

impl Load {
    /// Makes `orders` orders and lets customers pay them, evenly over that time, so that load
    /// lasts while servers die and return. `url` is where notifications go.
    pub(crate) async fn start(stage: &Stage, url: &str, orders: usize, over: Duration) -> Self {
        insert_orders(stage, orders).await;
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            orders,
            begun: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            answers: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        let pace = over * u32::try_from(CLIENTS).unwrap() / u32::try_from(orders).unwrap();
        for _ in 0..CLIENTS {
            clients.spawn(pay(shared.clone(), pace));
        }
        Self { shared, clients }
    }

    /// Waits until so many more notifications than now got a 200.
    pub(crate) async fn more(&self, count: usize) {
        self.more_within(count, BOUND).await;
    }

    /// The same with another bound.
    pub(crate) async fn more_within(&self, count: usize, bound: Duration) {
        let goal = self.accepted() + count;
        wait_for("more notifications to be accepted", bound, async || {
            let accepted = self.accepted();
            (accepted >= goal).then_some(()).ok_or(format!(
                "{accepted} of {goal}: {:?}",
                self.shared.answers.lock().unwrap()
            ))
        })
        .await;
    }

    /// Waits until so many more requests than now were answered otherwise or not at all.
    pub(crate) async fn more_refused(&self, count: u32) {
        let refused = || {
            let answers = self.shared.answers.lock().unwrap();
            let all = answers.by_status.iter();
            all.filter(|(status, _)| **status != 200)
                .map(|(_, count)| count)
                .sum::<u32>()
        };
        let goal = refused() + count;
        wait_for("requests to be refused", BOUND, async || {
            let refused = refused();
            (refused >= goal)
                .then_some(())
                .ok_or(format!("{refused} of {goal}"))
        })
        .await;
    }

    /// Notifications that got a 200 so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Waits until every order is paid and ends.
    pub(crate) async fn all(self) -> Sent {
        wait_for("every order to be begun", PATIENCE, async || {
            self.shared.begun.load(Ordering::SeqCst) == self.shared.orders
        })
        .await;
        self.end().await
    }

    /// No new orders; what was begun goes on until it has its 200.
    pub(crate) async fn end(mut self) -> Sent {
        self.shared.stop.cancel();
        let mut ledger = Ledger::new();
        while let Some(client) = self.clients.join_next().await {
            ledger.merge(client.unwrap());
        }
        Sent {
            ledger,
            orders: self.shared.begun.load(Ordering::SeqCst),
            answers: std::mem::take(&mut self.shared.answers.lock().unwrap()),
        }
    }
}

impl Sent {
    /// Waits until everything is applied, and checks that nothing was lost, doubled or invented:
    /// each accepted notification is one row, each order is paid, each payment was announced once.
    pub(crate) async fn assert_applied_once(&self, stage: &Stage, bound: Duration) {
        let pool = stage.pool();
        self.ledger.wait_until_recorded(pool, bound).await;
        let orders = i64::try_from(self.orders).unwrap();
        wait_for("every order to be paid", bound, async || {
            let paid: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM orders o JOIN payments p ON p.order_id = o.id
                 WHERE o.status = 'PAID' AND p.status = 'settlement' AND p.paid_at IS NOT NULL
                   AND o.order_code LIKE 'LNS-A%'",
            )
            .fetch_one(pool)
            .await
            .map_err(|error| error.to_string())?;
            (paid == orders)
                .then_some(())
                .ok_or(format!("{paid} of {orders} orders are paid"))
        })
        .await;
        let announced: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT count(*), count(DISTINCT order_code) FROM domain_events
             WHERE event_type = 'order.paid' AND order_code LIKE 'LNS-A%'",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        assert_eq!(announced, [(orders, orders)], "order.paid events, orders");
    }

    /// Checks that nothing was recorded that was not sent, drains and stops the fleet and audits
    /// what it leaves.
    pub(crate) async fn finish(self, fleet: Fleet) {
        self.finish_expecting(fleet, Expect::clean()).await;
    }

    /// The same for a fleet that may leave something.
    pub(crate) async fn finish_expecting(self, fleet: Fleet, expect: Expect) {
        let stage = fleet.stage().clone();
        fleet.finish_expecting(expect).await;
        self.ledger.assert_settled(stage.pool()).await;
    }

    /// Adds what a test sent itself.
    pub(crate) fn note(&mut self, sent: &Signed, answer: Option<u16>) {
        self.ledger.note(sent, answer);
    }
}

/// One after the other, a payment begins and is paid.
async fn pay(shared: Arc<Shared>, pace: Duration) -> Ledger {
    let client = reqwest::Client::builder().timeout(HANG_UP).build().unwrap();
    let mut ledger = Ledger::new();
    let mut pace = interval(pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        if shared.stop.is_cancelled() {
            return ledger;
        }
        let begun = shared
            .begun
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
                (n < shared.orders).then_some(n + 1)
            });
        let Ok(index) = begun else { return ledger };
        let method = METHODS[index % METHODS.len()];
        let payment = Payment::new(method, &code(index), AMOUNT);
        for notification in [payment.pending(), payment.settlement()] {
            shared.deliver(&client, &notification, &mut ledger).await;
        }
    }
}

impl Shared {
    /// Sends a notification until it gets its 200.
    async fn deliver(&self, client: &reqwest::Client, sent: &Signed, ledger: &mut Ledger) {
        let mut again = interval(AGAIN);
        let begun = Instant::now();
        loop {
            again.tick().await;
            let asked = Instant::now();
            let answer = post_bytes(client, &self.url, sent.body()).await.ok();
            ledger.note(sent, answer);
            self.count(answer, asked.elapsed());
            if answer == Some(200) {
                self.accepted.fetch_add(1, Ordering::SeqCst);
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no 200, last {answer:?}");
        }
    }

    fn count(&self, answer: Option<u16>, took: Duration) {
        let mut answers = self.answers.lock().unwrap();
        *answers.by_status.entry(answer.unwrap_or(0)).or_default() += 1;
        if answer.is_some() {
            answers.slowest = answers.slowest.max(took);
        }
    }
}

/// The code of an order of the load, which is the id of its session too.
pub(crate) fn code(index: usize) -> String {
    format!("LNS-A{index}")
}

/// Orders as checkout leaves them, with a session each.
async fn insert_orders(stage: &Stage, count: usize) {
    sqlx::query(
        "WITH made AS (
             INSERT INTO orders (order_code, user_id, status, gross_amount, session_id, expires_at)
             SELECT 'LNS-A' || n, 'user-1', 'PENDING', $2, 'LNS-A' || n, now() + interval '1 day'
             FROM generate_series(0, $1 - 1) AS n
             RETURNING id, session_id)
         INSERT INTO payments (session_id, order_id, origin, user_id, gross_amount)
         SELECT session_id, id, 'checkout', 'user-1', $2 FROM made",
    )
    .bind(i64::try_from(count).unwrap())
    .bind(AMOUNT)
    .execute(stage.pool())
    .await
    .unwrap();
}
