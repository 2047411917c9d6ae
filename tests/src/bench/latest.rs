//! `latest.json`: the figures for programs.

use serde_json::{Value, json};

use super::Figures;
use super::ingest::IngestFigures;
use super::machine::Machine;
use super::reconcile::ReconcileFigures;

/// The part of `latest.json` about ingest.
fn ingest_json(i: &IngestFigures) -> Value {
    json!({
    "ingest_accept_per_s": i.at_512.per_s,
    "ingest_p50_ms": i.at_512.p50_ms,
    "ingest_p99_ms": i.at_512.p99_ms,
    "ingest_64_accept_per_s": i.at_64.per_s,
    "ingest_64_p50_ms": i.at_64.p50_ms,
    "ingest_64_p99_ms": i.at_64.p99_ms,
    "raw_confirm_per_s": i.raw.per_s,
    "raw_p99_ms": i.raw.p99_ms,
    "ingest_ratio": i.at_512.per_s / i.raw.per_s,
    "ingest_p99_vs_raw": i.steady.p99_ms / i.raw_steady.p99_ms,
    "ingest_p99_vs_raw_at_limit": i.at_512.p99_ms / i.raw_at_same.p99_ms,
    "steady_per_s": i.steady.per_s,
    "steady_p99_ms": i.steady.p99_ms,
    "raw_steady_p99_ms": i.raw_steady.p99_ms,
    "ingest_cores": i.cores,
    "ingest_cpu": i.cost,
    "raw_cpu": i.raw_cost,
    })
}

/// What goes into `latest.json`.
pub(super) fn json(machine: &Machine, f: &Figures, quick: bool) -> Value {
    let mut all = json!({
        "machine": machine,
        "quick": quick,
        "ingest_rss_mib": f.ingest_peak(),
        "worker_rss_mib": f.worker_peak(),
        "ingest_idle_rss_mib": f.idle.ingest_mib,
        "worker_idle_rss_mib": f.idle.worker_mib,
        "ingest_idle_cpu": f.idle.ingest_cores,
        "worker_idle_cpu": f.idle.worker_cores,
    });
    let mut put = |part: Value| {
        if let (Value::Object(all), Value::Object(part)) = (&mut all, part) {
            all.extend(part);
        }
    };
    if let Some(i) = &f.ingest {
        put(ingest_json(i));
    }
    apply_json(f).into_iter().for_each(&mut put);
    if let Some(effects) = &f.effects {
        put(json!({
            "effects_per_s": effects.worker_per_s,
            "effects_tx_per_s": effects.tx_per_s,
            "effects_vs_tx": effects.worker_per_s / effects.tx_per_s,
        }));
    }
    if let Some(shop) = &f.shop {
        put(json!({
            "order_create_p50_ms": shop.paced.p50_ms,
            "order_create_p99_ms": shop.paced.p99_ms,
            "hot_slot_per_s": shop.hot_per_s,
            "hot_update_per_s": shop.bare_per_s,
            "hot_slot_ratio": shop.hot_per_s / shop.bare_per_s,
        }));
    }
    if let Some(reconcile) = &f.reconcile {
        let stored = reconcile.stored.iter();
        let found: Vec<_> = stored
            .map(
                |of| json!({"stored": of.stored, "due_ms": of.found_ms, "alerts_ms": of.alerts_ms}),
            )
            .collect();
        put(json!({
            "reconcile_stored": found,
            "reconciled_per_s": reconcile.asked_per_s,
            "reconcile_rate": ReconcileFigures::RATE,
            "scheduler_rss_mib": reconcile.scheduler_mib,
        }));
    }
    if let Some(lag) = &f.lag {
        put(json!({
            "whole_way_max_per_s": lag.maximum_per_s,
            "lag_rate_per_s": lag.rate,
            "lag_p50_ms": lag.p50_ms,
            "lag_p99_ms": lag.p99_ms,
            "lag_ingest_cores": lag.ingest_cores,
            "lag_worker_cores": lag.worker_cores,
        }));
    }
    all
}

/// The parts about applying.
fn apply_json(f: &Figures) -> Vec<Value> {
    let mut parts = Vec::new();
    if let Some(a) = &f.apply {
        parts.push(json!({
            "apply_per_s": a.one.per_s,
            "apply_two_workers_per_s": a.two.per_s,
            "tx_per_webhook_per_s": a.tx_per_webhook,
            "setbased_per_s": a.set_based,
            "apply_vs_tx": a.one.per_s / a.tx_per_webhook,
            "apply_vs_setbased": a.one.per_s / a.set_based,
            "apply_batch": a.one.batch,
            "worker_cores": a.one.cores,
            "worker_cpu": a.one.cost,
            "setbased_cpu": a.set_based_cost,
            "tx_cpu": a.tx_cost,
        }));
    }
    if let Some(million) = &f.million {
        let empty = f.apply.as_ref().map(|a| a.one.per_s);
        parts.push(json!({
            "apply_1m_per_s": million.many.per_s,
            "apply_10k_per_s": million.few.per_s,
            "apply_1m_vs_empty": empty.map(|empty| million.many.per_s / empty),
            "apply_1m_vs_10k": million.many.per_s / million.few.per_s,
        }));
    }
    parts
}
