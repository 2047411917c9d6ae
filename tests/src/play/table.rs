//! A plain table of aligned columns, with colour where a terminal shows it.

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    pub(super) const fn new(on: bool) -> Self {
        Self { on }
    }

    pub(super) fn head(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(super) fn judged(self, text: &str, good: bool) -> String {
        if good {
            self.good(text)
        } else {
            self.bad(text)
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.on && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Rows of so many cells and a verdict.
pub(super) struct Table<const N: usize> {
    heads: [(&'static str, Align); N],
    rows: Vec<([String; N], (&'static str, bool))>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heads: [(&'static str, Align); N]) -> Self {
        Self {
            heads,
            rows: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, cells: [String; N], verdict: (&'static str, bool)) {
        self.rows.push((cells, verdict));
    }

    /// The table; each line ends in a newline and never in a space.
    pub(super) fn text(&self, paint: Paint) -> String {
        let widths: Vec<usize> = (0..N).map(|column| self.width(column)).collect();
        let line = |cells: [&str; N]| -> String {
            let padded = cells.iter().zip(&widths).zip(&self.heads);
            let padded = padded.map(|((cell, width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            padded.collect::<Vec<_>>().join("  ")
        };
        let heads = std::array::from_fn(|column| self.heads[column].0);
        let mut text = format!("{}\n", paint.head(line(heads).trim_end()));
        for (cells, (word, good)) in &self.rows {
            let cells = std::array::from_fn(|column| cells[column].as_str());
            text.push_str(&format!("{}  {}\n", line(cells), paint.judged(word, *good)));
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self
            .rows
            .iter()
            .map(|(cells, _)| cells[column].chars().count());
        let head = self.heads[column].0.len();
        cells.max().unwrap_or(0).max(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new([
            ("A", Align::Left),
            ("B", Align::Right),
            ("C", Align::Left),
            ("D", Align::Left),
            ("E", Align::Left),
        ]);
        table.push(
            ["long", "1", "c", "d", "e"].map(str::to_owned),
            ("ok", true),
        );
        table.push(
            ["x", "100", "c", "d", "e"].map(str::to_owned),
            ("WRONG", false),
        );
        assert_eq!(
            table.text(Paint::new(false)),
            "A       B  C  D  E\n\
             long    1  c  d  e  ok\n\
             x     100  c  d  e  WRONG\n"
        );
        assert!(table.text(Paint::new(true)).contains("\x1b[32mok\x1b[0m"));
    }
}
