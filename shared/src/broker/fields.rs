//! AMQP header values as text, numbers, times and JSON, read as kindly as possible.
//!
//! A header may have been written by anybody. Nothing here fails: what cannot be read as asked is
//! absent, and what cannot be shown exactly is shown as text.

use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The value as text, when it is a string of either kind.
pub(super) fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(printable(text.as_bytes())),
        AMQPValue::ShortString(text) => Some(printable(text.as_str().as_bytes())),
        AMQPValue::ByteArray(bytes) => Some(printable(bytes.as_slice())),
        _ => None,
    }
}

/// The value as a whole number, when it is one or spells one.
pub(super) fn number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongLongInt(number) => Some(*number),
        AMQPValue::Timestamp(seconds) => i64::try_from(*seconds).ok(),
        other => text(other)?.trim().parse().ok(),
    }
}

/// The value as a time, when it is an AMQP timestamp or RFC 3339 text.
pub(super) fn time(value: &AMQPValue) -> Option<OffsetDateTime> {
    match value {
        AMQPValue::Timestamp(seconds) => {
            OffsetDateTime::from_unix_timestamp(i64::try_from(*seconds).ok()?).ok()
        }
        other => OffsetDateTime::parse(&text(other)?, &Rfc3339).ok(),
    }
}

/// The time as the text that [`time`] reads.
pub(super) fn time_text(time: OffsetDateTime) -> Option<String> {
    time.format(&Rfc3339).ok()
}

/// The value as JSON that PostgreSQL can store.
pub(super) fn json(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(flag) => Value::Bool(*flag),
        AMQPValue::Float(number) => Value::from(*number),
        AMQPValue::Double(number) => Value::from(*number),
        AMQPValue::DecimalValue(decimal) => {
            Value::from(format!("{}e-{}", decimal.value, decimal.scale))
        }
        AMQPValue::FieldArray(items) => items.as_slice().iter().map(json).collect(),
        AMQPValue::FieldTable(table) => Value::Object(json_map(table)),
        AMQPValue::Timestamp(_) => time(value)
            .and_then(time_text)
            .map_or(Value::Null, Value::from),
        AMQPValue::Void => Value::Null,
        AMQPValue::LongString(_) | AMQPValue::ShortString(_) | AMQPValue::ByteArray(_) => {
            text(value).map_or(Value::Null, Value::from)
        }
        AMQPValue::ShortShortInt(_)
        | AMQPValue::ShortShortUInt(_)
        | AMQPValue::ShortInt(_)
        | AMQPValue::ShortUInt(_)
        | AMQPValue::LongInt(_)
        | AMQPValue::LongUInt(_)
        | AMQPValue::LongLongInt(_) => number(value).map_or(Value::Null, Value::from),
    }
}

/// A whole table as JSON.
pub(super) fn json_map(table: &FieldTable) -> Map<String, Value> {
    table
        .into_iter()
        .map(|(name, value)| (printable(name.as_str().as_bytes()), json(value)))
        .collect()
}

/// JSON as a header value: the nearest kind that every client reads.
pub(super) fn amqp(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(flag) => AMQPValue::Boolean(*flag),
        Value::Number(number) => number
            .as_i64()
            .map(AMQPValue::LongLongInt)
            .or_else(|| number.as_f64().map(AMQPValue::Double))
            .unwrap_or(AMQPValue::Void),
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(items) => {
            AMQPValue::FieldArray(FieldArray::from(items.iter().map(amqp).collect::<Vec<_>>()))
        }
        Value::Object(map) => AMQPValue::FieldTable(amqp_table(map)),
    }
}

/// A JSON object as a table; names that AMQP cannot carry are left out.
pub(super) fn amqp_table(map: &Map<String, Value>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in map {
        if let Ok(name) = ShortString::try_new(name.as_str()) {
            table.insert(name, amqp(value));
        }
    }
    table
}

/// Text that ends at a character boundary within `limit` bytes.
pub(super) fn truncated(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// PostgreSQL stores no NUL in text or JSON; a header with one must not stop the keeper.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_text_is_read_and_none_of_it_holds_a_nul() {
        let long = AMQPValue::LongString(b"a\0\xffb".to_vec().into());
        assert_eq!(text(&long).unwrap(), "a\u{fffd}\u{fffd}b");
        assert_eq!(
            text(&AMQPValue::ShortString("kurz".into())).unwrap(),
            "kurz"
        );
        assert_eq!(text(&AMQPValue::LongInt(3)), None);
    }

    #[test]
    fn numbers_are_read_whatever_their_width_or_spelling() {
        assert_eq!(number(&AMQPValue::ShortShortUInt(7)), Some(7));
        assert_eq!(number(&AMQPValue::LongLongInt(-7)), Some(-7));
        assert_eq!(number(&AMQPValue::LongString(" 7 ".into())), Some(7));
        assert_eq!(number(&AMQPValue::LongString("seven".into())), None);
    }

    #[test]
    fn json_survives_the_way_through_a_table() {
        let value = serde_json::json!({"a": [1, "x", null, true], "b": {"c": 1.5}});
        assert_eq!(json(&amqp(&value)), value);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(truncated("añb", 2), "a");
        assert_eq!(truncated("añb", 3), "añ");
        assert_eq!(truncated("añb", 30), "añb");
    }
}
