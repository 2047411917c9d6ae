//! What the messages of `lunas.jobs` say: a small JSON body under the routing key `job.<name>`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::broker::topology::{self, DelayLevel};
use shared::broker::{Delivery, Destination};
use shared::domain::jobs::JobName;
use shared::domain::outcome::{Class, Classify, DeadReason};
use shared::jobs::RunMessage;

use crate::notices::AskJob;

/// Delays between two looks for the order of a session; after the last one the reconciler has it.
const LINK_DELAYS: [DelayLevel; 4] = [
    DelayLevel::Ms500,
    DelayLevel::S2,
    DelayLevel::S10,
    DelayLevel::M1,
];

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Look for the order of a session again.
    Link(LinkJob),
    /// Ask the status API about a transaction.
    Confirm(ConfirmJob),
    /// Ask the status API about the transaction of a notice.
    Ask(AskJob),
    /// A page of a run of a periodic job.
    Run(RunJob),
}

/// A page of a run of a periodic job; the job's name is in the routing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunJob {
    /// The job.
    pub name: JobName,
    /// The run, by its row in `job_runs`.
    pub run: i64,
    /// The page.
    pub page: i32,
}

/// Look for the order of a session again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkJob {
    /// The session.
    pub session_id: String,
    /// Looks so far.
    pub tries: usize,
}

/// Ask the status API about a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmJob {
    /// The session.
    pub session_id: String,
    /// The transaction.
    pub transaction_id: String,
    /// Whose key signs the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
    /// How often the answer was "no such transaction".
    #[serde(default)]
    pub asked: u32,
}

/// Why a message is no job.
#[derive(Debug, thiserror::Error)]
pub enum NoJob {
    /// A name that this release does not know.
    #[error("there is no job under the routing key {0}")]
    Unknown(String),
    /// Not the body of that job.
    #[error("the body of the job cannot be read")]
    Undecodable(#[source] serde_json::Error),
}

impl Classify for NoJob {
    fn classify(&self) -> Class {
        match self {
            // A newer release may be rolling out: another worker may know it.
            Self::Unknown(_) => Class::Retry,
            Self::Undecodable(_) => Class::Dead(DeadReason::UndecodableBody),
        }
    }
}

impl Job {
    /// Name of [`Job::Link`].
    pub const LINK: &str = "link";
    /// Name of [`Job::Confirm`].
    pub const CONFIRM: &str = "confirm";
    /// Name of [`Job::Ask`].
    pub const ASK: &str = "ask";

    /// What follows the prefix in its routing key.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Link(_) => Self::LINK,
            Self::Confirm(_) => Self::CONFIRM,
            Self::Ask(_) => Self::ASK,
            Self::Run(job) => job.name.as_str(),
        }
    }

    /// The body as it travels.
    pub fn body(&self) -> Bytes {
        let written = match self {
            Self::Link(job) => serde_json::to_vec(job),
            Self::Confirm(job) => serde_json::to_vec(job),
            Self::Ask(job) => serde_json::to_vec(job),
            Self::Run(job) => return RunMessage::body(job.run, job.page),
        };
        // Texts and numbers only: there is nothing that serde_json could refuse.
        written.unwrap_or_default().into()
    }

    /// Reads a message of the job queue.
    pub fn read(delivery: &Delivery) -> Result<Self, NoJob> {
        let name = delivery.routing_key.strip_prefix(topology::JOB_KEY_PREFIX);
        let body = &delivery.body;
        match name {
            Some(Self::LINK) => serde_json::from_slice(body).map(Self::Link),
            Some(Self::CONFIRM) => serde_json::from_slice(body).map(Self::Confirm),
            Some(Self::ASK) => serde_json::from_slice(body).map(Self::Ask),
            Some(other) if let Ok(name) = other.parse() => {
                let message = serde_json::from_slice::<RunMessage>(body);
                message.map(|RunMessage { run, page }| Self::Run(RunJob { name, run, page }))
            }
            Some(_) | None => return Err(NoJob::Unknown(delivery.routing_key.clone())),
        }
        .map_err(NoJob::Undecodable)
    }
}

impl LinkJob {
    /// After so many looks the reconciler has it.
    pub fn is_over(&self) -> bool {
        self.tries >= LINK_DELAYS.len()
    }

    /// The delay queue that the next look waits in.
    pub fn next_destination(&self) -> Destination<'static> {
        let level = LINK_DELAYS
            .get(self.tries)
            .copied()
            .unwrap_or(DelayLevel::M1);
        Destination::Retry(level, "job.link")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_an_order_grow_apart_and_end() {
        let job = |tries| LinkJob {
            session_id: "LNS-1".to_owned(),
            tries,
        };
        assert_eq!(
            job(0).next_destination(),
            Destination::Retry(DelayLevel::Ms500, "job.link")
        );
        assert_eq!(
            job(3).next_destination(),
            Destination::Retry(DelayLevel::M1, "job.link")
        );
    }
}
