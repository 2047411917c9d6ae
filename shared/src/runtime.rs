//! Process start and stop: the TLS provider and the signal that ends a service.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Makes aws-lc-rs the process's TLS provider. Called first in every `main`: a library that asks
/// rustls for "the default" panics without one.
pub fn install_crypto() {
    // The only error is "already installed", which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A token that is cancelled by the first SIGTERM or SIGINT. A second signal ends the process at
/// once, for operators who do not want to wait for the drain.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn shutdown_token() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stopping = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        info!(signal = name, "Stopping");
        stopping.cancel();
        next().await;
        std::process::exit(EXIT_FORCED);
    });
    Ok(token)
}

/// Exit code after a second signal: that of a process ended by SIGINT.
const EXIT_FORCED: i32 = 130;
