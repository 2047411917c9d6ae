//! What an observation is made of beside the transaction itself.

use super::super::notification::Notification;
use super::super::rupiah::Rupiah;

/// Whether a status may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authority {
    /// A signature vouches for order, code and amount, not for the status.
    Notified,
    /// Midtrans answered our own question: the answer may cross any edge.
    Confirmed,
}

/// By which way an observation came; `payment_sync_logs.sync_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A notification.
    Webhook,
    /// Somebody waits for the answer in the shop.
    Poll,
    /// An operator.
    Admin,
    /// The reconciler.
    Reconcile,
    /// A dead letter once more.
    Replay,
    /// The import of old payments.
    Backfill,
    /// We ourselves.
    System,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 7] = [
        Self::Webhook,
        Self::Poll,
        Self::Admin,
        Self::Reconcile,
        Self::Replay,
        Self::Backfill,
        Self::System,
    ];

    /// The word in the log and in the message header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Poll => "poll",
            Self::Admin => "admin",
            Self::Reconcile => "reconcile",
            Self::Replay => "replay",
            Self::Backfill => "backfill",
            Self::System => "system",
        }
    }

    /// Whether what comes by this way finds what others missed: its changes are logged as repairs.
    pub const fn repairs(self) -> bool {
        matches!(self, Self::Reconcile | Self::Admin)
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// Fields of the merchant that may name the order. They are not signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkHints {
    /// `metadata.order_id`.
    pub metadata_order_id: Option<String>,
    /// `custom_field1`.
    pub custom_field1: Option<String>,
}

/// A fee passed to the customer (`midtrans.md` 1.10); `original + fee == gross`, and `gross` is the
/// transaction's amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeInfo {
    /// What the merchant asked for.
    pub original: Rupiah,
    /// What the customer paid.
    pub gross: Rupiah,
    /// The difference.
    pub fee: Rupiah,
}

impl FeeInfo {
    /// Only an explanation whose sum is right and which speaks of this amount is one.
    pub(super) fn of(n: &Notification, gross_amount: Rupiah) -> Option<Self> {
        let info = n
            .metadata
            .as_ref()?
            .get("extra_info")?
            .get("gross_amount_info")?;
        let read = |name: &str| {
            let value = info.get(name)?;
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            Rupiah::parse_wire(&text).ok()
        };
        let (original, gross) = (read("original_amount")?, read("gross_amount")?);
        let fee = read("customer_imposed_payment_fee")?;
        let exact = gross == gross_amount && original.checked_add(fee) == Some(gross);
        exact.then_some(Self {
            original,
            gross,
            fee,
        })
    }
}
