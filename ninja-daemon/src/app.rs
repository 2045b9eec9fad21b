//! What every route stands on.

use ninja_core::Engine;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The engine and the life of the server around it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    /// Decides everything.
    pub(crate) engine: Engine,
    /// Cancelled when the server stops: streams end then.
    pub(crate) shutdown: CancellationToken,
    /// WebSockets, which outlive the HTTP connection they began on.
    pub(crate) sockets: TaskTracker,
    /// Whether nobody but this machine can connect.
    pub(crate) loopback_only: bool,
}
