//! Midtrans' times: `YYYY-MM-DD HH:MM:SS`, always WIB (UTC+07:00), never with an offset.

use time::format_description::BorrowedFormatItem;
use time::macros::{format_description, offset};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// Western Indonesian time; it has no summer time.
pub const OFFSET: UtcOffset = offset!(+7);

const WIRE: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// The text is not a time as Midtrans writes it.
#[derive(Debug, thiserror::Error)]
#[error("not a time of the form YYYY-MM-DD HH:MM:SS")]
pub struct WibError(#[source] time::error::Parse);

/// Reads a time of a notification or a status answer.
///
/// # Errors
/// When the text has another form or names a moment that does not exist.
pub fn parse(text: &str) -> Result<OffsetDateTime, WibError> {
    PrimitiveDateTime::parse(text, WIRE)
        .map(|local| local.assume_offset(OFFSET))
        .map_err(WibError)
}

/// Writes a moment as Midtrans would, in WIB and without an offset.
pub fn format(moment: OffsetDateTime) -> String {
    let local = moment.to_offset(OFFSET);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        local.year(),
        u8::from(local.month()),
        local.day(),
        local.hour(),
        local.minute(),
        local.second()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn wib_is_seven_hours_ahead_of_utc() {
        let moment = parse("2026-03-14 01:12:41").unwrap();
        assert_eq!(moment, datetime!(2026-03-13 18:12:41 UTC));
        assert_eq!(
            format(datetime!(2026-03-13 18:12:41 UTC)),
            "2026-03-14 01:12:41"
        );
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "2026-03-14",
            "2026-03-14T01:12:41",
            "2026-02-30 01:12:41",
            "2026-03-14 24:00:00",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(second in 0_i64..4_102_444_800) {
            let moment = OffsetDateTime::from_unix_timestamp(second).unwrap();
            prop_assert_eq!(parse(&format(moment)).unwrap(), moment);
        }
    }
}
