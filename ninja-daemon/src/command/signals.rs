//! SIGTERM and SIGINT: the first drains, the second ends the process at once.

use std::io;

use ninja_tui::cli::Exit;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first signal cancels.
pub(super) fn shutdown() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
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
