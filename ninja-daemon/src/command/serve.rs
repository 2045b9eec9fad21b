//! `ninja serve`: the daemon, until it is told to stop.

use std::{net::SocketAddr, time::Duration};

use ninja_core::{Engine, ResumePolicy, key_file};
use ninja_tui::cli::{Exit, Failure, Output};
use tokio::time::timeout;

use super::signals;
use crate::{
    audit_log,
    listen::{self, ListenError, socket_file},
    serve::{ServeOptions, Server},
    surroundings::Surroundings,
};

/// With the drain of the server before it, within the promised 30 s. What is not parked by then is recovered.
const PARK_MAX: Duration = Duration::from_secs(8);

/// The arguments of `ninja serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7420")]
    listen: SocketAddr,
    /// Listen beyond this machine although nothing is encrypted
    #[arg(long)]
    insecure_bind: bool,
}

impl Serve {
    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let shutdown = signals::shutdown().map_err(|error| {
            Failure::new(Exit::Failed, format!("signals cannot be heard: {error}"), "run it outside of this sandbox")
        })?;
        listen::check(self.listen, self.insecure_bind).map_err(|error| {
            let advice = "put a reverse proxy with TLS before a loopback address, or say --insecure-bind";
            Failure::new(Exit::Usage, error.to_string(), advice)
        })?;
        let options = surroundings.engine_options(ResumePolicy::All)?;
        let engine = Engine::start(options).await.map_err(|error| error.to_api())?;
        let server = match self.bind(&engine, surroundings).await {
            Ok(server) => server,
            Err(error) => {
                engine.stop().await;
                return Err(error.to_api().into());
            }
        };
        if let Some(address) = server.address() {
            output.say(&format!("listening on http://{address}"));
        }
        output.say(&format!("the API key is in {}", key_file(&surroundings.data_dir).display()));
        let checkpoints = tokio::spawn(audit_log::log_checkpoints(engine.clone(), shutdown.clone()));
        server.run(shutdown).await;
        // It ends with the shutdown; that it panicked has been said.
        checkpoints.await.ok();
        if timeout(PARK_MAX, engine.stop()).await.is_err() {
            tracing::warn!("tasks were not parked in time; they are recovered at the next start");
        }
        Ok(Exit::Done)
    }

    async fn bind(&self, engine: &Engine, surroundings: &Surroundings) -> Result<Server, ListenError> {
        let mut options = ServeOptions {
            listen: Some(self.listen),
            insecure_bind: self.insecure_bind,
            socket: Some(socket_file(&surroundings.data_dir)),
            ..ServeOptions::default()
        };
        match Server::bind(engine.clone(), options.clone()).await {
            Err(error @ ListenError::PathTooLong { .. }) => {
                tracing::warn!(%error, "serving without a Unix socket");
                options.socket = None;
                Server::bind(engine.clone(), options).await
            }
            bound => bound,
        }
    }
}
