//! Database and broker, watched by every scheduler and told by the one that led last: the others
//! stay silent, so that one message goes out.
//!
//! While the database answers, an outage of the broker is an alert like any other: stored, sent by
//! the leader. Without the database everything is kept here and goes straight to the channels; what
//! was told that way is recorded once the database is back. A process that dies while the database
//! is away takes the end of the story with it; Prometheus has rules of its own for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::alerts::{BrokerNews, Channels, Watch};
use shared::broker::{BrokerState, Publisher};
use shared::domain::alerts::{Finding, MessageKind, Rule, judge};
use shared::store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::courier::Courier;
use crate::pause::{chain, pause};

/// How often both are looked at, at least.
const EVERY: Duration = Duration::from_secs(1);

/// A database that has not answered by then is away.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The last attempt to tell, when the process stops.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

/// What watching needs.
pub(crate) struct Outages {
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) watch: Arc<Watch>,
    pub(crate) channels: Channels,
    pub(crate) down_after: Duration,
    /// Set while this process leads, and until another one does.
    pub(crate) led_last: Arc<AtomicBool>,
    pub(crate) broker: watch::Sender<BrokerNews>,
}

/// One dependency.
struct Dependency {
    rule: Rule,
    down_since: Option<Instant>,
    told: Told,
    /// This process leaves it to another one, and its log says so.
    left: bool,
}

/// What was said of an outage that lasts.
enum Told {
    Nothing,
    /// It is a row, and the leader sends its messages.
    Stored(Finding),
    /// It went straight to the channels, last at that time.
    Straight(Finding, Instant),
}

impl Outages {
    /// Watches until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut database = Dependency::new(Rule::DatabaseDown);
        let mut broker = Dependency::new(Rule::BrokerDown);
        let mut courier = Courier::new(self.channels.clone(), self.watch.routes());
        let every = EVERY.min(self.down_after);
        while !stop.is_cancelled() {
            let asked = Instant::now();
            let answer = self.database().await;
            let reachable = answer.is_ok();
            self.look(&mut database, asked, answer, reachable, &mut courier)
                .await;
            let asked = Instant::now();
            let answer = self.broker();
            self.look(&mut broker, asked, answer, reachable, &mut courier)
                .await;
            self.broker.send_replace(news(&broker));
            if reachable {
                courier.record(&self.store).await;
            }
            courier.carry().await;
            pause(every, &stop).await;
        }
        let _ = timeout(FAREWELL_LIMIT, courier.carry()).await;
    }

    async fn database(&self) -> Result<(), String> {
        match timeout(ANSWER_LIMIT, self.store.probe()).await {
            Ok(answer) => answer.map_err(|failed| chain(&failed)),
            Err(_) => Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
        }
    }

    fn broker(&self) -> Result<(), String> {
        match self.publisher.state() {
            BrokerState::Up => Ok(()),
            BrokerState::Blocked => Err("it takes no messages (memory or disk alarm)".to_owned()),
            BrokerState::Down => Err("it cannot be reached".to_owned()),
        }
    }

    /// One look at one dependency, asked at that time; `reachable` tells whether anything can be stored.
    async fn look(
        &self,
        what: &mut Dependency,
        asked: Instant,
        answer: Result<(), String>,
        reachable: bool,
        courier: &mut Courier,
    ) {
        match answer {
            Ok(()) => {
                what.down_since = None;
                what.left = false;
                self.over(what, reachable, courier).await;
            }
            Err(why) => {
                let since = *what.down_since.get_or_insert(asked);
                if since.elapsed() >= self.down_after {
                    self.lasts(what, since, &why, reachable, courier).await;
                }
            }
        }
    }

    /// Tells of an outage that lasts, again after the cooldown.
    async fn lasts(
        &self,
        what: &mut Dependency,
        since: Instant,
        why: &str,
        reachable: bool,
        courier: &mut Courier,
    ) {
        match &mut what.told {
            // The leader says it again.
            Told::Stored(_) => {}
            Told::Straight(finding, last) => {
                if last.elapsed() >= self.watch.limits().cooldown {
                    *last = Instant::now();
                    courier.take(MessageKind::Repeated, finding, None);
                }
            }
            Told::Nothing if self.led_last.load(Ordering::SeqCst) => {
                let finding = judge::outage(what.rule, ago(since), why);
                error!(alert.rule = what.rule.as_str(), why, "Outage lasts");
                what.told = if reachable && self.open(&finding).await {
                    Told::Stored(finding)
                } else {
                    courier.take(MessageKind::Opened, &finding, None);
                    Told::Straight(finding, Instant::now())
                };
            }
            Told::Nothing if !what.left => {
                what.left = true;
                info!(
                    alert.rule = what.rule.as_str(),
                    why, "Outage lasts; it is for another scheduler to tell"
                );
            }
            Told::Nothing => {}
        }
    }

    /// Tells that an outage is over, the way its beginning was told.
    async fn over(&self, what: &mut Dependency, reachable: bool, courier: &mut Courier) {
        match std::mem::replace(&mut what.told, Told::Nothing) {
            Told::Nothing => return,
            Told::Stored(finding) => {
                if !(reachable && self.resolve(what.rule).await) {
                    // Nobody else can have told it. Its row stays open until the leader sees it.
                    courier.take(MessageKind::Resolved, &finding, Some(ago(Instant::now())));
                    courier.close_later(what.rule);
                }
            }
            Told::Straight(finding, _) => {
                courier.take(MessageKind::Resolved, &finding, Some(ago(Instant::now())));
                courier.record_later(finding);
            }
        }
        info!(alert.rule = what.rule.as_str(), "Outage is over");
    }

    /// Stores the alert, unless another process's is open: then it is told already.
    async fn open(&self, finding: &Finding) -> bool {
        let opening = async {
            let mut txn = self.store.begin().await?;
            let finding = std::slice::from_ref(finding);
            let routes = self.watch.routes();
            self.store
                .alerts_open_in_txn(&mut txn, finding, routes)
                .await?;
            self.store.commit(txn).await
        };
        happened(timeout(ANSWER_LIMIT, opening).await)
    }

    /// Ends the stored alert; one that the leader ended before us needs no second word.
    async fn resolve(&self, rule: Rule) -> bool {
        let resolving = async {
            let mut txn = self.store.begin().await?;
            if let Some(open) = self.store.alert_open_of_in_txn(&mut txn, rule).await? {
                let routes = self.watch.routes();
                self.store
                    .alerts_resolve_in_txn(&mut txn, &[open.id], routes)
                    .await?;
            }
            self.store.commit(txn).await
        };
        happened(timeout(ANSWER_LIMIT, resolving).await)
    }
}

impl Dependency {
    const fn new(rule: Rule) -> Self {
        Self {
            rule,
            down_since: None,
            told: Told::Nothing,
            left: false,
        }
    }
}

/// What the leader makes of it: an alert that another process left open ends when all is well here.
fn news(broker: &Dependency) -> BrokerNews {
    match (&broker.told, broker.down_since) {
        (Told::Stored(finding), _) => BrokerNews::Down(Box::new(finding.clone())),
        (Told::Nothing, None) => BrokerNews::Up,
        (Told::Nothing, Some(_)) | (Told::Straight(..), _) => BrokerNews::Unknown,
    }
}

fn happened<E>(ended: Result<Result<(), StoreError>, E>) -> bool {
    matches!(ended, Ok(Ok(())))
}

/// For people: nothing is decided by it.
fn ago(since: Instant) -> OffsetDateTime {
    OffsetDateTime::now_utc() - since.elapsed()
}
