//! `ninja diff A B`: the first thing that two tasks did differently.

use ninja_sdk::api::{ComparedTask, Event, TaskDiff};

use super::{
    Exit, Failure, Output,
    name::{ask_of, resolve},
    replay::field,
};
use crate::{
    Connector, Session,
    format::{model, number},
    progress,
};

/// The arguments of `ninja diff`. It ends with 1 where the tasks differ, as `diff` does.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// The first task's id, or four or more characters of its beginning or end
    a: String,
    /// The second task's
    b: String,
    /// Print the comparison as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Diff {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let ask = async |session: &Session, a| {
            let b = resolve(session.ninja(), &self.b).await?;
            Ok(session.ninja().diff_tasks(a, b).await?)
        };
        let diff = ask_of(connector, &self.a, ask).await?;
        match output.json {
            true => output.json(&diff),
            false => tell(output, &diff),
        }
        Ok(if diff.same { Exit::Done } else { Exit::Failed })
    }
}

fn tell(output: &Output, diff: &TaskDiff) {
    output.say(&side("a", &diff.a));
    output.say(&side("b", &diff.b));
    let Some(first) = &diff.first_difference else {
        return output.say(&format!("{} events alike, and nothing else", number(diff.equal_events)));
    };
    output.say(&format!("{} events alike; the first that differ:", number(diff.equal_events)));
    output.say(&format!("  a {}", event(first.a.as_ref())));
    output.say(&format!("  b {}", event(first.b.as_ref())));
    first.field.iter().for_each(|found| output.say(&format!("  {}", field(found))));
}

fn side(letter: &str, task: &ComparedTask) -> String {
    let model = task.model.as_ref().map(|answering| format!(", {}", model(answering))).unwrap_or_default();
    format!("{letter} {}  {}, {} events{model}", task.task, task.status.as_str(), number(task.events))
}

fn event(event: Option<&Event>) -> String {
    event.map_or_else(
        || "nothing in this place".to_owned(),
        |event| format!("#{} {}", event.seq, progress::words(&event.event)),
    )
}
