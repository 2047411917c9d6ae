//! The simulated gateway itself: changes transactions and announces every change.
//!
//! Gateway routes and control routes are two doors to the functions here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::SimOptions;
use super::body::{self, Merchant};
use super::calls::Calls;
use super::charge::{self, Invalid};
use super::courier::{Courier, Settings};
use super::idempotency::Keys;
use super::ledger::Ledger;
use super::model::{Routes, Status, Transaction};
use super::moves::{self, RefundOrder, Refusal};
use super::parcel::{self, Parcel};
use super::tricks::Tricks;

/// Everything the routes share.
pub(crate) struct World {
    pub(crate) merchant: Merchant,
    pub(crate) base: String,
    pub(crate) keys: Keys,
    pub(crate) calls: Calls,
    pub(crate) courier: Arc<Courier>,
    pub(crate) stop: CancellationToken,
    pub(crate) due: Notify,
    time_scale: f64,
    expiry_scale: f64,
    refund_confirm_after: Duration,
    notify_url: Mutex<String>,
    ledger: Mutex<Ledger>,
    tricks: Mutex<Tricks>,
}

/// When the bank confirms a refund.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Confirm {
    /// After the simulator's delay.
    #[default]
    Later,
    /// At once, right behind the first notification.
    Now,
    /// Only through the control API.
    Never,
}

impl World {
    pub(crate) fn new(options: &SimOptions, base: String) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let expiry_scale = options.expiry_scale.unwrap_or(options.time_scale);
        let settings = Settings {
            time_scale: options.time_scale,
            seed: options.seed,
            max_in_flight: options.max_in_flight,
            max_outstanding: options.max_outstanding,
            timeout: options.delivery_timeout,
            log_capacity: options.log_capacity,
        };
        Ok(Self {
            merchant: Merchant {
                id: options.merchant_id.clone(),
                server_key: options.server_key.clone(),
            },
            base,
            calls: Calls::default(),
            keys: Keys::new(scaled(Duration::from_secs(300), expiry_scale)),
            courier: Arc::new(Courier::new(settings, stop.clone())?),
            stop,
            due: Notify::new(),
            time_scale: options.time_scale,
            expiry_scale,
            refund_confirm_after: options.refund_confirm_after,
            notify_url: Mutex::new(options.notify_url.clone().unwrap_or_default()),
            ledger: Mutex::new(Ledger::new(options.max_transactions)),
            tricks: Mutex::default(),
        })
    }

    /// Charges: makes the transaction, announces it, and answers as Core does.
    pub(crate) fn charge(
        &self,
        request: &Value,
        routes: Routes,
    ) -> Result<Map<String, Value>, Invalid> {
        let purchase = charge::purchase(request)?;
        let mut ledger = self.ledger();
        if ledger.is_taken(&purchase.order_id) {
            return Err(Invalid::new(
                406,
                "The request could not be completed: order_id has been utilized previously",
            ));
        }
        let id = self.tricks().transaction_id(&purchase.order_id);
        let id = id.filter(|id| !ledger.has_transaction(id));
        let now = OffsetDateTime::now_utc();
        let created = charge::create(request, id, routes, &self.base, now)?;
        let mut txn = created.transaction;
        self.announce(&mut txn);
        let answer = body::charged(&txn, &self.merchant, created.title);
        self.schedule_expiry(&mut ledger, &txn);
        ledger.insert(txn);
        Ok(answer)
    }

    /// Adds a transaction made elsewhere (static QRIS) and announces it.
    pub(crate) fn adopt(&self, mut txn: Transaction) -> Map<String, Value> {
        let mut ledger = self.ledger();
        self.announce(&mut txn);
        let view = body::status(&txn, &self.merchant);
        ledger.insert(txn);
        view
    }

    /// Applies a change to a transaction (by its id or as latest of an order), announces it, and
    /// hands the changed transaction to `answer`.
    pub(crate) fn change<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Transaction, OffsetDateTime) -> Result<(), Refusal>,
        answer: impl FnOnce(&Transaction) -> T,
    ) -> Result<T, Refusal> {
        let mut ledger = self.ledger();
        let txn = ledger.find(id).ok_or(Refusal::UNKNOWN)?;
        let before = txn.status;
        change(txn, OffsetDateTime::now_utc())?;
        let booked = matches!(txn.status, Status::Capture | Status::Settlement);
        if booked && before != txn.status {
            let lowered = self.tricks().captured_amount(&[&txn.order_id, &txn.id]);
            txn.gross = lowered.unwrap_or(txn.gross);
        }
        self.announce(txn);
        Ok(answer(txn))
    }

    /// Refunds, and lets the bank confirm it as told.
    pub(crate) fn refund<T>(
        self: &Arc<Self>,
        id: &str,
        order: RefundOrder,
        confirm: Confirm,
        answer: impl FnOnce(&Transaction) -> T,
    ) -> Result<T, Refusal> {
        let refunded = self.change(
            id,
            |txn, now| moves::refund(txn, order, now),
            |txn| (txn.id.clone(), answer(txn)),
        );
        let (transaction_id, answer) = refunded?;
        match confirm {
            Confirm::Now => self.confirm_refund(&transaction_id),
            Confirm::Later => self.confirm_refund_later(transaction_id),
            Confirm::Never => {}
        }
        Ok(answer)
    }

    fn confirm_refund_later(self: &Arc<Self>, id: String) {
        let world = Arc::clone(self);
        let wait = self.refund_confirm_after.div_f64(self.time_scale);
        let courier = Arc::clone(&self.courier);
        courier.log.count(|traffic| traffic.outstanding += 1);
        tokio::spawn(async move {
            let stop = world.stop.clone();
            if stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_some()
            {
                world.confirm_refund(&id);
            }
            courier.log.count(|traffic| traffic.outstanding -= 1);
        });
    }

    fn confirm_refund(&self, id: &str) {
        // Refused only when an operator confirmed it by hand before; then there is nothing to do.
        let _ = self.change(id, moves::confirm_refund, |_| ());
    }

    /// Reads a transaction, the latest of an order.
    pub(crate) fn read<T>(&self, id: &str, read: impl FnOnce(&Transaction) -> T) -> Option<T> {
        self.ledger().find(id).map(|txn| read(txn))
    }

    /// Expires what is over; returns when the next one will be.
    pub(crate) fn expire_due(&self) -> Option<OffsetDateTime> {
        let over = self.ledger().take_due(OffsetDateTime::now_utc());
        for id in over {
            // Refused when it was paid or closed in the meantime, which is the usual case.
            let _ = self.change(&id, |txn, _| moves::expire(txn), |_| ());
        }
        self.ledger().next_due()
    }

    /// A nominal span of the gateway's clock as real time; `None` when that clock stands still.
    pub(crate) fn real_span(&self, nominal: time::Duration) -> Option<time::Duration> {
        (self.expiry_scale > 0.0).then(|| nominal / self.expiry_scale)
    }

    /// Where notifications go from now on.
    pub(crate) fn set_notify_url(&self, url: String) {
        *self
            .notify_url
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Where notifications go.
    pub(crate) fn notify_url(&self) -> String {
        self.notify_url
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tricks(&self) -> MutexGuard<'_, Tricks> {
        self.tricks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the notification of a transaction's present state. Runs under the ledger's lock, so
    /// that notifications leave in the order of the changes.
    fn announce(&self, txn: &mut Transaction) {
        let status = txn.status.as_str();
        let mut tricks = self.tricks();
        if let Some(fee) = tricks.fee(&[&txn.order_id, &txn.id], status) {
            txn.impose_fee(fee);
        }
        let plan = tricks.plan(&txn.order_id, &txn.id, status);
        drop(tricks);
        let mut body = body::notification(txn, &self.merchant);
        plan.deform(&mut body);
        let body = Arc::new(body);
        txn.remember_sent(parcel::encode(&body));
        for url in self.targets(&txn.routes) {
            let parcel = Parcel {
                order_id: txn.order_id.clone(),
                transaction_id: txn.id.clone(),
                status: status.to_owned(),
                url,
                body: Arc::clone(&body),
                copy: 0,
            };
            self.courier.dispatch(parcel, &plan);
        }
    }

    /// The URLs of a transaction's notifications.
    pub(crate) fn targets(&self, routes: &Routes) -> Vec<String> {
        if !routes.replace.is_empty() {
            return routes.replace.clone();
        }
        let mut urls = vec![self.notify_url()];
        urls.extend(routes.append.iter().cloned());
        urls
    }

    fn schedule_expiry(&self, ledger: &mut Ledger, txn: &Transaction) {
        let waits = matches!(txn.status, Status::Pending | Status::Authorize);
        let Some(expiry) = txn.expiry.filter(|_| waits) else {
            return;
        };
        if let Some(span) = self.real_span(expiry - txn.created) {
            ledger.set_due(txn.created + span, &txn.id);
            self.due.notify_one();
        }
    }
}

/// A span on a clock that runs `scale` times faster; a clock that stands still never ends it.
fn scaled(span: Duration, scale: f64) -> Duration {
    if scale > 0.0 {
        span.div_f64(scale)
    } else {
        Duration::MAX
    }
}
