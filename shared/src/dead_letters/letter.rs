//! What a dead letter says about itself. Nothing here fails: whatever the shape of a message, a
//! row comes of it, with what could be read.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{DEATHS_HEADER, fingerprint, notices};
use crate::broker::{Death, Delivery, Headers, topology};
use crate::domain::linking::{Candidate, SessionOrigin, candidates};
use crate::domain::outcome::DeadReason;
use crate::domain::{EventKey, LinkHints, Notification};
use crate::store::dead_letters::NewDeadLetter;

/// A body larger than this is not searched for an order: ingest takes 64 KiB.
const READABLE_BODY: usize = 256 * 1_024;
/// Longest error that is kept.
const ERROR_LIMIT: usize = 8_192;
/// Longest code that is kept; longer than any that a gateway or shop makes.
const CODE_LIMIT: usize = 200;
/// Headers that change while a message waits in the dead-letter queue.
const VOLATILE: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// The row of a message from the dead-letter queue.
pub(super) fn read(delivery: &Delivery) -> NewDeadLetter<'_> {
    let Delivery {
        body,
        headers,
        x_death,
        ..
    } = delivery;
    let hop = x_death.first();
    let reason = reason(headers, hop);
    let routing_key = printable(&routing_key(delivery), CODE_LIMIT + 55);
    let error_chain = error(headers, &reason);
    let by_broker = hop.and_then(|hop| hop.at);
    let named = Named::read(body);
    NewDeadLetter {
        letter_key: letter_key(body, headers, &routing_key),
        queue: delivery.dead_queue().map(|queue| printable(queue, 255)),
        payload: body,
        headers: headers.to_json(),
        fingerprint: fingerprint::of(&reason, &routing_key, error_chain.as_deref()),
        routing_key,
        error_chain,
        attempts: attempts(headers, &reason),
        reason,
        order_code: named.order_code,
        session_stem: named.session_id.as_deref().and_then(stem),
        session_id: named.session_id,
        amount: named.amount,
        first_failed_at: headers.first_failed_at.or(by_broker),
        last_failed_at: headers.last_failed_at.max(by_broker),
    }
}

/// The row of a message that the database refuses in full, with nothing in it but the payload and
/// what is certainly plain.
pub(super) fn reduced<'a>(letter: &NewDeadLetter<'a>, error: &str) -> NewDeadLetter<'a> {
    let plain = |text: &str| {
        text.chars()
            .filter(char::is_ascii_graphic)
            .collect::<String>()
    };
    let mut headers = Map::new();
    headers.insert(
        "x-lunas-headers-refused".to_owned(),
        Value::from(plain(error)),
    );
    NewDeadLetter {
        letter_key: letter.letter_key.clone(),
        queue: None,
        routing_key: plain(&letter.routing_key),
        payload: letter.payload,
        headers,
        reason: DeadReason::ForeignMessage.as_str().to_owned(),
        error_chain: None,
        fingerprint: fingerprint::of(DeadReason::ForeignMessage.as_str(), "", None),
        attempts: 1,
        order_code: None,
        session_id: None,
        session_stem: None,
        amount: None,
        first_failed_at: None,
        last_failed_at: None,
    }
}

/// A notification that died, when the message is one that ingest had accepted.
pub(super) struct DeadNotification {
    pub(super) event_key: EventKey,
    pub(super) received_at: OffsetDateTime,
    pub(super) order_id: String,
    pub(super) transaction_id: String,
    pub(super) raw_body: String,
    pub(super) signature_key: Option<String>,
    pub(super) reason: String,
}

impl DeadNotification {
    /// `None` for jobs, for bodies that are no notification, and for messages without our envelope,
    /// which nobody verified.
    pub(super) fn read(delivery: &Delivery, letter: &NewDeadLetter<'_>) -> Option<Self> {
        if delivery.headers.version == 0 || letter.routing_key != topology::WEBHOOK_KEY {
            return None;
        }
        if delivery.headers.kind.is_some() {
            return Self::of_bi_snap(delivery, letter);
        }
        let notification = Notification::decode(&delivery.body).ok()?;
        Some(Self {
            event_key: EventKey::of(&notification),
            received_at: delivery.headers.received_at,
            order_id: notification.order_id?,
            transaction_id: notification.transaction_id.unwrap_or_default(),
            raw_body: String::from_utf8_lossy(&delivery.body).into_owned(),
            signature_key: notification.signature_key,
            reason: letter.reason.clone(),
        })
    }

    /// A payment of the BI-SNAP family is recorded where the classic ones are.
    fn of_bi_snap(delivery: &Delivery, letter: &NewDeadLetter<'_>) -> Option<Self> {
        let kind = notices::kind(&delivery.headers, &letter.routing_key)?;
        let seen = notices::observation(kind, &delivery.body, &delivery.headers)?;
        Some(Self {
            event_key: seen.event_key,
            received_at: seen.received_at,
            order_id: seen.session_id,
            transaction_id: seen.transaction_id,
            raw_body: seen.raw_body,
            signature_key: None,
            reason: letter.reason.clone(),
        })
    }
}

/// What the worker wrote, when it is a code; what the broker did; or else nobody of ours sent it.
/// A code that this release does not know is kept when the envelope is ours: a newer worker may
/// run beside an older keeper.
fn reason(headers: &Headers, hop: Option<&Death>) -> String {
    let is_code = |word: &str| {
        (1..=64).contains(&word.len())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let written = headers
        .reason
        .as_deref()
        .filter(|word| DeadReason::parse(word).is_some() || (headers.version > 0 && is_code(word)));
    let killed = hop.is_some_and(|hop| hop.reason == DeadReason::DeliveryLimit.as_str());
    match (written, killed) {
        (Some(word), _) => word.to_owned(),
        (None, true) => DeadReason::DeliveryLimit.as_str().to_owned(),
        (None, false) => DeadReason::ForeignMessage.as_str().to_owned(),
    }
}

fn error(headers: &Headers, reason: &str) -> Option<String> {
    match &headers.error {
        Some(error) => Some(printable(error, ERROR_LIMIT)),
        None if reason == DeadReason::DeliveryLimit.as_str() => Some(
            "handed out as often as the queue allows and never settled: \
             whoever worked on it ended or lost its connection each time"
                .to_owned(),
        ),
        None => None,
    }
}

/// A message that the broker gave up was handed out once more than its limit; the broker takes
/// the count itself off on the way.
fn attempts(headers: &Headers, reason: &str) -> i32 {
    let told = i32::try_from(headers.attempt).unwrap_or(i32::MAX).max(1);
    match reason == DeadReason::DeliveryLimit.as_str() && headers.reason.is_none() {
        true => told.saturating_add(topology::DELIVERY_LIMIT),
        false => told,
    }
}

/// Where it came from: what the worker wrote, what the broker recorded, or the key it has.
fn routing_key(delivery: &Delivery) -> String {
    let recorded = || delivery.x_death.first()?.routing_keys.first().cloned();
    let written = delivery.headers.routing_key.clone();
    written
        .or_else(recorded)
        .unwrap_or_else(|| delivery.routing_key.clone())
}

/// Names this death of this message. The message id alone is not trusted: a foreign sender may use
/// one for all its messages.
fn letter_key(body: &[u8], headers: &Headers, routing_key: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(routing_key.as_bytes());
    part(body);
    match &headers.message_id {
        Some(id) => {
            let deaths = headers.foreign.get(DEATHS_HEADER).and_then(Value::as_i64);
            part(b"id");
            part(id.as_bytes());
            part(&deaths.unwrap_or(0).to_be_bytes());
        }
        None => {
            let mut foreign = headers.foreign.clone();
            foreign.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            part(b"headers");
            part(Value::Object(foreign).to_string().as_bytes());
            part(headers.reason.as_deref().unwrap_or_default().as_bytes());
            part(headers.error.as_deref().unwrap_or_default().as_bytes());
            part(format!("{:?}", headers.last_failed_at).as_bytes());
        }
    }
    hex::encode(hash.finalize())
}

/// The order code in a session's id, when the id ends in the number of an attempt.
fn stem(session_id: &str) -> Option<String> {
    candidates(session_id, &LinkHints::default(), SessionOrigin::Webhook)
        .into_iter()
        .rev()
        .find_map(|candidate| match candidate {
            Candidate::Code(code) => Some(code),
            Candidate::PaymentOrder | Candidate::CodeOrId(_) | Candidate::OrderSession => None,
        })
}

/// What a payload names, as far as it can be read: a notification, or a job's JSON.
#[derive(Default)]
struct Named {
    session_id: Option<String>,
    order_code: Option<String>,
    amount: Option<i64>,
}

impl Named {
    fn read(body: &[u8]) -> Self {
        if body.len() > READABLE_BODY {
            return Self::default();
        }
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return Self::default();
        };
        let text = |name: &str| match fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(printable(text, CODE_LIMIT)),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let rupiah = text("currency").is_none_or(|word| word.eq_ignore_ascii_case("IDR"));
        // The names of the classic body, of our jobs, and of the BI-SNAP family.
        let session = [
            "order_id",
            "session_id",
            "originalPartnerReferenceNo",
            "trxId",
        ];
        let money = |name: &str| fields.get(name)?.get("value")?.as_str().map(str::to_owned);
        let amount = text("gross_amount").filter(|_| rupiah);
        let amount = amount.or_else(|| ["paidAmount", "amount"].into_iter().find_map(money));
        Self {
            session_id: session.into_iter().find_map(text),
            order_code: text("order_code"),
            amount: amount.as_deref().and_then(whole),
        }
    }
}

/// The whole rupiah of an amount, also of one that was refused for its fraction: an operator wants
/// to see what is at stake.
fn whole(amount: &str) -> Option<i64> {
    let whole = amount.split('.').next().unwrap_or_default();
    let digits = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| whole.parse().ok()).flatten()
}

/// Text that PostgreSQL stores and an index takes.
fn printable(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].replace('\0', "\u{fffd}")
}
