//! Notifications other than the classic one, from the simulator through ingest and worker.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod answers;
mod payments;
mod records;
mod replay;
mod subscriptions;

use lunas_tests::harness::{BOUND, FleetBuilder, Kind, Shop, wait_for};
use lunas_tests::sim::{PAYOUT_KEY, public_key};
use serde_json::{Value, json};

/// A shop whose ingest has every key.
pub(crate) async fn open() -> Shop {
    open_with(|fleet| fleet.workers(1)).await
}

pub(crate) async fn open_with(shape: impl FnOnce(FleetBuilder) -> FleetBuilder) -> Shop {
    Shop::open_with(|fleet| {
        shape(fleet)
            .env_of(Kind::Ingest, "MIDTRANS_BISNAP_PUBLIC_KEY", &public_key())
            .env_of(Kind::Ingest, "MIDTRANS_IRIS_KEY", PAYOUT_KEY)
    })
    .await
}

/// Sends a notice; the status of the answer.
pub(crate) async fn send(shop: &mut Shop, kind: &str, fields: Value) -> u16 {
    let sent = shop.notice(json!({"kind": kind, "fields": fields})).await;
    status(&sent)
}

pub(crate) fn status(sent: &Value) -> u16 {
    let status = sent["http_status"].as_u64();
    let status = status.unwrap_or_else(|| panic!("nothing was answered: {sent}"));
    u16::try_from(status).unwrap()
}

/// Waits until the notices about something have these statuses, verdicts and deliveries, in the
/// order of their arrival.
pub(crate) async fn until_notices(shop: &Shop, about: &str, wanted: Value) {
    let query = "SELECT coalesce(jsonb_agg(jsonb_build_array(status, verdict, deliveries)
                                           ORDER BY received_at), '[]')
                 FROM other_notifications WHERE external_id = $1";
    wait_for(
        &format!("notices about {about} to be {wanted}"),
        BOUND,
        async || {
            let seen = shop.row(query, about).await;
            if seen == wanted {
                Ok(())
            } else {
                Err(seen.to_string())
            }
        },
    )
    .await;
}

/// How many notices are recorded.
pub(crate) async fn recorded(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM other_notifications")
        .fetch_one(shop.stage().pool())
        .await
        .unwrap()
}
