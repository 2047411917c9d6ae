//! Delivers notifications: order, duplicates, holding, redirects and retries (`midtrans.md` 3).
//!
//! A notification of an order waits for the first attempt of the one before it, so that without
//! tricks they arrive in order; retries never hold up a successor, as in reality.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::log::{Log, Verdict};
use super::parcel::Parcel;
use super::post::{Post, Reply};
use super::retry::{self, Next};
use super::tricks::Plan;

/// The sender of notifications.
pub(crate) struct Courier {
    pub(crate) log: Log,
    post: Post,
    settings: Settings,
    slots: Semaphore,
    numbers: AtomicU64,
    turns: Mutex<Turns>,
    held: Mutex<VecDeque<Parcel>>,
    stop: CancellationToken,
}

/// How the courier behaves.
pub(crate) struct Settings {
    pub(crate) time_scale: f64,
    pub(crate) seed: u64,
    pub(crate) max_in_flight: usize,
    pub(crate) max_outstanding: u64,
    pub(crate) timeout: Duration,
    pub(crate) log_capacity: usize,
}

/// The last notification of each order and URL that may still be on its first attempt.
#[derive(Default)]
struct Turns {
    last: HashMap<(String, String), oneshot::Receiver<()>>,
    sweep_at: usize,
}

/// Whom a delivery waits for, and who waits for it.
type Turn = (Option<oneshot::Receiver<()>>, Option<oneshot::Sender<()>>);

impl Courier {
    pub(crate) fn new(settings: Settings, stop: CancellationToken) -> anyhow::Result<Self> {
        Ok(Self {
            log: Log::new(settings.log_capacity),
            post: Post::new(settings.timeout)?,
            slots: Semaphore::new(settings.max_in_flight.max(1)),
            settings,
            numbers: AtomicU64::new(0),
            turns: Mutex::default(),
            held: Mutex::default(),
            stop,
        })
    }

    /// Sends a parcel as the plan says. Called in the order of events; returns at once.
    pub(crate) fn dispatch(self: &Arc<Self>, parcel: Parcel, plan: &Plan) {
        if plan.drop || parcel.url.is_empty() {
            self.note(&parcel, Verdict::Dropped);
        } else if plan.hold {
            self.note(&parcel, Verdict::Held);
            self.lock_held().push_back(parcel);
            self.log.count(|traffic| traffic.held += 1);
        } else {
            self.send(parcel, plan);
        }
    }

    /// Releases held parcels of an order (or all), oldest first or reversed; says how many.
    pub(crate) fn release(self: &Arc<Self>, order_id: Option<&str>, reverse: bool) -> usize {
        let mut released: Vec<Parcel> = Vec::new();
        self.lock_held().retain(|parcel| {
            let wanted = order_id.is_none_or(|id| id == parcel.order_id);
            if wanted {
                released.push(parcel.clone());
            }
            !wanted
        });
        if reverse {
            released.reverse();
        }
        let count = released.len();
        for parcel in released {
            self.send(parcel, &Plan::default());
            self.log.count(|traffic| traffic.held -= 1);
        }
        count
    }

    /// Sends one parcel once, without retries, and waits for the answer.
    pub(crate) async fn try_once(&self, parcel: &Parcel) -> Reply {
        let number = self.number();
        let reply = self.exchange(&parcel.url, &parcel.bytes()).await;
        let verdict = match reply.status {
            Some(200..=299) => Verdict::Delivered,
            _ => Verdict::GivenUp,
        };
        self.log
            .append(parcel.line(number, 1, &reply, verdict, None));
        reply
    }

    fn send(self: &Arc<Self>, parcel: Parcel, plan: &Plan) {
        let room = self.settings.max_outstanding > self.log.traffic().outstanding;
        if !room {
            self.note(&parcel, Verdict::Dropped);
            return;
        }
        let copies = (1..=plan.copies).map(|copy| Parcel {
            copy: parcel.copy + copy,
            ..parcel.clone()
        });
        let mut queue: VecDeque<Parcel> = copies.collect();
        let turn = if plan.parallel || plan.delay_ms > 0 {
            (None, None)
        } else {
            self.turn(&parcel)
        };
        let delay = Duration::from_millis(plan.delay_ms);
        if plan.concurrent {
            for copy in queue.drain(..) {
                self.spawn(VecDeque::from([copy]), (None, None), delay);
            }
        }
        queue.push_front(parcel);
        self.spawn(queue, turn, delay);
    }

    fn spawn(self: &Arc<Self>, queue: VecDeque<Parcel>, turn: Turn, delay: Duration) {
        let courier = Arc::clone(self);
        self.log.count(|traffic| traffic.outstanding += 1);
        tokio::spawn(async move {
            let stop = courier.stop.clone();
            let work = async {
                tokio::time::sleep(delay).await;
                let (before, mut after) = turn;
                if let Some(before) = before {
                    // An error only says that the one before is done.
                    let _ = before.await;
                }
                for parcel in queue {
                    courier.deliver(&parcel, after.take()).await;
                }
            };
            let _ = stop.run_until_cancelled(work).await;
            courier.log.count(|traffic| traffic.outstanding -= 1);
        });
    }

    /// Tries until delivered or out of retries; `after` is let go after the first attempt.
    async fn deliver(&self, parcel: &Parcel, mut after: Option<oneshot::Sender<()>>) {
        let number = self.number();
        let body = parcel.bytes();
        for retries in 0.. {
            let reply = self.exchange(&parcel.url, &body).await;
            let shift = self.shift(number, retries);
            let next = retry::next(reply.outcome(), retries, shift);
            let (verdict, wait) = self.verdict(next);
            let attempt = u32::try_from(retries + 1).unwrap_or(u32::MAX);
            self.log
                .append(parcel.line(number, attempt, &reply, verdict, wait));
            drop(after.take());
            match wait {
                Some((_, wait)) => tokio::time::sleep(wait).await,
                None => return,
            }
        }
    }

    /// The log's word for what follows, and the nominal and real wait before a retry.
    fn verdict(&self, next: Next) -> (Verdict, Option<(Duration, Duration)>) {
        match next {
            Next::Delivered => (Verdict::Delivered, None),
            Next::Lost => (Verdict::Lost, None),
            Next::GivenUp => (Verdict::GivenUp, None),
            Next::Retry { nominal, wait } => {
                let real = wait.div_f64(self.settings.time_scale);
                (Verdict::Retry, Some((nominal, real)))
            }
        }
    }

    async fn exchange(&self, url: &str, body: &Bytes) -> Reply {
        let _slot = self.slots.acquire().await;
        self.log.count(|traffic| traffic.in_flight += 1);
        let reply = self.post.exchange(url, body).await;
        self.log.count(|traffic| traffic.in_flight -= 1);
        reply
    }

    /// The random shortening of one retry; the same seed shortens the same way.
    fn shift(&self, number: u64, retries: usize) -> f64 {
        let own = number.wrapping_mul(8).wrapping_add(retries as u64);
        StdRng::seed_from_u64(self.settings.seed ^ own).random()
    }

    fn turn(&self, parcel: &Parcel) -> Turn {
        let (done, after) = oneshot::channel();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.sweep();
        let key = (parcel.order_id.clone(), parcel.url.clone());
        (turns.last.insert(key, after), Some(done))
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn note(&self, parcel: &Parcel, verdict: Verdict) {
        let nothing = Reply::default();
        let number = self.number();
        self.log
            .append(parcel.line(number, 0, &nothing, verdict, None));
    }

    fn lock_held(&self) -> MutexGuard<'_, VecDeque<Parcel>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The order ids of what is held.
    pub(crate) fn held(&self) -> Vec<(String, String)> {
        let held = self.lock_held();
        held.iter()
            .map(|parcel| (parcel.order_id.clone(), parcel.status.clone()))
            .collect()
    }
}

impl Turns {
    /// Forgets the ones that are done, each time as many have come as were left the last time.
    fn sweep(&mut self) {
        if self.last.len() < self.sweep_at.max(1_024) {
            return;
        }
        let waiting = Err(oneshot::error::TryRecvError::Empty);
        self.last.retain(|_, last| last.try_recv() == waiting);
        self.sweep_at = self.last.len() * 2;
    }
}
