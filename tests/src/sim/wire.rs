//! Amounts and times as the gateway spells them (`midtrans.md` 1.2, 4.7).

use time::macros::{format_description, offset};
use time::{Duration, OffsetDateTime};

/// An amount as notifications spell it: `150000.00`.
pub(crate) fn wire(amount: i64) -> String {
    format!("{amount}.00")
}

/// A time as notifications spell it: Western Indonesian Time, no offset.
pub(crate) fn wib(at: OffsetDateTime) -> String {
    at.to_offset(offset!(+7))
        .format(format_description!(
            "[year]-[month]-[day] [hour]:[minute]:[second]"
        ))
        .unwrap_or_default()
}

/// A WIB time with an explicit offset, as requests spell it: `2026-03-14 10:20:00 +0700`.
pub(crate) fn parse_offset_time(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    OffsetDateTime::parse(text, format).ok()
}

/// `duration` and `unit` of an expiry; the unit defaults to minutes.
pub(crate) fn parse_span(duration: i64, unit: Option<&str>) -> Option<Duration> {
    let unit = unit.unwrap_or("minute");
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    (duration > 0).then(|| Duration::seconds(duration.saturating_mul(seconds)))
}
