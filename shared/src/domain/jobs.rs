//! The fleet's periodic jobs: their names, and the ticks of their schedules (design section 8).
//!
//! Ticks lie on a grid that every process computes alike from the database's clock: multiples of an
//! interval, or the moments of a cron expression in WIB. A tick is named by its moment.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeZone as _};
use croner::Cron;
use time::OffsetDateTime;

use super::wib;

/// Ticks that one run can stand for, as far as they are counted.
const MOST_COUNTED: i32 = 100_000;

/// A periodic job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobName {
    /// Asks the status API about payments that are due.
    ReconcileStatus,
    /// Mends what orders should have or should have given back.
    ReconcileEffects,
    /// Mends links between orders and payments.
    ReconcileLinks,
    /// Closes orders whose time is over.
    ExpireOrders,
    /// Looks at what operators must know.
    Alerts,
    /// Removes what is older than it must be kept.
    Retention,
}

/// A name that no job has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no job {0:?}")]
pub struct UnknownJob(pub String);

impl JobName {
    /// Every job, in the order in which they are listed.
    pub const ALL: [Self; 6] = [
        Self::ReconcileStatus,
        Self::ReconcileEffects,
        Self::ReconcileLinks,
        Self::ExpireOrders,
        Self::Alerts,
        Self::Retention,
    ];

    /// The name that operators, tables and routing keys use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReconcileStatus => "reconcile_status",
            Self::ReconcileEffects => "reconcile_effects",
            Self::ReconcileLinks => "reconcile_links",
            Self::ExpireOrders => "expire_orders",
            Self::Alerts => "alerts",
            Self::Retention => "retention",
        }
    }

    /// When it runs unless settings say otherwise. Retention runs when Indonesia sleeps.
    pub fn default_schedule(self) -> Schedule {
        match self {
            Self::ReconcileStatus | Self::ExpireOrders | Self::Alerts => every_minutes(1),
            Self::ReconcileLinks => every_minutes(5),
            Self::ReconcileEffects => every_minutes(60),
            Self::Retention => Schedule::parse("10 3 * * *").unwrap_or(every_minutes(24 * 60)),
        }
    }

    /// Whether the leader of the schedulers runs it itself: what must work while the broker or all
    /// workers are away. All others are messages.
    pub const fn is_the_leaders(self) -> bool {
        matches!(self, Self::Alerts)
    }
}

impl FromStr for JobName {
    type Err = UnknownJob;

    fn from_str(text: &str) -> Result<Self, UnknownJob> {
        let found = Self::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| UnknownJob(text.to_owned()))
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const fn every_minutes(minutes: u64) -> Schedule {
    Schedule::Every(Duration::from_secs(60 * minutes))
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// At the multiples of a time since 1970.
    Every(Duration),
    /// At the moments of a cron expression with five fields, in WIB.
    Cron(Box<Cron>),
    /// Only when somebody asks for it.
    Off,
}

/// A text that is no schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a duration such as 10s, a cron expression such as 10 3 * * *, or off")]
pub struct NoSchedule;

impl Schedule {
    /// Shorter intervals would be ticks that nobody could run.
    const SHORTEST: Duration = Duration::from_millis(100);

    /// Reads a cron expression of five fields, or `off`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, NoSchedule> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let cron = Cron::from_str(text).map_err(|_| NoSchedule)?;
        Ok(Self::Cron(Box::new(cron)))
    }

    /// An interval.
    ///
    /// # Errors
    /// When it is shorter than a tenth of a second.
    pub fn every(interval: Duration) -> Result<Self, NoSchedule> {
        match interval >= Self::SHORTEST {
            true => Ok(Self::Every(interval)),
            false => Err(NoSchedule),
        }
    }

    /// The last tick up to a moment; `None` for an expression that never was true.
    pub fn tick_before(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Every(interval) => {
                let nanos = interval.as_nanos() as i128;
                let since = now.unix_timestamp_nanos();
                OffsetDateTime::from_unix_timestamp_nanos(since - since.rem_euclid(nanos)).ok()
            }
            Self::Cron(cron) => {
                let before = cron.find_previous_occurrence(&to_chrono(now)?, true).ok()?;
                from_chrono(&before)
            }
            Self::Off => None,
        }
    }

    /// How many ticks there were after `last` up to `tick`, which is one; at least this one.
    pub fn ticks_between(&self, last: OffsetDateTime, tick: OffsetDateTime) -> i32 {
        let counted = match self {
            Self::Every(interval) => {
                let nanos = interval.as_nanos() as i128;
                let passed = (tick - last).whole_nanoseconds();
                i32::try_from((passed + nanos - 1) / nanos).unwrap_or(MOST_COUNTED)
            }
            Self::Cron(cron) => {
                let (Some(last), Some(tick)) = (to_chrono(last), to_chrono(tick)) else {
                    return 1;
                };
                let upto = cron.iter_after(last).take_while(|at| *at <= tick);
                i32::try_from(upto.take(MOST_COUNTED as usize).count()).unwrap_or(MOST_COUNTED)
            }
            Self::Off => 1,
        };
        counted.clamp(1, MOST_COUNTED)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => write!(f, "every {interval:?}"),
            Self::Cron(cron) => write!(f, "{} (WIB)", cron.as_str()),
            Self::Off => f.write_str("off"),
        }
    }
}

fn to_chrono(moment: OffsetDateTime) -> Option<DateTime<FixedOffset>> {
    let offset = FixedOffset::east_opt(wib::OFFSET.whole_seconds())?;
    let seconds = moment.unix_timestamp();
    offset.timestamp_opt(seconds, moment.nanosecond()).single()
}

fn from_chrono(moment: &DateTime<FixedOffset>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(moment.timestamp()).ok()
}

/// The schedule of every job.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedules([(JobName, Schedule); 6]);

/// An override that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedules {
    /// Not of the form `name=schedule`.
    #[error("{0:?} is not of the form job=schedule")]
    NoPair(String),
    /// A name that no job has.
    #[error(transparent)]
    Unknown(#[from] UnknownJob),
    /// Not a schedule.
    #[error("{0}: {1}")]
    Schedule(JobName, NoSchedule),
}

impl Default for Schedules {
    fn default() -> Self {
        Self(JobName::ALL.map(|name| (name, name.default_schedule())))
    }
}

impl Schedules {
    /// The defaults with overrides such as `reconcile_status=10s,retention=0 4 * * 0,3`: a comma
    /// that no `job=` follows belongs to the expression before it. `duration` reads a duration.
    ///
    /// # Errors
    /// [`BadSchedules`] names the first override that is wrong.
    pub fn with_overrides(
        text: &str,
        duration: impl Fn(&str) -> Option<Duration>,
    ) -> Result<Self, BadSchedules> {
        let mut schedules = Self::default();
        let mut pairs: Vec<String> = Vec::new();
        for piece in text.split(',') {
            match pairs.last_mut() {
                Some(last) if !piece.contains('=') => {
                    last.push(',');
                    last.push_str(piece);
                }
                _ if piece.trim().is_empty() => {}
                _ => pairs.push(piece.to_owned()),
            }
        }
        for pair in pairs {
            let Some((name, schedule)) = pair.split_once('=') else {
                return Err(BadSchedules::NoPair(pair));
            };
            let name: JobName = name.trim().parse()?;
            let read = match duration(schedule) {
                Some(interval) => Schedule::every(interval),
                None => Schedule::parse(schedule.trim()),
            };
            let read = read.map_err(|error| BadSchedules::Schedule(name, error))?;
            for (of, slot) in &mut schedules.0 {
                if *of == name {
                    *slot = read.clone();
                }
            }
        }
        Ok(schedules)
    }

    /// Each job with its schedule.
    pub fn iter(&self) -> impl Iterator<Item = (JobName, &Schedule)> {
        self.0.iter().map(|(name, schedule)| (*name, schedule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn seconds(text: &str) -> Option<Duration> {
        let number = text.trim().strip_suffix('s')?.parse().ok()?;
        Some(Duration::from_secs(number))
    }

    #[test]
    fn ticks_of_an_interval_lie_on_one_grid() {
        let schedule = Schedule::every(Duration::from_secs(60)).unwrap();
        let tick = schedule.tick_before(datetime!(2026-03-14 10:00:59.9 UTC));
        assert_eq!(tick, Some(datetime!(2026-03-14 10:00:00 UTC)));
        let tick = schedule.tick_before(datetime!(2026-03-14 10:01:00 UTC));
        assert_eq!(tick, Some(datetime!(2026-03-14 10:01:00 UTC)));
    }

    #[test]
    fn ticks_of_an_expression_are_in_wib() {
        let schedule = Schedule::parse("10 3 * * *").unwrap();
        let tick = schedule.tick_before(datetime!(2026-03-14 20:09 UTC));
        assert_eq!(tick, Some(datetime!(2026-03-13 20:10 UTC)));
        let tick = schedule.tick_before(datetime!(2026-03-14 20:10 UTC));
        assert_eq!(tick, Some(datetime!(2026-03-14 20:10 UTC)));
    }

    #[test]
    fn missed_ticks_are_counted() {
        let every = Schedule::every(Duration::from_secs(10)).unwrap();
        let last = datetime!(2026-03-14 10:00:00 UTC);
        assert_eq!(
            every.ticks_between(last, datetime!(2026-03-14 10:00:10 UTC)),
            1
        );
        assert_eq!(
            every.ticks_between(last, datetime!(2026-03-14 10:01:00 UTC)),
            6
        );
        let daily = Schedule::parse("10 3 * * *").unwrap();
        let last = datetime!(2026-03-10 20:10 UTC);
        assert_eq!(
            daily.ticks_between(last, datetime!(2026-03-13 20:10 UTC)),
            3
        );
    }

    #[test]
    fn overrides_replace_and_keep() {
        let text = "reconcile_status=10s,retention=0 4 * * 0,3,alerts=5s";
        let schedules = Schedules::with_overrides(text, seconds).unwrap();
        let of = |name| {
            schedules
                .iter()
                .find(|(n, _)| *n == name)
                .unwrap()
                .1
                .to_string()
        };
        assert_eq!(of(JobName::ReconcileStatus), "every 10s");
        assert_eq!(of(JobName::Retention), "0 4 * * 0,3 (WIB)");
        assert_eq!(of(JobName::Alerts), "every 5s");
        assert_eq!(of(JobName::ReconcileLinks), "every 300s");
    }

    #[test]
    fn wrong_overrides_are_named() {
        for (text, named) in [
            ("tea=5s", "tea"),
            ("alerts", "alerts"),
            ("alerts=soon", "alerts"),
            ("alerts=0s", "alerts"),
        ] {
            let error = Schedules::with_overrides(text, seconds).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
