//! What is found against what is open: which alerts begin, go on, are said again, and end.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::{Finding, Found};

/// An alert that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAlert {
    /// Its id.
    pub id: i64,
    /// The rule and what it is about.
    pub dedupe_key: String,
    /// The rule's name; perhaps one that only another release knows.
    pub rule: String,
    /// The row it is about.
    pub subject_id: Option<i64>,
    /// When somebody was last told.
    pub last_message_at: OffsetDateTime,
    /// Somebody has said that they know.
    pub acked: bool,
}

/// What becomes of the alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// These begin.
    pub open: Vec<Finding>,
    /// These go on; with what is found now.
    pub seen: Vec<(i64, Finding)>,
    /// Of those that go on, these are said again.
    pub repeat: Vec<i64>,
    /// These end.
    pub resolve: Vec<i64>,
}

/// Compares what was found with what is open. A rule that was not looked for, because its question
/// failed or another release asks it, changes nothing.
pub fn plan(found: &[Found], open: &[OpenAlert], now: OffsetDateTime, cooldown: Duration) -> Plan {
    let mut plan = Plan::default();
    let mut new: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in found.iter().flat_map(|found| &found.findings) {
        // The first words for a key count.
        new.entry(&finding.dedupe_key).or_insert(finding);
    }
    for alert in open {
        if let Some(finding) = new.remove(alert.dedupe_key.as_str()) {
            plan.seen.push((alert.id, finding.clone()));
            if !alert.acked && now - alert.last_message_at >= cooldown {
                plan.repeat.push(alert.id);
            }
        } else if found.iter().any(|found| ended(found, alert)) {
            plan.resolve.push(alert.id);
        }
    }
    plan.open = new.into_values().cloned().collect();
    plan
}

/// Whether an alert that was not found is over: its rule was looked for, up to its row at least.
fn ended(found: &Found, alert: &OpenAlert) -> bool {
    if found.rule.as_str() != alert.rule {
        return false;
    }
    match (found.complete_up_to, alert.subject_id) {
        (Some(last), Some(subject)) => subject <= last,
        (None, _) | (Some(_), None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, judge};
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(3600);

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds)
    }

    fn finding(key: &str, id: i64) -> Finding {
        Finding {
            dedupe_key: key.to_owned(),
            subject_id: Some(id),
            ..judge::outage(Rule::OrderInReview, at(0), "x")
        }
    }

    fn found(ids: &[i64], complete_up_to: Option<i64>) -> Found {
        Found {
            rule: Rule::OrderInReview,
            findings: ids.iter().map(|id| finding(&id.to_string(), *id)).collect(),
            complete_up_to,
        }
    }

    fn open(id: i64, acked: bool) -> OpenAlert {
        OpenAlert {
            id: id + 100,
            dedupe_key: id.to_string(),
            rule: Rule::OrderInReview.as_str().to_owned(),
            subject_id: Some(id),
            last_message_at: at(0),
            acked,
        }
    }

    #[test]
    fn alerts_begin_go_on_and_end() {
        let plan = plan(
            &[found(&[1, 2], None)],
            &[open(2, false), open(3, true)],
            at(10),
            COOLDOWN,
        );
        assert_eq!(plan.open, [finding("1", 1)]);
        assert_eq!(plan.seen, [(102, finding("2", 2))]);
        assert!(plan.repeat.is_empty());
        assert_eq!(plan.resolve, [103]);
    }

    #[test]
    fn after_the_cooldown_it_is_said_again_unless_somebody_knows() {
        let both = [open(1, false), open(2, true)];
        let now = found(&[1, 2], None);
        let plan_at = |seconds| plan(std::slice::from_ref(&now), &both, at(seconds), COOLDOWN);
        assert!(plan_at(3599).repeat.is_empty());
        assert_eq!(plan_at(3600).repeat, [101]);
    }

    #[test]
    fn a_rule_that_was_not_looked_for_ends_nothing() {
        let foreign = OpenAlert {
            rule: "of_another_release".to_owned(),
            ..open(1, false)
        };
        let others = [Found::nothing(Rule::Stuck)];
        let plan = plan(&others, &[foreign, open(2, false)], at(10), COOLDOWN);
        assert_eq!(plan, Plan::default());
    }

    #[test]
    fn of_rows_behind_the_last_one_looked_at_nothing_is_known() {
        let open = [open(1, false), open(2, false), open(9, false)];
        let plan = plan(&[found(&[1, 5], Some(5))], &open, at(10), COOLDOWN);
        assert_eq!(plan.resolve, [102]);
    }

    #[test]
    fn what_is_found_twice_is_one_alert() {
        let plan = plan(&[found(&[1, 1], None)], &[], at(10), COOLDOWN);
        assert_eq!(plan.open.len(), 1);
    }
}
