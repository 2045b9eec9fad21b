//! Ctrl-C and SIGTERM: the first is handled by the command, the second ends the process at once.

use tokio::sync::watch;

use super::Exit;
use super::Failure;

/// Hears the person, or the system, ask the command to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (tx, asked) = watch::channel(false);
        let mut signals = Signals::new().map_err(|error| {
            Failure::new(Exit::Failed, format!("signals cannot be heard: {error}"), "run it outside of this sandbox")
        })?;
        tokio::spawn(async move {
            signals.next().await;
            tx.send_replace(true);
            signals.next().await;
            std::process::exit(Exit::Interrupted.code().into());
        });
        Ok(Self { asked })
    }

    /// Returns when the command is asked to stop, now or before. Cancel-safe.
    pub(crate) async fn asked(&mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
