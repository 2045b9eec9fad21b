//! `ninja show TASK`: everything about one task.

use ninja_sdk::api::{Step, StepId, StepKind, StepStatus, Task, Timestamp};
use serde_json::Value;

use super::{Exit, Failure, Output, name::ask_of, report};
use crate::{
    Connector, Session,
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
        let ask = async |session: &Session, id| Ok((session.ninja().task(id).await?, session.is_in_process()));
        let (task, is_in_process) = ask_of(connector, &self.task, ask).await?;
        match output.json {
            true => output.json(&task),
            false => show(output, &task),
        }
        if is_in_process && !task.status.is_terminal() && task.approvals.is_empty() && !report::is_paused(&task) {
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
    if let Some(origin) = &task.forked_from {
        output.say(&format!("  forked from {} after its event {}", origin.task, origin.seq));
    }
    output.say(&format!("  {}", usage(task, now)));
    if let Some(waiting) = &task.waiting {
        output.say(&format!("  {}", paint.notice(&report::waits(waiting, now))));
        if report::is_paused(task) {
            output.say(&format!("  {}", report::going_on(task, &crate::format::short(task.id))));
        }
    }
    if let Some(error) = &task.error {
        output.say(&format!("  {}", paint.bad(&one_line(&error.to_string()))));
    }
    if !task.steps.is_empty() {
        output.say("");
        steps(output, task, None, 0, now);
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
        for line in report::question(approval).into_iter().chain(report::answers(task, approval)) {
            output.say(&line);
        }
    }
}

/// Writes the steps that are parts of `parent`, each with its own parts below it.
fn steps(output: &Output, task: &Task, parent: Option<&StepId>, depth: usize, now: Timestamp) {
    for step in task.steps.iter().filter(|step| step.parent.as_ref() == parent) {
        output.say(&line(output, step, depth, now));
        for detail in details(step) {
            let detail = cut(&one_line(&detail), OUTPUT_CHARACTERS);
            output.say(&format!("{}            {}", indent(depth), output.paint().dim(&detail)));
        }
        steps(output, task, Some(&step.id), depth + 1, now);
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn line(output: &Output, step: &Step, depth: usize, now: Timestamp) -> String {
    let took = step.started_at.map(|start| duration(since(start, step.ended_at.unwrap_or(now)))).unwrap_or_default();
    let actor = step.actor.as_deref().map(one_line).unwrap_or_default();
    let title = step.title.as_deref().map(one_line).unwrap_or_default();
    let attempt = match step.attempt {
        0 | 1 => String::new(),
        attempt if step.status == StepStatus::Pending => format!("attempt {attempt} to come  "),
        attempt => format!("attempt {attempt}  "),
    };
    let status = output.paint().step_status(step.status);
    let text = format!("{}  {status} {}  {actor}  {took}  {attempt}{title}", indent(depth), step.id);
    text.trim_end().to_owned()
}

/// Returns what came of a step: its error, else its output. A contract tells what each check found.
fn details(step: &Step) -> Vec<String> {
    let found = match (step.kind, &step.error) {
        (StepKind::Contract, Some(error)) => evidence_in(&error.detail),
        (StepKind::Contract, None) => step.output.get("checks").and_then(Value::as_array).cloned(),
        _ => None,
    };
    match (found, &step.error, &step.output) {
        (Some(checks), _, _) => checks.iter().map(check).collect(),
        (None, Some(error), _) => vec![error.to_string()],
        (None, None, Value::Null) => Vec::new(),
        (None, None, Value::String(text)) => vec![text.clone()],
        (None, None, other) => vec![other.to_string()],
    }
}

/// Reads the checks that did not hold out of the error of a contract; `None` where they were too many to be told whole.
fn evidence_in(detail: &str) -> Option<Vec<Value>> {
    let (_, checks) = detail.split_once(": ")?;
    serde_json::from_str(checks).ok()
}

/// Writes a check, whether it held, and what was found.
fn check(check: &Value) -> String {
    let what = check.get("check").and_then(Value::as_object).and_then(|what| what.iter().next());
    let what = what.map_or_else(String::new, |(kind, what)| format!("{kind} {}", what.as_str().unwrap_or_default()));
    match check.get("held") {
        Some(Value::Bool(true)) => format!("holds: {what}"),
        _ => {
            let found = check.get("evidence").map(Value::to_string).unwrap_or_default();
            format!("does not hold: {what}: {found}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_contract_tells_what_each_check_found() {
        let held = json!({ "check": { "command": "cargo test" }, "held": true, "evidence": { "exit": 0 } });
        assert_eq!(check(&held), "holds: command cargo test");
        let detail = r#"the contract does not hold: [{"check":{"file":"a.md"},"evidence":"missing","held":false}]"#;
        let broken: Vec<String> = evidence_in(detail).unwrap().iter().map(check).collect();
        assert_eq!(broken, ["does not hold: file a.md: \"missing\""]);
        assert_eq!(evidence_in("the contract does not hold: [{\"check"), None, "what was cut is told as it is");
    }
}
