//! The public listener: accepts connections up to the cap, and drains them at the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::connection;
use crate::webhook::Webhook;

/// How long requests in hand may take once the process has been told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Pause after a failed accept: usually there are no file descriptors left, and trying again at
/// once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `stop` is cancelled, then until what is in hand is answered.
pub(crate) async fn serve(
    listener: TcpListener,
    webhook: Arc<Webhook>,
    max_connections: u32,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(max_connections as usize));
    let connections = TaskTracker::new();
    loop {
        let (stream, slot) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => match accepted {
                Ok(accepted) => accepted,
                // The client changed its mind; nothing is wrong here.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    warn!(error = %error, "Connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        connections.spawn(one(stream, slot, Arc::clone(&webhook), stop.child_token()));
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN_LIMIT, connections.wait())
        .await
        .is_err()
    {
        warn!(
            connections = connections.len(),
            "Connections cut off at the end of the drain"
        );
    }
}

/// The slot is taken first: a connection that cannot be served yet stays in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Without it the answer may wait for the client's delayed acknowledgement.
    // A socket that refuses is one whose client has gone already.
    let _ = stream.set_nodelay(true);
    Ok((stream, slot))
}

async fn one(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    webhook: Arc<Webhook>,
    stop: CancellationToken,
) {
    webhook.meters.connections.increment(1);
    connection::serve(stream, stop, |request| webhook.handle(request)).await;
    webhook.meters.connections.decrement(1);
    drop(slot);
}
