//! A catalog as comma separated values, one slot or variant per line.

use std::collections::{BTreeMap, BTreeSet};

use csv::{ReaderBuilder, StringRecord, Trim};
use serde_json::Value;

use super::record::{Collector, Contents, Mistake, Record, SLOT_FIELDS, VARIANT_FIELDS};

/// Everything in it, or everything that is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, Vec<Mistake>> {
    // The mark that some spreadsheets put before UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = Lines::of(bytes);
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .flexible(true)
        .from_reader(bytes);
    let mut collector = Collector::default();
    let columns = match reader.headers() {
        Ok(headers) => columns(headers, &mut collector),
        Err(_) => return Err(vec![Mistake::new("line 1", "is not UTF-8")]),
    };
    // Without the names of the columns every cell would be a mistake.
    let Some(columns) = columns else {
        return collector.finish();
    };
    for line in reader.records() {
        match line {
            Ok(line) => {
                let place = lines.place(line.position());
                take(&line, place, &columns, &mut collector);
            }
            Err(error) => {
                let place = lines.place(error.position());
                collector.mistake(Mistake::new(&place, "is not UTF-8"));
            }
        }
    }
    collector.finish()
}

/// Counts lines as editors do. The reader's own count is off where lines end in CR and LF, or are
/// empty.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    const fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            line: 1,
        }
    }

    /// The line of a record, which begins at or behind this position.
    fn place(&mut self, position: Option<&csv::Position>) -> String {
        let start = position.map_or(0, |position| usize::try_from(position.byte()).unwrap_or(0));
        while let Some(byte) = self.bytes.get(self.at) {
            let is_end = matches!(byte, b'\r' | b'\n');
            if self.at >= start && !is_end {
                break;
            }
            let is_half = *byte == b'\r' && self.bytes.get(self.at + 1) == Some(&b'\n');
            self.line += usize::from(is_end && !is_half);
            self.at += 1;
        }
        format!("line {}", self.line)
    }
}

/// The names of the columns; `None` when they make no sense.
fn columns(headers: &StringRecord, collector: &mut Collector) -> Option<Vec<String>> {
    let known: BTreeSet<&str> = SLOT_FIELDS.into_iter().chain(VARIANT_FIELDS).collect();
    let mut seen = BTreeSet::new();
    let mut all_right = true;
    for name in headers {
        let why = match (known.contains(name), seen.insert(name)) {
            (true, true) => continue,
            (true, false) => "stands in the header twice",
            (false, _) => "is no column of a catalog",
        };
        collector.mistake(Mistake::of("line 1", name, why));
        all_right = false;
    }
    all_right.then(|| headers.iter().map(str::to_owned).collect())
}

fn take(line: &StringRecord, place: String, columns: &[String], collector: &mut Collector) {
    if line.len() != columns.len() {
        let why = format!(
            "has {} cells where the header has {}",
            line.len(),
            columns.len()
        );
        collector.mistake(Mistake::new(&place, why));
        return;
    }
    let cells = columns.iter().zip(line);
    let cells = cells.filter(|(_, cell)| !cell.is_empty());
    let fields: BTreeMap<String, Value> = cells
        .map(|(name, cell)| (name.clone(), Value::String(cell.to_owned())))
        .collect();
    let record = Record {
        place,
        is_text: true,
        fields,
    };
    let has = |name| record.fields.contains_key(name);
    match (has("id"), has("sku")) {
        (true, false) => collector.slot(&record),
        (false, true) => collector.variant(&record),
        (true, true) => {
            let why = "has both an id and a sku: a slot has the one, a variant the other";
            collector.mistake(Mistake::new(&record.place, why));
        }
        (false, false) => {
            let why = "has neither an id (a slot) nor a sku (a variant)";
            collector.mistake(Mistake::new(&record.place, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "id,sku,name,starts_at,capacity,stock,price";

    fn mistakes(bytes: &[u8]) -> Vec<String> {
        let mistakes = read(bytes).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn slots_and_variants_stand_side_by_side_in_any_order_of_columns() {
        let text = format!(
            "\u{feff}{HEADER}\r\ns,,\"Konser, malam\",2099-01-01T00:00:00Z,10,,5\r\n\r\n ,v,Kaus,,, 3 ,4\r\n"
        );
        let contents = read(text.as_bytes()).unwrap();
        assert_eq!(contents.entries.slots[0].name, "Konser, malam");
        assert_eq!(contents.entries.variants[0].stock, 3);
        assert_eq!(contents.slot_places, ["line 2"]);
        assert_eq!(contents.variant_places, ["line 4"]);
        let text = "price,stock,name,sku\n1,2,Kaus,v\n";
        assert_eq!(read(text.as_bytes()).unwrap().entries.variants[0].price, 1);
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let mut bytes = format!(
            "{HEADER}\n\
             s,,S,2099-01-01T00:00:00Z,1.000,,5\n\
             ,,S,,,,5\n\
             s,v,S,,,,5\n\
             ,v,\"two\nlines\",,,3,4\n\
             ,w,W,2099-01-01T00:00:00Z,,3,4\n\
             ,w,W,,,3,-4\n\
             a,b\n"
        )
        .into_bytes();
        bytes.extend(b",x,\xff,,,1,1\n,y,Y,,,1e3,99999999999999999999\n");
        let told = mistakes(&bytes);
        for wanted in [
            "line 2: capacity must be a whole number in bounds",
            "line 3: has neither",
            "line 4: has both",
            "line 5: name must be 1 to 200 characters on one line",
            "line 7: starts_at does not belong here",
            "line 8: sku is the same as in line 7",
            "line 8: price must be a whole number of rupiah",
            "line 9: has 2 cells where the header has 7",
            "line 10: is not UTF-8",
            "line 11: stock must be a whole number in bounds",
            "line 11: price must be a whole number in bounds",
        ] {
            let found = told.iter().filter(|line| line.starts_with(wanted)).count();
            assert_eq!(found, 1, "{wanted}: {told:#?}");
        }
        assert_eq!(told.len(), 11, "{told:#?}");
    }

    #[test]
    fn a_header_that_makes_no_sense_ends_it() {
        assert_eq!(mistakes(b"id,colour,id\n1,2,3\n").len(), 2);
        assert_eq!(mistakes(b"").len(), 1);
        assert_eq!(mistakes(HEADER.as_bytes()).len(), 1);
    }
}
