//! Cards: the token stands for the card number and so for what bank and fraud system say.

use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use super::methods::{DAY, Method, Unusable, digits, invalid, object, plain};
use super::model::{Card, CardVerdict};

/// Builds the card method of a charge; the token decides how it will end.
pub(crate) fn card(request: &Value, base: &str) -> Result<Method, Unusable> {
    let part = &request["credit_card"];
    let token = part["token_id"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(invalid("credit_card.token_id is required"));
    }
    if token.contains("expired") {
        return Err(Unusable {
            code: 411,
            message: "The card token is missing, invalid or timed out.".into(),
        });
    }
    let (verdict, masked) = card_verdict(token);
    let authorize_only = part["type"].as_str() == Some("authorize");
    let three_ds = part["authentication"].as_bool() == Some(true);
    let mut method = plain("credit_card", "Credit Card transaction is successful", DAY);
    method.expiry = three_ds.then_some(Duration::minutes(10));
    if authorize_only && !three_ds {
        method.expiry = Some(Duration::days(8));
    }
    let bank = part["bank"].as_str().unwrap_or("bni");
    method.details.always = object(json!({
        "masked_card": masked, "card_type": "credit", "bank": bank,
    }));
    if three_ds {
        let url = format!("{base}/v2/3ds/redirect/{}", Uuid::new_v4());
        method.details.charge = object(json!({"redirect_url": url}));
    }
    method.three_ds = three_ds;
    method.card = Some(Card {
        verdict,
        authorize_only,
        approval_code: digits(13),
    });
    Ok(method)
}

/// A token tells its card by the number it begins with, or by a word in it.
fn card_verdict(token: &str) -> (CardVerdict, &'static str) {
    if token.starts_with("451111") || token.contains("challenge") {
        (CardVerdict::Challenge, "45111111-1117")
    } else if token.starts_with("461111") || token.contains("fraud") {
        (CardVerdict::FraudDeny, "46111111-1116")
    } else if token.starts_with("491111") || token.contains("deny") {
        (CardVerdict::BankDeny, "49111111-1113")
    } else {
        (CardVerdict::Accept, "48111111-1114")
    }
}
