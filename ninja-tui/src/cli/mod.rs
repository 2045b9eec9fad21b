//! The command line: one file per command. Each speaks to Ninja through a [`Session`](crate::Session) alone and
//! ends with an [`Exit`] that scripts rely on.

mod artifacts;
mod ask;
mod attend;
mod cancel;
mod console;
mod decide;
mod failure;
mod given;
mod interrupt;
mod name;
mod output;
mod report;
mod run;
mod show;
mod tasks;
mod watch;

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
    /// Show a task: its steps, questions, files and cost
    Show(show::Show),
    /// Watch a task until it ends
    Watch(watch::Watch),
    /// Stop a task and everything it runs
    Cancel(cancel::Cancel),
    /// Watch and steer all your tasks on one screen
    Console(console::Console),
    /// Answer a task that waits for you: yes
    Approve(decide::Approve),
    /// Answer a task that waits for you: no
    Deny(decide::Deny),
    /// List or fetch the files a task made
    Artifacts(artifacts::Artifacts),
}

impl Command {
    /// Returns whether the command prints JSON only.
    pub fn is_json(&self) -> bool {
        match self {
            Self::Run(run) => run.json,
            Self::Tasks(tasks) => tasks.json,
            Self::Show(show) => show.json,
            Self::Watch(watch) => watch.json,
            Self::Cancel(cancel) => cancel.json,
            Self::Console(_) => false,
            Self::Approve(approve) => approve.json,
            Self::Deny(deny) => deny.json,
            Self::Artifacts(artifacts) => artifacts.is_json(),
        }
    }

    /// Runs the command to its end and says how it went, with every message already written.
    pub async fn execute(self, connector: &dyn Connector, terminal: Terminal) -> Exit {
        let output = Output::new(terminal, self.is_json());
        let result = match self {
            Self::Run(run) => run.execute(connector, &output).await,
            Self::Tasks(tasks) => tasks.execute(connector, &output).await,
            Self::Show(show) => show.execute(connector, &output).await,
            Self::Watch(watch) => watch.execute(connector, &output).await,
            Self::Cancel(cancel) => cancel.execute(connector, &output).await,
            Self::Console(console) => console.execute(connector, &output).await,
            Self::Approve(approve) => approve.execute(connector, &output).await,
            Self::Deny(deny) => deny.execute(connector, &output).await,
            Self::Artifacts(artifacts) => artifacts.execute(connector, &output).await,
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
