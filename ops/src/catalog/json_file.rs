//! A catalog as one JSON object.

use serde_json::Value;

use super::record::{Collector, Contents, Mistake, Record};

/// Everything in it, or everything that is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, Vec<Mistake>> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        vec![Mistake::new(&place, "this is not JSON")]
    })?;
    let Value::Object(top) = value else {
        let why = "the file must be an object with slots and variants";
        return Err(vec![Mistake::new("", why)]);
    };
    let mut collector = Collector::default();
    for (name, list) in top {
        let take: fn(&mut Collector, &Record) = match name.as_str() {
            "slots" => Collector::slot,
            "variants" => Collector::variant,
            _ => {
                collector.mistake(Mistake::of("", &name, "is neither slots nor variants"));
                continue;
            }
        };
        let Value::Array(entries) = list else {
            collector.mistake(Mistake::of("", &name, "must be a list"));
            continue;
        };
        for (at, entry) in entries.into_iter().enumerate() {
            let place = format!("{name}[{at}]");
            let Value::Object(fields) = entry else {
                collector.mistake(Mistake::new(&place, "must be an object"));
                continue;
            };
            let record = Record {
                place,
                fields: fields.into_iter().collect(),
                is_text: false,
            };
            take(&mut collector, &record);
        }
    }
    collector.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let mistakes = read(text.as_bytes()).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_is_read_whole() {
        let text = r#"{"slots": [{"id": "s", "name": "S", "starts_at": "2099-01-01T00:00:00Z",
                                  "capacity": 1, "price": 2}],
                       "variants": [{"sku": "v", "name": "V", "stock": 3, "price": 4}]}"#;
        let contents = read(text.as_bytes()).unwrap();
        assert_eq!(
            (
                contents.entries.slots.len(),
                contents.entries.variants.len()
            ),
            (1, 1)
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_position() {
        let text = r#"{"slots": [{"id": "s", "name": 7, "starts_at": "soon", "capacity": -1},
                                 "x"],
                       "variants": [{"sku": "v", "name": "V", "stock": 1.5, "price": 4, "x": 1},
                                    {"sku": "v", "name": "V", "stock": "3", "price": 4}],
                       "events": []}"#;
        let told = mistakes(text);
        for wanted in [
            "slots[0]: name must be a text",
            "slots[0]: starts_at must be a time with its offset",
            "slots[0]: capacity must be a whole number from 0",
            "slots[0]: price is missing",
            "slots[1]: must be an object",
            "variants[0]: x does not belong here",
            "variants[0]: stock must be a whole number in bounds",
            "variants[1]: stock must be a whole number in bounds",
            "variants[1]: sku is the same as in variants[0]",
            "events is neither slots nor variants",
        ] {
            let found = told.iter().filter(|line| line.starts_with(wanted)).count();
            assert_eq!(found, 1, "{wanted}: {told:#?}");
        }
        assert_eq!(told.len(), 10, "{told:#?}");
    }

    #[test]
    fn what_is_no_catalog_is_refused() {
        assert_eq!(mistakes("{\n  x"), ["line 2, column 3: this is not JSON"]);
        for text in [
            "",
            "[]",
            "{}",
            "{\"slots\": []}",
            "{\"slots\": {}}",
            "\u{1}",
        ] {
            assert_eq!(mistakes(text).len(), 1, "{text}");
        }
    }
}
