//! Whether the database is there, can be written to, and has the schema of this release; then what
//! is in it.

use shared::store::schema::{SchemaState, wanted_version};
use shared::store::{Store, StoreError};

use super::finding::Findings;
use super::{Doctor, Part, invariants};
use crate::{connect, print};

pub(super) async fn look(
    command: &Doctor,
    wanted: impl Fn(Part) -> bool,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let rest = [Part::Database, Part::Invariants, Part::DeadLetters];
    if !rest.into_iter().any(&wanted) {
        return Ok(());
    }
    let store = connect::store(&command.database)?;
    // Without the schema there is nothing more to ask.
    if look_at_server(&store, findings).await
        && let Err(error) = look_inside(&store, command, wanted, findings).await
    {
        findings.add(
            "database_failed",
            format!("{:#}", anyhow::Error::from(error)),
            "run lunas doctor again; if it stays, look into the database's log",
        );
    }
    store.close().await;
    Ok(())
}

/// Reachable, writable, migrated. `false` when it makes no sense to look further.
async fn look_at_server(store: &Store, findings: &mut Findings) -> bool {
    if let Err(error) = store.probe().await {
        findings.add(
            "database_unusable",
            format!("{:#}", anyhow::Error::from(error)),
            "see that PostgreSQL runs, accepts DATABASE_URL, and is a primary that can be written to",
        );
        return false;
    }
    let problem = match store.schema_state().await {
        Ok(SchemaState::Ready { .. }) => return true,
        Ok(SchemaState::Absent) => "The database has no schema yet".to_owned(),
        Ok(SchemaState::Behind { applied }) => {
            format!(
                "The schema is version {applied}; this release needs {}",
                wanted_version()
            )
        }
        Err(error) => format!("{:#}", anyhow::Error::from(error)),
    };
    findings.add("schema_behind", problem, "lunas migrate");
    false
}

async fn look_inside(
    store: &Store,
    command: &Doctor,
    wanted: impl Fn(Part) -> bool,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    if wanted(Part::Database) {
        look_at_partitions(store, findings).await?;
    }
    if wanted(Part::DeadLetters) {
        look_at_dead_letters(store, findings).await?;
        look_at_replays(store, findings).await?;
    }
    if wanted(Part::Invariants) {
        invariants::look(store, command.unconfirmed_after, findings).await?;
    }
    Ok(())
}

async fn look_at_partitions(store: &Store, findings: &mut Findings) -> Result<(), StoreError> {
    let mut txn = store.doctor_begin().await?;
    let missing = store.doctor_missing_partitions_in_txn(&mut txn).await?;
    store.commit(txn).await?;
    if !missing.is_empty() {
        findings.add_with(
            "partitions_missing",
            format!("{} monthly partitions are missing", missing.len()),
            "lunas migrate",
            &missing,
        );
    }
    Ok(())
}

async fn look_at_dead_letters(store: &Store, findings: &mut Findings) -> Result<(), StoreError> {
    let mut txn = store.doctor_begin().await?;
    let (count, rupiah) = store.doctor_dead_letters_in_txn(&mut txn).await?;
    store.commit(txn).await?;
    if count > 0 {
        findings.add(
            "dead_letters",
            format!(
                "{count} dead letters with {} wait for an operator",
                print::rupiah(rupiah)
            ),
            "lunas dlq groups; mend the cause, then lunas dlq replay or lunas dlq discard",
        );
    }
    Ok(())
}

async fn look_at_replays(store: &Store, findings: &mut Findings) -> Result<(), StoreError> {
    for replay in store.replays_unfinished().await? {
        // One that somebody drives is on its way.
        let Some(lock) = store.replays_lock(replay.id).await? else {
            continue;
        };
        lock.release().await;
        let handled = replay.done + replay.failed;
        findings.add(
            "replay_unfinished",
            format!(
                "Replay {} stands at {handled} of {} and nobody drives it",
                replay.id, replay.total
            ),
            format!(
                "lunas dlq replay --resume {id}, or lunas dlq replay --cancel {id}",
                id = replay.id
            ),
        );
    }
    Ok(())
}
