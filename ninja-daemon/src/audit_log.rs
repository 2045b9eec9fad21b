//! Checkpoints of the audit log in the daemon's own log: whoever ships that off the machine has them where nobody who can write the
//! audit log gets at them.

use std::time::Duration;

use ninja_core::{
    Engine,
    api::{AuditCheckpoint, ErrorCode},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What is cut off or written anew within this time of a checkpoint can stay unseen; a line an hour is no burden.
const EVERY: Duration = Duration::from_hours(1);

/// Logs a checkpoint now, and then at most each hour where something was added, until `shutdown`.
pub(crate) async fn log_checkpoints(engine: Engine, shutdown: CancellationToken) {
    let (mut ticks, mut logged) = (interval(EVERY), 0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match engine.checkpoint_audit(&engine.local_owner()).await {
            Ok(checkpoint) if checkpoint.seq == logged => {}
            Ok(checkpoint) => {
                logged = checkpoint.seq;
                log(&checkpoint);
            }
            Err(error) if error.code == ErrorCode::Conflict => {
                tracing::error!(target: "ninja::audit", "the audit log cannot be written; `ninja audit verify` says why");
            }
            Err(error) => {
                tracing::error!(target: "ninja::audit", %error, "failed to make a checkpoint of the audit log")
            }
        }
    }
}

fn log(checkpoint: &AuditCheckpoint) {
    // As `ninja audit verify --checkpoint` reads it.
    let line = serde_json::to_string(checkpoint).unwrap_or_default();
    tracing::info!(target: "ninja::audit", checkpoint = line, "checkpoint of the audit log");
}
