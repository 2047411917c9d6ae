//! For tests: the 21 signed bodies of `midtrans.md`, the key that signed them, and an observation.

use time::OffsetDateTime;

use super::event_key::EventKey;
use super::observation::{Authority, LinkHints, Observation, Source};
use super::rupiah::Rupiah;
use super::signature::ServerKeys;
use super::status::{FraudStatus, TransactionStatus};
use super::transition::{Rail, TransactionState};

/// The made-up key of the fact sheet.
pub(super) const KEY: &str = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";

pub(super) fn keys() -> ServerKeys {
    KEY.parse().unwrap()
}

macro_rules! bodies {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("fixtures/", $name, ".json")))),*]
    };
}

/// Bodies of notifications about a transaction.
pub(super) const NOTIFICATIONS: &[(&str, &str)] = bodies![
    "akulaku_settlement",
    "bank_transfer_bca_settlement",
    "bank_transfer_bni_settlement",
    "bank_transfer_bri_cancel",
    "bank_transfer_bsi_settlement",
    "bank_transfer_permata_settlement",
    "credit_card_capture",
    "credit_card_capture_challenge",
    "credit_card_deny",
    "cstore_alfamart_settlement",
    "cstore_indomaret_settlement",
    "dashboard_test",
    "echannel_settlement",
    "gopay_partial_refund",
    "gopay_settlement",
    "kredivo_settlement",
    "qris_expire",
    "qris_settlement",
    "shopeepay_settlement",
];

/// The answer of the status API about an expired transaction.
pub(super) const STATUS_ANSWER: &str = include_str!("fixtures/status_answer_expired.json");

/// The notification about a linked GoPay account.
pub(super) const ACCOUNT_LINKED: &str = include_str!("fixtures/gopay_account_linked.json");

/// The notification of this name.
pub(super) fn body(name: &str) -> &'static str {
    NOTIFICATIONS
        .iter()
        .find(|(found, _)| *found == name)
        .unwrap()
        .1
}

/// An observation of this state on this rail, to be changed as a test needs it.
pub(super) fn observation(state: TransactionState, rail: Rail) -> Observation {
    let (payment_type, channel) = match rail {
        Rail::Card => ("credit_card", "bni"),
        Rail::PermataVa => ("bank_transfer", "permata"),
        Rail::MandiriBill => ("echannel", "mandiri"),
        Rail::Indomaret => ("cstore", "indomaret"),
        Rail::Other => ("qris", "gopay"),
    };
    Observation {
        authority: Authority::Notified,
        source: Source::Webhook,
        session_id: "LNS-1".to_owned(),
        transaction_id: "t-1".to_owned(),
        status: TransactionStatus::parse(state.as_str()),
        fraud: (state == TransactionState::Challenge).then_some(FraudStatus::Challenge),
        status_code: "200".to_owned(),
        gross_amount: Rupiah::new(150_000),
        refund_amount: None,
        payment_type: Some(payment_type.to_owned()),
        payment_channel: Some(channel.to_owned()),
        transaction_time: None,
        settlement_time: None,
        expiry_time: None,
        link_hints: LinkHints::default(),
        fee: None,
        event_key: EventKey([0; 32]),
        signature_key: None,
        raw_body: "{}".to_owned(),
        received_at: OffsetDateTime::UNIX_EPOCH,
        is_test: false,
    }
}
