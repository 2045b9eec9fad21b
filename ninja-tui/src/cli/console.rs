//! `ninja console`: all tasks on one screen.

use ninja_sdk::ListTasks;

use super::{Exit, Failure, Output, interrupt::Interrupt};
use crate::{Connector, Need, Resume, console};

/// The arguments of `ninja console`.
#[derive(Debug, Default, clap::Args)]
pub struct Console {
    /// Where no daemon runs, this process becomes one for its lifetime.
    #[arg(skip)]
    start: bool,
}

impl Console {
    /// The console of plain `ninja`: where no daemon runs, this process is one, as `ninja run` would be.
    pub fn or_start() -> Self {
        Self { start: true }
    }

    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let terminal = output.terminal;
        if !terminal.stdin || !terminal.stdout {
            let which = if terminal.stdin { "stdout" } else { "stdin" };
            let what = format!("the console needs a terminal, and {which} is none");
            return Err(Failure::new(Exit::Usage, what, "`ninja tasks` and `ninja watch` work without one"));
        }
        let interrupt = Interrupt::listen()?;
        let need = if self.start { Need::Work { resume: Resume::Nothing } } else { Need::Daemon };
        let session = connector.connect(need).await?;
        let ninja = session.ninja().clone();
        // Before the screen is taken: whoever has no key or the wrong URL is told as by any command.
        let result = match ninja.list_tasks(&ListTasks { limit: Some(1), ..ListTasks::default() }).await {
            Ok(_) => {
                let run = console::run(ninja, session.is_in_process(), terminal.colour, interrupt);
                Box::pin(run).await.map(|()| Exit::Done).map_err(|error| broken(&error))
            }
            Err(error) => Err(error.into()),
        };
        if session.is_in_process() && result.is_ok() {
            output.note("parking what is at work; `ninja serve` goes on with it");
        }
        session.close().await;
        result
    }
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the terminal cannot be used: {error}"),
        "try another terminal, or `ninja tasks` and `ninja watch`",
    )
}
