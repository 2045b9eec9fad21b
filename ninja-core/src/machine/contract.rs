//! The contract: what must hold before a task succeeds, checked in a step of its own, with one round of repair.

use serde_json::{Value, json};

use super::{
    decide::Draft,
    state::{StepState, TaskState},
    turn,
    values::{self, Scope},
};
use crate::{
    api::{ApiError, Check, Contract, ErrorCode, StepId, StepStatus},
    journal::record::{Action, Intent, Outcome, Pins, PlannedStep, Record, StepEnd},
};

/// What steps of the contract are named after.
const CONTRACT: &str = "contract";
/// What the step that mends is named after.
const REPAIR: &str = "repair";
/// The most of a check's evidence that the mending agent and the error are told, in characters.
const EVIDENCE_CHARS_MAX: usize = 2_000;

/// Adds a step that checks the contract, if the task has one that was not found to hold since its last step ended. Returns
/// whether it did.
pub(super) fn demand(draft: &mut Draft<'_>) -> bool {
    let last = draft.state.steps.last().filter(|step| matches!(step.planned.action, Action::Contract));
    if draft.state.submitted.contract.is_none() || last.is_some_and(|step| step.status == StepStatus::Succeeded) {
        return false;
    }
    let number = count(&draft.state, CONTRACT) + 1;
    add(draft, StepId::numbered(CONTRACT, number), "Check the contract", Action::Contract);
    true
}

fn count(state: &TaskState, purpose: &str) -> usize {
    (1..).take_while(|number| state.step(&StepId::numbered(purpose, *number)).is_some()).count()
}

/// Adds a step that comes after all that there are.
fn add(draft: &mut Draft<'_>, id: StepId, title: &str, action: Action) {
    let roots = draft.state.steps.iter().filter(|step| step.planned.parent.is_none());
    let step = PlannedStep {
        id,
        title: Some(title.to_owned()),
        after: roots.map(|step| step.planned.id.clone()).collect(),
        when: None,
        optional: false,
        retry: None,
        parent: None,
        item: Value::Null,
        action,
    };
    draft.push(Record::StepsAdded { steps: vec![step], replaced: Vec::new() });
}

/// Makes the next check, or ends the step when all were made. One at a time: a command may change what another reads.
pub(super) fn continue_checks(draft: &mut Draft<'_>, id: &StepId) {
    let Some(step) = draft.state.step(id).filter(|step| step.status == StepStatus::Running) else { return };
    let Some(contract) = draft.state.submitted.contract.clone() else { return };
    if draft.state.is_stopping()
        || draft.state.is_paused()
        || step.attempt_calls().iter().any(|call| call.outcome.is_none())
    {
        return;
    }
    match contract.checks.get(step.attempt_calls().len()) {
        Some(check) => make(draft, id, check),
        None => judge(draft, id, &contract),
    }
}

fn make(draft: &mut Draft<'_>, id: &StepId, check: &Check) {
    let (tool, args) = call_of(check);
    let args = values::fill_value(Scope::task(&draft.state), &args);
    match turn::check_args(&draft.state.pins, tool, &args) {
        Ok(class) => draft.intend(id, Intent::Tool { tool: tool.to_owned(), args, class, answers: None }),
        Err(detail) => draft.fail_step(id, ApiError::new(ErrorCode::InvalidRequest, detail)),
    }
}

/// Returns the tool call that makes a check.
pub fn call_of(check: &Check) -> (&'static str, Value) {
    let (tool, args) = match check {
        Check::File { path, min_bytes, pattern, schema } => {
            ("check_file", json!({ "path": path, "min_bytes": min_bytes, "pattern": pattern, "schema": schema }))
        }
        Check::Command { command, timeout_seconds } => {
            ("shell", json!({ "command": command, "timeout_seconds": timeout_seconds }))
        }
        Check::Url { url, status, contains } => {
            ("check_url", json!({ "url": url, "status": status, "contains": contains }))
        }
    };
    let Value::Object(fields) = args else { return (tool, args) };
    (tool, fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
}

fn judge(draft: &mut Draft<'_>, id: &StepId, contract: &Contract) {
    let Some(step) = draft.state.step(id) else { return };
    let evidence = evidence(step, contract);
    let broken: Vec<Value> = evidence.iter().filter(|check| check["held"] == json!(false)).cloned().collect();
    if broken.is_empty() {
        return draft.succeed_step(id, json!({ "held": true, "checks": evidence }));
    }
    let cannot = step.attempt_calls().iter().find_map(|call| match &call.outcome {
        Some(Outcome::Failed { error, .. }) if error.code == ErrorCode::NoSandbox => Some(error.clone()),
        _ => None,
    });
    let told: String = Value::Array(broken).to_string().chars().take(EVIDENCE_CHARS_MAX).collect();
    let error = cannot
        .clone()
        .unwrap_or_else(|| ApiError::new(ErrorCode::ContractFailed, format!("the contract does not hold: {told}")));
    let may_repair = cannot.is_none() && count(&draft.state, REPAIR) == 0 && draft.state.submitted.model.is_some();
    draft.end_step(id, StepEnd::Failed { error, fails_task: !may_repair });
    if may_repair {
        let agent = repair_agent(contract, &draft.state.pins).to_owned();
        // The evidence is read from the failed step's error, as text: it holds what files and commands said.
        let prompt = format!("{REPAIR_PROMPT}\n\n{{{{goal}}}}\n\n## What does not hold\n{{{{steps.{id}.error}}}}");
        let action = Action::Agent { agent, prompt, schema: None, max_output_tokens: None };
        add(draft, StepId::numbered(REPAIR, 1), "Mend what does not hold", action);
    }
}

/// Returns the agent that mends what does not hold.
pub(super) fn repair_agent<'a>(contract: &'a Contract, pins: &'a Pins) -> &'a str {
    contract.repair_agent.as_deref().unwrap_or(&pins.default_agent)
}

const REPAIR_PROMPT: &str = "The work below was done and then checked, and a check did not pass. Mend the files in the \
    workspace so that every check passes; change as little as needed. Do not weaken a test or a check. The checks are \
    made again when you have answered.";

fn evidence(step: &StepState, contract: &Contract) -> Vec<Value> {
    let one = |(check, call): (&Check, &std::sync::Arc<super::CallState>)| {
        let (held, found) = match &call.outcome {
            Some(Outcome::Returned { ok, output, .. }) => (*ok, output.clone()),
            Some(Outcome::Failed { error, .. }) => (false, json!({ "error": error.detail })),
            Some(Outcome::Answered(_) | Outcome::Lost { .. } | Outcome::Stopped { .. }) | None => {
                (false, json!({ "error": "the outcome of the check is not known" }))
            }
        };
        let kind = match check {
            Check::File { path, .. } => json!({ "file": path }),
            Check::Command { command, .. } => json!({ "command": command }),
            Check::Url { url, .. } => json!({ "url": url }),
        };
        json!({ "check": kind, "held": held, "evidence": found })
    };
    contract.checks.iter().zip(step.attempt_calls()).map(one).collect()
}
