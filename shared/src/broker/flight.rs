//! Messages under way to the broker, from the wait for a channel to the answer.
//!
//! One task writes to a channel and nobody else does: it keeps many messages under way on it, and
//! the broker confirms many at once, which costs it half of what a channel per message costs. A
//! returned message, though, may come with the confirm of another one. So answers are taken
//! together, all that are there, and only when every one of them is a plain confirm are they passed
//! on. After anything else nothing on that channel can be told apart: each message that has no
//! answer yet is sent again alone and gets the answer that is its own. The broker may then have
//! some of them twice, which is harmless.
//!
//! A channel that was refused once can stay refused while a new one works, so after anything but
//! plain confirms it is dropped, which closes it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, ErrorKind};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::envelope::Envelope;
use super::link::Live;
use super::publisher::{PublishError, Route};

/// A connection on which a message waited this long while nothing at all was answered is given up.
const SILENCE: Duration = Duration::from_secs(1);
/// A channel that answers nothing for this long, while the connection lives, is given up.
const STALL: Duration = Duration::from_secs(30);
/// Messages under way on one channel.
const WINDOW: usize = 1_024;

/// One message on its way, and who waits for the answer.
pub(super) struct Parcel {
    pub(super) route: Route,
    pub(super) envelope: Envelope,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<(), PublishError>>,
    /// Held until the answer, so that what is under way is bounded.
    pub(super) permit: OwnedSemaphorePermit,
}

/// What waits to be written to one connection, and how the connection is doing.
pub(super) struct Pool {
    desk: Mutex<Desk>,
    more: Notify,
    in_flight: AtomicUsize,
    since: Instant,
    answered_ms: AtomicU64,
}

#[derive(Default)]
struct Desk {
    waiting: VecDeque<Parcel>,
    served: bool,
    /// Kept for the next time somebody serves.
    idle: Option<Channel>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            desk: Mutex::default(),
            more: Notify::new(),
            in_flight: AtomicUsize::new(0),
            since: Instant::now(),
            answered_ms: AtomicU64::new(0),
        }
    }
}

impl Pool {
    /// Messages that wait to be written or answered.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Takes a message in; true when somebody must begin to [`serve`].
    pub(super) fn accept(&self, parcel: Parcel) -> bool {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut desk = self.desk();
        desk.waiting.push_back(parcel);
        let begins = !std::mem::replace(&mut desk.served, true);
        drop(desk);
        self.more.notify_one();
        begins
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, as far as there is room for it.
    fn board(&self, room: usize) -> Vec<Parcel> {
        let mut desk = self.desk();
        let count = desk.waiting.len().min(room);
        desk.waiting.drain(..count).collect()
    }

    /// Ends the serving unless something came meanwhile; keeps the channel for the next time.
    fn leave(&self, channel: &mut Option<Channel>) -> bool {
        let mut desk = self.desk();
        desk.served = !desk.waiting.is_empty();
        if !desk.served {
            desk.idle = channel.take();
        }
        !desk.served
    }

    fn answer(&self, parcel: Parcel, answer: Result<(), PublishError>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        // Whoever asked may have gone away; the message is where the answer says all the same.
        let _ = parcel.answer.send(answer);
        drop(parcel.permit);
    }

    fn note_answer(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered_ms.store(millis, Ordering::Relaxed);
    }

    fn answered_at(&self) -> Instant {
        self.since + Duration::from_millis(self.answered_ms.load(Ordering::Relaxed))
    }
}

/// Gives the connection up when a message that was sent at `since` was not answered in time, and
/// nothing else was either. An alarm is announced and ends by itself; silence without one means a
/// frozen broker.
pub(super) fn not_answered(live: &Live<Pool>, since: Instant) {
    let silent = since.elapsed() >= SILENCE && live.kept.answered_at() < since;
    if silent && !live.connection.status().blocked() {
        tracing::warn!("broker answers nothing, connection given up");
        live.give_up();
    }
}

type Answer = lapin::Result<Confirmation>;

/// What one task has under way on its channel.
struct Lane {
    live: Arc<Live<Pool>>,
    channel: Option<Channel>,
    parcels: BTreeMap<u64, Parcel>,
    answers: FuturesUnordered<BoxFuture<'static, (u64, Answer)>>,
    next: u64,
}

/// Writes what waits and passes answers on, until nothing waits any more.
pub(super) async fn serve(live: Arc<Live<Pool>>) {
    let channel = live.kept.desk().idle.take();
    let mut lane = Lane {
        channel: channel.filter(|channel| channel.status().connected()),
        live,
        parcels: BTreeMap::new(),
        answers: FuturesUnordered::new(),
        next: 0,
    };
    loop {
        lane.write().await;
        if lane.parcels.is_empty() {
            if lane.live.kept.leave(&mut lane.channel) {
                return;
            }
            continue;
        }
        lane.listen().await;
    }
}

impl Lane {
    /// Puts what waits under way.
    async fn write(&mut self) {
        let parcels = self.live.kept.board(WINDOW - self.parcels.len());
        if parcels.is_empty() {
            return;
        }
        let channel = match self.channel() {
            Some(channel) => Ok(channel),
            None => tokio::select! {
                () = self.live.over().cancelled() => Err(PublishError::Lost),
                opened = open(&self.live) => opened,
            },
        };
        match channel {
            Ok(channel) => {
                for parcel in parcels {
                    let (id, sent) = (self.next, send(&channel, &parcel));
                    self.next += 1;
                    self.parcels.insert(id, parcel);
                    self.answers
                        .push(sent.map(move |answer| (id, answer)).boxed());
                }
                self.channel = Some(channel);
            }
            Err(error) => parcels
                .into_iter()
                .for_each(|parcel| self.live.kept.answer(parcel, Err(error.clone()))),
        }
    }

    fn channel(&self) -> Option<Channel> {
        let channel = self.channel.as_ref();
        channel
            .filter(|channel| channel.status().connected())
            .cloned()
    }

    /// Waits for answers, or for something to write.
    async fn listen(&mut self) {
        let stalled = Instant::now() + STALL;
        let more = self.parcels.len() < WINDOW;
        tokio::select! {
            Some(first) = self.answers.next() => self.take_answers(first),
            () = self.live.kept.more.notified(), if more => {}
            () = self.live.over().cancelled() => self.lose(),
            () = sleep_until(stalled) => if !self.live.connection.status().blocked() {
                tracing::warn!("broker answers nothing on a channel, channel given up");
                self.lose();
            },
        }
    }

    /// Takes every answer that is there. What came with a returned message came before its own
    /// confirm, so it is among them when that one is.
    fn take_answers(&mut self, first: (u64, Answer)) {
        let mut answers = vec![first];
        while let Some(Some(more)) = self.answers.next().now_or_never() {
            answers.push(more);
        }
        if answers.iter().all(|(_, answer)| is_plain(answer)) {
            self.live.kept.note_answer();
            for parcel in answers.iter().filter_map(|(id, _)| self.parcels.remove(id)) {
                self.live.kept.answer(parcel, Ok(()));
            }
            return;
        }
        self.channel = None;
        self.answers.clear();
        let parcels: Vec<Parcel> = std::mem::take(&mut self.parcels).into_values().collect();
        if parcels.len() > 1 {
            tokio::spawn(resend(self.live.clone(), parcels));
            return;
        }
        for (parcel, (_, answer)) in parcels.into_iter().zip(answers) {
            self.live.kept.answer(parcel, judge(answer));
        }
    }

    fn lose(&mut self) {
        self.channel = None;
        self.answers.clear();
        for parcel in std::mem::take(&mut self.parcels).into_values() {
            self.live.kept.answer(parcel, Err(PublishError::Lost));
        }
    }
}

/// Sends messages again one by one, each waiting for its own answer.
async fn resend(live: Arc<Live<Pool>>, parcels: Vec<Parcel>) {
    let mut channel = None;
    for parcel in parcels {
        let fate = tokio::select! {
            () = live.over().cancelled() => Err(PublishError::Lost),
            fate = timeout_at(parcel.deadline, alone(&live, &mut channel, &parcel)) => {
                fate.unwrap_or(Err(PublishError::Timeout))
            }
        };
        live.kept.answer(parcel, fate);
    }
}

/// The channel is kept after a plain confirm only.
async fn alone(
    live: &Live<Pool>,
    channel: &mut Option<Channel>,
    parcel: &Parcel,
) -> Result<(), PublishError> {
    let mine = match channel.take() {
        Some(channel) => channel,
        None => open(live).await?,
    };
    let answer = judge(send(&mine, parcel).await);
    if answer.is_ok() {
        live.kept.note_answer();
        *channel = Some(mine);
    }
    answer
}

fn is_plain(answer: &Answer) -> bool {
    matches!(answer, Ok(Confirmation::Ack(None)))
}

/// What the answer to a message that was alone on its channel means.
fn judge(answer: Answer) -> Result<(), PublishError> {
    match answer? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(PublishError::Returned),
        // Without confirm mode nobody knows anything; that must never pass for success.
        Confirmation::Nack(None) | Confirmation::NotRequested => Err(PublishError::Nacked),
    }
}

/// Publishes and waits for the confirm. The message gets its number when this is first polled, so
/// only one task may poll what goes to a channel.
#[expect(
    clippy::disallowed_methods,
    reason = "the one publish: by the channel's only task, and its confirm is awaited"
)]
fn send(channel: &Channel, parcel: &Parcel) -> impl Future<Output = Answer> + Send + use<> {
    let (channel, body) = (channel.clone(), parcel.envelope.body.clone());
    let (exchange, key) = (parcel.route.exchange.clone(), parcel.route.key.clone());
    let properties = parcel.envelope.headers.properties();
    let options = BasicPublishOptions {
        mandatory: parcel.route.mandatory,
        immediate: false,
    };
    async move {
        let published = channel.basic_publish(exchange, key, options, &body, properties);
        published.await?.await
    }
}

async fn open(live: &Live<Pool>) -> Result<Channel, PublishError> {
    let channel = live.connection.create_channel().await;
    let channel = channel.inspect_err(|error| {
        // The client library keeps the places of channels that the broker closed: once none is
        // left, only another connection has any.
        if matches!(error.kind(), ErrorKind::ChannelsLimitReached) {
            live.give_up();
        }
    })?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok(channel)
}
