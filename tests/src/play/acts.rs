//! What each story does: the customer, the bank, the merchant and the network in turn.
//!
//! Each act goes only as far as the simulator; that the fleet follows is waited for elsewhere,
//! except where the next step is meant to come after the fleet has seen the last one.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::order::Order;
use crate::harness::{Method, Payment, Proxy, post_bytes};
use crate::sim::charge_body;

type Done = anyhow::Result<()>;

/// Cards of the simulator: what bank and fraud system say is in the number.
const GOOD_CARD: &str = "481111-1114-played";
const CHALLENGED_CARD: &str = "451111-1117-played";
const REFUSED_CARD: &str = "491111-1113-played";

fn gopay() -> Value {
    json!({ "payment_type": "gopay" })
}

fn bank(name: &str) -> Value {
    json!({ "payment_type": "bank_transfer", "bank_transfer": { "bank": name } })
}

fn card(token: &str) -> Value {
    json!({ "payment_type": "credit_card", "credit_card": { "token_id": token } })
}

pub(super) async fn paid_by_gopay(order: &Order<'_>) -> Done {
    order.place().await?;
    order.charge(gopay()).await?;
    order.pay().await
}

pub(super) async fn paid_by_bca(order: &Order<'_>) -> Done {
    order.place().await?;
    order.charge(bank("bca")).await?;
    order.pay().await
}

pub(super) async fn reversed(order: &Order<'_>) -> Done {
    order.place().await?;
    order.charge(bank("permata")).await?;
    order.pay().await?;
    order.wait_until("PAID").await?;
    order.step("reverse", json!({})).await
}

pub(super) async fn challenge_accepted(order: &Order<'_>) -> Done {
    order.place().await?;
    order.charge(card(CHALLENGED_CARD)).await?;
    order.wait_for_payment("capture").await?;
    order.customer_pays_now().await?;
    order.gateway("approve", json!({})).await
}

pub(super) async fn challenge_denied(order: &Order<'_>) -> Done {
    order.place().await?;
    order.charge(card(CHALLENGED_CARD)).await?;
    order.wait_for_payment("capture").await?;
    order.gateway("deny", json!({})).await
}

pub(super) async fn expired(order: &Order<'_>) -> Done {
    order.place().await?;
    order.charge(json!({ "payment_type": "qris" })).await?;
    order.step("expire", json!({})).await
}

/// On a Snap page, where a refused card does not end the session.
pub(super) async fn denied_then_paid(order: &Order<'_>) -> Done {
    order.place().await?;
    let page = charge_body(order.code(), order.amount(), json!({}));
    let opened = order.sim().post("/snap/v1/transactions", page).await?;
    anyhow::ensure!(opened.status == 201, "no Snap page: {}", opened.body);
    order.pick(REFUSED_CARD).await?;
    order.wait_for_payment("deny").await?;
    order.customer_pays_now().await?;
    order.pick(GOOD_CARD).await
}

pub(super) async fn refunded(order: &Order<'_>) -> Done {
    paid_by_gopay(order).await?;
    order.wait_until("PAID").await?;
    order.step("refund", json!({ "reason": "sold out" })).await
}

pub(super) async fn partly_refunded(order: &Order<'_>) -> Done {
    paid_by_gopay(order).await?;
    order.wait_until("PAID").await?;
    let part = json!({ "amount": order.amount() / 3, "reason": "one item broken" });
    order.step("refund", part).await
}

/// The pending notification is held back until the settlement has been applied.
pub(super) async fn out_of_order(order: &Order<'_>) -> Done {
    order.place().await?;
    let held = json!({ "order_id": order.code(), "on": ["pending"], "hold": true });
    order.sim().arm(held).await?;
    order.charge(bank("bni")).await?;
    order.pay().await?;
    order.wait_until("PAID").await?;
    let release = json!({ "order_id": order.code() });
    let released = order.sim().post("/sim/release", release).await?;
    anyhow::ensure!(released.body["released"] == 1, "held: {}", released.body);
    Ok(())
}

pub(super) async fn duplicated(order: &Order<'_>) -> Done {
    let copies = json!({ "copies": 4, "concurrent": true });
    let trick = json!({ "order_id": order.code(), "duplicate": copies });
    order.sim().arm(trick).await?;
    paid_by_gopay(order).await
}

/// The shop places the order only when its settlement is stored already.
pub(super) async fn webhook_before_order(order: &Order<'_>) -> Done {
    order.charge(bank("bri")).await?;
    order.pay().await?;
    order.wait_for_orphan("settlement").await?;
    order.place().await
}

/// A settlement signed with a key that is not ours, and one without a signature.
pub(super) async fn forged(order: &Order<'_>) -> Done {
    order.place().await?;
    let payment = Payment::new(Method::BcaVa, order.code(), order.amount());
    let forged = payment.settlement().signed_with("SB-Mid-server-guessed");
    let mut unsigned: Value = serde_json::from_slice(&forged.body())?;
    if let Some(fields) = unsigned.as_object_mut() {
        fields.remove("signature_key");
    }
    for body in [forged.body(), unsigned.to_string().into_bytes()] {
        let answer = post_bytes(order.http(), &order.webhook_url(), body).await;
        order.note_answer(answer.context("a forged notification was not answered")?);
    }
    Ok(())
}

/// The button of the dashboard: a correctly signed notification that means nothing.
pub(super) async fn dashboard_test(order: &Order<'_>) -> Done {
    let sent = order
        .sim()
        .post("/sim/test-notification", json!({}))
        .await?;
    let session = sent.body["order_id"].as_str();
    order.note_session(session.context("the test has no order id")?);
    anyhow::ensure!(sent.body["ok"] == true, "the test failed: {}", sent.body);
    order.wait_for_record().await
}

/// A pre-authorisation of which the merchant captures a part.
pub(super) async fn captured_less(order: &Order<'_>) -> Done {
    order.place().await?;
    let mut reserved = card(GOOD_CARD);
    reserved["credit_card"]["type"] = json!("authorize");
    let charged = order.charge(reserved).await?;
    order.wait_for_payment("authorize").await?;
    order.customer_pays_now().await?;
    let part = json!({
        "transaction_id": charged["transaction_id"],
        "gross_amount": order.amount() - 5_000,
    });
    let captured = order.sim().post("/v2/capture", part).await?;
    let code = &captured.body["status_code"];
    anyhow::ensure!(code == "200", "the capture failed: {}", captured.body);
    Ok(())
}

pub(super) async fn fee_on_the_customer(order: &Order<'_>) -> Done {
    let trick = json!({ "order_id": order.code(), "fee": 1_065 });
    order.sim().arm(trick).await?;
    paid_by_gopay(order).await
}

/// The settlement is lost for good; the reconciler asks for it.
pub(super) async fn never_told(order: &Order<'_>) -> Done {
    let lost = json!({ "order_id": order.code(), "on": ["settlement"], "drop": true });
    order.sim().arm(lost).await?;
    paid_by_gopay(order).await
}

/// The same, but the customer stands at the counter: the operator does not wait.
pub(super) async fn synced(order: &Order<'_>) -> Done {
    let lost = json!({ "order_id": order.code(), "on": ["settlement"], "drop": true });
    order.sim().arm(lost).await?;
    order.place().await?;
    order.charge(gopay()).await?;
    order.wait_for_payment("pending").await?;
    order.pay().await?;
    order.sync().await
}

/// The line to ingest is down when the settlement is sent, and up again for its retry.
pub(super) async fn first_delivery_failed(order: &Order<'_>) -> Done {
    order.place().await?;
    let line = Proxy::to(&order.ingest_addr()?).await;
    let url = format!("http://{}/webhooks/midtrans", line.addr());
    order.charge_notifying(bank("bca"), &url).await?;
    order.wait_for_payment("pending").await?;
    line.refuse();
    order.pay().await?;
    order.wait_for_attempt("settlement", "retry").await?;
    line.restore();
    // The line must stand until the retry has come through.
    order.wait_for_attempt("settlement", "delivered").await
}
