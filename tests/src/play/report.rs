//! What a run showed, and whether all of it is as it should be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::account::Account;
use super::books::Books;
use super::checkout::{self, Visited};
use super::shop::Seen;
use super::table::{Align, Paint, Table};

/// What one order showed.
#[derive(Debug, Clone)]
pub struct Line {
    /// The order's code, or a dash.
    pub code: String,
    /// What its story is.
    pub story: &'static str,
    /// What happened, counted.
    pub account: Account,
    /// Where the order is at the end.
    pub end: Seen,
    /// From the payment to its commit.
    pub lag: Option<Duration>,
    /// What is wrong, if anything is.
    pub wrong: Option<String>,
}

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Report {
    /// One line per order.
    pub lines: Vec<Line>,
    /// One for each story of the shop; none without an api.
    pub shop: Vec<Visited>,
    /// The loss ledger of the run.
    pub books: Books,
    /// Broken invariants.
    pub broken: Vec<String>,
}

impl Report {
    /// Whether every order ended and left what it should, the ledger closes and every invariant holds.
    pub fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.wrong.is_none())
            && self.shop.iter().all(Visited::is_good)
            && self.books.balance().is_ok()
            && self.broken.is_empty()
    }

    /// The report as text, with colours for a terminal if wanted.
    pub fn text(&self, colours: bool) -> String {
        let paint = Paint::new(colours);
        let mut text = self.table(paint);
        for line in &self.lines {
            if let Some(wrong) = &line.wrong {
                let about = format!("{} ({}): {wrong}", line.code, line.story);
                let _ = writeln!(text, "{}", paint.bad(&about));
            }
        }
        if !self.shop.is_empty() {
            text.push('\n');
            text.push_str(&checkout::text(&self.shop, paint));
        }
        text.push('\n');
        text.push_str(&self.totals(paint));
        text
    }

    fn table(&self, paint: Paint) -> String {
        let mut table = Table::new([
            ("ORDER", Align::Left),
            ("STORY", Align::Left),
            ("WHAT HAPPENED", Align::Left),
            ("HOW IT ENDED", Align::Left),
            ("PAID BY", Align::Left),
            ("STORED", Align::Right),
        ]);
        for line in &self.lines {
            let ended = match line.account.test {
                0 => line.end.to_string(),
                _ => "recorded as a test".to_owned(),
            };
            let lag = line.lag.map_or_else(|| "-".to_owned(), lag);
            let (word, good) = match line.wrong {
                None => ("ok", true),
                Some(_) => ("WRONG", false),
            };
            let story = line.story.to_owned();
            // A card under challenge is charged and not paid.
            let by = match line.end.order.as_str() {
                "PENDING" => "-".to_owned(),
                _ => settled_by(&line.account),
            };
            let cells = [
                line.code.clone(),
                story,
                counts(&line.account),
                ended,
                by,
                lag,
            ];
            table.push(cells, (word, good));
        }
        table.text(paint)
    }

    fn totals(&self, paint: Paint) -> String {
        let good = self.lines.iter().filter(|line| line.wrong.is_none());
        let good = good.count();
        let all = self.lines.len();
        let orders = format!("{good} of {all} ended as they should");
        let dead = self.books.dead;
        let mut totals = vec![("orders", paint.judged(&orders, good == all))];
        if !self.shop.is_empty() {
            let good = self.shop.iter().filter(|visit| visit.is_good()).count();
            let all = self.shop.len();
            let stories = format!("{good} of {all} stories left behind what they should");
            totals.push(("the shop", paint.judged(&stories, good == all)));
        }
        totals.push(("paid by", self.ways()));
        totals.extend(self.lags().map(|words| ("stored in", words)));
        totals.extend(self.ledger(paint));
        totals.push(("dead letters", paint.judged(&dead.to_string(), dead == 0)));
        if self.broken.is_empty() {
            totals.push(("invariants", paint.good("all hold")));
        }
        let broken = self.broken.iter();
        totals.extend(broken.map(|line| ("invariants", paint.bad(line))));
        totals.iter().fold(String::new(), |mut text, (name, what)| {
            let _ = writeln!(text, "{} {what}", paint.head(&format!("{name:<14}")));
            text
        })
    }

    /// How many payments became known as paid by which way.
    fn ways(&self) -> String {
        let mut ways: BTreeMap<String, usize> = BTreeMap::new();
        let paid = self
            .lines
            .iter()
            .filter(|line| line.account.settled_by.is_some());
        for line in paid {
            *ways.entry(settled_by(&line.account)).or_default() += 1;
        }
        let words = ways.iter().map(|(way, count)| format!("{count} by {way}"));
        words.collect::<Vec<_>>().join(", ")
    }

    fn lags(&self) -> Option<String> {
        let mut lags: Vec<Duration> = self.lines.iter().filter_map(|line| line.lag).collect();
        lags.sort_unstable();
        let (middle, longest) = (lags.get(lags.len() / 2)?, lags.last()?);
        let (middle, longest) = (lag(*middle), lag(*longest));
        Some(format!(
            "{middle} (median), {longest} (longest), from payment to commit"
        ))
    }

    fn ledger(&self, paint: Paint) -> Vec<(&'static str, String)> {
        let books = &self.books;
        let failed = books.sent - books.accepted - books.turned_away;
        let notifications = format!(
            "{} sent: {} accepted, {} forged and refused, {failed} undelivered at first; {} retries",
            books.sent, books.accepted, books.turned_away, books.retried,
        );
        let sum = [
            (books.applied, "applied"),
            (books.duplicate, "duplicate"),
            (books.stale, "stale"),
            (books.unconfirmed, "unconfirmed"),
            (books.refused, "refused"),
            (books.test, "test"),
            (books.dead, "dead"),
            (books.in_flight, "in flight"),
        ];
        let sum = sum
            .map(|(count, word)| format!("{count} {word}"))
            .join(" + ");
        let verdict = match books.balance() {
            Ok(()) => paint.good("it closes"),
            Err(why) => {
                let there = books.accounted();
                paint.bad(&format!("WRONG: {why}; {there} accounted for"))
            }
        };
        let accepted = books.accepted;
        let confirmed = books.confirmed;
        vec![
            ("notifications", notifications),
            ("loss ledger", format!("{accepted} = {sum}")),
            ("", verdict),
            (
                "status API",
                format!("{confirmed} transactions confirmed by it"),
            ),
        ]
    }
}

/// The widest that the counts may be for the table to fit a terminal of 120 columns.
const WIDEST_COUNTS: usize = 20;

/// By which way the fleet came to know that it is paid.
fn settled_by(account: &Account) -> String {
    let way = match account.settled_by.as_deref() {
        None => "-",
        Some("admin") => "operator",
        Some("poll") => "question",
        Some(way) => way,
    };
    way.to_owned()
}

fn counts(account: &Account) -> String {
    let words = account.to_string();
    match words.char_indices().nth(WIDEST_COUNTS) {
        None => words,
        Some(_) => words.chars().take(WIDEST_COUNTS - 1).chain(['…']).collect(),
    }
}

/// Milliseconds below a second, seconds above.
fn lag(lag: Duration) -> String {
    match lag.as_millis() {
        millis @ ..1_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", lag.as_secs_f64()),
    }
}
