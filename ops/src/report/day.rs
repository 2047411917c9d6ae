//! A day as operators name it: in Jakarta, from midnight to midnight.

use std::str::FromStr;

use shared::domain::wib;
use shared::store::report::Span;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    Today,
    Yesterday,
    On(Date),
}

impl FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "today" => Ok(Self::Today),
            "yesterday" => Ok(Self::Yesterday),
            date => Date::parse(date, format_description!("[year]-[month]-[day]"))
                .map(Self::On)
                .map_err(|_| "must be a day such as 2026-03-14, or today or yesterday"),
        }
    }
}

impl Day {
    /// The date, and from when until when it was; `None` at the ends of time.
    pub(crate) fn span(self, now: OffsetDateTime) -> Option<(Date, Span)> {
        let today = now.to_offset(wib::OFFSET).date();
        let date = match self {
            Self::Today => today,
            Self::Yesterday => today.previous_day()?,
            Self::On(date) => date,
        };
        let midnight = |date: Date| date.with_time(Time::MIDNIGHT).assume_offset(wib::OFFSET);
        let span = Span {
            from: midnight(date),
            to: midnight(date.next_day()?),
        };
        // What PostgreSQL knows and a person may mean.
        (1970..=9000).contains(&date.year()).then_some((date, span))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_jakarta() {
        let (date, span) = "2026-03-14"
            .parse::<Day>()
            .unwrap()
            .span(datetime!(2026-11-01 0:00 UTC))
            .unwrap();
        assert_eq!(date, date!(2026 - 03 - 14));
        assert_eq!(span.from, datetime!(2026-03-13 17:00 UTC));
        assert_eq!(span.to, datetime!(2026-03-14 17:00 UTC));
    }

    #[test]
    fn today_is_what_the_calendar_in_jakarta_says() {
        let evening = datetime!(2026-03-14 17:30 UTC);
        let day = |text: &str| text.parse::<Day>().unwrap().span(evening).unwrap().0;
        assert_eq!(day("today"), date!(2026 - 03 - 15));
        assert_eq!(day("yesterday"), date!(2026 - 03 - 14));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "14",
            "2026-02-30",
            "2026-3-1",
            "tomorrow",
            "2026-03-14T00:00",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        let year_one = "0001-01-01".parse::<Day>().unwrap();
        assert_eq!(year_one.span(datetime!(2026-03-14 0:00 UTC)), None);
    }
}
