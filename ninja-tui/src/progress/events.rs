//! Events in words, one line each.

use ninja_sdk::api::{Decision, Event, EventBody, StepId};
use serde_json::Value;

use crate::format::{cut, number, one_line};

/// Long enough for a command or a path, short enough for a line.
const DETAIL_CHARACTERS: usize = 160;
/// As many steps as are named one by one.
const NAMED_MAX: usize = 12;

/// Returns the line of an event, with its time and number.
pub(super) fn plain(event: &Event) -> String {
    let time = event.at.strftime("%H:%M:%S");
    format!("{time} #{} {}", event.seq, words(&event.event))
}

/// Returns what an event says.
pub(crate) fn words(event: &EventBody) -> String {
    match event {
        EventBody::TaskSubmitted { goal, template, .. } => match template {
            Some(template) => format!("accepted: template {}: {}", one_line(template), detail(goal)),
            None if goal.is_empty() => "accepted: an explicit plan".into(),
            None => format!("accepted: {}", detail(goal)),
        },
        EventBody::PlanMade { steps } => format!("plan: {}", cut(&join(steps), DETAIL_CHARACTERS)),
        EventBody::StepsAdded { steps, replaced } if replaced.is_empty() => {
            format!("steps added: {}", cut(&join(steps), DETAIL_CHARACTERS))
        }
        EventBody::StepsAdded { steps, replaced } => {
            format!(
                "steps added: {} instead of {}",
                cut(&join(steps), DETAIL_CHARACTERS),
                cut(&join(replaced), DETAIL_CHARACTERS)
            )
        }
        EventBody::StepRetried { step, attempt, error, not_before } => {
            let time = not_before.strftime("%H:%M:%S");
            format!("{step}: failed, attempt {attempt} begins at {time}: {}", detail(&error.to_string()))
        }
        EventBody::ProviderPaused { step, error, until } => {
            let time = until.strftime("%H:%M:%S");
            format!("{step}: no model answers, asked again at {time}: {}", detail(&error.to_string()))
        }
        EventBody::BudgetPaused { step, detail: why, .. } => format!("{step}: waits for more budget: {}", detail(why)),
        EventBody::BudgetWarned { limit, used, most } => {
            format!("most of the budget is used: {} of {}", limit.amount(*used), limit.amount(*most))
        }
        EventBody::BudgetChanged { .. } => "a person changed the budget".into(),
        EventBody::StepResumed { step } => format!("{step}: goes on"),
        EventBody::TaskPaused => "paused by a person: nothing new begins".into(),
        EventBody::TaskResumed => "resumed by a person".into(),
        EventBody::TaskRetried { steps } if steps.is_empty() => "tried again from where it stopped".into(),
        EventBody::TaskRetried { steps } => format!("tried again: {}", cut(&join(steps), DETAIL_CHARACTERS)),
        EventBody::TaskRecovered { lost_calls: 0 } => "taken up again where it was".into(),
        EventBody::TaskRecovered { lost_calls } => {
            format!("taken up again; the outcome of {lost_calls} calls was lost")
        }
        EventBody::ActorFailed { actor, reason, failures } => {
            format!("the {actor} actor failed ({} so far) and was restarted: {}", failures, detail(reason))
        }
        EventBody::CancelRequested => "cancelling".into(),
        EventBody::TaskEnded { status, error, .. } => match error {
            Some(error) => format!("task {}: {}", status.as_str(), detail(&error.to_string())),
            None => format!("task {}", status.as_str()),
        },
        EventBody::ApprovalRequested { approval } => {
            format!("{}: waits for a person: {}", approval.step, detail(&approval.prompt))
        }
        EventBody::ApprovalDecided { decision, .. } => format!("a person answered: {}", decision_words(decision)),
        EventBody::StepStarted { step, actor } => match actor {
            Some(actor) => format!("{step}: started ({})", one_line(actor)),
            None => format!("{step}: started"),
        },
        EventBody::StepEnded { step, status, error, progress, .. } => match error {
            Some(error) => format!("{step}: {}: {} ({progress} %)", status.as_str(), detail(&error.to_string())),
            None => format!("{step}: {} ({progress} %)", status.as_str()),
        },
        EventBody::ModelCallStarted { .. }
        | EventBody::ModelCallEnded { .. }
        | EventBody::ToolCallStarted { .. }
        | EventBody::ToolCallEnded { .. }
        | EventBody::CallEnded { .. } => call_words(event),
    }
}

/// Returns what the event of a call says.
fn call_words(event: &EventBody) -> String {
    match event {
        EventBody::ModelCallStarted { step, feedback: Some(feedback), .. } => {
            format!("{step}: asks the model again: {}", detail(feedback))
        }
        EventBody::ModelCallStarted { step, model: Some(model), .. } => {
            format!("{step}: asks {}", detail(&model.to_string()))
        }
        EventBody::ModelCallStarted { step, .. } => format!("{step}: asks the model"),
        EventBody::ModelCallEnded { step, tools, usage, .. } => {
            let tokens = format!("{} tokens in, {} out", number(usage.input_tokens), number(usage.output_tokens));
            match tools.is_empty() {
                true => format!("{step}: the model answered ({tokens})"),
                false => format!("{step}: the model asks for {} ({tokens})", detail(&tools.join(", "))),
            }
        }
        EventBody::ToolCallStarted { step, tool, args, .. } => {
            format!("{step}: {} {}", one_line(tool), args_words(args))
        }
        EventBody::ToolCallEnded { step, ok, output, changed, .. } => {
            let outcome =
                if *ok { "the call is done".to_owned() } else { format!("the call failed: {}", args_words(output)) };
            match changed.is_empty() {
                true => format!("{step}: {outcome}"),
                false => format!("{step}: {outcome}; wrote {}", detail(&changed.join(", "))),
            }
        }
        EventBody::CallEnded { step, error, .. } => {
            format!("{step}: the call ended without a result: {}", detail(&error.to_string()))
        }
        _ => String::new(),
    }
}

/// Returns an answer as a person gave it.
fn decision_words(decision: &Decision) -> String {
    match decision {
        Decision::Approve => "approve".into(),
        Decision::Deny => "deny".into(),
        Decision::Happened => "it happened".into(),
        Decision::DidNotHappen => "it did not happen".into(),
        Decision::Abort => "abort".into(),
        Decision::Answer { text } => detail(text),
    }
}

/// Returns a tool's arguments or output: a text as it is, one text alone without its name, else JSON.
fn args_words(args: &Value) -> String {
    match args {
        Value::String(text) => detail(text),
        Value::Object(fields) if fields.len() == 1 => match fields.values().next() {
            Some(Value::String(text)) => detail(text),
            _ => detail(&args.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            detail(&args.to_string())
        }
    }
}

fn detail(text: &str) -> String {
    cut(&one_line(text), DETAIL_CHARACTERS)
}

/// Names steps; of many only the first and the last.
fn join(steps: &[StepId]) -> String {
    match steps {
        [first, .., last] if steps.len() > NAMED_MAX => format!("{first} to {last} ({} steps)", steps.len()),
        _ => steps.iter().map(StepId::as_str).collect::<Vec<_>>().join(", "),
    }
}
