//! What commands print: JSON for programs, plain columns for people.

use std::io::{Write as _, stdout};

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

/// Prints one JSON document.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    write_line(&text)
}

/// Prints lines. Control characters of a foreign message do not reach the terminal.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let plain = text.replace(|c: char| c.is_control() && c != '\n', " ");
    write_line(&plain)
}

/// A reader that has seen enough (`| head`) is not an error.
fn write_line(text: &str) -> anyhow::Result<()> {
    match writeln!(stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// Prints rows under headings, each column as wide as its widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let mut widths: Vec<_> = headings
        .iter()
        .map(|heading| heading.chars().count())
        .collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let headings: Vec<_> = headings
        .iter()
        .map(|heading| (*heading).to_owned())
        .collect();
    for row in std::iter::once(&headings).chain(rows) {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        line(cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// A time in UTC, to the second.
pub(crate) fn time(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    at.to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_else(|_| at.to_string())
}

/// Rupiah as people write them: `Rp 1.250.000`.
pub(crate) fn rupiah(amount: i64) -> String {
    let digits = amount.unsigned_abs().to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend(
        (first..digits.len())
            .step_by(3)
            .map(|at| &digits[at..at + 3]),
    );
    let sign = if amount < 0 { "-" } else { "" };
    format!("Rp {sign}{}", groups.join("."))
}

/// The text, or a dash.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// One line of at most that many characters, without control characters.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = plain.clone().take(limit).collect();
    if plain.count() > limit {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rupiah_have_dots_between_thousands() {
        assert_eq!(rupiah(0), "Rp 0");
        assert_eq!(rupiah(999), "Rp 999");
        assert_eq!(rupiah(1_250_000), "Rp 1.250.000");
        assert_eq!(rupiah(-12_345), "Rp -12.345");
        assert_eq!(rupiah(i64::MIN), "Rp -9.223.372.036.854.775.808");
    }

    #[test]
    fn a_long_or_hostile_text_becomes_one_short_line() {
        assert_eq!(shortened("a\u{1b}[31m\nb", 20), "a [31m b");
        assert_eq!(shortened("ñandú", 5), "ñandú");
        assert_eq!(shortened("ñandúes", 5), "ñand…");
    }
}
