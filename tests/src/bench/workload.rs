//! The data of the benchmark: orders, and two signed notifications for each of them.
//!
//! Everything follows from a number, so that the same notifications can be given to the fleet, to
//! pgbench and to the set-based path. The bodies have the fields and the size of real ones.

use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest as _, Sha512};

/// A key made up for the benchmark.
pub(super) const SERVER_KEY: &str = "SB-Mid-server-benchmark0made0up0key00";

/// How many other orders' notifications lie between the two of one order.
const APART: u64 = 2_000;

/// One notification: which order, and whether it is the second of its two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Notice {
    pub(super) order: u64,
    pub(super) settled: bool,
}

/// The notifications of the given orders as they come: an order's settlement follows its pending
/// after those of some thousand others, as customers take a while to pay.
pub(super) fn sequence(orders: Range<u64>) -> Vec<Notice> {
    let apart = APART.min((orders.end - orders.start) / 2);
    let mut notices = Vec::new();
    for order in orders.start..orders.end + apart {
        if order < orders.end {
            notices.push(Notice {
                order,
                settled: false,
            });
        }
        if order >= orders.start + apart {
            notices.push(Notice {
                order: order - apart,
                settled: true,
            });
        }
    }
    notices
}

/// The code of an order, which is the id of its first session too.
pub(super) fn order_code(order: u64) -> String {
    format!("LNS-BENCH-{order:08}")
}

/// Rupiah.
pub(super) fn amount(order: u64) -> u64 {
    10_000 + order % 900 * 500
}

impl Notice {
    /// The body as Midtrans would send it, signed.
    pub(super) fn body(self) -> String {
        let Self { order, settled } = self;
        let code = order_code(order);
        let amount = amount(order);
        let (status, number, message) = if settled {
            ("settlement", "200", "midtrans payment notification")
        } else {
            ("pending", "201", "midtrans payment notification")
        };
        let mut body = String::with_capacity(1_200);
        let _ = write!(
            body,
            r#"{{"transaction_time":"2026-03-14 10:20:11","transaction_status":"{status}","transaction_id":"{id}","status_message":"{message}","status_code":"{number}","signature_key":"{signature}","#,
            id = transaction_id(order),
            signature = signature(&code, number, amount),
        );
        if settled {
            body.push_str(r#""settlement_time":"2026-03-14 11:02:45","#);
        }
        let _ = if order % 2 == 0 {
            write!(
                body,
                r#""payment_type":"bank_transfer","va_numbers":[{{"bank":"bca","va_number":"90045{order:012}"}}],"payment_amounts":[],"#
            )
        } else {
            write!(
                body,
                r#""payment_type":"gopay","payment_option_type":"GOPAY_WALLET","issuer":"gopay","reference_id":"RF{order:016}","#
            )
        };
        let _ = write!(
            body,
            r#""order_id":"{code}","merchant_id":"G812900451","gross_amount":"{amount}.00","fraud_status":"accept","expiry_time":"2026-03-15 10:20:11","currency":"IDR","customer_details":{{"full_name":"Siti Rahmawati","email":"siti.{order}@example.co.id","phone":"+6281200{order:06}"}}}}"#
        );
        body
    }
}

fn transaction_id(order: u64) -> String {
    format!("11b7d3c5-2e4f-4c6a-8b9d-{order:012x}")
}

fn signature(code: &str, number: &str, amount: u64) -> String {
    let mut hash = Sha512::new();
    hash.update(code);
    hash.update(number);
    hash.update(format!("{amount}.00"));
    hash.update(SERVER_KEY);
    hex::encode(hash.finalize())
}

/// The bodies of the notifications, made by several threads.
pub(super) fn bodies(notices: &[Notice]) -> Vec<String> {
    let part = notices.len().div_ceil(4).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = notices
            .chunks(part)
            .map(|part| scope.spawn(|| part.iter().map(|one| one.body()).collect::<Vec<_>>()))
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().expect("making a body does not panic"))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::domain::{RawNotification, ServerKeys};

    use super::*;

    #[test]
    fn every_order_has_a_pending_before_its_settlement() {
        let notices = sequence(10..5_010);
        assert_eq!(notices.len(), 10_000);
        for order in [10, 11, 2_500, 5_009] {
            let at = |settled| notices.iter().position(|n| *n == Notice { order, settled });
            assert!(at(false).unwrap() < at(true).unwrap());
        }
    }

    #[test]
    fn every_body_verifies() {
        let keys = SERVER_KEY.parse::<ServerKeys>().unwrap();
        for body in bodies(&sequence(0..4)) {
            assert!((600..1_300).contains(&body.len()), "{} bytes", body.len());
            RawNotification::new(Bytes::from(body))
                .verify(&keys)
                .unwrap();
        }
    }
}
