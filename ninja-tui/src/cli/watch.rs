//! `ninja watch TASK`: a task from its first event to its end.

use super::{Exit, Failure, Output, attend::Attend, attend::Attended, interrupt::Interrupt, name, report};
use crate::{Connector, Need, format::short};

/// The arguments of `ninja watch`.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// Print the task as JSON when it stands still
    #[arg(long)]
    pub(super) json: bool,
}

impl Watch {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let interrupt = Interrupt::listen()?;
        let session = connector.connect(Need::Daemon).await?;
        let ninja = session.ninja();
        let task = ninja.task(name::resolve(ninja, &self.task).await?).await?;
        let mut attend = Attend { ninja, output, interrupt, yes: false };
        match attend.until_it_ends(&task).await? {
            Attended::StandsStill(task) => {
                report::outcome(output, &task);
                if output.json {
                    output.json(&task);
                }
                Ok(report::exit(&task))
            }
            Attended::Left => {
                output.note(&format!("the task goes on; follow it again: ninja watch {}", short(task.id)));
                Ok(Exit::Interrupted)
            }
        }
    }
}
