//! What each payment type adds to the common fields (`midtrans.md` 1.7 and 4.2).
//!
//! One function per family; the numbers in them are random, the shapes are the fact sheet's.

use rand::Rng;
use serde_json::{Map, Value, json};
use time::Duration;
use uuid::Uuid;

use super::cards;
use super::model::{Card, Details};

/// What a charge of some payment type comes to.
pub(crate) struct Method {
    pub(crate) payment_type: &'static str,
    pub(crate) details: Details,
    pub(crate) card: Option<Card>,
    /// Default time to pay; `None` for a card charged at once.
    pub(crate) expiry: Option<Duration>,
    /// `false` where the fraud system does not look (Indomaret).
    pub(crate) fraud_checked: bool,
    /// The card goes through 3DS first.
    pub(crate) three_ds: bool,
    /// The words of the answer, e.g. `Success, Bank Transfer transaction is created`.
    pub(crate) title: &'static str,
}

/// Why a method could not be built: the body code and validation messages.
pub(crate) struct Unusable {
    pub(crate) code: u16,
    pub(crate) message: String,
}

/// Builds the method which a charge request asks for.
pub(crate) fn build(request: &Value, transaction_id: &str, base: &str) -> Result<Method, Unusable> {
    let kind = request["payment_type"].as_str().unwrap_or_default();
    match kind {
        "gopay" => Ok(gopay(transaction_id, base)),
        "qris" => Ok(qris(request, transaction_id, base)),
        "shopeepay" => Ok(shopeepay(base)),
        "dana" => Ok(dana(base)),
        "ovo" => ovo(request),
        "bank_transfer" => bank_transfer(request),
        "echannel" => Ok(echannel()),
        "cstore" => cstore(request),
        "akulaku" => paylater(
            "akulaku",
            "Success, Akulaku transaction is created",
            request,
            base,
        ),
        "kredivo" => paylater(
            "kredivo",
            "Success, Kredivo transaction is created",
            request,
            base,
        ),
        "credit_card" => cards::card(request, base),
        "" => Err(invalid("payment_type is required")),
        _ => Err(Unusable {
            code: 402,
            message: "Payment channel is not activated.".into(),
        }),
    }
}

/// Whether Midtrans gives this method a `transaction_id` of the BI-SNAP kind.
pub(crate) fn runs_on_bi_snap(request: &Value) -> bool {
    let bank = request["bank_transfer"]["bank"].as_str();
    match request["payment_type"].as_str() {
        Some("dana") => true,
        Some("bank_transfer") => matches!(bank, Some("bsi" | "danamon" | "seabank" | "saqu")),
        _ => false,
    }
}

fn gopay(id: &str, base: &str) -> Method {
    let mut method = plain("gopay", "GoPay transaction is created", MINUTES_15);
    method.details.charge = object(json!({"actions": [
        action("generate-qr-code", "GET", format!("{base}/v2/gopay/{id}/qr-code")),
        action("generate-qr-code-v2", "GET", format!("{base}/v2/gopay/{id}/qr-code")),
        action("deeplink-redirect", "GET", format!("{base}/gopay/partner/app/payment-pin?id={id}")),
        action("get-status", "GET", format!("{base}/v2/{id}/status")),
        action("cancel", "POST", format!("{base}/v2/{id}/cancel")),
    ]}));
    method.details.paid = object(json!({"payment_option_type": "GOPAY_WALLET"}));
    method
}

fn qris(request: &Value, id: &str, base: &str) -> Method {
    let acquirer = request["qris"]["acquirer"].as_str().unwrap_or("gopay");
    let mut method = plain("qris", "QRIS transaction is created", MINUTES_15);
    method.details.always = object(json!({"acquirer": acquirer}));
    method.details.charge = object(json!({
        "actions": [
            action("generate-qr-code", "GET", format!("{base}/v2/qris/{id}/qr-code")),
            action("generate-qr-code-v2", "GET", format!("{base}/v2/qris/{id}/qr-code")),
        ],
        "qr_string": format!("00020101021226{}5802ID", digits(24)),
    }));
    method.details.paid = object(json!({
        "transaction_type": "off-us",
        "issuer": "dana",
        "merchant_cross_reference_id": Uuid::now_v7(),
    }));
    if acquirer.contains("shopee") {
        method.details.paid.extend(shopee_references());
    }
    method
}

fn shopeepay(base: &str) -> Method {
    let mut method = plain("shopeepay", "ShopeePay transaction is created", MINUTES_15);
    let url = format!("{base}/shopeepay/deeplink/{}", digits(12));
    method.details.charge = object(json!({"actions": [action("deeplink-redirect", "GET", url)]}));
    method.details.paid = shopee_references();
    method
}

fn dana(base: &str) -> Method {
    let mut method = plain("dana", "DANA transaction is created", MINUTES_15);
    let url = format!("{base}/dana/deeplink/{}", digits(12));
    method.details.charge = object(json!({"actions": [action("deeplink-redirect", "GET", url)]}));
    method.details.bi_snap = true;
    method
}

fn ovo(request: &Value) -> Result<Method, Unusable> {
    let phone = request["ovo"]["payer_phone_number"].as_str();
    let phone = phone.ok_or_else(|| invalid("ovo.payer_phone_number is required"))?;
    // The documents name no number for the unknown customer; this ending stands for it.
    if phone.ends_with("0000") {
        return Err(Unusable {
            code: 404,
            message: "The phone number is not registered with OVO.".into(),
        });
    }
    let mut method = plain("ovo", "OVO transaction is created", Duration::seconds(65));
    method.details.always = object(json!({
        "payer_phone_number": phone,
        "merchant_invoice": format!("MI-{}", digits(10)),
    }));
    Ok(method)
}

fn bank_transfer(request: &Value) -> Result<Method, Unusable> {
    let bank = request["bank_transfer"]["bank"].as_str();
    let bank = bank.ok_or_else(|| invalid("bank_transfer.bank is required"))?;
    let prefix = match bank {
        "bca" => "90045",
        "bni" => "9880045",
        "bri" => "128784",
        "cimb" => "5919",
        "permata" => "8562",
        "bsi" | "danamon" | "seabank" | "saqu" => "9014",
        _ => return Err(invalid("bank_transfer.bank is not supported")),
    };
    let number = match request["bank_transfer"]["va_number"].as_str() {
        Some(chosen) => format!("{prefix}{chosen}"),
        None => format!("{prefix}{}", digits(11)),
    };
    let mut method = plain("bank_transfer", "Bank Transfer transaction is created", DAY);
    method.details.always = if bank == "permata" {
        object(json!({"permata_va_number": number}))
    } else {
        object(json!({"va_numbers": [{"bank": bank, "va_number": number}], "payment_amounts": []}))
    };
    method.details.bi_snap = runs_on_bi_snap(request);
    Ok(method)
}

fn echannel() -> Method {
    let mut method = plain("echannel", "Mandiri Bill transaction is successful", DAY);
    method.details.always = object(json!({"biller_code": "70012", "bill_key": digits(12)}));
    method
}

fn cstore(request: &Value) -> Result<Method, Unusable> {
    let mut method = plain("cstore", "cstore transaction is successful", DAY);
    match request["cstore"]["store"].as_str() {
        Some("indomaret") => {
            method.fraud_checked = false;
            method.details.always =
                object(json!({"store": "indomaret", "payment_code": digits(12)}));
            method.details.paid = object(json!({"approval_code": digits(20)}));
        }
        Some("alfamart") => {
            method.details.always =
                object(json!({"store": "alfamart", "payment_code": digits(16)}));
        }
        _ => return Err(invalid("cstore.store must be indomaret or alfamart")),
    }
    Ok(method)
}

fn paylater(
    kind: &'static str,
    title: &'static str,
    request: &Value,
    base: &str,
) -> Result<Method, Unusable> {
    for part in ["item_details", "customer_details"] {
        if request[part].is_null() {
            return Err(invalid(&format!("{part} is required")));
        }
    }
    let mut method = plain(kind, title, DAY);
    let url = format!("{base}/v2/{kind}/redirect/{}", Uuid::new_v4());
    method.details.charge = object(json!({"redirect_url": url}));
    Ok(method)
}

const MINUTES_15: Duration = Duration::minutes(15);
/// The time to pay of virtual accounts, shops and pay-later.
pub(crate) const DAY: Duration = Duration::hours(24);

/// A method with nothing but the common fields.
pub(crate) fn plain(payment_type: &'static str, title: &'static str, expiry: Duration) -> Method {
    Method {
        payment_type,
        details: Details::default(),
        card: None,
        expiry: Some(expiry),
        fraud_checked: true,
        three_ds: false,
        title,
    }
}

/// A validation error.
pub(crate) fn invalid(message: &str) -> Unusable {
    Unusable {
        code: 400,
        message: message.into(),
    }
}

fn action(name: &str, method: &str, url: String) -> Value {
    json!({"name": name, "method": method, "url": url})
}

fn shopee_references() -> Map<String, Value> {
    object(json!({
        "shopeepay_reference_number": digits(18),
        "reference_id": format!("DL-{}", letters(21)),
    }))
}

/// A random number of exactly `count` digits that does not begin with zero.
pub(crate) fn digits(count: usize) -> String {
    let mut rng = rand::rng();
    (0..count)
        .map(|at| char::from(b'0' + rng.random_range(u8::from(at == 0)..10)))
        .collect()
}

/// `count` random letters and digits.
pub(crate) fn letters(count: usize) -> String {
    rand::rng()
        .sample_iter(rand::distr::Alphanumeric)
        .take(count)
        .map(char::from)
        .collect()
}

/// The fields of a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
