//! Reads the body of a request: bounded in size and time, copied once.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

use crate::answer::Problem;

/// Notifications have 1 to 3 KB.
pub(crate) const LIMIT: usize = 64 * 1024;

/// What is read and thrown away of a body over the limit before it is answered, so that an honest
/// sender gets to read the answer instead of a reset connection.
const DISCARD_LIMIT: usize = 1024 * 1024;

/// The whole body must have arrived by then: a client that drips bytes does not hold a connection.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The bytes exactly as they were sent.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, Problem> {
    match tokio::time::timeout(TIME_LIMIT, collect(body)).await {
        Ok(result) => result,
        Err(_) => Err(Problem::BodyTimeout),
    }
}

async fn collect(mut body: Incoming) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > DISCARD_LIMIT as u64 {
        return Err(Problem::TooLarge);
    }
    let mut whole = match next(&mut body).await? {
        None => return Ok(Bytes::new()),
        // The usual case: one piece, read together with the head. It is copied, for the slice would
        // keep the connection's whole read buffer alive until the broker has confirmed.
        Some(first) if body.is_end_stream() && first.len() <= LIMIT => {
            return Ok(Bytes::copy_from_slice(&first));
        }
        Some(first) => BytesMut::from(&first[..first.len().min(LIMIT + 1)]),
    };
    let mut size = whole.len();
    while let Some(piece) = next(&mut body).await? {
        size += piece.len();
        if size <= LIMIT {
            whole.extend_from_slice(&piece);
        } else if size > DISCARD_LIMIT {
            break;
        }
    }
    if size > LIMIT {
        Err(Problem::TooLarge)
    } else {
        Ok(whole.freeze())
    }
}

/// The next piece; `None` at the end. A body that breaks off is malformed: whoever sent it is gone
/// or does not speak HTTP.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Problem::Malformed),
            Some(Ok(frame)) => {
                // Trailers carry nothing that we read.
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}
