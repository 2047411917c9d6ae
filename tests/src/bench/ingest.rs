//! (a) How many notifications ingest accepts, beside what the broker confirms to a bare publisher.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;

use super::cpu::{Cost, Reading, Servers};
use super::lab::{Lab, shared_bodies};
use super::load::{self, Answers, Requests};
use super::process::{Service, Usage};
use super::raw;
use super::stats::Round;
use super::workload::{self, Notice};

/// More than any round comes to, so that the prepared requests suffice.
const FASTEST: f64 = 60_000.0;
const FASTEST_RAW: f64 = 150_000.0;

/// Raw publishers per connection when a rate is given: as many as ingest has connections.
const PACED_IN_FLIGHT: usize = 128;

/// The share of what ingest can do at which its latency is compared.
const STEADY: f64 = 0.7;

/// What was found out about ingest.
#[derive(Debug, Default)]
pub(super) struct IngestFigures {
    /// 64 connections, as fast as it goes.
    pub(super) at_64: Round,
    /// 512 connections, as fast as it goes.
    pub(super) at_512: Round,
    /// The bare publisher, as fast as it goes.
    pub(super) raw: Round,
    /// The bare publisher at the rate that ingest reached with 512 connections.
    pub(super) raw_at_same: Round,
    /// Ingest at a steady rate below its limit, 512 connections.
    pub(super) steady: Round,
    /// The bare publisher at that rate.
    pub(super) raw_steady: Round,
    /// Processor time at 512 connections.
    pub(super) cost: Cost,
    /// The same of the bare publisher; of the service, the benchmark itself.
    pub(super) raw_cost: Cost,
    /// Cores that ingest used at 512 connections.
    pub(super) cores: f64,
    /// Most memory of ingest in all rounds.
    pub(super) peak_mib: f64,
}

/// Measures in rounds; figures are medians.
pub(super) async fn measure(lab: &Lab) -> anyhow::Result<IngestFigures> {
    let addr = super::process::free_addr()?;
    let service = lab.start_ingest(addr).await?;
    let rounds = Rounds {
        pid: service.pid(),
        servers: Servers::find(&lab.options)?,
        lab,
        addr,
        length: lab.options.sizes().round,
    };
    let (mut at_64, mut at_512, mut raws) = (vec![], vec![], vec![]);
    let (mut costs, mut raw_costs) = (vec![], vec![]);
    for _ in 0..lab.options.sizes().rounds {
        let (raw, cost) = rounds.raw(raw::IN_FLIGHT, None).await?;
        raws.push(raw);
        raw_costs.push(cost);
        at_64.push(rounds.ingest(64, None).await?.0);
        let (round, cost) = rounds.ingest(512, None).await?;
        at_512.push(round);
        costs.push(cost);
    }
    let mut figures = IngestFigures {
        at_64: Round::median(&at_64),
        at_512: Round::median(&at_512),
        raw: Round::median(&raws),
        cost: Cost::median(&costs),
        raw_cost: Cost::median(&raw_costs),
        ..IngestFigures::default()
    };
    let reached = figures.at_512.per_s;
    figures.cores = figures.cost.service_us * reached / 1e6;
    let (mut same, mut steady, mut raw_steady) = (vec![], vec![], vec![]);
    for _ in 0..lab.options.sizes().rounds {
        same.push(rounds.raw(PACED_IN_FLIGHT, Some(reached)).await?.0);
        steady.push(rounds.ingest(512, Some(reached * STEADY)).await?.0);
        raw_steady.push(rounds.raw(PACED_IN_FLIGHT, Some(reached * STEADY)).await?.0);
    }
    figures.raw_at_same = Round::median(&same);
    figures.steady = Round::median(&steady);
    figures.raw_steady = Round::median(&raw_steady);
    figures.peak_mib = finish(service).await?.peak_mib;
    Ok(figures)
}

async fn finish(service: Service) -> anyhow::Result<Usage> {
    let usage = service.usage()?;
    service.stop().await?;
    Ok(usage)
}

struct Rounds<'a> {
    pid: Option<u32>,
    servers: Servers,
    lab: &'a Lab,
    addr: SocketAddr,
    length: Duration,
}

impl Rounds<'_> {
    async fn ingest(&self, connections: usize, rate: Option<f64>) -> anyhow::Result<(Round, Cost)> {
        let notices = self.notices(rate.unwrap_or(FASTEST));
        let (addr, length) = (self.addr, self.length);
        let requests = Requests::of(&workload::bodies(&notices));
        let before: Reading = self.servers.read(self.pid)?;
        let answers: Answers = tokio::task::spawn_blocking(move || {
            load::round(addr, requests, connections, length, rate)
        })
        .await??;
        let cost = before.cost(&self.servers.read(self.pid)?, answers.accepted);
        let stored = self.lab.queue.purge().await?;
        ensure!(
            stored as usize == answers.accepted,
            "{} accepted but {stored} in the queue",
            answers.accepted
        );
        Ok((answers.round, cost))
    }

    async fn raw(&self, in_flight: usize, rate: Option<f64>) -> anyhow::Result<(Round, Cost)> {
        let bodies = shared_bodies(&self.notices(rate.unwrap_or(FASTEST_RAW)));
        let url = &self.lab.options.amqp_url;
        let own = Some(std::process::id());
        let before = self.servers.read(own)?;
        let round = raw::round(url, Arc::clone(&bodies), in_flight, self.length, rate).await?;
        let after = self.servers.read(own)?;
        let published = self.lab.queue.purge().await?;
        Ok((round, before.cost(&after, published as usize)))
    }

    fn notices(&self, rate: f64) -> Vec<Notice> {
        let orders = load::needed(self.length, rate).div_ceil(2) as u64;
        workload::sequence(0..orders)
    }
}
