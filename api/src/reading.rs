//! Reading from a database that may be away: tried again for a moment, then given up. And writing
//! to it, which is not tried again here: whoever asked knows whether it is safe to.

use std::future::Future;
use std::time::Duration;

use shared::store::StoreError;
use tracing::warn;

use crate::problem::Problem;

/// A caller hears within this time that the database is away.
const LIMIT: Duration = Duration::from_secs(5);

/// The same for a change, which may wait for a lock.
const WRITE_LIMIT: Duration = Duration::from_secs(12);

/// Pauses before the second and third attempt.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Reads, again when the database was away.
pub(crate) async fn reading<T, F, Fut>(read: F) -> Result<T, Problem>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let attempts = async {
        for pause in PAUSES {
            match read().await {
                Err(failed) if failed.is_unavailable() => tokio::time::sleep(pause).await,
                ended => return ended,
            }
        }
        read().await
    };
    match tokio::time::timeout(LIMIT, attempts).await {
        Ok(ended) => ended.map_err(Problem::from),
        Err(_) => {
            warn!("Database did not answer in time");
            Err(Problem::DatabaseUnavailable)
        }
    }
}

/// Waits for a change, up to a limit. Past it the change may still have happened.
pub(crate) async fn writing<T, E>(
    change: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, Problem> {
    tokio::time::timeout(WRITE_LIMIT, change)
        .await
        .map_err(|_| {
            warn!("Database did not end a change in time");
            Problem::DatabaseUnavailable
        })
}
