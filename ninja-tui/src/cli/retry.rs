//! `ninja retry TASK`: what failed or was cancelled is tried again; what succeeded stays.

use ninja_sdk::Ninja;

use super::{Exit, Failure, Output, worker::pass_on};
use crate::Connector;

/// The arguments of `ninja retry`.
#[derive(Debug, clap::Args)]
pub struct Retry {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Retry {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let word = async |ninja: &Ninja, id| Ok(ninja.retry_task(id).await?);
        pass_on(connector, output, &self.task, "tried again", word).await
    }
}
