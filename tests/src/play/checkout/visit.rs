//! One story in the shop: its shelf, what customers and operator can do, and what is noted of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::front::{Front, Left, Reply};
use super::story::Story;
use super::tell::Bought;
use crate::harness::try_wait_for;
use crate::play::scene::Scene;

/// A story under way.
pub(super) struct Visit<'a> {
    scene: &'a Scene,
    front: &'a Front,
    story: &'static Story,
    /// What is special about the names of this story's wares and customers.
    mark: String,
    notes: Mutex<Notes>,
}

/// What is known of it so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Notes {
    pub(super) sessions: Vec<String>,
    pub(super) bought: Vec<Bought>,
    /// What could be had, every time that it was another number.
    pub(super) places: Vec<i64>,
    pub(super) pieces: Vec<i64>,
}

/// How an order must end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) status: &'static str,
    /// Valid tickets.
    pub(super) tickets: usize,
    /// Whether there is a pickup code.
    pub(super) pickup: bool,
}

impl<'a> Visit<'a> {
    pub(super) fn new(
        scene: &'a Scene,
        front: &'a Front,
        story: &'static Story,
        mark: String,
    ) -> Self {
        Self {
            scene,
            front,
            story,
            mark,
            notes: Mutex::default(),
        }
    }

    pub(super) fn front(&self) -> &Front {
        self.front
    }

    pub(super) fn story(&self) -> &'static Story {
        self.story
    }

    pub(super) fn slot(&self) -> String {
        format!("concert-{}", self.mark)
    }

    pub(super) fn sku(&self) -> String {
        format!("shirt-{}", self.mark)
    }

    /// The operator fills the shelf.
    pub(super) async fn open(&self) -> anyhow::Result<()> {
        let (slot, sku) = (self.slot(), self.sku());
        self.front.stock(&slot, &sku, self.story.stock).await?;
        self.look_at_shelf().await.map(drop)
    }

    /// What can be had now; noted for the table.
    pub(super) async fn look_at_shelf(&self) -> anyhow::Result<Left> {
        let left = self.front.left(&self.slot(), &self.sku()).await?;
        let mut notes = self.lock();
        for (count, seen) in [(left.0, 0), (left.1, 1)] {
            let seen = match seen {
                0 => &mut notes.places,
                _ => &mut notes.pieces,
            };
            if seen.last() != Some(&count) {
                seen.push(count);
            }
        }
        Ok(left)
    }

    /// A customer asks for so many tickets and pieces, under a key.
    pub(super) async fn ask_for(
        &self,
        customer: &str,
        (tickets, pieces): (i64, i64),
    ) -> anyhow::Result<Reply> {
        let lines = [
            json!({ "kind": "ticket", "slot_id": self.slot(), "quantity": tickets }),
            json!({ "kind": "product", "sku": self.sku(), "quantity": pieces }),
        ];
        let items: Vec<&Value> = lines.iter().filter(|line| line["quantity"] != 0).collect();
        let body = json!({
            "user_id": format!("{customer}-{}", self.mark),
            "idempotency_key": format!("cart-{}", self.mark),
            "items": items,
        });
        self.front
            .shop(Method::POST, "/api/orders", Some(body))
            .await
    }

    /// A customer orders two tickets and one piece; the order's code.
    pub(super) async fn order(&self, customer: &str) -> anyhow::Result<String> {
        let placed = self.ask_for(customer, (2, 1)).await?.expect(201)?;
        self.look_at_shelf().await?;
        code_of(&placed)
    }

    /// A click on "pay": the answer.
    pub(super) async fn click(&self, code: &str, method: &Value) -> anyhow::Result<Reply> {
        let mut body = method.clone();
        body["order_code"] = json!(code);
        let asked = self.front.shop(Method::POST, "/api/payments", Some(body));
        let reply = asked.await?;
        if let Some(session) = reply.body["payment"]["session_id"].as_str() {
            let mut notes = self.lock();
            if !notes.sessions.iter().any(|known| known == session) {
                notes.sessions.push(session.to_owned());
            }
        }
        Ok(reply)
    }

    /// The same, which must begin a payment; its session.
    pub(super) async fn begin(&self, code: &str, method: Value) -> anyhow::Result<String> {
        let made = self.click(code, &method).await?.expect(201)?;
        let session = made["payment"]["session_id"].as_str();
        Ok(session.context("a payment without a session")?.to_owned())
    }

    /// Customer, bank or network do something at the gateway.
    pub(super) async fn step(&self, session: &str, step: &str, body: Value) -> anyhow::Result<()> {
        self.scene.sim.step(session, step, body).await.map(drop)
    }

    /// The customer picks a method on the hosted page.
    pub(super) async fn pick(&self, session: &str, choice: Value) -> anyhow::Result<()> {
        let path = format!("/sim/snap/{session}/pick");
        let picked = self.scene.sim.post(&path, choice).await?;
        anyhow::ensure!(picked.status == 200, "the page refuses: {}", picked.body);
        Ok(())
    }

    /// The gateway's transactions of a session.
    pub(super) async fn transactions(&self, session: &str) -> anyhow::Result<Vec<Value>> {
        let path = format!("/sim/transactions?order_id={session}");
        let listed = self.scene.sim.get(&path).await?;
        let listed = listed.body["transactions"].as_array();
        Ok(listed.context("the simulator lists nothing")?.clone())
    }

    /// The order as the shop sees it.
    pub(super) async fn read(&self, code: &str) -> anyhow::Result<Value> {
        let path = format!("/api/orders/{code}");
        self.front.shop(Method::GET, &path, None).await?.expect(200)
    }

    /// Waits for the order's status; the order.
    pub(super) async fn until(&self, code: &str, status: &str) -> anyhow::Result<Value> {
        let waited = try_wait_for(self.scene.patience, async || {
            let order = self
                .read(code)
                .await
                .map_err(|error| format!("{error:#}"))?;
            match order["status"] == status {
                true => Ok(order),
                false => Err(order["status"].to_string()),
            }
        });
        let waited = waited.await;
        waited.map_err(|seen| anyhow::anyhow!("waited for {status}, {code} is {seen}"))
    }

    /// Waits for the order's end and notes it: `whose` where a story has more than one order,
    /// `told` what else is to be said about the end; the order.
    pub(super) async fn ends(
        &self,
        code: &str,
        whose: &str,
        told: &str,
        end: End,
    ) -> anyhow::Result<Value> {
        let order = self.until(code, end.status).await?;
        self.look_at_shelf().await?;
        let mut bought = Bought::of(&order, whose, told);
        bought.wrong = bought.judge(end).err();
        self.lock().bought.push(bought);
        Ok(order)
    }

    /// Notes something that is no order.
    pub(super) fn note(&self, bought: Bought) {
        self.lock().bought.push(bought);
    }

    /// Everything noted.
    pub(super) fn notes(&self) -> Notes {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code in an answer about a placed order.
pub(super) fn code_of(placed: &Value) -> anyhow::Result<String> {
    let code = placed["order"]["order_code"].as_str();
    Ok(code.context("an order without a code")?.to_owned())
}
