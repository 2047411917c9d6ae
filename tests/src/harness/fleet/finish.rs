//! The end of a test: the fleet drains, stops in order, and what it leaves is audited.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::broker::topology;

use super::{END_BOUND, Fleet, Kind, Process};
use crate::harness::audit;
use crate::harness::wait::{BOUND, try_wait_for};

/// What a fleet may leave behind; [`Expect::clean`] is nothing at all.
#[derive(Debug, Clone, Copy)]
pub struct Expect {
    dead_letters: i64,
    delayed: bool,
    bound: Duration,
}

impl Expect {
    /// Every queue empty, no dead letter, every invariant holds.
    pub const fn clean() -> Self {
        Self {
            dead_letters: 0,
            delayed: false,
            bound: BOUND,
        }
    }

    /// Exactly so many dead letters, kept in the database or still in their queue.
    #[must_use]
    pub const fn dead_letters(mut self, count: i64) -> Self {
        self.dead_letters = count;
        self
    }

    /// Messages may still wait in delay queues: linking an orphan is tried for more than a minute.
    #[must_use]
    pub const fn delayed_left(mut self) -> Self {
        self.delayed = true;
        self
    }

    /// Gives the queues longer to empty.
    #[must_use]
    pub const fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// The same once nobody consumes any more: what was delayed may have become due meanwhile.
    fn is_left_as_expected(self, waiting: &BTreeMap<String, u32>) -> bool {
        let mut waiting = waiting.clone();
        if self.delayed {
            waiting.remove(topology::JOBS_QUEUE);
        }
        self.is_drained(&waiting)
    }

    /// Whether nothing waits that was not expected to be left.
    fn is_drained(self, waiting: &BTreeMap<String, u32>) -> bool {
        waiting.keys().all(|queue| {
            queue == topology::DEAD_QUEUE || (self.delayed && queue.starts_with("lunas.retry."))
        })
    }
}

impl Fleet {
    /// Drains, stops and audits; nothing may be left.
    ///
    /// # Panics
    /// When something is left, a process does not end well, or an invariant is broken.
    pub async fn finish(self) {
        self.finish_expecting(Expect::clean()).await;
    }

    /// Drains, stops and audits.
    ///
    /// # Panics
    /// When more or less is left than expected, a process does not end well, or an invariant is
    /// broken.
    pub async fn finish_expecting(mut self, expect: Expect) {
        if self.has_jobs() {
            // Their ticks would never let the queues run empty.
            self.stop_those(|process| process.kind() == Kind::Scheduler)
                .await;
            self.wait_for_runs(expect.bound).await;
        }
        self.drain(expect).await;
        self.stop().await;
        // Only now are the figures exact: nobody holds a message any more.
        let waiting = self
            .stage
            .broker()
            .waiting()
            .await
            .expect("the broker answers");
        assert!(
            expect.is_left_as_expected(&waiting),
            "left in the queues after the end: {waiting:?}"
        );
        let queued = i64::from(waiting.get(topology::DEAD_QUEUE).copied().unwrap_or(0));
        let kept = audit::dead_letters(self.stage.pool()).await;
        let dead = queued + i64::try_from(kept.len()).unwrap_or(i64::MAX);
        assert!(
            dead == expect.dead_letters,
            "{queued} dead letters queued, kept: {kept:#?}"
        );
        audit::assert_invariants(self.stage.pool()).await;
    }

    /// Ends every process with SIGTERM; each must end by itself, in time and without an error.
    ///
    /// # Panics
    /// When one does not.
    pub async fn stop(&mut self) {
        self.stop_those(|_| true).await;
    }

    async fn stop_those(&mut self, which: impl Fn(&Process) -> bool) {
        let mut running: Vec<_> = self
            .processes
            .iter_mut()
            .filter(|process| which(process))
            .filter_map(|p| p.is_running().then_some(p))
            .collect();
        for process in &running {
            process.sigterm();
        }
        for process in &mut running {
            let status = process.wait_exit(END_BOUND).await;
            assert!(
                status.success(),
                "{} ended with {status}\n{}",
                process.name(),
                process.log_end()
            );
        }
    }

    /// A page in hand sends another message before it is acknowledged.
    async fn wait_for_runs(&self, bound: Duration) {
        let open = "SELECT count(*) FROM job_runs WHERE finished_at IS NULL
                    AND published_at IS NOT NULL";
        let ended = try_wait_for(bound, async || {
            match sqlx::query_scalar::<_, i64>(open)
                .fetch_one(self.stage.pool())
                .await
            {
                Ok(0) => Ok(()),
                Ok(open) => Err(format!("{open} runs")),
                Err(error) => Err(error.to_string()),
            }
        });
        if let Err(seen) = ended.await {
            panic!("the runs did not end within {bound:?}: {seen}");
        }
    }

    /// Whether its schedulers start periodic jobs.
    fn has_jobs(&self) -> bool {
        let set = self
            .env
            .iter()
            .rev()
            .find(|(_, name, _)| name == "JOB_INTERVALS");
        set.is_some_and(|(_, _, jobs)| jobs.split('=').skip(1).any(|job| !job.starts_with("off")))
    }

    async fn drain(&self, expect: Expect) {
        let drained = try_wait_for(expect.bound, async || {
            let waiting = self.stage.broker().waiting().await?;
            if expect.is_drained(&waiting) {
                Ok(())
            } else {
                Err(format!("{waiting:?}"))
            }
        });
        if let Err(seen) = drained.await {
            panic!("the queues did not empty within {:?}: {seen}", expect.bound);
        }
    }
}
