//! The command line: one file per command. Each speaks to Ninja through a [`Session`](crate::Session) alone and
//! ends with an [`Exit`] that scripts rely on.

mod agents;
mod api_keys;
mod approvals;
mod artifacts;
mod ask;
mod attend;
mod budget;
mod cancel;
mod console;
mod decide;
mod delete;
mod diff;
mod failure;
mod files;
mod forecast;
mod fork;
mod given;
mod interrupt;
mod key_input;
mod name;
mod output;
mod pause;
mod providers;
mod replay;
mod report;
mod resume;
mod retry;
mod run;
mod settings;
mod show;
mod stats;
mod summary;
mod supervision;
mod tasks;
mod templates;
mod usage;
mod users;
mod watch;
mod worker;

pub use console::Console;
pub(crate) use failure::reaction;
pub use failure::{Exit, Failure};
pub(crate) use interrupt::Interrupt;
pub use output::{Output, Terminal};
pub use run::Run;

use crate::Connector;

/// The commands that speak to Ninja.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Hand in a task, watch it and fetch what it made
    Run(run::Run),
    /// List your tasks, newest first
    Tasks(tasks::Tasks),
    /// Show your tasks in numbers: how they stand, how long they took, what they used
    Summary(summary::Summary),
    /// Show a task: its steps, questions, files and cost
    Show(show::Show),
    /// Watch a task until it ends
    Watch(watch::Watch),
    /// Stop a task and everything it runs
    Cancel(cancel::Cancel),
    /// Delete tasks that have ended
    Delete(delete::Delete),
    /// Watch and steer all your tasks on one screen
    Console(console::Console),
    /// Let nothing new of a task begin until it is resumed
    Pause(pause::Pause),
    /// Let a paused task go on
    Resume(resume::Resume),
    /// Change the limits of a task, and one that waits for more goes on; or show those that your tasks share
    Budget(budget::ChangeOrShow),
    /// Try again what failed or was cancelled; what succeeded stays
    Retry(retry::Retry),
    /// Make a new task that begins with what another one did
    Fork(fork::Fork),
    /// Decide a task once more from its log and compare; calls no model
    Replay(replay::Replay),
    /// Show the first thing that two tasks did differently; ends with 1 where they differ
    Diff(diff::Diff),
    /// List what tasks ask you
    Approvals(approvals::Approvals),
    /// Answer a task that waits for you: yes
    Approve(decide::Approve),
    /// Answer a task that waits for you: no
    Deny(decide::Deny),
    /// List or fetch the files a task made
    Artifacts(artifacts::Artifacts),
    /// List your uploaded files, upload, fetch or delete some
    Files(files::Files),
    /// Show what your tasks used, by day, model, agent or task
    Usage(usage::ShowUsage),
    /// List who answers model calls, store a provider with its key, or forget one
    Providers(providers::Providers),
    /// List your API keys, make one, or end one
    ApiKeys(api_keys::ApiKeys),
    /// List accounts, make, change or delete one
    Users(users::Users),
    /// Show what counts for all accounts, or change it
    Settings(settings::Settings),
    /// Show the installation in numbers: users, tasks, usage, files and bytes
    Stats(stats::ShowStats),
    /// Show who is at work in the engine, under whom, and how it goes
    Supervision(supervision::Supervision),
    /// List the templates that a task can be made from, or show one
    Templates(templates::Templates),
    /// List the agents, or show what one may do
    Agents(agents::Agents),
}

impl Command {
    /// Returns whether the command prints JSON only.
    pub fn is_json(&self) -> bool {
        match self {
            Self::Run(run) => run.json,
            Self::Tasks(tasks) => tasks.json,
            Self::Summary(summary) => summary.json,
            Self::Show(show) => show.json,
            Self::Watch(watch) => watch.json,
            Self::Cancel(cancel) => cancel.json,
            Self::Delete(delete) => delete.json,
            Self::Approvals(approvals) => approvals.json,
            Self::Console(_) => false,
            Self::Approve(approve) => approve.json,
            Self::Deny(deny) => deny.json,
            Self::Artifacts(artifacts) => artifacts.is_json(),
            Self::Pause(pause) => pause.json,
            Self::Resume(resume) => resume.json,
            Self::Budget(budget) => budget.json,
            Self::Retry(retry) => retry.json,
            Self::Fork(fork) => fork.json,
            Self::Replay(replay) => replay.json,
            Self::Diff(diff) => diff.json,
            Self::Files(files) => files.json,
            Self::Usage(usage) => usage.json,
            Self::Providers(providers) => providers.json,
            Self::ApiKeys(keys) => keys.json,
            Self::Users(users) => users.json,
            Self::Settings(settings) => settings.json,
            Self::Stats(stats) => stats.json,
            Self::Supervision(supervision) => supervision.json,
            Self::Templates(templates) => templates.json,
            Self::Agents(agents) => agents.json,
        }
    }

    /// Runs the command to its end and says how it went, with every message already written.
    pub async fn execute(self, connector: &dyn Connector, terminal: Terminal) -> Exit {
        let output = Output::new(terminal, self.is_json());
        let result = match self {
            Self::Run(run) => run.execute(connector, &output).await,
            Self::Tasks(tasks) => tasks.execute(connector, &output).await,
            Self::Summary(summary) => summary.execute(connector, &output).await,
            Self::Show(show) => show.execute(connector, &output).await,
            Self::Watch(watch) => watch.execute(connector, &output).await,
            Self::Cancel(cancel) => cancel.execute(connector, &output).await,
            Self::Delete(delete) => delete.execute(connector, &output).await,
            Self::Approvals(approvals) => approvals.execute(connector, &output).await,
            Self::Console(console) => console.execute(connector, &output).await,
            Self::Approve(approve) => approve.execute(connector, &output).await,
            Self::Deny(deny) => deny.execute(connector, &output).await,
            Self::Artifacts(artifacts) => artifacts.execute(connector, &output).await,
            Self::Pause(pause) => pause.execute(connector, &output).await,
            Self::Resume(resume) => resume.execute(connector, &output).await,
            Self::Budget(budget) => budget.execute(connector, &output).await,
            Self::Retry(retry) => retry.execute(connector, &output).await,
            Self::Fork(fork) => fork.execute(connector, &output).await,
            Self::Replay(replay) => replay.execute(connector, &output).await,
            Self::Diff(diff) => diff.execute(connector, &output).await,
            Self::Files(files) => files.execute(connector, &output).await,
            Self::Usage(usage) => usage.execute(connector, &output).await,
            Self::Providers(providers) => providers.execute(connector, &output).await,
            Self::ApiKeys(keys) => keys.execute(connector, &output).await,
            Self::Users(users) => users.execute(connector, &output).await,
            Self::Settings(settings) => settings.execute(connector, &output).await,
            Self::Stats(stats) => stats.execute(connector, &output).await,
            Self::Supervision(supervision) => supervision.execute(connector, &output).await,
            Self::Templates(templates) => templates.execute(connector, &output).await,
            Self::Agents(agents) => agents.execute(connector, &output).await,
        };
        let exit = result.unwrap_or_else(|failure| {
            output.failure(&failure);
            failure.exit()
        });
        match (exit, output.is_broken()) {
            (Exit::Done, true) => {
                output.note("error: the result could not be written in full");
                Exit::Failed
            }
            _ => exit,
        }
    }
}
