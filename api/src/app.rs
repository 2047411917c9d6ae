//! What handlers work with.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use shared::domain::ConfirmPolicy;
use shared::midtrans::Gateway;
use shared::orders::Gates;
use shared::store::Store;

use crate::events::Live;
use crate::monitor::PendingSla;

/// Shared by all handlers; clones are the same.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) gateway: Gateway,
    pub(crate) rules: Arc<Rules>,
    pub(crate) live: Live,
    pub(crate) gates: Gates,
}

/// The settings that decide about orders and payments.
#[derive(Debug)]
pub(crate) struct Rules {
    /// How long an order may stay unpaid.
    pub(crate) order_ttl: Duration,
    /// Order codes begin with it.
    pub(crate) order_code_prefix: String,
    /// When a new session is checked first.
    pub(crate) reconcile_after: Duration,
    /// What is confirmed before it is acted on.
    pub(crate) confirm_policy: ConfirmPolicy,
    /// When a payment that waits is stuck.
    pub(crate) pending_sla: PendingSla,
}

impl FromRef<App> for Store {
    fn from_ref(app: &App) -> Self {
        app.store.clone()
    }
}

impl FromRef<App> for PendingSla {
    fn from_ref(app: &App) -> Self {
        app.rules.pending_sla
    }
}
