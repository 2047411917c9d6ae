//! What messages say: a subject line, a text for people, JSON for programs.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{MessageKind, Rule, Severity};
use crate::domain::Rupiah;

/// An alert as messages tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertText {
    /// Its id, once it is stored.
    pub id: Option<i64>,
    /// The rule's name.
    pub rule: String,
    /// `critical` or `high`.
    pub severity: String,
    /// The order.
    pub order_code: Option<String>,
    /// The payment session.
    pub session_id: Option<String>,
    /// What the order is.
    pub order_status: Option<String>,
    /// What the payment is.
    pub payment_status: Option<String>,
    /// Rupiah.
    pub amount: Option<i64>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// One sentence.
    pub summary: String,
    /// Section of the runbook.
    pub runbook: String,
    /// When it was noticed.
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    /// When it was over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
}

/// One message about an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The same each time this message is sent: receivers drop repeats by it.
    pub message_id: String,
    /// What it tells.
    pub kind: MessageKind,
    /// Of which alert.
    pub alert: AlertText,
}

impl Notice {
    /// One line.
    pub fn subject(&self) -> String {
        let alert = &self.alert;
        let about = alert.order_code.as_ref().or(alert.session_id.as_ref());
        let about = about.map(|name| format!(" {name}")).unwrap_or_default();
        let state = match self.kind {
            MessageKind::Opened => alert.severity.to_uppercase(),
            MessageKind::Repeated => format!("STILL {}", alert.severity.to_uppercase()),
            MessageKind::Resolved => "RESOLVED".to_owned(),
        };
        format!("[Lunas] {state}: {}{about}", alert.rule)
    }

    /// For people.
    pub fn text(&self) -> String {
        let alert = &self.alert;
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let amount = alert.amount.map(|amount| rupiah(Rupiah::new(amount)));
        let mut lines = vec![
            alert.summary.clone(),
            String::new(),
            format!("Alert:    {} ({})", alert.rule, alert.severity),
            format!(
                "Order:    {} ({})",
                dash(&alert.order_code),
                dash(&alert.order_status)
            ),
            format!(
                "Payment:  {} ({})",
                dash(&alert.session_id),
                dash(&alert.payment_status)
            ),
            format!("Amount:   {}", dash(&amount)),
            format!("Since:    {}", moment(alert.since)),
        ];
        lines.extend(
            alert
                .resolved_at
                .map(|at| format!("Resolved: {}", moment(at))),
        );
        lines.push(format!("Runbook:  {}", alert.runbook));
        if let (Some(id), true) = (alert.id, self.kind != MessageKind::Resolved) {
            lines.push(format!(
                "\nlunas alerts ack {id} --why TEXT  stops the repetitions"
            ));
        }
        lines.join("\n")
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "id": self.message_id,
            "kind": self.kind,
            "text": format!("{}\n{}", self.subject(), self.alert.summary),
            "alert": self.alert,
        })
    }

    /// A message that only shows whether a channel works.
    pub fn of_test(message_id: String, now: OffsetDateTime) -> Self {
        Self {
            message_id,
            kind: MessageKind::Opened,
            alert: AlertText {
                id: None,
                rule: "test".to_owned(),
                severity: Severity::High.as_str().to_owned(),
                order_code: None,
                session_id: None,
                order_status: None,
                payment_status: None,
                amount: None,
                since: now,
                summary: "This is a test: alerts of Lunas reach you".to_owned(),
                runbook: super::RUNBOOK.to_owned(),
                opened_at: now,
                resolved_at: None,
            },
        }
    }

    /// A message about an alert that is not stored.
    pub fn of_finding(
        message_id: String,
        kind: MessageKind,
        finding: &super::Finding,
        resolved_at: Option<OffsetDateTime>,
    ) -> Self {
        let rule: Rule = finding.rule;
        Self {
            message_id,
            kind,
            alert: AlertText {
                id: None,
                rule: rule.as_str().to_owned(),
                severity: rule.severity().as_str().to_owned(),
                order_code: finding.order_code.clone(),
                session_id: finding.session_id.clone(),
                order_status: finding.order_status.clone(),
                payment_status: finding.payment_status.clone(),
                amount: finding.amount,
                since: finding.since,
                summary: finding.summary.clone(),
                runbook: rule.runbook(),
                opened_at: finding.since,
                resolved_at,
            },
        }
    }
}

/// Rupiah as people write them: `Rp 1.250.000`.
pub(super) fn rupiah(amount: Rupiah) -> String {
    let digits = amount.get().unsigned_abs().to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('.');
        }
        grouped.push(digit);
    }
    let sign = if amount.get() < 0 { "-" } else { "" };
    format!("Rp {sign}{grouped}")
}

/// A duration as settings write it.
pub(super) fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    for (unit, word) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis >= unit && millis.is_multiple_of(unit) {
            return format!("{}{word}", millis / unit);
        }
    }
    format!("{millis}ms")
}

fn moment(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0)
        .unwrap_or(at)
        .format(&Rfc3339)
        .unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_order_statuses_amount_since_and_section() {
        let finding = super::super::Finding {
            order_code: Some("LNS-1".to_owned()),
            session_id: Some("LNS-1-2".to_owned()),
            order_status: Some("PENDING".to_owned()),
            payment_status: Some("settlement".to_owned()),
            amount: Some(1_250_000),
            ..super::super::judge::outage(Rule::PaidNotApplied, OffsetDateTime::UNIX_EPOCH, "x")
        };
        let notice = Notice::of_finding("m-1".to_owned(), MessageKind::Repeated, &finding, None);
        assert_eq!(
            notice.subject(),
            "[Lunas] STILL CRITICAL: paid_not_applied LNS-1"
        );
        let text = notice.text();
        for part in [
            "LNS-1 (PENDING)",
            "LNS-1-2 (settlement)",
            "Rp 1.250.000",
            "1970-01-01T00:00:00Z",
            "deploy/RUNBOOK.md#paid_not_applied",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let value = notice.json();
        assert_eq!(value["id"], "m-1");
        assert_eq!(value["kind"], "repeated");
        assert_eq!(value["alert"]["amount"], 1_250_000);
    }

    #[test]
    fn amounts_and_durations_read_as_people_write_them() {
        assert_eq!(rupiah(Rupiah::new(0)), "Rp 0");
        assert_eq!(rupiah(Rupiah::new(999)), "Rp 999");
        assert_eq!(rupiah(Rupiah::new(-12_345)), "Rp -12.345");
        assert_eq!(duration(Duration::from_secs(1800)), "30m");
        assert_eq!(duration(Duration::from_millis(1500)), "1500ms");
    }
}
