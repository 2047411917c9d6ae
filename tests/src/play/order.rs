//! One order on its way through a story: the verbs that acts are made of, and the bounded waits.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use shared::store::orders::NewOrder;
use time::OffsetDateTime;

use super::books;
use super::scene::Scene;
use super::shop::Seen;
use super::story::Story;
use crate::harness::{payment_status, try_wait_for, verdicts};
use crate::sim::{SimClient, charge_body};

/// How long an order of the player may stay unpaid.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// An order, and what its story has noted so far.
pub(super) struct Order<'a> {
    scene: &'a Scene,
    story: &'static Story,
    code: String,
    amount: i64,
    paid_at: OnceLock<OffsetDateTime>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The session, where it is not the order's code.
    session: Option<String>,
    /// What ingest answered to what the story posted itself.
    answers: Vec<u16>,
}

impl<'a> Order<'a> {
    pub(super) fn new(scene: &'a Scene, story: &'static Story, code: String) -> Self {
        Self {
            scene,
            story,
            code,
            amount: 1_000 * rand::random_range(25..2_500),
            paid_at: OnceLock::new(),
            notes: Mutex::default(),
        }
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn story(&self) -> &'static Story {
        self.story
    }

    pub(super) fn amount(&self) -> i64 {
        self.amount
    }

    pub(super) fn sim(&self) -> &SimClient {
        &self.scene.sim
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.scene.http
    }

    pub(super) fn webhook_url(&self) -> String {
        format!("{}/webhooks/midtrans", self.scene.ingest)
    }

    /// Host and port of ingest.
    pub(super) fn ingest_addr(&self) -> anyhow::Result<String> {
        let host = self.scene.ingest.strip_prefix("http://");
        Ok(host.context("ingest must be an http:// URL")?.to_owned())
    }

    /// The order as the table names it.
    pub(super) fn shown_code(&self) -> String {
        match self.story.has_order {
            true => self.code.clone(),
            false => "-".to_owned(),
        }
    }

    /// Midtrans' ids of what was paid for it.
    pub(super) fn sessions(&self) -> Vec<String> {
        vec![self.session()]
    }

    /// The one session of this order.
    pub(super) fn session(&self) -> String {
        let session = self.lock().session.clone();
        session.unwrap_or_else(|| self.code.clone())
    }

    /// What ingest answered to what the story posted itself.
    pub(super) fn answers(&self) -> Vec<u16> {
        self.lock().answers.clone()
    }

    /// When the customer paid, by the database's clock.
    pub(super) fn paid_at(&self) -> Option<OffsetDateTime> {
        self.paid_at.get().copied()
    }

    pub(super) fn note_session(&self, session: &str) {
        self.lock().session = Some(session.to_owned());
    }

    pub(super) fn note_answer(&self, status: u16) {
        self.lock().answers.push(status);
    }

    /// The shop places the order.
    pub(super) async fn place(&self) -> anyhow::Result<()> {
        let store = &self.scene.store;
        let order = NewOrder {
            order_code: &self.code,
            user_id: "player",
            gross_amount: self.amount,
            ttl_seconds: TTL.as_secs_f64(),
        };
        let mut txn = store.begin().await?;
        store.orders_create_in_txn(&mut txn, &order).await?;
        Ok(store.commit(txn).await?)
    }

    /// The shop charges; `method` is what is special about the payment type.
    pub(super) async fn charge(&self, method: Value) -> anyhow::Result<Value> {
        let answer = self.sim().charge(&self.code, self.amount, method).await?;
        accepted("the charge", answer)
    }

    /// The same with a notification URL of its own.
    pub(super) async fn charge_notifying(&self, method: Value, url: &str) -> anyhow::Result<Value> {
        let body = charge_body(&self.code, self.amount, method);
        let header = ("X-Override-Notification", url);
        let answer = self.sim().post_with("/v2/charge", body, header).await?;
        accepted("the charge", answer.body)
    }

    /// The customer picks a card on the order's Snap page.
    pub(super) async fn pick(&self, token: &str) -> anyhow::Result<()> {
        let choice = json!({ "payment_type": "credit_card", "token_id": token });
        let path = format!("/sim/snap/{}/pick", self.code);
        let picked = self.sim().post(&path, choice).await?;
        anyhow::ensure!(picked.status == 200, "the page refuses: {}", picked.body);
        Ok(())
    }

    /// The customer pays.
    pub(super) async fn pay(&self) -> anyhow::Result<()> {
        self.customer_pays_now().await?;
        self.step("pay", json!({})).await
    }

    /// Notes the moment of the payment, for the time until it is stored.
    pub(super) async fn customer_pays_now(&self) -> anyhow::Result<()> {
        let now = books::now(&self.scene.pool).await?;
        self.paid_at.get_or_init(|| now);
        Ok(())
    }

    /// A step of customer, bank or network.
    pub(super) async fn step(&self, name: &str, body: Value) -> anyhow::Result<()> {
        self.sim().step(&self.code, name, body).await.map(drop)
    }

    /// A call of the merchant to the gateway about this order.
    pub(super) async fn gateway(&self, call: &str, body: Value) -> anyhow::Result<()> {
        let path = format!("/v2/{}/{call}", self.code);
        let answer = self.sim().post(&path, body).await?;
        anyhow::ensure!(answer.status == 200, "{call}: {}", answer.body);
        accepted(call, answer.body).map(drop)
    }

    /// An operator has Midtrans asked about the order.
    pub(super) async fn sync(&self) -> anyhow::Result<()> {
        let front = self
            .scene
            .front
            .as_ref()
            .context("there is no operators' API")?;
        front.sync(&self.code).await
    }

    /// Waits for the order's status.
    pub(super) async fn wait_until(&self, status: &str) -> anyhow::Result<()> {
        self.wait(status, |seen| seen.order == status).await
    }

    /// Waits for the payment's status.
    pub(super) async fn wait_for_payment(&self, status: &str) -> anyhow::Result<()> {
        self.wait(status, |seen| seen.payment == status).await
    }

    async fn wait(&self, what: &str, is_there: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let waited = try_wait_for(self.scene.patience, async || {
            let seen = self.look().await.map_err(|error| format!("{error:#}"))?;
            is_there(&seen).then_some(()).ok_or(seen.to_string())
        });
        waited
            .await
            .map_err(|seen| anyhow::anyhow!("waited for {what}, it is {seen}"))
    }

    /// Waits until the payment is stored although no order is there.
    pub(super) async fn wait_for_orphan(&self, status: &str) -> anyhow::Result<()> {
        let waited = try_wait_for(self.scene.patience, async || {
            let stored = payment_status(&self.scene.pool, &self.code).await;
            match stored.as_deref() == Some(status) {
                true => Ok(()),
                false => Err(format!("{stored:?}")),
            }
        });
        waited
            .await
            .map_err(|seen| anyhow::anyhow!("waited for an orphan in {status}, it is {seen}"))
    }

    /// Waits until a notification of the session is recorded.
    pub(super) async fn wait_for_record(&self) -> anyhow::Result<()> {
        let session = self.session();
        let waited = try_wait_for(self.scene.patience, async || {
            !verdicts(&self.scene.pool, &session).await.is_empty()
        });
        let waited = waited.await;
        waited.map_err(|_| anyhow::anyhow!("no notification of {session} was recorded"))
    }

    /// Waits for an attempt of the simulator to notify: its status and what followed.
    pub(super) async fn wait_for_attempt(&self, status: &str, verdict: &str) -> anyhow::Result<()> {
        let waited = try_wait_for(self.scene.patience, async || {
            let attempts = self.scene.attempts_of(&self.code).await;
            let attempts = attempts.map_err(|error| format!("{error:#}"))?;
            let there = attempts.iter().any(|attempt| {
                attempt["transaction_status"] == status && attempt["verdict"] == verdict
            });
            there.then_some(()).ok_or("no such attempt".to_owned())
        });
        waited
            .await
            .map_err(|seen| anyhow::anyhow!("waited for {status} to be {verdict}: {seen}"))
    }

    /// Waits for the end that the story must have.
    pub(super) async fn wait_for_its_end(&self) -> Result<(), String> {
        try_wait_for(self.scene.patience, async || {
            let seen = self.look().await.map_err(|error| format!("{error:#}"))?;
            self.story.has_ended(&seen)
        })
        .await
    }

    /// The order now, as its shop sees it.
    pub(super) async fn look(&self) -> anyhow::Result<Seen> {
        self.scene.shop.order(&self.code).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of the gateway, unless it refused. A refused card is an answer too: 202.
fn accepted(what: &str, answer: Value) -> anyhow::Result<Value> {
    let code = answer["status_code"].as_str().unwrap_or_default();
    anyhow::ensure!(
        matches!(code, "200" | "201" | "202"),
        "{what} was refused: {answer}"
    );
    Ok(answer)
}
