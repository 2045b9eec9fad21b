//! `ninja retry TASK`: what failed or was cancelled is tried again; what succeeded stays.

use super::{
    Exit, Failure, Output,
    interrupt::Interrupt,
    name,
    worker::{go_on, worker_of},
};
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
        let interrupt = Interrupt::listen()?;
        let session = worker_of(connector, &self.task).await?;
        let retried = async {
            let id = name::resolve(session.ninja(), &self.task).await?;
            Ok::<_, Failure>(session.ninja().retry_task(id).await?)
        };
        let exit = match retried.await {
            Ok(task) => go_on(&session, output, interrupt, &task, "tried again").await,
            Err(failure) => Err(failure),
        };
        session.close().await;
        exit
    }
}
