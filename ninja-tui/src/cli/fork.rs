//! `ninja fork TASK`: a new task that begins with what another one did, and goes on by itself.

use ninja_sdk::api::{ForkTask, StepId};

use super::{Exit, Failure, Output, interrupt::Interrupt, name, worker::go_on};
use crate::{Connector, Need, Resume, format::short};

/// The arguments of `ninja fork`.
#[derive(Debug, clap::Args)]
pub struct Fork {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// The step before which the new task leaves the old one; the step that failed unless said otherwise
    #[arg(long, value_name = "STEP")]
    at: Option<StepId>,
    /// The model of the new task; the old one's unless said otherwise
    #[arg(long, short, value_name = "PROVIDER/NAME")]
    model: Option<String>,
    /// Print the new task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Fork {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let interrupt = Interrupt::listen()?;
        let session = connector.connect(Need::Work { resume: Resume::Nothing }).await?;
        let request = ForkTask { at: self.at, model: self.model };
        let forked = async {
            let id = name::resolve(session.ninja(), &self.task).await?;
            Ok::<_, Failure>((id, session.ninja().fork_task(id, &request).await?))
        };
        let exit = match forked.await {
            Ok((origin, task)) => {
                let exit = go_on(&session, output, interrupt, &task, &format!("forked into {}", task.id)).await;
                if !output.json && exit.is_ok() {
                    output.note(&format!("what it does differently: ninja diff {} {}", short(origin), short(task.id)));
                }
                exit
            }
            Err(failure) => Err(failure),
        };
        session.close().await;
        exit
    }
}
