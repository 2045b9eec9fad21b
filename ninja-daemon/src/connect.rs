//! Finds a daemon, or becomes one: `NINJA_URL`, else the data directory's socket, else an engine in this process.

use std::{
    io,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use ninja_core::{
    Engine, ResumePolicy,
    api::{ApiError, ErrorCode},
    key_file,
};
use ninja_sdk::{Client, Ninja, SdkError};
use ninja_tui::{
    Connector, Need, Resume, Session,
    cli::{Exit, Failure},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    listen::{ListenError, socket_file},
    serve::{ServeOptions, Server},
    surroundings::Surroundings,
};

/// A command that only reads holds the data directory for a moment; one that runs a task has a socket by then.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The way of this machine's command line to an engine.
#[derive(Debug)]
pub struct Finder {
    surroundings: Surroundings,
}

impl Finder {
    /// Looks where the surroundings say.
    pub fn new(surroundings: Surroundings) -> Self {
        Self { surroundings }
    }

    /// Returns the daemon that runs already, if one does.
    ///
    /// # Errors
    ///
    /// Fails where there is one that this user may not speak to.
    pub fn running(&self) -> Result<Option<Ninja>, Failure> {
        match &self.surroundings.url {
            Some(url) => Ok(Some(self.at_url(url)?)),
            None => self.at_socket(),
        }
    }

    fn at_url(&self, url: &str) -> Result<Ninja, Failure> {
        let mut client = Client::builder().url(url);
        if let Some(ca_file) = &self.surroundings.ca_file {
            client = client.ca_file(ca_file);
        }
        // The owner's key is for the owner's daemon: it is not shown to other machines.
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or_default();
        let is_here = ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|here| host.strip_prefix(here).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
        let own = || std::fs::read_to_string(key_file(&self.surroundings.data_dir)).ok().filter(|_| is_here);
        if let Some(key) = self.surroundings.key.clone().or_else(own) {
            client = client.key(key);
        }
        Ok(client.build()?.into())
    }

    fn at_socket(&self) -> Result<Option<Ninja>, Failure> {
        let path = socket_file(&self.surroundings.data_dir);
        match UnixStream::connect(&path) {
            Ok(_) => Ok(Some(Client::builder().unix_socket(path).build()?.into())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let what = format!("{} belongs to somebody else", path.display());
                Err(Failure::new(Exit::Unavailable, what, "speak to it with NINJA_URL and NINJA_API_KEY"))
            }
            Err(_) => Ok(None),
        }
    }

    async fn find(&self, need: Need) -> Result<Session, Failure> {
        let started = Instant::now();
        loop {
            if let Some(ninja) = self.running()? {
                return Ok(Session::remote(ninja));
            }
            let policy = match need {
                Need::Daemon => return Err(no_daemon()),
                Need::Store | Need::Work { resume: Resume::Nothing } => ResumePolicy::None,
                Need::Work { resume: Resume::Task(task) } => ResumePolicy::Only(task),
                Need::Work { resume: Resume::All } => ResumePolicy::All,
            };
            match self.start(policy).await? {
                Ok(engine) if need == Need::Store => return Ok(alone(engine)),
                Ok(engine) => return self.become_daemon(engine).await,
                Err(error) if error.code == ErrorCode::AlreadyRunning && started.elapsed() < LOCK_WAIT => {
                    sleep(LOCK_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn start(&self, policy: ResumePolicy) -> Result<Result<Engine, ApiError>, Failure> {
        let options = self.surroundings.engine_options(policy)?;
        Ok(Engine::start(options).await.map_err(|error| error.to_api()))
    }

    /// Serves the engine on the data directory's socket, so that other terminals attach, and speaks to it there.
    async fn become_daemon(&self, engine: Engine) -> Result<Session, Failure> {
        let path = socket_file(&self.surroundings.data_dir);
        let options = ServeOptions { socket: Some(path.clone()), ..ServeOptions::default() };
        let server = match Server::bind(engine.clone(), options).await {
            Ok(server) => server,
            Err(error) => {
                if !matches!(error, ListenError::PathTooLong { .. }) {
                    engine.stop().await;
                    return Err(error.to_api().into());
                }
                tracing::warn!(%error, "other terminals cannot attach");
                return Ok(alone(engine));
            }
        };
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.run(shutdown.clone()));
        let client: Result<Client, SdkError> = Client::builder().unix_socket(path).build();
        let stop = async move {
            shutdown.cancel();
            if let Err(error) = serving.await {
                tracing::error!(%error, "server failed");
            }
            engine.stop().await;
        };
        match client {
            Ok(client) => Ok(Session::in_process(client.into(), stop)),
            Err(error) => {
                stop.await;
                Err(error.into())
            }
        }
    }
}

impl Connector for Finder {
    fn connect(&self, need: Need) -> BoxFuture<'_, Result<Session, Failure>> {
        self.find(need).boxed()
    }
}

/// Speaks to an engine that nobody else can reach.
fn alone(engine: Engine) -> Session {
    Session::in_process(Ninja::from(engine.clone()), async move { engine.stop().await })
}

fn no_daemon() -> Failure {
    Failure::new(
        Exit::Unavailable,
        "no daemon is running",
        "start one with `ninja serve`, or go on with a task in this terminal: ninja run --resume TASK",
    )
}
