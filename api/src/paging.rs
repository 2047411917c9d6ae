//! Lists in pages: `?limit=` and `?cursor=` in, `{"items":[…],"next_cursor":…}` out.
//!
//! A cursor names the last item of a page by its place in the list, so that pages neither repeat
//! nor skip what is there already when something new arrives. It is opaque to callers.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use shared::store::read_timeline::{Position, PositionKey};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

const DEFAULT_LIMIT: i64 = 50;
const MOST: i64 = 200;

/// What a caller asks of a list whose places are `C`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<C> {
    /// After which place.
    pub(crate) after: C,
    /// How many items at most.
    pub(crate) limit: i64,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Items<T> {
    items: Vec<T>,
    /// Leads to the next page; null on the last.
    next_cursor: Option<String>,
}

impl<C: Cursor> Page<C> {
    /// One more than the page holds: whether there is more is known without another question.
    pub(crate) const fn to_read(&self) -> i64 {
        self.limit + 1
    }

    /// The page made of what was read.
    pub(crate) fn of<T>(&self, mut items: Vec<T>, place: impl Fn(&T) -> C) -> Items<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items
            .last()
            .filter(|_| more)
            .map(|item| place(item).to_text());
        Items { items, next_cursor }
    }
}

/// A place in a list.
pub(crate) trait Cursor: Sized {
    /// Before the first item.
    fn start() -> Self;
    /// As callers carry it.
    fn to_text(&self) -> String;
    /// `None` for what no page of ours ever said.
    fn parse(text: &str) -> Option<Self>;
}

/// What a caller may say of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many items at most; 50 unless it says.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// What is wrong with a cursor that no page of ours ever gave.
pub(crate) const NO_CURSOR: Problem =
    Problem::InvalidParameter("cursor must be the next_cursor of a page before.");

impl<S: Send + Sync, C: Cursor> FromRequestParts<S> for Page<C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::<Asked>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::BadRequest)?;
        let limit = match asked.limit.as_deref() {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MOST).contains(limit))
                .ok_or(Problem::InvalidParameter(
                    "limit must be a whole number from 1 to 200.",
                ))?,
        };
        let after = match asked.cursor.as_deref() {
            None | Some("") => C::start(),
            Some(text) => C::parse(text).ok_or(NO_CURSOR)?,
        };
        Ok(Self { after, limit })
    }
}

/// A moment and an id: the place in most lists.
impl Cursor for (OffsetDateTime, i64) {
    fn start() -> Self {
        (OffsetDateTime::UNIX_EPOCH, 0)
    }

    fn to_text(&self) -> String {
        format!("{}.{}", micros(self.0), self.1)
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some((moment(at)?, id.parse().ok()?))
    }
}

/// An id: the place in lists that are in its order.
impl Cursor for i64 {
    fn start() -> Self {
        0
    }

    fn to_text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|id| *id >= 0)
    }
}

/// The place in a list that begins with the newest; none is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newest(pub(crate) Option<(OffsetDateTime, i64)>);

impl Cursor for Newest {
    fn start() -> Self {
        Self(None)
    }

    fn to_text(&self) -> String {
        self.0.map_or_else(String::new, |place| place.to_text())
    }

    fn parse(text: &str) -> Option<Self> {
        Cursor::parse(text).map(|place| Self(Some(place)))
    }
}

impl Cursor for Position {
    fn start() -> Self {
        Self::START
    }

    fn to_text(&self) -> String {
        let at = micros(self.at);
        match &self.key {
            PositionKey::Notification(key) => format!("{at}.n.{}", hex::encode(key)),
            PositionKey::Log(id) => format!("{at}.l.{id}"),
            PositionKey::Event(id) => format!("{at}.e.{id}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, rest) = text.split_once('.')?;
        let (source, key) = rest.split_once('.')?;
        let key = match source {
            "n" => PositionKey::Notification(hex::decode(key).ok()?),
            "l" => PositionKey::Log(key.parse().ok()?),
            "e" => PositionKey::Event(key.parse().ok()?),
            _ => return None,
        };
        let at = moment(at)?;
        Some(Self { at, key })
    }
}

/// The database counts time in microseconds, so nothing is lost.
fn micros(at: OffsetDateTime) -> i128 {
    at.unix_timestamp_nanos() / 1_000
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    let micros: i64 = text.parse().ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> OffsetDateTime {
        moment("1773454361123456").unwrap()
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let place = (at(), 42);
        assert_eq!(Cursor::parse(&place.to_text()), Some(place));
        let newest = Newest(Some(place));
        assert_eq!(Newest::parse(&newest.to_text()), Some(newest));
        assert_eq!(i64::parse(&4_711.to_text()), Some(4_711));
        for key in [
            PositionKey::Notification(vec![7; 32]),
            PositionKey::Log(3),
            PositionKey::Event(4),
        ] {
            let place = Position { at: at(), key };
            assert_eq!(Position::parse(&place.to_text()), Some(place));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "x",
            "1",
            "1.",
            ".1",
            "1.n.xyz",
            "1.q.1",
            "9223372036854775807.1",
            "1.l.1.1",
        ] {
            assert_eq!(Position::parse(text), None, "{text}");
            assert_eq!(<(OffsetDateTime, i64)>::parse(text), None, "{text}");
            assert_eq!(Newest::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_page_names_a_next_one_only_when_there_is_more() {
        let page = Page {
            after: <(OffsetDateTime, i64)>::start(),
            limit: 2,
        };
        let place = |id: &i64| (OffsetDateTime::UNIX_EPOCH, *id);
        let full = page.of(vec![1, 2, 3], place);
        assert_eq!(
            (full.items, full.next_cursor.as_deref()),
            (vec![1, 2], Some("0.2"))
        );
        let last = page.of(vec![1, 2], place);
        assert_eq!((last.items, last.next_cursor), (vec![1, 2], None));
    }
}
