//! What the actors stand on: immutable, shared, one set per engine.

use std::{path::PathBuf, sync::Arc};

use crate::{
    accounts::Accounts,
    actors::Roster,
    clock::Clock,
    journal::{feed::FeedHub, store::Store},
    ledger::Ledger,
    lives::Lives,
    providers::CurrentProviders,
    redaction::Redaction,
    sandbox::{Sandbox, SandboxLimits},
    task_log::TaskLog,
    telemetry::Watch,
    testing::Failpoints,
    tools::ToolSet,
    unfinished::Unfinished,
    workspace::Workspaces,
};

/// The dependencies of the actors of one engine.
pub(crate) struct Services {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// Reads tasks from it.
    pub tasks: TaskLog,
    /// Where commits are published.
    pub hub: FeedHub,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Who may use the engine.
    pub accounts: Accounts,
    /// How many tasks of each user have not ended.
    pub unfinished: Arc<Unfinished>,
    /// The limits that tasks share.
    pub ledger: Arc<Ledger>,
    /// Models.
    pub providers: CurrentProviders,
    /// What must not be seen of what they say.
    pub redaction: Redaction,
    /// Tools.
    pub tools: ToolSet,
    /// Task files on disk.
    pub workspaces: Workspaces,
    /// Isolation; the sandbox actor is its only user.
    pub sandbox: Arc<dyn Sandbox>,
    /// What one process may use.
    pub sandbox_limits: SandboxLimits,
    /// Tasks at work at a time.
    pub tasks_at_work_max: usize,
    /// Where files for sandboxes (requests, template folders) are laid out; remade from the journal as needed.
    pub layout_dir: PathBuf,
    /// The lives of the process.
    pub lives: Lives,
    /// Who is at work.
    pub roster: Arc<Roster>,
    /// What others are told of.
    pub watch: Arc<Watch>,
    /// Where tests make actors fail.
    pub failpoints: Failpoints,
}
