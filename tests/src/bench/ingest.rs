//! (a) How many notifications ingest accepts, beside what the broker confirms to a bare publisher.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;

use super::lab::{Lab, shared_bodies};
use super::load::{self, Answers, Requests};
use super::process::{Service, Usage};
use super::raw;
use super::stats::{Round, median};
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
    /// Cores that ingest used at 512 connections.
    pub(super) cores: f64,
    /// Most memory of ingest in all rounds.
    pub(super) peak_mib: f64,
}

/// Measures in rounds; figures are medians.
pub(super) async fn measure(lab: &Lab) -> anyhow::Result<IngestFigures> {
    let addr = super::process::free_addr()?;
    let service = lab.start_ingest(addr).await?;
    let mut rounds = Rounds {
        lab,
        addr,
        length: lab.options.sizes().round,
    };
    let (mut at_64, mut at_512, mut raws, mut cores) = (vec![], vec![], vec![], vec![]);
    for _ in 0..lab.options.sizes().rounds {
        raws.push(rounds.raw(raw::IN_FLIGHT, None).await?);
        at_64.push(rounds.ingest(64, None).await?);
        let before = service.usage()?;
        at_512.push(rounds.ingest(512, None).await?);
        cores.push(service.usage()?.cores_since(&before));
    }
    let mut figures = IngestFigures {
        at_64: Round::median(&at_64),
        at_512: Round::median(&at_512),
        raw: Round::median(&raws),
        cores: median(&cores),
        ..IngestFigures::default()
    };
    let reached = figures.at_512.per_s;
    let (mut same, mut steady, mut raw_steady) = (vec![], vec![], vec![]);
    for _ in 0..lab.options.sizes().rounds {
        same.push(rounds.raw(PACED_IN_FLIGHT, Some(reached)).await?);
        steady.push(rounds.ingest(512, Some(reached * STEADY)).await?);
        raw_steady.push(rounds.raw(PACED_IN_FLIGHT, Some(reached * STEADY)).await?);
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
    lab: &'a Lab,
    addr: SocketAddr,
    length: Duration,
}

impl Rounds<'_> {
    async fn ingest(&mut self, connections: usize, rate: Option<f64>) -> anyhow::Result<Round> {
        let notices = self.notices(rate.unwrap_or(FASTEST));
        let (addr, length) = (self.addr, self.length);
        let answers: Answers = tokio::task::spawn_blocking(move || {
            let requests = Requests::of(&workload::bodies(&notices));
            load::round(addr, requests, connections, length, rate)
        })
        .await??;
        let stored = self.lab.queue.purge().await?;
        ensure!(
            stored as usize == answers.accepted,
            "{} accepted but {stored} in the queue",
            answers.accepted
        );
        Ok(answers.round)
    }

    async fn raw(&self, in_flight: usize, rate: Option<f64>) -> anyhow::Result<Round> {
        let bodies = shared_bodies(&self.notices(rate.unwrap_or(FASTEST_RAW)));
        let url = &self.lab.options.amqp_url;
        let round = raw::round(url, Arc::clone(&bodies), in_flight, self.length, rate).await?;
        self.lab.queue.purge().await?;
        Ok(round)
    }

    fn notices(&self, rate: f64) -> Vec<Notice> {
        let orders = load::needed(self.length, rate).div_ceil(2) as u64;
        workload::sequence(0..orders)
    }
}
