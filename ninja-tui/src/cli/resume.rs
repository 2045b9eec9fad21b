//! `ninja resume TASK`: a paused task goes on.

use ninja_sdk::Ninja;

use super::{Exit, Failure, Output, worker::pass_on};
use crate::Connector;

/// The arguments of `ninja resume`.
#[derive(Debug, clap::Args)]
pub struct Resume {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Resume {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let word = async |ninja: &Ninja, id| Ok(ninja.resume_task(id).await?);
        pass_on(connector, output, &self.task, "resumed", word).await
    }
}
