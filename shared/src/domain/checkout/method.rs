//! How a customer may pay: the shop's words, and Midtrans' for the same.

use time::Duration;

/// A method of payment with everything that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayMethod {
    /// Midtrans' own page, where the customer chooses.
    Snap,
    /// GoPay.
    Gopay,
    /// A QR code that any wallet and any bank's app pays, taken in by GoPay.
    Qris,
    /// ShopeePay.
    Shopeepay,
    /// A virtual account.
    BankTransfer(Bank),
    /// A Mandiri bill.
    Echannel,
    /// Cash over the counter of a shop.
    Cstore(Shop),
}

/// A bank with virtual accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names say all")]
pub enum Bank {
    Bca,
    Bni,
    Bri,
    Cimb,
    Permata,
}

/// A chain of shops that take cash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names say all")]
pub enum Shop {
    Indomaret,
    Alfamart,
}

/// Why words name no method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// `method` is none.
    #[error("method must be snap, gopay, qris, shopeepay, bank_transfer, echannel or cstore")]
    Method,
    /// `bank` is none, or missing.
    #[error("bank must be bca, bni, bri, cimb or permata for bank_transfer")]
    Bank,
    /// `store` is none, or missing.
    #[error("store must be indomaret or alfamart for cstore")]
    Store,
    /// A `bank` for a method that has none.
    #[error("bank belongs to bank_transfer only")]
    NoBank,
    /// A `store` for a method that has none.
    #[error("store belongs to cstore only")]
    NoStore,
}

/// The time that wallets and QR codes give the customer.
const MINUTES: Duration = Duration::minutes(15);
/// The time that accounts, bills and shops give.
const DAY: Duration = Duration::DAY;
/// A page may be open this long at most.
const PAGE: Duration = Duration::days(7);

impl Bank {
    const ALL: [Self; 5] = [Self::Bca, Self::Bni, Self::Bri, Self::Cimb, Self::Permata];

    /// The word, ours and Midtrans'.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bca => "bca",
            Self::Bni => "bni",
            Self::Bri => "bri",
            Self::Cimb => "cimb",
            Self::Permata => "permata",
        }
    }
}

impl Shop {
    const ALL: [Self; 2] = [Self::Indomaret, Self::Alfamart];

    /// The word, ours and Midtrans'.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Indomaret => "indomaret",
            Self::Alfamart => "alfamart",
        }
    }
}

impl PayMethod {
    /// Reads the shop's words.
    ///
    /// # Errors
    /// Says which word is wrong, missing or too much.
    pub fn parse(
        method: &str,
        bank: Option<&str>,
        store: Option<&str>,
    ) -> Result<Self, MethodError> {
        let found = match method {
            "snap" => Self::Snap,
            "gopay" => Self::Gopay,
            "qris" => Self::Qris,
            "shopeepay" => Self::Shopeepay,
            "bank_transfer" => {
                let named = Bank::ALL.into_iter().find(|b| Some(b.as_str()) == bank);
                Self::BankTransfer(named.ok_or(MethodError::Bank)?)
            }
            "echannel" => Self::Echannel,
            "cstore" => {
                let named = Shop::ALL.into_iter().find(|s| Some(s.as_str()) == store);
                Self::Cstore(named.ok_or(MethodError::Store)?)
            }
            _ => return Err(MethodError::Method),
        };
        if bank.is_some() && found.bank().is_none() {
            return Err(MethodError::NoBank);
        }
        if store.is_some() && found.store().is_none() {
            return Err(MethodError::NoStore);
        }
        Ok(found)
    }

    /// What Midtrans calls a payment of `payment_type` through `channel`, as a method; `None` for
    /// those that only its page offers.
    pub fn of_transaction(payment_type: &str, channel: Option<&str>) -> Option<Self> {
        let (bank, store) = match payment_type {
            "bank_transfer" => (channel, None),
            "cstore" => (None, channel),
            _ => (None, None),
        };
        Self::parse(payment_type, bank, store)
            .ok()
            .filter(|method| *method != Self::Snap)
    }

    /// The shop's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snap => "snap",
            Self::Gopay => "gopay",
            Self::Qris => "qris",
            Self::Shopeepay => "shopeepay",
            Self::BankTransfer(_) => "bank_transfer",
            Self::Echannel => "echannel",
            Self::Cstore(_) => "cstore",
        }
    }

    /// The word of the bank.
    pub const fn bank(self) -> Option<&'static str> {
        match self {
            Self::BankTransfer(bank) => Some(bank.as_str()),
            _ => None,
        }
    }

    /// The word of the store.
    pub const fn store(self) -> Option<&'static str> {
        match self {
            Self::Cstore(shop) => Some(shop.as_str()),
            _ => None,
        }
    }

    /// How long a customer is given when the order has that much time left: a payment does not
    /// outlive its order.
    pub fn life(self, left: Duration) -> Duration {
        let usual = match self {
            Self::Snap => PAGE,
            Self::Gopay | Self::Qris | Self::Shopeepay => MINUTES,
            Self::BankTransfer(_) | Self::Echannel | Self::Cstore(_) => DAY,
        };
        let life = usual.min(left);
        match self {
            // A page's time is told in minutes.
            Self::Snap => Duration::minutes(life.whole_minutes().max(1)),
            _ => life,
        }
    }

    /// What the customer pays with is told by the charge only: the status API does not repeat it.
    pub const fn is_told_once(self) -> bool {
        matches!(self, Self::Gopay | Self::Qris | Self::Shopeepay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<PayMethod> {
        let mut all = vec![
            PayMethod::Snap,
            PayMethod::Gopay,
            PayMethod::Qris,
            PayMethod::Shopeepay,
            PayMethod::Echannel,
        ];
        all.extend(Bank::ALL.map(PayMethod::BankTransfer));
        all.extend(Shop::ALL.map(PayMethod::Cstore));
        all
    }

    #[test]
    fn every_method_is_read_back_from_its_words() {
        for method in all() {
            let read = PayMethod::parse(method.as_str(), method.bank(), method.store());
            assert_eq!(read, Ok(method));
        }
    }

    #[test]
    fn midtrans_words_name_the_method_except_of_its_page() {
        for method in all() {
            let channel = method.bank().or(method.store());
            let read = PayMethod::of_transaction(method.as_str(), channel);
            let expected = Some(method).filter(|method| *method != PayMethod::Snap);
            assert_eq!(read, expected);
        }
        assert_eq!(PayMethod::of_transaction("credit_card", Some("bni")), None);
        // The channel of a QR code is its acquirer, which is not a word of the shop's.
        let qris = PayMethod::of_transaction("qris", Some("gopay"));
        assert_eq!(qris, Some(PayMethod::Qris));
    }

    #[test]
    fn wrong_words_are_refused_by_name() {
        for (words, error) in [
            (("", None, None), MethodError::Method),
            (("GOPAY", None, None), MethodError::Method),
            (("credit_card", None, None), MethodError::Method),
            (("bank_transfer", None, None), MethodError::Bank),
            (("bank_transfer", Some("BCA"), None), MethodError::Bank),
            (
                ("bank_transfer", Some("bca"), Some("x")),
                MethodError::NoStore,
            ),
            (("cstore", None, Some("")), MethodError::Store),
            (
                ("cstore", Some("bca"), Some("alfamart")),
                MethodError::NoBank,
            ),
            (("gopay", Some("bca"), None), MethodError::NoBank),
            (("snap", None, Some("alfamart")), MethodError::NoStore),
        ] {
            let (method, bank, store) = words;
            assert_eq!(
                PayMethod::parse(method, bank, store),
                Err(error),
                "{words:?}"
            );
        }
    }

    #[test]
    fn no_payment_outlives_its_order() {
        for method in all() {
            let short = Duration::seconds(61);
            let expected = if method == PayMethod::Snap { 60 } else { 61 };
            assert_eq!(method.life(short), Duration::seconds(expected));
            assert!(method.life(Duration::days(30)) <= Duration::days(7));
        }
    }
}
