//! `ninja pause TASK`: nothing new of a task begins until it is resumed.

use ninja_sdk::api::TaskStatus;

use super::{Exit, Failure, Output, name::ask_of};
use crate::{Connector, Session, format::short};

/// The arguments of `ninja pause`.
#[derive(Debug, clap::Args)]
pub struct Pause {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Pause {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let ask = async |session: &Session, id| Ok(session.ninja().pause_task(id).await?);
        let task = ask_of(connector, &self.task, ask).await?;
        output.json_if_wanted(&task);
        output.say(match task.status {
            TaskStatus::Running | TaskStatus::Planning => "paused: what runs now comes to its end, nothing new begins",
            _ => "paused: nothing of it runs, nothing begins",
        });
        if !output.json {
            output.note(&format!("let it go on: ninja resume {}", short(task.id)));
        }
        Ok(Exit::Done)
    }
}
