//! `ninja cancel TASK`: the kill switch.

use super::{Exit, Failure, Output, name::ask_of, report};
use crate::{Connector, Session};

/// The arguments of `ninja cancel`.
#[derive(Debug, clap::Args)]
pub struct Cancel {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Cancel {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let ask = async |session: &Session, id| Ok(session.ninja().cancel_task(id).await?);
        let task = ask_of(connector, &self.task, ask).await?;
        if output.json {
            output.json(&task);
            return Ok(Exit::Done);
        }
        report::outcome(output, &task);
        if !task.status.is_terminal() {
            output.note(&format!("it is still stopping; `ninja show {}` tells when it has", task.id));
        }
        Ok(Exit::Done)
    }
}
