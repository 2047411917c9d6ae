//! Notifications as Midtrans signs them.

use sha2::{Digest as _, Sha512};

/// A made-up server key.
pub(crate) const KEY: &str = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";

/// A settlement, until a test changes it.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    pub(crate) order_id: String,
    pub(crate) key: &'static str,
    /// Further members of the object, each with a comma in front.
    pub(crate) extra: String,
}

impl Notification {
    pub(crate) fn new(order_id: &str) -> Self {
        Self {
            order_id: order_id.to_owned(),
            key: KEY,
            extra: String::new(),
        }
    }

    pub(crate) fn signature(&self) -> String {
        hex::encode(Sha512::digest(format!(
            "{}200150000.00{}",
            self.order_id, self.key
        )))
    }

    pub(crate) fn body(&self) -> String {
        format!(
            "{{ \"transaction_status\":\"settlement\",\n\t\"order_id\":\"{}\",\"status_code\":\"200\",\
             \"gross_amount\":\"150000.00\",\"signature_key\":\"{}\",\"currency\":\"IDR\"{} }}",
            self.order_id,
            self.signature(),
            self.extra,
        )
    }

    /// A body of exactly this many bytes.
    pub(crate) fn body_of(&self, size: usize) -> String {
        let empty = Self {
            extra: r#","padding":"""#.to_owned(),
            ..self.clone()
        }
        .body()
        .len();
        let extra = format!(r#","padding":"{}""#, "x".repeat(size - empty));
        Self {
            extra,
            ..self.clone()
        }
        .body()
    }
}
