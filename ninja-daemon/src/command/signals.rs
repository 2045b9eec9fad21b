//! SIGTERM and SIGINT: the first drains, the second ends the process at once. SIGHUP: read again what may have changed.

use std::io;

use ninja_tui::cli::{Exit, Failure};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first signal cancels.
///
/// # Errors
///
/// Fails where the system lets nobody hear signals.
pub(super) fn shutdown() -> Result<CancellationToken, Failure> {
    let (mut interrupt, mut terminate) = (hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?);
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match is_first {
                true => asked.cancel(),
                false => std::process::exit(Exit::Interrupted.code().into()),
            }
        }
    });
    Ok(shutdown)
}

/// Does something, on a thread that may wait for files, each time that SIGHUP comes. Without this the signal ends the process.
///
/// # Errors
///
/// Fails where the system lets nobody hear signals.
pub(super) fn on_hangup(act: impl Fn() + Clone + Send + 'static) -> Result<(), Failure> {
    let mut hangup = hear(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Err(error) = tokio::task::spawn_blocking(act.clone()).await {
                tracing::error!(%error, "failed to act on SIGHUP");
            }
        }
    });
    Ok(())
}

fn hear(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error: io::Error| {
        Failure::new(Exit::Failed, format!("signals cannot be heard: {error}"), "run it outside of this sandbox")
    })
}
