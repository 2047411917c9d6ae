//! What a notice says about itself: enough to find repetitions, to tell the order of events, and to
//! ask the status API.

use serde_json::Value;

use super::super::event_key::EventKey;
use super::super::notification::DecodeError;
use super::{NoticeKind, bi_snap, check_json};

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeReading {
    /// What makes two deliveries the same notice.
    pub event_key: EventKey,
    /// The payout, account, subscription or payment that it is about.
    pub external_id: String,
    /// What that is now, in lower case.
    pub status: Option<String>,
    /// Whom the status API can vouch for.
    pub question: Option<Question>,
}

/// What to ask the status API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The transaction's id, or the session's when no transaction is named.
    pub id: String,
    /// The session, when the notice names it.
    pub session_id: Option<String>,
    /// Whose key signs the question, when the notice says.
    pub merchant_id: Option<String>,
}

/// Reads the body of a notice.
///
/// # Errors
/// [`DecodeError`]: the notice is a dead letter.
pub fn read(kind: NoticeKind, body: &[u8]) -> Result<NoticeReading, DecodeError> {
    let value = parse(body)?;
    let text = |path| text(&value, path);
    let key = |parts: &[Option<String>]| event_key(kind, parts);
    let lower = |word: Option<String>| word.map(|word| word.to_ascii_lowercase());
    match kind {
        NoticeKind::PayAccount => {
            let id = needed("account_id", text("/account_id"))?;
            let status = needed("account_status", text("/account_status"))?;
            let parts = [Some(id.clone()), Some(status.clone()), text("/status_code")];
            Ok(NoticeReading {
                event_key: key(&parts),
                external_id: id,
                status: lower(Some(status)),
                question: None,
            })
        }
        NoticeKind::Payout => {
            let id = text("/reference_no").or_else(|| text("/transaction_id"));
            let id = needed("reference_no", id)?;
            let status = needed("status", text("/status"))?;
            let moment = text("/updated_at").or_else(|| text("/transaction_time"));
            let amount = text("/amount").or_else(|| text("/gross_amount"));
            let error = text("/error_code");
            let parts = [
                Some(id.clone()),
                Some(status.clone()),
                amount,
                moment,
                error,
            ];
            Ok(NoticeReading {
                event_key: key(&parts),
                external_id: id,
                status: lower(Some(status)),
                question: None,
            })
        }
        NoticeKind::Subscription => subscription(&value),
        NoticeKind::BiSnap(bi_snap::Product::Account) => {
            let status = text("/additionalInfo/accountStatus");
            let status = needed("additionalInfo.accountStatus", status)?;
            let token = text("/additionalInfo/accessToken");
            let merchant = text("/additionalInfo/merchantId");
            let why = text("/additionalInfo/statusMessage");
            let id = token.clone().or_else(|| merchant.clone());
            let id = needed("additionalInfo.accessToken", id)?;
            // Without the account's token nobody knows which account it is: no order of events.
            let known = token.is_some().then(|| status.clone());
            let parts = [token, merchant, Some(status.clone()), why];
            Ok(NoticeReading {
                event_key: key(&parts),
                external_id: id,
                status: lower(known),
                question: None,
            })
        }
        NoticeKind::BiSnap(_) => bi_snap::incomplete(kind, &value),
    }
}

/// A charge is vouched for by its transaction; the making of a subscription, and a charge that
/// failed before there was a transaction, by nobody.
fn subscription(value: &Value) -> Result<NoticeReading, DecodeError> {
    let nested = value.get("subscription").is_some();
    let of = |name: &str| match nested {
        true => text(value, &format!("/subscription/{name}")),
        false => text(value, &format!("/{name}")),
    };
    let id = needed("subscription.id", of("id"))?;
    let transaction_id = text(value, "/transaction/transaction_id");
    let status = text(value, "/transaction/transaction_status");
    let parts = [
        text(value, "/event_name"),
        Some(id.clone()),
        transaction_id.clone(),
        status.clone(),
        text(value, "/transaction/status_code"),
        of("status"),
        of("schedule/current_interval"),
        of("schedule/next_execution_at"),
    ];
    Ok(NoticeReading {
        event_key: event_key(NoticeKind::Subscription, &parts),
        external_id: id,
        status: status.map(|word| word.to_ascii_lowercase()),
        question: transaction_id.map(|id| Question {
            id,
            session_id: None,
            merchant_id: of("merchant_id"),
        }),
    })
}

pub(super) fn event_key(kind: NoticeKind, parts: &[Option<String>]) -> EventKey {
    let parts: Vec<Option<&str>> = parts.iter().map(Option::as_deref).collect();
    EventKey::of_parts(kind.as_str().as_bytes(), &parts)
}

/// One JSON object, as strictly as verification reads it.
pub(super) fn parse(body: &[u8]) -> Result<Value, DecodeError> {
    let text = std::str::from_utf8(body).map_err(DecodeError::NotText)?;
    if check_json(body).is_err() {
        return Err(DecodeError::Missing { field: "object" });
    }
    serde_json::from_str(text).map_err(DecodeError::NotDecodable)
}

/// A text or number at a path; an empty text is none.
pub(super) fn text(value: &Value, path: &str) -> Option<String> {
    match value.pointer(path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn needed(field: &'static str, text: Option<String>) -> Result<String, DecodeError> {
    text.ok_or(DecodeError::Missing { field })
}
