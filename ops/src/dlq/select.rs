//! Which dead letters a command is about: ids, or filters.

use clap::Args;
use shared::config::parse_duration;
use shared::store::Store;
use shared::store::dead_letters_read::DeadLetterFilter;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::outcome::wrong_use;

/// The status of a letter that nobody has settled.
const DEAD: &str = "dead";

/// The filters of the admin API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Filters {
    /// Only letters of this status
    #[arg(long, value_parser = ["dead", "replaying", "replayed", "discarded", "all"],
          default_value = DEAD)]
    status: String,
    /// Only letters that died for this reason, such as wrong_currency
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only letters that died of the same thing; `lunas dlq groups` shows the fingerprints
    #[arg(long, value_name = "TEXT")]
    fingerprint: Option<String>,
    /// Only letters of this order, or of one of its payment sessions
    #[arg(long, value_name = "CODE")]
    order_code: Option<String>,
    /// Only letters that last failed at this time or later: 2026-03-14T09:00:00+07:00,
    /// 2026-03-14 (UTC), or a time ago such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Only letters that last failed before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<OffsetDateTime>,
    /// Only letters with this text in order, session, reason, error or payload
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
}

impl Filters {
    /// The filter for the store.
    pub(crate) fn filter(&self) -> DeadLetterFilter {
        DeadLetterFilter {
            status: Some(self.status.clone()).filter(|status| status != "all"),
            reason: self.reason.clone(),
            fingerprint: self.fingerprint.clone(),
            order_code: self.order_code.clone(),
            since: self.since,
            until: self.until,
            q: self.q.clone(),
            ..DeadLetterFilter::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.filter()
            == DeadLetterFilter {
                status: Some(DEAD.to_owned()),
                ..Default::default()
            }
    }
}

/// The letters that a command changes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which")]
pub(crate) struct Selection {
    /// The dead letters, by id
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// All dead letters
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filters: Filters,
}

/// What a selection chooses now.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// Letters that are dead, oldest first.
    pub(crate) ids: Vec<i64>,
    /// Ids on the command line that are not dead letters any more, or never were.
    pub(crate) skipped: Vec<i64>,
}

impl Selection {
    /// The filter for the store; wrong use when it does not say what is meant.
    pub(crate) fn filter(&self) -> anyhow::Result<DeadLetterFilter> {
        let filtered = !self.filters.is_empty();
        if !self.ids.is_empty() && filtered {
            return Err(wrong_use("Give ids or filters, not both"));
        }
        if self.ids.is_empty() && !filtered && !self.all {
            return Err(wrong_use("Say which dead letters: ids, filters, or --all"));
        }
        if self.filters.status != DEAD {
            return Err(wrong_use("Only letters with --status dead can be settled"));
        }
        let mut filter = self.filters.filter();
        filter.ids = Some(self.ids.clone()).filter(|ids| !ids.is_empty());
        Ok(filter)
    }

    /// Asks the store what is chosen.
    pub(crate) async fn choose(&self, store: &Store) -> anyhow::Result<Chosen> {
        let ids = store.dead_letters_ids(&self.filter()?).await?;
        let skipped = self
            .ids
            .iter()
            .filter(|id| !ids.contains(id))
            .copied()
            .collect();
        Ok(Chosen { ids, skipped })
    }
}

fn moment(text: &str) -> Result<OffsetDateTime, &'static str> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    if let Ok(day) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(day.midnight().assume_utc());
    }
    let ago =
        parse_duration(text).map_err(|_| "must be RFC 3339, a date, or a time ago such as 2h")?;
    OffsetDateTime::now_utc()
        .checked_sub(time::Duration::try_from(ago).map_err(|_| "is too long ago")?)
        .ok_or("is too long ago")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use time::macros::datetime;

    #[derive(Parser)]
    struct Sample {
        #[command(flatten)]
        selection: Selection,
    }

    fn filter(arguments: &[&str]) -> anyhow::Result<DeadLetterFilter> {
        let arguments = [&["x"], arguments].concat();
        Sample::try_parse_from(arguments)?.selection.filter()
    }

    #[test]
    fn a_selection_says_what_it_means() {
        assert!(filter(&[]).is_err());
        assert!(filter(&["7", "--reason", "wrong_currency"]).is_err());
        assert!(filter(&["7", "--all"]).is_err());
        assert!(filter(&["--all", "--status", "replayed"]).is_err());
        assert_eq!(filter(&["7", "8"]).unwrap().ids, Some(vec![7, 8]));
        assert_eq!(filter(&["--all"]).unwrap().status.as_deref(), Some("dead"));
        assert_eq!(
            filter(&["--q", "LNS-1"]).unwrap().q.as_deref(),
            Some("LNS-1")
        );
    }

    #[test]
    fn times_are_read_in_three_ways() {
        assert_eq!(
            moment("2026-03-14T09:00:00+07:00").unwrap(),
            datetime!(2026-03-14 2:00 UTC)
        );
        assert_eq!(
            moment("2026-03-14").unwrap(),
            datetime!(2026-03-14 0:00 UTC)
        );
        let ago = OffsetDateTime::now_utc() - moment("2h").unwrap();
        assert!((ago.whole_minutes() - 120).abs() <= 1);
        assert!(moment("gestern").is_err() && moment("999999999999h").is_err());
    }
}
