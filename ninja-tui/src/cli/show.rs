//! `ninja show TASK`: everything about one task.

use ninja_sdk::api::{Step, Task, Timestamp};
use serde_json::Value;

use super::{Exit, Failure, Output, name, report};
use crate::{
    Connector, Need,
    format::{cut, duration, lines, one_line, since, usage},
};

/// What is left of a wide line beside the step.
const OUTPUT_CHARACTERS: usize = 300;

/// The arguments of `ninja show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Show {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let task = async {
            let id = name::resolve(session.ninja(), &self.task).await?;
            Ok::<_, Failure>(session.ninja().task(id).await?)
        };
        let task = task.await;
        let is_in_process = session.is_in_process();
        session.close().await;
        let task = task?;
        match output.json {
            true => output.json(&task),
            false => show(output, &task),
        }
        if is_in_process && !task.status.is_terminal() && task.approvals.is_empty() {
            output.note(&format!(
                "no daemon is running, so nobody works on it; go on with: ninja run --resume {}",
                task.id
            ));
        }
        Ok(Exit::Done)
    }
}

fn show(output: &Output, task: &Task) {
    let (paint, now) = (output.paint(), Timestamp::now());
    output.say(&format!("{} {} {} %", paint.bold(&task.id.to_string()), task.status.as_str(), task.progress));
    if !task.goal.is_empty() {
        output.say(&format!("  {}", lines(&task.goal).replace('\n', "\n  ")));
    }
    if let Some(template) = &task.template {
        output.say(&format!("  template {}", one_line(template)));
    }
    output.say(&format!("  {}", usage(task, now)));
    if let Some(error) = &task.error {
        output.say(&format!("  {}", paint.bad(&one_line(&error.to_string()))));
    }
    if !task.steps.is_empty() {
        output.say("");
        for step in &task.steps {
            output.say(&line(output, step, now));
            if let Some(detail) = detail(step) {
                output.say(&format!("            {}", paint.dim(&cut(&one_line(&detail), OUTPUT_CHARACTERS))));
            }
        }
    }
    if !task.artifacts.is_empty() {
        output.say("");
        for artifact in &task.artifacts {
            output.say(&report::artifact(paint, artifact));
        }
        output.say(&format!("fetch them: ninja artifacts get {} --all", crate::format::short(task.id)));
    }
    for approval in &task.approvals {
        output.say("");
        for line in report::question(task, approval) {
            output.say(&line);
        }
    }
}

fn line(output: &Output, step: &Step, now: Timestamp) -> String {
    let took = step.started_at.map(|start| duration(since(start, step.ended_at.unwrap_or(now)))).unwrap_or_default();
    let actor = step.actor.as_deref().map(one_line).unwrap_or_default();
    let title = step.title.as_deref().map(one_line).unwrap_or_default();
    let text = format!("  {} {}  {actor}  {took}  {title}", output.paint().step_status(step.status), step.id);
    text.trim_end().to_owned()
}

fn detail(step: &Step) -> Option<String> {
    match (&step.error, &step.output) {
        (Some(error), _) => Some(error.to_string()),
        (None, Value::Null) => None,
        (None, Value::String(text)) => Some(text.clone()),
        (None, other) => Some(other.to_string()),
    }
}
