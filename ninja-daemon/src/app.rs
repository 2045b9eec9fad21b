//! What every route stands on.

use std::sync::Arc;

use ninja_core::{Engine, config::HttpConfig};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    rate::Rates,
    serve::Deadlines,
    telemetry::{Exporters, RequestNumbers},
};

/// The engine and the life of the server around it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    /// Decides everything.
    pub(crate) engine: Engine,
    /// Cancelled when the server stops: streams end then.
    pub(crate) shutdown: CancellationToken,
    /// WebSockets, which outlive the HTTP connection they began on.
    pub(crate) sockets: TaskTracker,
    /// What is told of requests.
    pub(crate) numbers: Arc<RequestNumbers>,
    /// Where numbers can be read, if they are kept.
    pub(crate) exporters: Option<Exporters>,
    /// Whether nobody but this machine can connect.
    pub(crate) loopback_only: bool,
    /// How the daemon is called, by whom, and whom it believes.
    pub(crate) http: Arc<HttpConfig>,
    /// How often callers may ask.
    pub(crate) rates: Arc<Rates>,
    /// How long others may take.
    pub(crate) deadlines: Deadlines,
}
