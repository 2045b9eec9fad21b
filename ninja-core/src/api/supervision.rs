//! What `GET /system/supervision` says: who is at work in the engine, under whom, and how it goes.

use serde::{Deserialize, Serialize};

use super::{StepId, TaskId, Timestamp};

/// The live tree, and what is no actor but carries the engine as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupervisionTree {
    /// When this was seen.
    pub at: Timestamp,
    /// The root of the actors.
    pub root: SupervisedActor,
    /// The journal's writer: a thread, which nobody starts again after a failed write.
    pub writer: WriterThread,
    /// Processes in sandboxes.
    pub sandbox: SandboxPool,
    /// Tasks that wait for a place.
    pub tasks_queued: u64,
    /// Task actors that are not shown.
    pub tasks_left_out: u64,
}

/// An actor and those under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupervisedActor {
    /// What it is.
    pub kind: SupervisedKind,
    /// The task that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The step that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// How it is.
    pub state: SupervisedState,
    /// Since when.
    pub since: Timestamp,
    /// Messages that wait for it.
    pub waiting: u64,
    /// How often it failed in the last minute, which is what its supervisor counts.
    pub failures: u32,
    /// Its newest failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<ActorFailure>,
    /// Those that it supervises, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub children: Vec<SupervisedActor>,
}

/// The kinds of actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SupervisedKind {
    /// Starts the engine's own actors, again where they fail.
    Root,
    /// Takes tasks up.
    Orchestrator,
    /// Owns isolation.
    Sandbox,
    /// Closes what stays open in somebody's name.
    SessionManager,
    /// The one appender to a task's log.
    Task,
    /// Makes the calls of an agent's step.
    Agent,
}

impl SupervisedKind {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Root, Self::Orchestrator, Self::Sandbox, Self::SessionManager, Self::Task, Self::Agent];

    /// Returns the kind as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Orchestrator => "orchestrator",
            Self::Sandbox => "sandbox",
            Self::SessionManager => "session_manager",
            Self::Task => "task",
            Self::Agent => "agent",
        }
    }
}

/// How an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SupervisedState {
    /// It takes messages.
    Running,
    /// It serves nothing and is kept for what comes next.
    Idle,
    /// It failed and is started again shortly.
    Restarting,
    /// It failed too often and is not started again.
    GaveUp,
}

impl SupervisedState {
    /// Returns the state as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Restarting => "restarting",
            Self::GaveUp => "gave_up",
        }
    }
}

/// A failure of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActorFailure {
    /// When.
    pub at: Timestamp,
    /// What it said.
    pub reason: String,
}

/// The journal's writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WriterThread {
    /// Bytes of commits that wait for it.
    pub queued_bytes: u64,
    /// Why it takes no writes, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Processes in sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SandboxPool {
    /// How many may run at a time.
    pub size: u64,
    /// How many run.
    pub running: u64,
    /// How many wait for a place.
    pub waiting: u64,
}
