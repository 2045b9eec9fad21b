//! The life of a step that makes a plan.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    references,
    spec::{bare_step, plan_goal, plan_steps},
};
use crate::{
    api::{ApiError, ApprovalKind, Autonomy, ErrorCode, PlanSpec, StepId, StepStatus},
    journal::record::{Action, PlannedStep, Record, StepEnd},
    machine::{
        PlanError, PlanLimits,
        decide::Draft,
        failure::may_be_avoided,
        order_steps,
        state::{StepState, TaskState},
        values,
    },
};

/// What steps that make plans are named after.
const PLAN: &str = "plan";
/// How often a plan is made anew after a failure: a goal that fails thrice fails for a reason that no plan mends.
const REPLANS_MAX: usize = 2;
/// Steps of a plan that a model makes. Each is an agent's work, and the planner has to oversee them.
const STEPS_MAX: usize = 100;
/// How much of a plan a person is shown in words.
const REVIEW_CHARS_MAX: usize = 8_000;

/// Makes the plan of a goal that the model plans: to make one.
pub fn plan_by_model() -> PlannedStep {
    let action = Action::Plan { after_failure: None };
    PlannedStep { title: Some("Make the plan".to_owned()), ..bare_step(StepId::numbered(PLAN, 1), action) }
}

/// Puts a question before a plan that is known: may it be carried out?
pub fn review_first(mut steps: Vec<PlannedStep>) -> Vec<PlannedStep> {
    let lines: Vec<String> = steps.iter().map(describe).collect();
    let text: String = lines.join("\n").chars().take(REVIEW_CHARS_MAX).collect();
    // The prompt of the question is filled in: braces of the plan's own stay what they are, to be filled in later.
    let prompt = format!("May this plan be carried out?\n{}", text.replace("{{", "{ {"));
    let id = StepId::numbered("review", 1);
    for step in steps.iter_mut().filter(|step| step.after.is_empty()) {
        step.after.push(id.clone());
    }
    let question =
        PlannedStep { title: Some("Approve the plan".to_owned()), ..bare_step(id, Action::Approval { prompt }) };
    steps.insert(0, question);
    steps
}

fn describe(step: &PlannedStep) -> String {
    let after: Vec<&str> = step.after.iter().map(StepId::as_str).collect();
    let what = match &step.action {
        Action::Agent { agent, prompt, .. } => format!("{agent}: {prompt}"),
        Action::Tool { tool, args } => format!("{tool} {args}"),
        Action::Approval { prompt } => format!("ask a person: {prompt}"),
        Action::Map { over, each } => format!("for each of {over}: {}", each.action.actor().unwrap_or("ask a person")),
        Action::Plan { .. } => "make a plan".to_owned(),
        Action::Contract => "check the contract".to_owned(),
    };
    let order = if after.is_empty() { String::new() } else { format!(" (after {})", after.join(", ")) };
    format!("- {}{order}: {what}", step.id)
}

/// Reads a plan from a model's answer. The error is what to tell the model.
pub(in crate::machine) fn read(state: &TaskState, text: &str) -> Result<PlanSpec, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("Your answer is not JSON ({error}). Answer with one JSON object and nothing else."))?;
    if values::is_too_deep(&value) {
        return Err("Your plan is nested too deeply.".to_owned());
    }
    let spec: PlanSpec =
        serde_json::from_value(without_nulls(value)).map_err(|error| format!("Your plan cannot be read: {error}."))?;
    match planned(state, &spec) {
        Ok(_) => Ok(spec),
        Err(error) => Err(format!("Your plan cannot be carried out: {error}. Answer with a corrected plan.")),
    }
}

/// Models that must say something about each field say null of those that do not apply.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Turns a model's plan into steps that fit those there are. What a step refers to comes before it, said or not.
fn planned(state: &TaskState, spec: &PlanSpec) -> Result<Vec<PlannedStep>, PlanError> {
    if spec.steps.len() > STEPS_MAX {
        return Err(PlanError::TooLarge { found: spec.steps.len(), limit: STEPS_MAX });
    }
    let mut steps = plan_steps(spec, &state.pins)?;
    for step in &mut steps {
        add_what_it_refers_to(step);
    }
    let stub = |step: &StepState| bare_step(step.planned.id.clone(), Action::Contract);
    let there_are = state.steps.len();
    let all: Vec<PlannedStep> = state.steps.iter().map(|step| stub(step)).chain(steps).collect();
    if all.len() == there_are {
        return Err(PlanError::Empty);
    }
    let ordered = order_steps(all, PlanLimits { steps_max: usize::MAX })?;
    references::check(&ordered)?;
    Ok(ordered.into_iter().filter(|step| state.step(&step.id).is_none()).collect())
}

fn add_what_it_refers_to(step: &mut PlannedStep) {
    let paths = references::paths(step);
    let named = paths.iter().filter_map(|path| references::step_of(path)?.parse::<StepId>().ok());
    let after: BTreeSet<StepId> = step.after.drain(..).chain(named).collect();
    step.after = after.into_iter().collect();
}

/// Takes a plan that can be carried out: shows it to a person first where the task says so.
pub(in crate::machine) fn take(draft: &mut Draft<'_>, id: &StepId, spec: &PlanSpec) {
    if draft.state.submitted.autonomy == Autonomy::Full {
        return accept(draft, id, spec);
    }
    let lines: Vec<String> =
        planned(&draft.state, spec).map(|steps| steps.iter().map(describe).collect()).unwrap_or_default();
    let prompt: String =
        format!("May this plan be carried out?\n{}", lines.join("\n")).chars().take(REVIEW_CHARS_MAX).collect();
    let (approval, plan) = (draft.new_approval_id(), Some(spec.clone()));
    let kind = ApprovalKind::Plan;
    draft.push(Record::ApprovalRequested {
        approval,
        step: id.clone(),
        call: None,
        kind,
        prompt,
        proposed: None,
        plan,
    });
}

/// Adds the plan's steps, and ends the step that made it.
pub(in crate::machine) fn accept(draft: &mut Draft<'_>, id: &StepId, spec: &PlanSpec) {
    match planned(&draft.state, spec) {
        Ok(steps) => {
            let names: Vec<String> = steps.iter().map(|step| step.id.to_string()).collect();
            draft.push(Record::StepsAdded { steps, replaced: Vec::new() });
            draft.succeed_step(id, json!({ "steps": names }));
        }
        Err(error) => give_up(draft, id, ApiError::new(ErrorCode::InvalidPlan, error.to_string())),
    }
}

/// Goes on without a plan: one agent does the whole goal. Where the plan was to mend a failure, that failure stands.
pub(in crate::machine) fn give_up(draft: &mut Draft<'_>, id: &StepId, error: ApiError) {
    let Some(step) = draft.state.step(id) else { return };
    if let Action::Plan { after_failure: Some(failed) } = &step.planned.action {
        let failure = draft.state.step(failed).and_then(|step| step.error.clone());
        let (code, said) = failure.map_or((error.code, String::new()), |failure| (failure.code, failure.detail));
        let detail = format!("step {failed} failed: {said}; and no other way was found: {}", error.detail);
        return draft.end_step(id, StepEnd::Failed { error: ApiError::new(code, detail), fails_task: true });
    }
    let work = plan_goal(&draft.state.pins.default_agent);
    if !is_about_the_plan(error.code) || draft.state.step(&work.id).is_some() {
        return draft.end_step(id, StepEnd::Failed { error, fails_task: true });
    }
    draft.push(Record::StepsAdded { steps: vec![work], replaced: Vec::new() });
    draft.end_step(id, StepEnd::Failed { error, fails_task: false });
}

fn is_about_the_plan(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::InvalidPlan | ErrorCode::SchemaMismatch | ErrorCode::LimitReached)
}

/// Returns whether another plan may lead around a failure: where a model made the first one.
pub(in crate::machine) fn may_replan(draft: &Draft<'_>, error: &ApiError) -> bool {
    let is_plan = |step: &&std::sync::Arc<StepState>| matches!(step.planned.action, Action::Plan { .. });
    let plans = draft.state.steps.iter().filter(is_plan);
    let made = plans.clone().any(|step| step.status == StepStatus::Succeeded);
    made && plans.count() <= REPLANS_MAX && !draft.state.is_stopping() && may_be_avoided(error.code)
}

/// Adds the step that plans anew what the failed step and those not yet begun were to do.
pub(in crate::machine) fn replan(draft: &mut Draft<'_>, failed: &StepId) {
    let is_plan = |step: &&std::sync::Arc<StepState>| matches!(step.planned.action, Action::Plan { .. });
    let number = draft.state.steps.iter().filter(is_plan).count() + 1;
    let unbegun = draft.state.steps.iter().filter(|step| step.status == StepStatus::Pending);
    let replaced = unbegun.filter(|step| step.planned.parent.is_none()).map(|step| step.planned.id.clone()).collect();
    let action = Action::Plan { after_failure: Some(failed.clone()) };
    let title = Some(format!("Find another way after {failed} failed"));
    let step = PlannedStep { title, ..bare_step(StepId::numbered(PLAN, number), action) };
    draft.push(Record::StepsAdded { steps: vec![step], replaced });
}
