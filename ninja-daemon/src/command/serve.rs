//! `ninja serve`: the daemon, until it is told to stop.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ninja_core::{Engine, ResumePolicy, config::HttpConfig, key_file};
use ninja_tui::cli::{Exit, Failure, Output};
use tokio::time::timeout;

use super::signals;
use crate::{
    audit_log,
    listen::{self, ListenError, socket_file},
    serve::{ServeOptions, Server},
    surroundings::Surroundings,
    telemetry::Exporters,
    tls::Reload,
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
    /// Speak TLS with the certificate chain in this file, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl Serve {
    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let shutdown = signals::shutdown()?;
        let mut options = surroundings.engine_options(ResumePolicy::All)?;
        let http = self.http(options.config.http.clone());
        listen::check(self.listen, self.insecure_bind || http.tls_cert.is_some()).map_err(|error| {
            let advice = "give it a certificate with --tls-cert and --tls-key, put a reverse proxy with TLS before a \
                          loopback address, or say --insecure-bind";
            Failure::new(Exit::Usage, error.to_string(), advice)
        })?;
        let exporters = Exporters::start(&options.config, &surroundings.env).map_err(|error| {
            Failure::new(
                Exit::Usage,
                error.to_string(),
                "correct [otel] in the configuration, or OTEL_EXPORTER_OTLP_ENDPOINT",
            )
        })?;
        options.telemetry = exporters.telemetry();
        let engine = Engine::start(options).await.map_err(|error| error.to_api())?;
        let server = match self.bind(&engine, http, surroundings, exporters.clone()).await {
            Ok(server) => server,
            Err(error) => {
                engine.stop().await;
                return Err(error.to_api().into());
            }
        };
        let scheme = match server.reload() {
            Some(reload) => {
                signals::on_hangup(move || reload_now(&reload))?;
                "https"
            }
            None => "http",
        };
        if let Some(address) = server.address() {
            output.say(&format!("listening on {scheme}://{address}"));
        }
        output.say(&format!("the API key is in {}", key_file(&surroundings.data_dir).display()));
        let checkpoints = tokio::spawn(audit_log::log_checkpoints(engine.clone(), shutdown.clone()));
        server.run(shutdown).await;
        // It ends with the shutdown; that it panicked has been said.
        checkpoints.await.ok();
        if timeout(PARK_MAX, engine.stop()).await.is_err() {
            tracing::warn!("tasks were not parked in time; they are recovered at the next start");
        }
        exporters.flush().await;
        Ok(Exit::Done)
    }

    /// The command line goes before the configuration.
    fn http(&self, mut http: HttpConfig) -> HttpConfig {
        if self.tls_cert.is_some() {
            (http.tls_cert, http.tls_key) = (self.tls_cert.clone(), self.tls_key.clone());
        }
        http
    }

    async fn bind(
        &self,
        engine: &Engine,
        http: HttpConfig,
        surroundings: &Surroundings,
        exporters: Exporters,
    ) -> Result<Server, ListenError> {
        let mut options = ServeOptions {
            listen: Some(self.listen),
            insecure_bind: self.insecure_bind,
            socket: Some(socket_file(&surroundings.data_dir)),
            http,
            exporters: Some(exporters),
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

fn reload_now(reload: &Reload) {
    match reload.reload() {
        Ok(()) => tracing::info!("read the certificate again"),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the certificate stays as it was"),
    }
}
