//! How a command comes to an engine: the seam between the terminal and the binary it lives in.

use futures::future::BoxFuture;
use ninja_sdk::{Ninja, api::TaskId};

use crate::cli::Failure;

/// What a command needs of the engine it speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Somebody at work: a daemon.
    Daemon,
    /// What is stored. Without a daemon the store is opened for the lifetime of the command and no task is worked on.
    Store,
    /// To have a task worked on. Without a daemon this process is one for its own lifetime.
    Work {
        /// Which stored tasks it goes on with.
        resume: Resume,
    },
}

/// Which stored tasks a process that becomes a daemon goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// None: only what is submitted to it.
    Nothing,
    /// This one.
    Task(TaskId),
    /// All of them.
    All,
}

/// Finds a daemon, or becomes one.
pub trait Connector: Send + Sync {
    /// Connects to what satisfies `need`.
    ///
    /// # Errors
    ///
    /// Says in a sentence why there is none, and in another what to do.
    fn connect(&self, need: Need) -> BoxFuture<'_, Result<Session, Failure>>;
}

/// A connection, and the engine behind it where this process holds it.
pub struct Session {
    ninja: Ninja,
    stop: Option<BoxFuture<'static, ()>>,
}

impl Session {
    /// Speaks to a daemon that lives on its own.
    pub fn remote(ninja: Ninja) -> Self {
        Self { ninja, stop: None }
    }

    /// Speaks to an engine in this process; `stop` parks its tasks and closes its store.
    pub fn in_process(ninja: Ninja, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { ninja, stop: Some(Box::pin(stop)) }
    }

    /// Returns the verbs.
    pub fn ninja(&self) -> &Ninja {
        &self.ninja
    }

    /// Returns whether tasks stop being worked on when this session is closed.
    pub fn is_in_process(&self) -> bool {
        self.stop.is_some()
    }

    /// Ends the session; parks the tasks and closes the store where this process holds them.
    pub async fn close(self) {
        if let Some(stop) = self.stop {
            stop.await;
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("ninja", &self.ninja).field("in_process", &self.stop.is_some()).finish()
    }
}
