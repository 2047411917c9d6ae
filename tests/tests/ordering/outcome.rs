//! What the rows of an order must be in the end, derived from the truth alone: the list of design
//! 4.1 once more, independent of the code under test.

use std::collections::BTreeMap;

use lunas_tests::harness::Stage;
use shared::domain::transition::{Rail, TransactionState};

use crate::history::{History, words};

use TransactionState::{
    Authorize, Cancel, Capture, Challenge, Chargeback, Created, Deny, Expire, Failure,
    PartialChargeback, PartialRefund, Pending, Refund, Reversed, Settlement,
};

/// The rows of one order: its status, why it is in review, and its transactions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    status: String,
    reasons: Vec<String>,
    /// Id, status, fraud status, amount, refunded amount.
    transactions: Vec<(String, String, String, i64, i64)>,
}

impl Outcome {
    /// What it must be.
    pub(crate) fn of(histories: &[History]) -> Self {
        let status = status(histories);
        let mut transactions: Vec<_> = histories.iter().map(transaction).collect();
        transactions.sort_unstable();
        Self {
            reasons: reasons(histories, status),
            status: status.to_owned(),
            transactions,
        }
    }

    /// What they are, by order code.
    pub(crate) async fn all(stage: &Stage) -> BTreeMap<String, Self> {
        let rows: Vec<(String, String, Vec<String>)> =
            sqlx::query_as("SELECT order_code, status, review_reasons FROM orders")
                .fetch_all(stage.pool())
                .await
                .unwrap();
        let mut all: BTreeMap<String, Self> = rows
            .into_iter()
            .map(|(code, status, reasons)| {
                let transactions = Vec::new();
                (
                    code,
                    Self {
                        status,
                        reasons,
                        transactions,
                    },
                )
            })
            .collect();
        let rows: Vec<(String, String, String, String, i64, i64)> = sqlx::query_as(
            "SELECT o.order_code, t.midtrans_transaction_id, t.status,
                    coalesce(t.fraud_status, ''), t.gross_amount, t.refunded_amount
             FROM payment_transactions t JOIN payments p ON p.id = t.payment_id
             JOIN orders o ON o.id = p.order_id ORDER BY 1, 2",
        )
        .fetch_all(stage.pool())
        .await
        .unwrap();
        for (code, id, status, fraud, amount, refunded) in rows {
            let order = all.get_mut(&code).unwrap();
            order
                .transactions
                .push((id, status, fraud, amount, refunded));
        }
        all
    }
}

fn transaction(history: &History) -> (String, String, String, i64, i64) {
    let last = history.last();
    let (status, _, fraud) = words(last.state);
    let usual = if history.rail == Rail::Indomaret {
        ""
    } else {
        "accept"
    };
    (
        history.transaction_id().to_owned(),
        status.to_owned(),
        fraud.unwrap_or(usual).to_owned(),
        last.amount,
        last.refunded,
    )
}

/// The first class that any transaction is in.
fn status(histories: &[History]) -> &'static str {
    let class = |history: &History| match history.last().state {
        Settlement | Capture => 1,
        PartialRefund | PartialChargeback => 2,
        Chargeback => 3,
        Refund => 4,
        Reversed => 5,
        Created | Pending | Authorize | Challenge => 6,
        Cancel => 7,
        Expire if history.rail != Rail::Card => 8,
        Failure => 9,
        Expire | Deny => 10,
    };
    let paid: Vec<&History> = histories
        .iter()
        .filter(|h| h.last().state.is_paid())
        .collect();
    let mismatch = !paid.is_empty() && !paid.iter().any(|h| h.has_right_amount());
    match histories.iter().map(class).min().unwrap() {
        1 | 2 if mismatch => "REVIEW",
        1 => "PAID",
        2 => "PARTIALLY_REFUNDED",
        3 => "CHARGEBACK",
        4 => "REFUNDED",
        5 | 9 => "FAILED",
        6 | 10 => "PENDING",
        7 => "CANCELLED",
        _ => "EXPIRED",
    }
}

fn reasons(histories: &[History], status: &str) -> Vec<String> {
    let paid = histories
        .iter()
        .filter(|h| h.last().state.is_paid())
        .count();
    let mut reasons = Vec::new();
    if status == "REVIEW" {
        reasons.push("amount_mismatch".to_owned());
    }
    if paid > 1 {
        reasons.push("duplicate_payment".to_owned());
    }
    if status == "FAILED" && histories.iter().any(|h| h.last().state == Reversed) {
        reasons.push("reversed".to_owned());
    }
    reasons
}
