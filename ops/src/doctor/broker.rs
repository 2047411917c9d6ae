//! Whether the broker is there, has the topology, and somebody listens to what waits.

use shared::broker::{Connection, Drift, topology};
use shared::config::BrokerSettings;

use super::finding::Findings;
use crate::connect;

const UNREACHABLE: &str = "see that RabbitMQ runs and that AMQP_URL names its host, user and \
                           virtual host";

pub(super) async fn look(settings: &BrokerSettings, findings: &mut Findings) {
    let connection = match connect::broker(settings).await {
        Ok(connection) => connection,
        Err(error) => return findings.add("broker_unreachable", format!("{error:#}"), UNREACHABLE),
    };
    look_at_topology(&connection, findings).await;
    for queue in [
        topology::WEBHOOKS_QUEUE,
        topology::JOBS_QUEUE,
        topology::DEAD_QUEUE,
    ] {
        look_at_queue(&connection, queue, findings).await;
    }
}

async fn look_at_topology(connection: &Connection, findings: &mut Findings) {
    match topology::check(connection).await {
        Ok(drifts) => add_drifts(&drifts, findings),
        Err(error) => {
            let error = anyhow::Error::from(error);
            findings.add("topology_unknown", format!("{error:#}"), UNREACHABLE);
        }
    }
}

fn add_drifts(drifts: &[Drift], findings: &mut Findings) {
    let told = |wanted: fn(&Drift) -> bool| -> Vec<String> {
        drifts
            .iter()
            .filter(|drift| wanted(drift))
            .map(ToString::to_string)
            .collect()
    };
    let missing = told(|drift| matches!(drift, Drift::Missing { .. }));
    if !missing.is_empty() {
        findings.add_with(
            "topology_missing",
            format!("{} exchanges or queues are missing", missing.len()),
            "lunas topology declare",
            &missing,
        );
    }
    let different = told(|drift| matches!(drift, Drift::Different { .. }));
    if !different.is_empty() {
        findings.add_with(
            "topology_different",
            format!(
                "{} exchanges or queues have other arguments",
                different.len()
            ),
            "arguments cannot be changed in place: stop the fleet, let the queue run empty, delete \
             it, then lunas topology declare",
            &different,
        );
    }
}

/// A queue that does not exist is the topology's finding.
async fn look_at_queue(connection: &Connection, queue: &str, findings: &mut Findings) {
    let depth = match topology::queue_depth(connection, queue).await {
        Ok(Some(depth)) => depth,
        Ok(None) => return,
        Err(error) => {
            let error = anyhow::Error::from(error);
            return findings.add("queue_unknown", format!("{error:#}"), UNREACHABLE);
        }
    };
    if depth.ready == 0 || depth.consumers > 0 {
        return;
    }
    let (waiting, role) = match queue {
        topology::WEBHOOKS_QUEUE => ("notifications", "webhooks"),
        topology::JOBS_QUEUE => ("jobs", "jobs"),
        _ => ("dead letters", "dead-letters"),
    };
    findings.add(
        "queue_without_consumer",
        format!(
            "{} {waiting} wait in {queue} and nobody takes them",
            depth.ready
        ),
        format!("start lunas-worker with {role} among its WORKER_ROLES"),
    );
}
