//! `ninja resume TASK`: a paused task goes on.

use super::{
    Exit, Failure, Output,
    interrupt::Interrupt,
    name,
    worker::{go_on, worker_of},
};
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
        let interrupt = Interrupt::listen()?;
        let session = worker_of(connector, &self.task).await?;
        let resumed = async {
            let id = name::resolve(session.ninja(), &self.task).await?;
            Ok::<_, Failure>(session.ninja().resume_task(id).await?)
        };
        let exit = match resumed.await {
            Ok(task) => go_on(&session, output, interrupt, &task, "resumed").await,
            Err(failure) => Err(failure),
        };
        session.close().await;
        exit
    }
}
