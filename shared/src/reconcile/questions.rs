//! Which questions about an order tell what its sessions are.

use serde::Serialize;

use crate::domain::{FraudStatus, Rail, TransactionState, TransactionStatus};
use crate::store::sync::SyncSession;

/// What is asked about one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The session.
    pub session_id: String,
    /// The id that is asked for: a transaction's, or the session's own.
    pub id: String,
    /// What is asked for when Midtrans does not know the first: some methods are found by their
    /// transaction only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub or_else: Option<String>,
}

/// The questions about sessions, given their rows in the order of their making. A transaction that
/// is over is not asked for by its own id: in a page another one may have followed, which only the
/// session's id finds.
pub(super) fn questions(rows: &[SyncSession], named: Option<&str>) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    let by_session = rows.chunk_by(|a, b| a.session_id == b.session_id);
    for session in by_session {
        let Some(session_id) = session.first().map(|row| &row.session_id) else {
            continue;
        };
        let going_on = session.iter().filter(|row| goes_on(row));
        let ids: Vec<_> = going_on
            .filter_map(|row| row.transaction_id.clone())
            .collect();
        let is_paid = session.iter().any(is_paid);
        if !ids.is_empty() && !is_paid {
            // While nothing is paid, another transaction may have followed in the same page.
            questions.push(by_its_own_id(session_id, None));
        }
        if ids.is_empty() {
            let newest = session.last().and_then(|row| row.transaction_id.clone());
            questions.push(by_its_own_id(session_id, newest));
        }
        questions.extend(ids.into_iter().map(|id| Question {
            session_id: session_id.clone(),
            id,
            or_else: None,
        }));
    }
    // An order may name a session whose payment nobody has heard of yet.
    if let Some(named) = named.filter(|name| rows.iter().all(|row| row.session_id != *name)) {
        questions.push(by_its_own_id(named, None));
    }
    questions
}

fn by_its_own_id(session_id: &str, or_else: Option<String>) -> Question {
    Question {
        session_id: session_id.to_owned(),
        id: session_id.to_owned(),
        or_else: or_else.filter(|id| id != session_id),
    }
}

/// Whether a transaction may still change, or give money back.
fn goes_on(row: &SyncSession) -> bool {
    state(row).is_some_and(|state| state.is_alive() || state.is_paid())
}

fn is_paid(row: &SyncSession) -> bool {
    state(row).is_some_and(TransactionState::is_paid)
}

fn state(row: &SyncSession) -> Option<TransactionState> {
    let status = TransactionStatus::parse(row.status.as_deref()?);
    let fraud = row.fraud_status.as_deref().map(FraudStatus::parse);
    let rail = Rail::of(row.payment_type.as_deref(), row.payment_channel.as_deref());
    TransactionState::of(&status, fraud.as_ref(), rail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(session: &str, transaction: Option<(&str, &str)>) -> SyncSession {
        SyncSession {
            session_id: session.to_owned(),
            transaction_id: transaction.map(|(id, _)| id.to_owned()),
            status: transaction.map(|(_, status)| status.to_owned()),
            fraud_status: None,
            payment_type: Some("bank_transfer".to_owned()),
            payment_channel: Some("bca".to_owned()),
        }
    }

    fn ids(rows: &[SyncSession], named: Option<&str>) -> Vec<(String, String, Option<String>)> {
        let questions = questions(rows, named).into_iter();
        questions.map(|q| (q.session_id, q.id, q.or_else)).collect()
    }

    fn question(
        session: &str,
        id: &str,
        or_else: Option<&str>,
    ) -> (String, String, Option<String>) {
        (
            session.to_owned(),
            id.to_owned(),
            or_else.map(str::to_owned),
        )
    }

    #[test]
    fn what_goes_on_is_asked_for_by_its_own_id_and_everything_else_by_its_session() {
        let rows = [
            row("A", Some(("a1", "expire"))),
            row("A", Some(("a2", "deny"))),
            row("A-2", Some(("b1", "expire"))),
            row("A-2", Some(("b2", "settlement"))),
            row("A-3", Some(("c1", "pending"))),
            row("A-4", None),
        ];
        let wanted = [
            question("A", "A", Some("a2")),
            question("A-2", "b2", None),
            question("A-3", "A-3", None),
            question("A-3", "c1", None),
            question("A-4", "A-4", None),
        ];
        assert_eq!(ids(&rows, Some("A-4")), wanted);
    }

    #[test]
    fn a_session_that_only_the_order_names_is_asked_for() {
        let rows = [row("A", None)];
        let wanted = [question("A", "A", None), question("A-2", "A-2", None)];
        assert_eq!(ids(&rows, Some("A-2")), wanted);
        assert_eq!(ids(&[], Some("A")), [question("A", "A", None)]);
        assert_eq!(ids(&[], None), []);
    }
}
