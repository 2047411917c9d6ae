//! What the orders of a batch hold, and what becomes of it: the plan of [`crate::domain::effects`]
//! in rows.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use time::OffsetDateTime;

use super::ApplyError;
use super::project::Judged;
use super::world::World;
use crate::codes;
use crate::domain::Source;
use crate::domain::effects::{Goods, Holding, Holdings, Line, Move, PickupChange, Plan, plan};
use crate::domain::projection::Hold;
use crate::store::holdings::{Available, CounterMove, LineRow, NewTicket};
use crate::store::logs::NewLog;
use crate::store::orders::{Markers, OrderRow};
use crate::store::{Store, Txn};

/// What one order consists of and has got.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) lines: Vec<Line>,
    /// Some ticket was used.
    pub(super) used: bool,
    /// What was given back can be had again, all of it.
    pub(super) available: bool,
}

/// Effects to write, of all orders of a batch.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) issue: Vec<NewTicket>,
    pub(super) void: Vec<i64>,
    slots: BTreeMap<String, (i64, i64)>,
    variants: BTreeMap<String, (i64, i64)>,
}

impl World {
    /// Reads what orders hold where something may become of it, and finds out whether what was
    /// given back can be had again; that locks the counters.
    pub(super) async fn load_holdings(
        &mut self,
        store: &Store,
        txn: &mut Txn,
    ) -> Result<(), ApplyError> {
        let concerned = self.concerned_orders();
        let rows = store.holdings_lines_in_txn(txn, &concerned).await?;
        self.held = held(rows);
        let returning = self.returning_orders();
        let (slots, skus) = self.given_back(&returning);
        let slots = store.holdings_lock_slots_in_txn(txn, &slots).await?;
        let variants = store.holdings_lock_variants_in_txn(txn, &skus).await?;
        let mut free = Free::of(slots, variants);
        for id in returning {
            let (Some(order), Some(held)) = (self.orders.get(&id), self.held.get_mut(&id)) else {
                continue;
            };
            held.available = free.take(order, &held.lines);
        }
        Ok(())
    }

    /// What the given orders gave back: slots and SKUs.
    fn given_back(&self, orders: &[i64]) -> (Vec<String>, Vec<String>) {
        let (mut slots, mut skus) = (Vec::new(), Vec::new());
        for id in orders {
            let (Some(order), Some(held)) = (self.orders.get(id), self.held.get(id)) else {
                continue;
            };
            for line in &held.lines {
                match &line.goods {
                    Goods::Ticket(slot) if capacity_of(order) == Holding::Free => {
                        slots.push(slot.clone());
                    }
                    Goods::Product(sku) if stock_of(order) == Holding::Free => {
                        skus.push(sku.clone());
                    }
                    Goods::Ticket(_) | Goods::Product(_) => {}
                }
            }
        }
        (slots, skus)
    }
}

/// The hold of an order as the projection sees it.
pub(super) fn hold_of(order: &OrderRow, held: Option<&Held>) -> Hold {
    let given_back = capacity_of(order) == Holding::Free || stock_of(order) == Holding::Free;
    match held {
        _ if !given_back => Hold::Held,
        Some(held) => Hold::Released {
            available: held.available,
        },
        // Without lines there is nothing to take again.
        None => Hold::Released { available: true },
    }
}

/// What the order's new status demands beside what it has.
pub(super) fn plan_for(order: &OrderRow, held: &Held, judged: &Judged) -> Plan {
    let holdings = Holdings {
        lines: &held.lines,
        capacity: capacity_of(order),
        stock: stock_of(order),
        has_pickup_code: order.pickup_code.is_some(),
        picked_up: order.picked_up_at.is_some(),
    };
    plan(judged.status, &holdings, judged.reserve_again)
}

/// The order's markers after the plan.
pub(super) fn markers_after(plan: &Plan, before: Markers, now: OffsetDateTime) -> Markers {
    let mut after = before;
    let keep = |marker: Option<OffsetDateTime>| marker.or(Some(now));
    if let Some(Move { to, .. }) = plan.capacity {
        (after.tickets_issued_at, after.capacity_released_at) = match to {
            Holding::Reserved => (None, None),
            Holding::Owned => (Some(now), None),
            Holding::Free => (after.tickets_issued_at, keep(after.capacity_released_at)),
        };
    }
    if let Some(Move { to, .. }) = plan.stock {
        (after.stock_confirmed_at, after.stock_released_at) = match to {
            Holding::Reserved => (None, None),
            Holding::Owned => (Some(now), None),
            Holding::Free => (after.stock_confirmed_at, keep(after.stock_released_at)),
        };
    }
    match plan.pickup {
        Some(PickupChange::Make) => {
            after.pickup_code = Some(codes::pickup());
            after.pickup_revoked_at = None;
        }
        Some(PickupChange::Revoke) => {
            after.pickup_code = None;
            after.pickup_revoked_at = Some(now);
        }
        None => {}
    }
    after
}

impl Effects {
    /// Adds what the plan of one order does to tickets and counters.
    pub(super) fn add(&mut self, plan: &Plan, lines: &[Line]) {
        self.issue
            .extend(plan.issue.iter().map(|(item_id, seq)| NewTicket {
                item_id: *item_id,
                seq: *seq,
                code: codes::ticket(),
            }));
        self.void.extend(&plan.void);
        for line in lines {
            let (counters, key, moved) = match &line.goods {
                Goods::Ticket(slot) => (&mut self.slots, slot, plan.capacity),
                Goods::Product(sku) => (&mut self.variants, sku, plan.stock),
            };
            if let Some(moved) = moved {
                let counter = counters.entry(key.clone()).or_default();
                counter.0 += moved.reserved() * line.quantity;
                counter.1 += moved.sold() * line.quantity;
            }
        }
    }

    /// The counters of slots that move.
    pub(super) fn slot_moves(&self) -> Vec<CounterMove> {
        moves(&self.slots)
    }

    /// The counters of variants that move.
    pub(super) fn variant_moves(&self) -> Vec<CounterMove> {
        moves(&self.variants)
    }
}

/// What the log says of a plan. A repair has a row for each thing that was mended.
pub(super) fn logs_of(plan: &Plan, order: &OrderRow, judged: &Judged, by: &ActedBy) -> Vec<NewLog> {
    let row = |event_type, detail| NewLog {
        order_code: Some(order.order_code.clone()),
        session_id: order.session_id.clone(),
        sync_type: by.source.as_str(),
        event_type,
        from_status: Some(order.status.clone()),
        to_status: Some(judged.status.as_str().to_owned()),
        actor: by.actor.clone(),
        detail: Some(detail),
    };
    if !by.source.repairs() {
        let detail = json!({
            "tickets_issued": plan.issue.len(),
            "lines_voided": plan.void.len(),
            "capacity": plan.capacity.map(|m| word(m.to)),
            "stock": plan.stock.map(|m| word(m.to)),
            "pickup_code": plan.pickup.map(|change| match change {
                PickupChange::Make => "made",
                PickupChange::Revoke => "revoked",
            }),
        });
        return vec![row("effects_applied", detail)];
    }
    let mut rows = Vec::new();
    if !plan.issue.is_empty() {
        let detail = json!({"missing": plan.issue.len()});
        rows.push(row("reconcile_fix_ticket_issued", detail));
    }
    if !plan.void.is_empty() {
        rows.push(row(
            "reconcile_void_tickets",
            json!({"lines": plan.void.len()}),
        ));
    }
    let changed = |m: Move| json!({"before": word(m.from), "after": word(m.to)});
    rows.extend(
        plan.capacity
            .map(|m| row(capacity_repair(m.to), changed(m))),
    );
    rows.extend(plan.stock.map(|m| row(stock_repair(m.to), changed(m))));
    rows.extend(plan.pickup.map(|change| match change {
        PickupChange::Make => row("reconcile_fix_pickup_code", json!({"before": null})),
        PickupChange::Revoke => row("reconcile_revoke_pickup_code", json!({"after": null})),
    }));
    rows
}

/// Who or what made an order be looked at.
#[derive(Debug, Clone)]
pub(super) struct ActedBy {
    pub(super) source: Source,
    pub(super) actor: Option<String>,
}

const fn capacity_repair(to: Holding) -> &'static str {
    match to {
        Holding::Owned => "reconcile_finalize_capacity",
        Holding::Free => "reconcile_release_capacity",
        Holding::Reserved => "reconcile_reserve_capacity",
    }
}

const fn stock_repair(to: Holding) -> &'static str {
    match to {
        Holding::Owned => "reconcile_confirm_stock",
        Holding::Free => "reconcile_release_stock",
        Holding::Reserved => "reconcile_reserve_stock",
    }
}

const fn word(holding: Holding) -> &'static str {
    match holding {
        Holding::Reserved => "reserved",
        Holding::Owned => "sold",
        Holding::Free => "free",
    }
}

fn capacity_of(order: &OrderRow) -> Holding {
    holding(order.tickets_issued_at, order.capacity_released_at)
}

fn stock_of(order: &OrderRow) -> Holding {
    holding(order.stock_confirmed_at, order.stock_released_at)
}

fn holding(owned: Option<OffsetDateTime>, given_back: Option<OffsetDateTime>) -> Holding {
    match (owned, given_back) {
        (_, Some(_)) => Holding::Free,
        (Some(_), None) => Holding::Owned,
        (None, None) => Holding::Reserved,
    }
}

fn moves(counters: &BTreeMap<String, (i64, i64)>) -> Vec<CounterMove> {
    counters
        .iter()
        .filter(|(_, moved)| **moved != (0, 0))
        .map(|(key, (reserved, sold))| CounterMove {
            key: key.clone(),
            reserved: *reserved,
            sold: *sold,
        })
        .collect()
}

/// Lines by order.
pub(super) fn held(rows: Vec<LineRow>) -> BTreeMap<i64, Held> {
    let mut held: BTreeMap<i64, Held> = BTreeMap::new();
    for row in rows {
        let goods = match (row.slot_id, row.sku) {
            (Some(slot), _) => Goods::Ticket(slot),
            (None, Some(sku)) => Goods::Product(sku),
            // A CHECK keeps such a row out.
            (None, None) => continue,
        };
        let order = held.entry(row.order_id).or_default();
        order.used |= row.used;
        order.lines.push(Line {
            item_id: row.item_id,
            goods,
            quantity: row.quantity,
            tickets: row.tickets,
        });
    }
    held
}

/// What can still be reserved, while a batch hands it out.
struct Free {
    slots: HashMap<String, i64>,
    variants: HashMap<String, i64>,
}

impl Free {
    fn of(slots: Vec<Available>, variants: Vec<Available>) -> Self {
        let map = |rows: Vec<Available>| rows.into_iter().map(|row| (row.key, row.free)).collect();
        Self {
            slots: map(slots),
            variants: map(variants),
        }
    }

    /// Takes everything that the order gave back, or nothing.
    fn take(&mut self, order: &OrderRow, lines: &[Line]) -> bool {
        let mut left = (self.slots.clone(), self.variants.clone());
        for line in lines {
            let (counter, given_back) = match &line.goods {
                Goods::Ticket(slot) => (left.0.get_mut(slot), capacity_of(order)),
                Goods::Product(sku) => (left.1.get_mut(sku), stock_of(order)),
            };
            if given_back != Holding::Free {
                continue;
            }
            match counter {
                Some(free) if *free >= line.quantity => *free -= line.quantity,
                Some(_) | None => return false,
            }
        }
        (self.slots, self.variants) = left;
        true
    }
}
