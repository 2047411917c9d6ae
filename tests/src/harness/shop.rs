//! A shop: a fleet with the simulator as its gateway, for stories that Midtrans takes part in.

use serde_json::{Value, json};

use super::{
    BOUND, Expect, Fleet, FleetBuilder, Kind, Ledger, OrderRow, Signed, Stage, post_bytes, wait_for,
};
use crate::sim::{SimClient, SimOptions, Simulator};

/// A running fleet, its gateway, and a ledger of everything the gateway or the test sent.
pub struct Shop {
    /// The processes.
    pub fleet: Fleet,
    /// The gateway, for what only its owner can do.
    pub sim: Simulator,
    /// Calls of the gateway: charges, and what customers and banks do.
    pub midtrans: SimClient,
    stage: Stage,
    ledger: Ledger,
    client: reqwest::Client,
}

impl Shop {
    /// One ingest, one worker.
    pub async fn open() -> Self {
        Self::open_with(|fleet| fleet.workers(1)).await
    }

    /// One ingest, and the fleet as `shape` makes it.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn open_with(shape: impl FnOnce(FleetBuilder) -> FleetBuilder) -> Self {
        let stage = Stage::new().await;
        // Retries and refund confirmations come at once; nothing expires by itself.
        let options = SimOptions {
            time_scale: 1_000.0,
            expiry_scale: Some(0.0),
            ..SimOptions::default()
        };
        let sim = Simulator::start(options).await.expect("a simulator starts");
        let fleet = Fleet::builder(&stage)
            .ingest(1)
            .gateway(&sim.base_url())
            .env_of(Kind::Worker, "CONFIRM_INTERVAL", "500ms")
            .env_of(Kind::Worker, "MIDTRANS_RPS", "500");
        let mut fleet = shape(fleet).start().await;
        sim.set_notify_url(&fleet.webhook_url());
        Self {
            midtrans: sim.client().expect("a simulator has a client"),
            fleet,
            sim,
            stage,
            ledger: Ledger::new(),
            client: reqwest::Client::new(),
        }
    }

    /// The test's database and virtual host.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Puts an order into the tables, as checkout would.
    pub async fn order(&self, code: &str, amount: i64) -> i64 {
        OrderRow::pending(code, amount)
            .insert(self.stage.pool())
            .await
    }

    /// An order and its charge; the charge's answer.
    ///
    /// # Panics
    /// When the gateway refuses.
    pub async fn order_and_charge(&self, code: &str, amount: i64, method: Value) -> Value {
        self.order(code, amount).await;
        self.charge(code, amount, method).await
    }

    /// Charges at the gateway, with the session's id.
    ///
    /// # Panics
    /// When the gateway refuses.
    pub async fn charge(&self, session: &str, amount: i64, method: Value) -> Value {
        let answer = self.midtrans.charge(session, amount, method).await;
        let answer = answer.expect("the gateway answers");
        let code = answer["status_code"].as_str().unwrap_or_default();
        assert!(code.starts_with("20"), "the charge was refused: {answer}");
        answer
    }

    /// What customer, bank or fraud desk do: `pay`, `expire`, `refund`, …
    ///
    /// # Panics
    /// When the state of the transaction forbids it.
    pub async fn step(&self, session: &str, step: &str, body: Value) -> Value {
        let done = self.midtrans.step(session, step, body).await;
        done.expect("the gateway does as it is told")
    }

    /// Arms a trick of the simulator.
    ///
    /// # Panics
    /// When there is no such trick.
    pub async fn trick(&self, trick: Value) {
        self.midtrans.arm(trick).await.expect("the trick is known");
    }

    /// Posts a notification of the test's own making; the answer's status.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&mut self, sent: &Signed) -> u16 {
        let url = self.fleet.webhook_url();
        let answer = post_bytes(&self.client, &url, sent.body()).await;
        let answer = answer.expect("ingest answers");
        self.ledger.note(sent, Some(answer));
        answer
    }

    /// Posts any body of the test's own making; the answer's status.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post_json(&mut self, body: &Value) -> u16 {
        let url = self.fleet.webhook_url();
        let answer = post_bytes(&self.client, &url, body.to_string().into_bytes()).await;
        let answer = answer.expect("ingest answers");
        self.ledger.note_body(body, Some(answer));
        answer
    }

    /// Sends a notification that is not a classic one by way of the simulator; what the simulator
    /// tells about it. A BI-SNAP payment that is recorded like a classic one is to be noted.
    ///
    /// # Panics
    /// When it was not sent.
    pub async fn notice(&mut self, order: Value) -> Value {
        let sent = self.midtrans.post("/sim/notices", order).await;
        let sent = sent.expect("the simulator answers");
        assert_eq!(sent.status, 200, "{}", sent.body);
        sent.body
    }

    /// Notes a body that was sent otherwise in the ledger.
    pub fn note(&mut self, body: &Value, answer: Option<u16>) {
        self.ledger.note_body(body, answer);
    }

    /// Waits until everything that the test itself posted is recorded.
    pub async fn until_posts_are_recorded(&self) {
        self.ledger
            .wait_until_recorded(self.stage.pool(), BOUND)
            .await;
    }

    /// The one row of a query about one thing, as JSON: `SELECT to_jsonb(o) FROM orders o WHERE
    /// order_code = $1`. Null when there is none.
    ///
    /// # Panics
    /// When the query fails.
    pub async fn row(&self, query: &'static str, about: &str) -> Value {
        let row = sqlx::query_scalar(query)
            .bind(about)
            .fetch_optional(self.stage.pool());
        row.await
            .expect("the query is right")
            .unwrap_or(Value::Null)
    }

    /// An order's row.
    pub async fn order_row(&self, code: &str) -> Value {
        let query = "SELECT to_jsonb(o) FROM orders o WHERE order_code = $1";
        self.row(query, code).await
    }

    /// A session's row.
    pub async fn payment_row(&self, session: &str) -> Value {
        let query = "SELECT to_jsonb(p) FROM payments p WHERE session_id = $1";
        self.row(query, session).await
    }

    /// The newest transaction of a session.
    pub async fn transaction_row(&self, session: &str) -> Value {
        let query = "SELECT to_jsonb(t) FROM payment_transactions t
                     JOIN payments p ON p.id = t.payment_id
                     WHERE p.session_id = $1 ORDER BY t.id DESC LIMIT 1";
        self.row(query, session).await
    }

    /// Waits until an order's row is as described, field by field; the row.
    pub async fn until_order(&self, code: &str, wanted: Value) -> Value {
        let what = format!("order {code} to be {wanted}");
        wait_for(&what, BOUND, async || {
            agrees(self.order_row(code).await, &wanted)
        })
        .await
    }

    /// Waits until a session's row is as described; the row.
    pub async fn until_payment(&self, session: &str, wanted: Value) -> Value {
        let what = format!("payment {session} to be {wanted}");
        wait_for(&what, BOUND, async || {
            agrees(self.payment_row(session).await, &wanted)
        })
        .await
    }

    /// Waits until a session's notifications have these verdicts with these numbers of
    /// deliveries, in any order.
    pub async fn until_verdicts(&self, session: &str, wanted: &[(&str, i32)]) {
        let mut wanted: Vec<_> = wanted.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect();
        wanted.sort_unstable();
        let what = format!("the notifications of {session} to be {wanted:?}");
        wait_for(&what, BOUND, async || {
            let mut seen = super::verdicts(self.stage.pool(), session).await;
            seen.sort_unstable();
            if seen == wanted {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
        .await;
    }

    /// Stops the worker, for rows that are damaged by hand; such a story is not closed.
    pub async fn stop_worker(&mut self) {
        self.fleet.worker(0).kill9().await;
    }

    /// Ends the story: everything sent is delivered and recorded exactly once, the fleet drains
    /// and stops, nothing is left.
    pub async fn close(self) {
        self.close_expecting(Expect::clean()).await;
    }

    /// The same, with what is allowed to be left.
    ///
    /// # Panics
    /// When more or less is left.
    pub async fn close_expecting(mut self, expect: Expect) {
        assert!(
            self.sim.wait_idle(BOUND).await,
            "the gateway still sends: {:?}",
            self.sim.traffic()
        );
        for attempt in self.sim.log() {
            if attempt.attempt > 0 {
                self.ledger.note_body(&attempt.body, attempt.http_status);
            }
        }
        let pool = self.stage.pool();
        self.ledger.wait_until_recorded(pool, BOUND).await;
        self.fleet.finish_expecting(expect).await;
        self.ledger.assert_settled(pool).await;
        self.sim.stop().await.expect("the simulator stops");
    }
}

/// Whether a row has every wanted field, with the wanted value.
fn agrees(row: Value, wanted: &Value) -> Result<Value, String> {
    let wrong: Vec<_> = wanted
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| row[name.as_str()] != **value)
        .map(|(name, _)| json!({ name.as_str(): row[name.as_str()] }).to_string())
        .collect();
    if wrong.is_empty() && !row.is_null() {
        return Ok(row);
    }
    Err(if row.is_null() {
        "no row".to_owned()
    } else {
        wrong.join(", ")
    })
}
