//! What happens in each story of the shop.

use anyhow::ensure;
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::tell::Bought;
use super::visit::{End, Visit, code_of};

type Done = anyhow::Result<()>;

/// Two tickets, and goods to be picked up.
const FULFILLED: End = End {
    status: "PAID",
    tickets: 2,
    pickup: true,
};

/// Nothing is left of it.
const fn gone(status: &'static str) -> End {
    End {
        status,
        tickets: 0,
        pickup: false,
    }
}

fn by(method: &str) -> Value {
    json!({ "method": method })
}

fn by_bank(bank: &str) -> Value {
    json!({ "method": "bank_transfer", "bank": bank })
}

fn over_the_counter(store: &str) -> Value {
    json!({ "method": "cstore", "store": store })
}

pub(super) async fn paid(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let session = visit.begin(&code, by("gopay")).await?;
    visit.step(&session, "pay", json!({})).await?;
    visit.ends(&code, "", "", FULFILLED).await.map(drop)
}

/// The hosted page: the customer chooses there.
pub(super) async fn paid_on_a_page(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let session = visit.begin(&code, by("snap")).await?;
    visit
        .pick(&session, json!({ "payment_type": "shopeepay" }))
        .await?;
    visit.step(&session, "pay", json!({})).await?;
    visit.ends(&code, "", "", FULFILLED).await.map(drop)
}

/// The customer gets the goods at the counter and comes in at the gate, each of them once.
pub(super) async fn came_and_used(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let session = visit.begin(&code, by("qris")).await?;
    visit.step(&session, "pay", json!({})).await?;
    let order = visit.ends(&code, "", "", FULFILLED).await?;
    let ticket = order["tickets"][0]["code"].as_str().unwrap_or_default();
    let path = format!("/api/tickets/{ticket}.png");
    let picture = visit.front().bytes(&path);
    ensure!(picture.await?.starts_with(b"\x89PNG"), "no picture");
    let gate = format!("/admin/tickets/{ticket}/use");
    let admitted = visit.front().operator(Method::POST, &gate, None).await?;
    admitted.expect(200)?;
    let again = visit.front().operator(Method::POST, &gate, None).await?;
    again.problem(409, "ticket_used")?;
    let counter = format!("/admin/orders/{code}/pickup");
    let guess = json!({ "pickup_code": "22222222" });
    let guessed = visit.front().operator(Method::POST, &counter, Some(guess));
    guessed.await?.problem(422, "wrong_pickup_code")?;
    let said = json!({ "pickup_code": order["pickup_code"] });
    let handed = visit.front().operator(Method::POST, &counter, Some(said));
    handed.await?.expect(200).map(drop)
}

/// The customer is impatient: ten clicks, one charge.
pub(super) async fn clicked_ten_times(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let method = by_bank("bca");
    let clicks = try_join_all((0..10).map(|_| visit.click(&code, &method))).await?;
    let made = clicks.iter().filter(|click| click.status == 201).count();
    let same = clicks.iter().filter(|click| click.status == 200).count();
    ensure!((made, same) == (1, 9), "{made} charges, {same} repeated");
    let first = &clicks[0].body["payment"];
    let alike = clicks.iter().all(|click| &click.body["payment"] == first);
    ensure!(alike, "the clicks were answered differently");
    let charged = visit.transactions(&code).await?.len();
    ensure!(charged == 1, "{charged} transactions at the gateway");
    visit.step(&code, "pay", json!({})).await?;
    let told = "10 clicks, 1 charge";
    visit.ends(&code, "", told, FULFILLED).await.map(drop)
}

/// The open payment is cancelled at the gateway, the order's next session is paid.
pub(super) async fn method_changed(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let first = visit.begin(&code, by_bank("permata")).await?;
    let second = visit.begin(&code, by("echannel")).await?;
    ensure!(second == format!("{code}-2"), "the second is {second}");
    let cancelled = visit.transactions(&first).await?;
    let is_cancelled = cancelled
        .iter()
        .all(|txn| txn["transaction_status"] == "cancel");
    ensure!(is_cancelled, "it can still be paid: {cancelled:?}");
    visit.step(&second, "pay", json!({})).await?;
    let told = "in session -2";
    visit.ends(&code, "", told, FULFILLED).await.map(drop)
}

pub(super) async fn expired(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let session = visit.begin(&code, over_the_counter("indomaret")).await?;
    visit.step(&session, "expire", json!({})).await?;
    visit.ends(&code, "", "", gone("EXPIRED")).await.map(drop)
}

/// The bank took the money although the time was over; what the order had held is still there.
pub(super) async fn paid_too_late(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let session = visit.begin(&code, by_bank("bni")).await?;
    visit.step(&session, "expire", json!({})).await?;
    visit.until(&code, "EXPIRED").await?;
    visit.look_at_shelf().await?;
    visit.step(&session, "force", settled()).await?;
    let told = "after EXPIRED";
    visit.ends(&code, "", told, FULFILLED).await.map(drop)
}

/// The same, but somebody else has it by now: an operator closes the order and gives the money
/// back.
pub(super) async fn paid_when_it_was_gone(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let session = visit.begin(&code, by_bank("cimb")).await?;
    visit.step(&session, "expire", json!({})).await?;
    visit.until(&code, "EXPIRED").await?;
    visit.look_at_shelf().await?;
    let other = visit.order("budi").await?;
    let paid = visit.begin(&other, by("gopay")).await?;
    visit.step(&paid, "pay", json!({})).await?;
    visit
        .ends(&other, "the other customer", "", FULFILLED)
        .await?;
    visit.step(&session, "force", settled()).await?;
    let order = visit.until(&code, "REVIEW").await?;
    let reasons = &order["review_reasons"];
    ensure!(
        *reasons == json!(["paid_after_release"]),
        "in review for {reasons}"
    );
    let path = format!("/admin/orders/{code}/resolve");
    let word = json!({ "action": "close", "why": "sold to somebody else; refunded by hand" });
    let closed = visit.front().operator(Method::POST, &path, Some(word));
    closed.await?.expect(200)?;
    let told = "after REVIEW, by operator";
    visit
        .ends(&code, "", told, gone("CANCELLED"))
        .await
        .map(drop)
}

pub(super) async fn refunded(visit: &Visit<'_>) -> Done {
    let code = visit.order("ayu").await?;
    let session = visit.begin(&code, by("shopeepay")).await?;
    visit.step(&session, "pay", json!({})).await?;
    let order = visit.until(&code, "PAID").await?;
    let tickets = order["tickets"].as_array().cloned().unwrap_or_default();
    ensure!(tickets.len() == 2, "no tickets to take back: {order}");
    let why = json!({ "reason": "rained off" });
    visit.step(&session, "refund", why).await?;
    visit
        .ends(&code, "", "2 tickets void", gone("REFUNDED"))
        .await?;
    for ticket in &tickets {
        let ticket = ticket["code"].as_str().unwrap_or_default();
        let gate = format!("/admin/tickets/{ticket}/use");
        let refused = visit.front().operator(Method::POST, &gate, None).await?;
        refused.problem(409, "ticket_voided")?;
    }
    Ok(())
}

/// One cart sent twice at the same time, with one key.
pub(super) async fn ordered_twice(visit: &Visit<'_>) -> Done {
    let (first, second) =
        tokio::try_join!(visit.ask_for("ayu", (2, 1)), visit.ask_for("ayu", (2, 1)),)?;
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    ensure!(statuses == [200, 201], "answered {statuses:?}");
    let code = code_of(&first.body)?;
    ensure!(code == code_of(&second.body)?, "two orders");
    visit.look_at_shelf().await?;
    let session = visit.begin(&code, over_the_counter("alfamart")).await?;
    visit.step(&session, "pay", json!({})).await?;
    let told = "2 requests, 1 order";
    visit.ends(&code, "", told, FULFILLED).await.map(drop)
}

/// One place, two customers at the same time.
pub(super) async fn last_seat(visit: &Visit<'_>) -> Done {
    let (ayu, budi) =
        tokio::try_join!(visit.ask_for("ayu", (1, 0)), visit.ask_for("budi", (1, 0)),)?;
    let (lucky, other) = match ayu.status {
        201 => (ayu, budi),
        _ => (budi, ayu),
    };
    let code = code_of(&lucky.expect(201)?)?;
    let refused = other.problem(409, "insufficient_stock")?;
    let left = (
        &refused["stockIssue"],
        &refused["availableStock"],
        &refused["requestedQuantity"],
    );
    ensure!(left == (&json!(true), &json!(0), &json!(1)), "{refused}");
    visit.look_at_shelf().await?;
    let session = visit.begin(&code, by_bank("bri")).await?;
    visit.step(&session, "pay", json!({})).await?;
    let seated = End {
        status: "PAID",
        tickets: 1,
        pickup: false,
    };
    visit.ends(&code, "", "", seated).await?;
    visit.note(Bought::refused("the other customer", "409, stockIssue"));
    Ok(())
}

/// The gateway's word for paid, whatever it said before.
fn settled() -> Value {
    json!({ "transaction_status": "settlement" })
}
