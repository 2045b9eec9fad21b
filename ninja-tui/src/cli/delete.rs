//! `ninja delete TASK…`: what has ended is forgotten.

use ninja_sdk::api::TaskId;

use super::{Exit, Failure, Output, name};
use crate::{Connector, Need, format::short};

/// The arguments of `ninja delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The tasks' ids, or four or more characters of the beginning or end of each
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// Print the ids of those that are gone as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Delete {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let (mut gone, mut first_failure) = (Vec::new(), None);
        for task in &self.tasks {
            let deleted = async {
                let id = name::resolve(session.ninja(), task).await?;
                session.ninja().delete_task(id).await?;
                Ok::<TaskId, Failure>(id)
            };
            match deleted.await {
                Ok(id) => {
                    output.say(&format!("deleted {}", short(id)));
                    gone.push(id);
                }
                // The others are deleted all the same.
                Err(failure) if first_failure.is_none() => first_failure = Some(failure),
                Err(failure) => output.explain(&failure),
            }
        }
        session.close().await;
        match first_failure {
            Some(failure) => Err(failure),
            None => {
                output.json_if_wanted(&gone);
                Ok(Exit::Done)
            }
        }
    }
}
