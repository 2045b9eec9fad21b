//! A task in words, once it stands still: what came of it, what it cost, what to do next.

use ninja_sdk::api::{
    Approval, ApprovalKind, Artifact, Budget, BudgetLimit, StepStatus, Task, TaskStatus, Timestamp, WaitFor, Waiting,
    dollars,
};
use serde_json::Value;

use super::{Exit, Output, reaction};
use crate::format::{self, Paint, bytes, duration, lines, one_line, short, since};

/// A screenful; the whole stands in `ninja show --json`.
const ANSWER_CHARACTERS: usize = 4_000;

/// Returns how a command that watched the task ends.
pub(super) fn exit(task: &Task) -> Exit {
    match task.status {
        TaskStatus::Succeeded => Exit::Done,
        TaskStatus::Failed | TaskStatus::Cancelled => Exit::Failed,
        TaskStatus::Waiting => Exit::Waiting,
        TaskStatus::Queued | TaskStatus::Planning | TaskStatus::Running => Exit::Interrupted,
    }
}

/// Writes what became of a task: answer, error, cost.
pub(super) fn outcome(output: &Output, task: &Task) {
    let paint = output.paint();
    if let Some(answer) = answer(task) {
        output.say("");
        output.say(&format::cut(&lines(&answer), ANSWER_CHARACTERS));
    }
    output.say("");
    output.say(&format!("{} {}", paint.task_status(task.status).trim_end(), paint.dim(&task.id.to_string())));
    if let Some(error) = &task.error {
        output.say(&format!("  {}", paint.bad(&one_line(&error.to_string()))));
    }
    if let Some(waiting) = &task.waiting {
        output.say(&format!("  {}", paint.notice(&waits(waiting, Timestamp::now()))));
    }
    if let Some(receipt) = &task.cancel_receipt {
        let processes: u32 = receipt.stopped.iter().map(|call| call.processes).sum();
        let calls = receipt.stopped.len();
        output.say(&format!("  stopped {calls} calls and {processes} processes within {} ms", receipt.took_ms));
    }
    output.say(&format!("  {}", format::usage(task, Timestamp::now())));
}

/// Says what a waiting task waits for.
pub(super) fn waits(waiting: &Waiting, now: Timestamp) -> String {
    match (waiting.wait_for, waiting.until) {
        (WaitFor::Approval | WaitFor::Person, _) => "waits for an answer".to_owned(),
        (WaitFor::Budget, Some(until)) if until > now && !waiting.of.is_task() => {
            let whose = waiting.of.words();
            format!("waits for more of {whose}, which begins anew in {}", duration(since(now, until)))
        }
        (WaitFor::Budget, None) if !waiting.of.is_task() => format!("does not fit into {}", waiting.of.words()),
        (WaitFor::Budget, _) => "waits for more budget".to_owned(),
        (WaitFor::Provider, Some(until)) if until > now => {
            format!("no model answers; asked again in {}", duration(since(now, until)))
        }
        (WaitFor::Provider, _) => "about to ask the model again".to_owned(),
        (WaitFor::Timer, Some(until)) if until > now => {
            format!("waits {} to try again", duration(since(now, until)))
        }
        (WaitFor::Timer, _) => "about to try again".to_owned(),
        (WaitFor::Operator, _) => "paused".to_owned(),
    }
}

/// Returns what the last step of the plan ended with: a text, or the `answer` of a JSON object. Steps that were added on the
/// way, such as the parts of a `map` or the check of the contract, are not the plan's.
fn answer(task: &Task) -> Option<String> {
    let is_planned = |step: &&ninja_sdk::api::Step| !step.id.is_added() && step.status == StepStatus::Succeeded;
    let output = &task.steps.iter().rev().find(is_planned)?.output;
    let text = output.as_str().or_else(|| output.get("answer").and_then(Value::as_str))?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Returns whether the task stands still until somebody gives a word that answers no question: it is paused, or waits for
/// more budget and for nothing else.
pub(super) fn is_paused(task: &Task) -> bool {
    task.waiting.as_ref().is_some_and(|waiting| match waiting.wait_for {
        WaitFor::Operator => true,
        WaitFor::Budget => waiting.until.is_none(),
        WaitFor::Approval | WaitFor::Person | WaitFor::Provider | WaitFor::Timer => false,
    })
}

/// Returns the command that lets a task go on that [stands still](is_paused).
pub(super) fn going_on(task: &Task, name: &str) -> String {
    match waits_for_budget(task) {
        true if task.waiting.as_ref().is_some_and(|waiting| !waiting.of.is_task()) => {
            "# the operator has to allow more: [budgets] in the configuration".to_owned()
        }
        true => format!("ninja budget {name} {}  # more, then it goes on", more_of(task)),
        false => format!("ninja resume {name}  # let it go on"),
    }
}

fn waits_for_budget(task: &Task) -> bool {
    task.waiting.as_ref().is_some_and(|waiting| waiting.wait_for == WaitFor::Budget)
}

/// Writes an artifact on one line.
pub(super) fn artifact(paint: Paint, artifact: &Artifact) -> String {
    format!("{:>9}  {}", paint.dim(&bytes(artifact.bytes)), one_line(&artifact.path))
}

/// Writes a question and the exact call it is about.
pub(super) fn question(approval: &Approval) -> Vec<String> {
    // A plan is shown line by line; what steers a terminal is taken out of each.
    let mut prompt = approval.prompt.lines().map(one_line).filter(|line| !line.is_empty());
    let mut text = vec![format!("{} asks: {}", approval.step, prompt.next().unwrap_or_default())];
    text.extend(prompt.map(|line| format!("  {line}")));
    if let Some(call) = &approval.call {
        text.push(format!("  the exact call: {} {}", one_line(&call.tool), one_line(&call.args.to_string())));
    }
    text
}

/// Writes the commands that answer a question.
pub(super) fn answers(task: &Task, approval: &Approval) -> Vec<String> {
    // With one open question its id need not be typed.
    let name = match task.approvals.len() {
        1 => task.id.to_string(),
        _ => format!("{} {}", task.id, approval.id),
    };
    match approval.kind {
        ApprovalKind::Approval => vec![format!("  yes: ninja approve {name}"), format!("  no:  ninja deny {name}")],
        ApprovalKind::Ambiguous => vec![
            format!("  it happened:       ninja approve {name} --happened"),
            format!("  it did not happen: ninja approve {name} --did-not-happen"),
            format!("  end the task:      ninja deny {name}"),
        ],
        ApprovalKind::Plan => vec![
            format!("  yes:       ninja approve {name}"),
            format!("  otherwise: ninja approve {name} --answer 'WHAT SHOULD BE DIFFERENT'"),
            format!("  no:        ninja deny {name}"),
        ],
        ApprovalKind::Question => vec![format!("  ninja approve {name} --answer 'TEXT'")],
    }
}

/// Returns what a person would want to type next.
pub(super) fn next_commands(task: &Task, is_in_process: bool) -> Vec<String> {
    let name = short(task.id);
    let mut next = Vec::new();
    match task.status {
        TaskStatus::Succeeded => next.push(format!("ninja show {name}  # each step, its output and cost")),
        TaskStatus::Failed => {
            next.extend(task.error.as_ref().and_then(|error| reaction(error.code).1).map(str::to_owned));
            next.push(format!("ninja show {name}  # where it stopped and why"));
            next.push(format!("ninja retry {name}  # try again what failed; what succeeded stays"));
        }
        TaskStatus::Cancelled => next.push(format!("ninja show {name}  # what was stopped")),
        TaskStatus::Waiting if is_paused(task) => next.push(going_on(task, &name)),
        // Whoever worked on it goes away with this process.
        TaskStatus::Waiting if is_in_process => {
            next.push(format!("after the answer: ninja run --resume {}", task.id));
        }
        TaskStatus::Waiting | TaskStatus::Queued | TaskStatus::Planning | TaskStatus::Running => {
            next.push(format!("ninja watch {name}  # follow it again"));
        }
    }
    next
}

/// Returns a larger limit in the place of the one that it wants more of, as it is typed.
fn more_of(task: &Task) -> String {
    let Budget { tokens, cost_micro_usd, seconds, steps } = task.budget;
    let twice = |most: Option<u64>| most.unwrap_or_default().saturating_mul(2).max(1);
    match task.waiting.as_ref().and_then(|waiting| waiting.limit) {
        Some(BudgetLimit::Cost) => format!("--budget {}", dollars(twice(cost_micro_usd)).trim_start_matches('$')),
        Some(BudgetLimit::Seconds) => format!("--budget-seconds {}", twice(seconds)),
        Some(BudgetLimit::Steps) => format!("--budget-steps {}", twice(steps)),
        Some(BudgetLimit::Tokens) | None => format!("--budget-tokens {}", twice(tokens)),
    }
}
