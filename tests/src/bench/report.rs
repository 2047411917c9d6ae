//! The table that people read.

use super::Figures;
use super::cpu::Cost;
use super::machine::Machine;
use super::reconcile::{ReconcileFigures, StoredFigures};
use super::stats::Round;

/// One line of the table.
struct Line {
    what: &'static str,
    figure: String,
    limit: String,
    ratio: Option<f64>,
    target: Option<Target>,
}

enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// The table.
pub(super) fn table(machine: &Machine, figures: &Figures) -> String {
    let mut text = format!("{machine}\n\n");
    text.push_str(&format!(
        "{:<44} {:>22} {:>30} {:>7}  {}\n",
        "", "figure", "beside", "ratio", "target"
    ));
    for line in lines(figures) {
        let ratio = line
            .ratio
            .map(|ratio| format!("{ratio:.2}"))
            .unwrap_or_default();
        text.push_str(&format!(
            "{:<44} {:>22} {:>30} {:>7}  {}\n",
            line.what,
            line.figure,
            line.limit,
            ratio,
            verdict(&line)
        ));
    }
    text.push_str(NOTES);
    text
}

const NOTES: &str = "
Bodies are signed, unique and have about 850 bytes. Orders exist beforehand; each gets a pending and,
after those of 2,000 others, a settlement. Raw: lapin, 4 connections with 64 messages in flight each
(128 where a rate is given), the same quorum queue. Steady: 0.7 of what ingest reached with 512
connections. One per transaction: pgbench, 8 clients, prepared, the statements of one notification.
Set-based: the product's apply in this process, batches of 256 from 4 tasks, no queue. Lag: answer of
ingest (load generator's clock) to commit (PostgreSQL's commit timestamp), one worker.
";

fn verdict(line: &Line) -> String {
    let Some(target) = &line.target else {
        return String::new();
    };
    let value = line.ratio.unwrap_or_default();
    let (met, text) = match target {
        Target::AtLeast(bound) => (value >= *bound, format!(">= {bound}")),
        Target::AtMost(bound) => (value <= *bound, format!("<= {bound}")),
    };
    format!("{text} {}", if met { "met" } else { "MISSED" })
}

fn per_s(value: f64) -> String {
    format!("{value:.0}/s")
}

fn round(round: &Round) -> String {
    format!(
        "{:.0}/s {:.1}/{:.1} ms",
        round.per_s, round.p50_ms, round.p99_ms
    )
}

/// Processor time per notification, which says where the time goes.
fn cost_lines(f: &Figures) -> Vec<Line> {
    let line = |what, cost: &Cost| Line {
        what,
        figure: format!("{:.0} us in the program", cost.service_us),
        limit: format!(
            "PostgreSQL {:.0}, RabbitMQ {:.0}",
            cost.postgres_us, cost.rabbitmq_us
        ),
        ratio: None,
        target: None,
    };
    let mut lines = Vec::new();
    if let Some(i) = &f.ingest {
        lines.push(line("d  CPU per notification: raw publisher", &i.raw_cost));
        lines.push(line("d  CPU per notification: ingest", &i.cost));
    }
    if let Some(a) = &f.apply {
        lines.push(line(
            "d  CPU per notification: one per transaction",
            &a.tx_cost,
        ));
        lines.push(line(
            "d  CPU per notification: set-based",
            &a.set_based_cost,
        ));
        lines.push(line("d  CPU per notification: one worker", &a.one.cost));
    }
    if let Some(million) = &f.million {
        lines.push(line(
            "d  CPU per notification: the same, a million",
            &million.many.cost,
        ));
    }
    lines
}

fn lines(f: &Figures) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(ingest_lines(f));
    lines.extend(apply_lines(f));
    lines.extend(million_lines(f));
    lines.extend(lag_lines(f));
    lines.extend(shop_lines(f));
    lines.extend(reconcile_lines(f));
    lines.extend(process_lines(f));
    lines.extend(cost_lines(f));
    lines
}

fn ingest_lines(f: &Figures) -> Vec<Line> {
    let Some(i) = &f.ingest else {
        return Vec::new();
    };
    let line = |what, figure: &Round, limit: &Round, ratio, target| Line {
        what,
        figure: round(figure),
        limit: format!("raw {}", round(limit)),
        ratio: Some(ratio),
        target,
    };
    let rate = |ours: &Round| ours.per_s / i.raw.per_s;
    vec![
        line(
            "a  ingest, 64 connections (p50/p99)",
            &i.at_64,
            &i.raw,
            rate(&i.at_64),
            None,
        ),
        line(
            "a  ingest, 512 connections",
            &i.at_512,
            &i.raw,
            rate(&i.at_512),
            Some(Target::AtLeast(0.5)),
        ),
        line(
            "a  p99 at the limit, 512 connections",
            &i.at_512,
            &i.raw_at_same,
            i.at_512.p99_ms / i.raw_at_same.p99_ms,
            None,
        ),
        line(
            "a  p99 at a steady rate, 512 connections",
            &i.steady,
            &i.raw_steady,
            i.steady.p99_ms / i.raw_steady.p99_ms,
            Some(Target::AtMost(3.0)),
        ),
    ]
}

fn apply_lines(f: &Figures) -> Vec<Line> {
    let Some(a) = &f.apply else {
        return Vec::new();
    };
    let line = |what, ours: f64, limit: String, ratio: f64, target| Line {
        what,
        figure: per_s(ours),
        limit,
        ratio: Some(ratio),
        target,
    };
    let (one, two) = (a.one.per_s, a.two.per_s);
    vec![
        line(
            "b  one worker",
            one,
            format!("one per transaction {}", per_s(a.tx_per_webhook)),
            one / a.tx_per_webhook,
            Some(Target::AtLeast(4.0)),
        ),
        line(
            "b  one worker",
            one,
            format!("set-based {}", per_s(a.set_based)),
            one / a.set_based,
            Some(Target::AtLeast(0.6)),
        ),
        line(
            "b  two workers",
            two,
            format!("one worker {}", per_s(one)),
            two / one,
            None,
        ),
    ]
}

fn million_lines(f: &Figures) -> Vec<Line> {
    let Some(million) = &f.million else {
        return Vec::new();
    };
    let line = |beside: String, few: f64, bound| Line {
        what: "e  one worker, a million payments stored",
        figure: per_s(million.many.per_s),
        limit: beside,
        ratio: Some(million.many.per_s / few),
        target: Some(Target::AtLeast(bound)),
    };
    let few = million.few.per_s;
    let mut lines = vec![line(format!("ten thousand {}", per_s(few)), few, 0.87)];
    if let Some(a) = &f.apply {
        lines.push(line(
            format!("empty {}", per_s(a.one.per_s)),
            a.one.per_s,
            0.85,
        ));
    }
    lines
}

fn reconcile_lines(f: &Figures) -> Vec<Line> {
    let Some(reconcile) = &f.reconcile else {
        return Vec::new();
    };
    let line = |what, ms: f64, stored, target| Line {
        what,
        figure: format!("{ms:.1} ms"),
        limit: format!("{stored} stored"),
        ratio: Some(ms),
        target: Some(Target::AtMost(target)),
    };
    let due = |of: &StoredFigures| {
        line(
            "h  finding 1,000 due payments",
            of.found_ms,
            of.stored,
            20.0,
        )
    };
    let alerts = |of: &StoredFigures| {
        line(
            "h  looking for all alerts",
            of.alerts_ms,
            of.stored,
            1_000.0,
        )
    };
    let found = reconcile.stored.iter().flat_map(|of| [due(of), alerts(of)]);
    let rate = f64::from(ReconcileFigures::RATE);
    let off = (reconcile.asked_per_s / rate - 1.0).abs();
    found
        .chain([
            Line {
                what: "h  due payments asked about, off the rate",
                figure: format!("{:.1}/s", reconcile.asked_per_s),
                limit: format!("configured {}", per_s(rate)),
                ratio: Some(off),
                target: Some(Target::AtMost(0.05)),
            },
            Line {
                what: "h  scheduler, most memory",
                figure: format!("{:.1} MiB", reconcile.scheduler_mib),
                limit: String::new(),
                ratio: Some(reconcile.scheduler_mib),
                target: Some(Target::AtMost(32.0)),
            },
        ])
        .collect()
}

fn lag_lines(f: &Figures) -> Vec<Line> {
    let Some(lag) = &f.lag else {
        return Vec::new();
    };
    vec![
        Line {
            what: "c  whole way, maximum",
            figure: per_s(lag.maximum_per_s),
            limit: String::new(),
            ratio: None,
            target: None,
        },
        Line {
            what: "c  lag at half of it (ms, p50/p99)",
            figure: format!("{:.1}/{:.1} ms", lag.p50_ms, lag.p99_ms),
            limit: format!("at {}", per_s(lag.rate)),
            ratio: Some(lag.p99_ms),
            target: Some(Target::AtMost(50.0)),
        },
    ]
}

fn shop_lines(f: &Figures) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(effects) = &f.effects {
        lines.push(Line {
            what: "f  one worker, with tickets and goods",
            figure: per_s(effects.worker_per_s),
            limit: format!("one per transaction {}", per_s(effects.tx_per_s)),
            ratio: Some(effects.worker_per_s / effects.tx_per_s),
            target: Some(Target::AtLeast(3.0)),
        });
    }
    if let Some(shop) = &f.shop {
        lines.push(Line {
            what: "g  creating orders, distinct stock (p50/p99)",
            figure: round(&shop.paced),
            limit: "at 200/s".to_owned(),
            ratio: Some(shop.paced.p99_ms),
            target: Some(Target::AtMost(25.0)),
        });
        lines.push(Line {
            what: "g  64 buyers of one slot",
            figure: per_s(shop.hot_per_s),
            limit: format!("bare UPDATE {}", per_s(shop.bare_per_s)),
            ratio: Some(shop.hot_per_s / shop.bare_per_s),
            target: Some(Target::AtLeast(0.5)),
        });
    }
    lines
}

fn process_lines(f: &Figures) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut memory = |what, idle: f64, loaded: f64, most: f64| {
        lines.push(Line {
            what,
            figure: format!("{loaded:.1} MiB"),
            limit: format!("idle {idle:.1} MiB"),
            ratio: Some(loaded),
            target: Some(Target::AtMost(most)),
        });
    };
    memory(
        "d  ingest, most memory under load",
        f.idle.ingest_mib,
        f.ingest_peak(),
        40.0,
    );
    memory(
        "d  worker, most memory under load",
        f.idle.worker_mib,
        f.worker_peak(),
        64.0,
    );
    let mut cpu = |what, idle: f64, loaded: Option<f64>| {
        lines.push(Line {
            what,
            figure: format!("{:.2} %", idle * 100.0),
            limit: loaded
                .map(|cores| format!("loaded {cores:.2} cores"))
                .unwrap_or_default(),
            ratio: Some(idle * 100.0),
            target: Some(Target::AtMost(1.0)),
        });
    };
    cpu(
        "d  ingest, idle CPU",
        f.idle.ingest_cores,
        f.ingest.as_ref().map(|i| i.cores),
    );
    cpu(
        "d  worker, idle CPU",
        f.idle.worker_cores,
        f.apply.as_ref().map(|a| a.one.cores),
    );
    lines
}
