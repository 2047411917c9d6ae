//! Every documented field of the classic body, as it is written. No meaning in here.

use serde::Deserialize;
use serde_json::Value;

use super::lenient;

/// The classic body. Every field is optional; texts are kept as they were spelled.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Notification {
    /// The merchant's order id, our session id. In a status answer it may be the transaction id instead (`midtrans.md` 4.4).
    #[serde(deserialize_with = "lenient::text")]
    pub order_id: Option<String>,
    /// Midtrans' id of the transaction; text, not always a UUID.
    #[serde(deserialize_with = "lenient::text")]
    pub transaction_id: Option<String>,
    /// See [`super::super::status::TransactionStatus`].
    #[serde(deserialize_with = "lenient::text")]
    pub transaction_status: Option<String>,
    /// See [`super::super::status::FraudStatus`].
    #[serde(deserialize_with = "lenient::text")]
    pub fraud_status: Option<String>,
    /// Outcome code; in a status answer the code of that answer.
    #[serde(deserialize_with = "lenient::text")]
    pub status_code: Option<String>,
    /// Fixed text in practice.
    #[serde(deserialize_with = "lenient::text")]
    pub status_message: Option<String>,
    /// SHA-512 in hexadecimal; a credential of sorts, never logged.
    #[serde(deserialize_with = "lenient::text")]
    pub signature_key: Option<String>,
    /// Amount with two decimals.
    #[serde(deserialize_with = "lenient::text")]
    pub gross_amount: Option<String>,
    /// `IDR`, or absent in older bodies.
    #[serde(deserialize_with = "lenient::text")]
    pub currency: Option<String>,
    /// The merchant's id.
    #[serde(deserialize_with = "lenient::text")]
    pub merchant_id: Option<String>,
    /// Method; see `midtrans.md` 1.6.
    #[serde(deserialize_with = "lenient::text")]
    pub payment_type: Option<String>,
    /// GoPay: wallet, pay later, coins.
    #[serde(deserialize_with = "lenient::text")]
    pub payment_option_type: Option<String>,
    /// QRIS: `on-us` or `off-us`.
    #[serde(deserialize_with = "lenient::text")]
    pub transaction_type: Option<String>,
    /// Creation time in WIB; not an ordering clock.
    #[serde(deserialize_with = "lenient::text")]
    pub transaction_time: Option<String>,
    /// When it settled, in WIB.
    #[serde(deserialize_with = "lenient::text")]
    pub settlement_time: Option<String>,
    /// Until when it can be paid, in WIB.
    #[serde(deserialize_with = "lenient::text")]
    pub expiry_time: Option<String>,
    /// Echoed from the request.
    #[serde(deserialize_with = "lenient::text")]
    pub custom_field1: Option<String>,
    /// Echoed from the request.
    #[serde(deserialize_with = "lenient::text")]
    pub custom_field2: Option<String>,
    /// Echoed from the request.
    #[serde(deserialize_with = "lenient::text")]
    pub custom_field3: Option<String>,
    /// Echoed from the request; Midtrans writes into it too.
    #[serde(deserialize_with = "lenient::value")]
    pub metadata: Option<Value>,
    /// Virtual accounts of every bank but Permata.
    #[serde(deserialize_with = "lenient::list")]
    pub va_numbers: Vec<VaNumber>,
    /// Permata's virtual account.
    #[serde(deserialize_with = "lenient::text")]
    pub permata_va_number: Option<String>,
    /// Payments into a virtual account.
    #[serde(deserialize_with = "lenient::list")]
    pub payment_amounts: Vec<PaymentAmount>,
    /// Mandiri bill: biller.
    #[serde(deserialize_with = "lenient::text")]
    pub biller_code: Option<String>,
    /// Mandiri bill: key.
    #[serde(deserialize_with = "lenient::text")]
    pub bill_key: Option<String>,
    /// Convenience store: `indomaret` or `alfamart`.
    #[serde(deserialize_with = "lenient::text")]
    pub store: Option<String>,
    /// Convenience store: what the customer shows.
    #[serde(deserialize_with = "lenient::text")]
    pub payment_code: Option<String>,
    /// QRIS: whose application paid.
    #[serde(deserialize_with = "lenient::text")]
    pub issuer: Option<String>,
    /// QRIS: who collected; may contain a blank.
    #[serde(deserialize_with = "lenient::text")]
    pub acquirer: Option<String>,
    /// QRIS: reference.
    #[serde(deserialize_with = "lenient::text")]
    pub merchant_cross_reference_id: Option<String>,
    /// ShopeePay: reference.
    #[serde(deserialize_with = "lenient::text")]
    pub shopeepay_reference_number: Option<String>,
    /// ShopeePay: reference.
    #[serde(deserialize_with = "lenient::text")]
    pub reference_id: Option<String>,
    /// OVO: payer.
    #[serde(deserialize_with = "lenient::text")]
    pub payer_phone_number: Option<String>,
    /// OVO: invoice.
    #[serde(deserialize_with = "lenient::text")]
    pub merchant_invoice: Option<String>,
    /// Card: masked number, 6-4 or 8-4.
    #[serde(deserialize_with = "lenient::text")]
    pub masked_card: Option<String>,
    /// Card: `credit` or `debit`.
    #[serde(deserialize_with = "lenient::text")]
    pub card_type: Option<String>,
    /// Card: acquiring bank.
    #[serde(deserialize_with = "lenient::text")]
    pub bank: Option<String>,
    /// Card: 3-D Secure result.
    #[serde(deserialize_with = "lenient::text")]
    pub eci: Option<String>,
    /// Card or store: approval.
    #[serde(deserialize_with = "lenient::text")]
    pub approval_code: Option<String>,
    /// Card: acquiring channel.
    #[serde(deserialize_with = "lenient::text")]
    pub channel: Option<String>,
    /// Card: the bank's answer.
    #[serde(deserialize_with = "lenient::text")]
    pub channel_response_code: Option<String>,
    /// Card: the bank's answer in words.
    #[serde(deserialize_with = "lenient::text")]
    pub channel_response_message: Option<String>,
    /// Card: 3-D Secure version.
    #[serde(deserialize_with = "lenient::text")]
    pub three_ds_version: Option<String>,
    /// Card: issuer and acquirer are one bank.
    #[serde(deserialize_with = "lenient::flag")]
    pub on_us: Option<bool>,
    /// Card: 3-D Secure challenge was completed.
    #[serde(deserialize_with = "lenient::flag")]
    pub challenge_completion: Option<bool>,
    /// Card: months; number or string.
    #[serde(deserialize_with = "lenient::text")]
    pub installment_term: Option<String>,
    /// Card: points left.
    #[serde(deserialize_with = "lenient::text")]
    pub point_balance_amount: Option<String>,
    /// Card: points used, in rupiah.
    #[serde(deserialize_with = "lenient::text")]
    pub point_redeem_amount: Option<String>,
    /// Card: points used.
    #[serde(deserialize_with = "lenient::text")]
    pub point_redeem_quantity: Option<String>,
    /// Card: token for the next payment; a credential, never logged.
    #[serde(deserialize_with = "lenient::text")]
    pub saved_token_id: Option<String>,
    /// Card: until when that token works.
    #[serde(deserialize_with = "lenient::text")]
    pub saved_token_id_expired_at: Option<String>,
    /// Cumulative refunded amount.
    #[serde(deserialize_with = "lenient::text")]
    pub refund_amount: Option<String>,
    /// Refund key at the top level, seen in Midtrans' own fixtures.
    #[serde(deserialize_with = "lenient::text")]
    pub refund_key: Option<String>,
    /// The refunds so far.
    #[serde(deserialize_with = "lenient::list")]
    pub refunds: Vec<Refund>,
    /// Payment Link: its id.
    #[serde(deserialize_with = "lenient::text")]
    pub payment_link_id: Option<String>,
    /// Subscription: its id.
    #[serde(deserialize_with = "lenient::text")]
    pub subscription_id: Option<String>,
}

/// One virtual account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct VaNumber {
    /// The bank's short name.
    #[serde(deserialize_with = "lenient::text")]
    pub bank: Option<String>,
    /// The account's number.
    #[serde(deserialize_with = "lenient::text")]
    pub va_number: Option<String>,
}

/// One payment into a virtual account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PaymentAmount {
    /// When, in WIB.
    #[serde(deserialize_with = "lenient::text")]
    pub paid_at: Option<String>,
    /// How much.
    #[serde(deserialize_with = "lenient::text")]
    pub amount: Option<String>,
}

/// One refund or chargeback (`midtrans.md` 1.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refund {
    /// Midtrans' id of it; number or string.
    #[serde(deserialize_with = "lenient::text")]
    pub refund_chargeback_id: Option<String>,
    /// Midtrans' other id of it.
    #[serde(deserialize_with = "lenient::text")]
    pub refund_chargeback_uuid: Option<String>,
    /// The amount of this one.
    #[serde(deserialize_with = "lenient::text")]
    pub refund_amount: Option<String>,
    /// The key it was requested with.
    #[serde(deserialize_with = "lenient::text")]
    pub refund_key: Option<String>,
    /// `online` or `offline`; appears with the confirmation.
    #[serde(deserialize_with = "lenient::text")]
    pub refund_method: Option<String>,
    /// When it was requested, in WIB.
    #[serde(deserialize_with = "lenient::text")]
    pub created_at: Option<String>,
    /// When the bank confirmed it, in WIB; absent in the first of its two notifications.
    #[serde(deserialize_with = "lenient::text")]
    pub bank_confirmed_at: Option<String>,
    /// Why.
    #[serde(deserialize_with = "lenient::text")]
    pub reason: Option<String>,
}
