//! Reading from a database that may be away: tried again for a moment, then given up.

use std::future::Future;
use std::time::Duration;

use shared::store::StoreError;
use tracing::warn;

use crate::problem::Problem;

/// A caller hears within this time that the database is away.
const LIMIT: Duration = Duration::from_secs(5);

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
