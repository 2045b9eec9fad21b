//! An agent step's turns: what follows from an answer, from tool results, from nothing yet.

use serde_json::Value;

use super::{
    budget,
    context::{choose, offered_tools},
    decide::Draft,
    models, nest, plan,
    room::Short,
    state::{CallState, StepState, TaskState},
    values::{self, Scope},
    wait,
};
use crate::{
    api::{ApiError, EffectClass, ErrorCode, PlanSpec, SchemaSpec, StepId, StepStatus},
    journal::record::{Action, Answer, Intent, ManifestDelta, Outcome, Pins, Record, ToolCall},
};

/// Tool calls in one answer; more are refused and the model is told.
const TOOL_CALLS_MAX: usize = 64;
/// How often in a row a model is told what was wrong with its answer before the step fails.
const REJECTIONS_MAX: usize = 2;
/// Faults of arguments told at a time: a model corrects a few, and is confused by many.
const FAULTS_MAX: usize = 3;
/// The longest text of a fault, in characters.
const FAULT_CHARS_MAX: usize = 300;
/// Answers of a planner in one step: its first plan, corrections, and what a person wants changed.
pub(super) const PLANNER_TURNS_MAX: u32 = 20;
/// As many turns in a row that ask for the same and get the same mean that the agent is stuck.
const SAME_TURNS_MAX: usize = 3;

/// One model call and the tool calls that its answer led to.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// What the model was told of its answer before.
    pub feedback: Option<&'a str>,
    /// The answer; `None` while the call is owed.
    pub answer: Option<&'a Answer>,
    /// Tool calls by the model's id of them.
    pub results: Vec<(&'a str, &'a CallState)>,
}

/// Returns the turns of a step. Model calls that came to nothing are none.
pub(super) fn turns(step: &StepState) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for call in step.attempt_calls() {
        match (&call.intent, &call.outcome) {
            (Intent::Model { feedback, .. }, outcome @ (None | Some(Outcome::Answered(_)))) => {
                let answer = match outcome {
                    Some(Outcome::Answered(answer)) => Some(answer),
                    _ => None,
                };
                turns.push(Turn { feedback: feedback.as_deref(), answer, results: Vec::new() });
            }
            (Intent::Model { .. }, Some(_)) => {}
            (Intent::Tool { answers, .. }, _) => {
                if let (Some(turn), Some(id)) = (turns.last_mut(), answers) {
                    turn.results.push((id, call));
                }
            }
        }
    }
    turns
}

/// Goes on with every step whose turn was cut between two calls.
pub(super) fn continue_all(draft: &mut Draft<'_>) {
    let with_turns = draft.state.steps.iter().filter(|step| step.planned.action.has_turns());
    let ids: Vec<StepId> = with_turns.map(|step| step.planned.id.clone()).collect();
    for id in ids {
        continue_turn(draft, &id);
    }
}

/// Takes the next move of an agent step: nothing while a call runs or waits.
pub(super) fn continue_turn(draft: &mut Draft<'_>, id: &StepId) {
    loop {
        let Some(step) = draft.state.step(id) else { return };
        let busy = step.attempt_calls().iter().any(|call| call.outcome.is_none());
        let halted = draft.state.is_stopping() || draft.state.is_paused();
        if step.status != StepStatus::Running || busy || halted || !step.planned.action.has_turns() {
            return;
        }
        let makes_plan = matches!(step.planned.action, Action::Plan { .. });
        match next_move(&draft.state, step) {
            Move::AskModel(feedback) => return ask_model(draft, id, feedback),
            Move::CallTools(calls) => call_tools(draft, id, &calls),
            Move::Finish(output) => return draft.succeed_step(id, output),
            Move::TakePlan(plan) => return plan::take(draft, id, &plan),
            Move::Fail(error) if makes_plan => return plan::give_up(draft, id, error),
            Move::Fail(error) => return draft.fail_step(id, error),
        }
    }
}

enum Move {
    AskModel(Option<String>),
    CallTools(Vec<ToolCall>),
    Finish(Value),
    TakePlan(PlanSpec),
    Fail(ApiError),
}

fn next_move(state: &TaskState, step: &StepState) -> Move {
    if let Some(feedback) = owed_question(step) {
        return Move::AskModel(feedback);
    }
    let turns = turns(step);
    let Some(turn) = turns.last() else { return Move::AskModel(None) };
    let Some(answer) = turn.answer else { return Move::AskModel(None) };
    if answer.tool_calls.len() > TOOL_CALLS_MAX {
        let feedback = format!("At most {TOOL_CALLS_MAX} tool calls fit in one answer; none of them was made.");
        return reject(&turns, feedback, ErrorCode::LimitReached);
    }
    let open = answer.tool_calls.iter().skip(turn.results.len());
    let group = leading_group(state, open);
    if !group.is_empty() {
        return Move::CallTools(group);
    }
    if let Action::Plan { .. } = step.planned.action {
        return match plan::read(state, strip_fence(answer.text.trim())) {
            Ok(plan) => Move::TakePlan(plan),
            Err(feedback) => reject(&turns, feedback, ErrorCode::InvalidPlan),
        };
    }
    if answer.tool_calls.is_empty() {
        return match judge(state, step, answer) {
            Ok(output) => Move::Finish(output),
            Err(feedback) => reject(&turns, feedback, ErrorCode::SchemaMismatch),
        };
    }
    if refused_in_a_row(&turns) > REJECTIONS_MAX {
        let detail = "the model kept calling tools that do not exist or with arguments that do not fit";
        return Move::Fail(ApiError::new(ErrorCode::ToolFailed, detail));
    }
    if is_stuck(&turns) {
        let detail = format!("the agent made the same calls with the same results {SAME_TURNS_MAX} times in a row");
        return Move::Fail(ApiError::new(ErrorCode::Stuck, detail));
    }
    Move::AskModel(None)
}

/// Returns what the model is to be told, where it was to be asked and no answer came of it.
fn owed_question(step: &StepState) -> Option<Option<String>> {
    if step.held_feedback.is_some() {
        return Some(step.held_feedback.clone());
    }
    let newest = step.attempt_calls().last()?;
    match (&newest.intent, &newest.outcome) {
        (Intent::Model { .. }, None | Some(Outcome::Answered(_))) | (Intent::Tool { .. }, _) => None,
        (Intent::Model { feedback, .. }, Some(_)) => Some(feedback.clone()),
    }
}

fn reject(turns: &[Turn<'_>], feedback: String, code: ErrorCode) -> Move {
    let told = turns.iter().rev().take_while(|turn| turn.feedback.is_some()).count();
    match told < REJECTIONS_MAX {
        true => Move::AskModel(Some(feedback)),
        false => Move::Fail(ApiError::new(code, format!("the answer was refused {} times: {feedback}", told + 1))),
    }
}

/// Returns the calls that may be made side by side now: all `pure` ones at the front, or the first one alone.
fn leading_group<'a>(state: &TaskState, calls: impl Iterator<Item = &'a ToolCall>) -> Vec<ToolCall> {
    let mut group: Vec<ToolCall> = Vec::new();
    for call in calls {
        let pure = state.pins.tools.get(&call.name).is_none_or(|tool| tool.class == EffectClass::Pure);
        if !pure && !group.is_empty() {
            break;
        }
        group.push(call.clone());
        if !pure {
            break;
        }
    }
    group
}

/// Returns the step's output if the answer is acceptable, else what to tell the model.
fn judge(state: &TaskState, step: &StepState, answer: &Answer) -> Result<Value, String> {
    let text = answer.text.trim();
    let Action::Agent { schema: Some(spec), .. } = &step.planned.action else {
        return match text.is_empty() {
            true => Err("Your answer was empty. Answer in words, or call a tool.".to_owned()),
            false => Ok(Value::String(text.to_owned())),
        };
    };
    let Some(schema) = schema_of(state, step, spec) else {
        return Err("The schema of this answer is missing.".to_owned());
    };
    let value = serde_json::from_str(strip_fence(text))
        .map_err(|error| format!("Your answer is not JSON ({error}). Answer with one JSON value and nothing else."))?;
    if values::is_too_deep(&value) {
        return Err("Your answer is nested too deeply. Answer again, flatter.".to_owned());
    }
    let validator =
        jsonschema::validator_for(&schema).map_err(|error| format!("The schema cannot be used: {error}"))?;
    let checked = validator.validate(&value).map_err(|error| {
        format!("Your answer does not match its schema at `{}`: {error}. Answer again.", error.instance_path())
    });
    checked.map(|()| value)
}

/// Returns the schema that a step's final answer must match.
fn schema_of(state: &TaskState, step: &StepState, spec: &SchemaSpec) -> Option<Value> {
    match spec {
        SchemaSpec::Inline(schema) => Some(schema.clone()),
        SchemaSpec::From(path) => values::look_up(Scope::of(state, &step.planned), path),
    }
}

/// Returns the schema that an agent step's answer must match, if it has one.
pub fn schema_of_step(state: &TaskState, step: &StepState) -> Option<Value> {
    match &step.planned.action {
        Action::Agent { schema: Some(spec), .. } => schema_of(state, step, spec),
        Action::Plan { .. } => Some(plan::schema(&state.pins)),
        Action::Agent { schema: None, .. }
        | Action::Tool { .. }
        | Action::Approval { .. }
        | Action::Map { .. }
        | Action::Contract => None,
    }
}

/// Removes a Markdown fence around JSON, which models add against every instruction.
fn strip_fence(text: &str) -> &str {
    let inner =
        text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).and_then(|rest| rest.strip_suffix("```"));
    inner.unwrap_or(text).trim()
}

fn refused_in_a_row(turns: &[Turn<'_>]) -> usize {
    let refused = |call: &CallState| matches!(&call.outcome, Some(Outcome::Failed { error, .. }) if error.code == ErrorCode::InvalidRequest);
    let all_refused = |turn: &&Turn<'_>| !turn.results.is_empty() && turn.results.iter().all(|(_, call)| refused(call));
    turns.iter().rev().take_while(all_refused).count()
}

fn is_stuck(turns: &[Turn<'_>]) -> bool {
    let Some(last) = turns.last() else { return false };
    let same = |turn: &&Turn<'_>| {
        turn.results.len() == last.results.len()
            && turn.results.iter().zip(&last.results).all(|((_, a), (_, b))| asks_the_same(a, b))
    };
    turns.iter().rev().take_while(same).count() >= SAME_TURNS_MAX
}

fn asks_the_same(a: &CallState, b: &CallState) -> bool {
    let asked = match (&a.intent, &b.intent) {
        (Intent::Tool { tool, args, .. }, Intent::Tool { tool: other, args: others, .. }) => {
            tool == other && args == others
        }
        _ => false,
    };
    asked && a.outcome == b.outcome
}

/// Sets tokens aside and intends a model call, or fails the step where a limit stands against it.
pub(super) fn ask_model(draft: &mut Draft<'_>, id: &StepId, feedback: Option<String>) {
    match try_models(draft, id, feedback.clone(), 0) {
        Ok(()) => {}
        Err(Obstacle::Short(short)) => budget::pause(draft, id, short, feedback),
        Err(Obstacle::Fails(error)) => draft.fail_step(id, error),
    }
}

/// What stands against a model call.
pub(super) enum Obstacle {
    /// The step fails of it.
    Fails(ApiError),
    /// More budget would help.
    Short(Short),
}

impl From<ApiError> for Obstacle {
    fn from(error: ApiError) -> Self {
        Self::Fails(error)
    }
}

/// Checks whether the budget has room for what a step that waits for more does next.
///
/// # Errors
///
/// Fails with the limit that stands against it.
pub(super) fn check_budget_for_next(draft: &Draft<'_>, step: &StepState) -> Result<(), Short> {
    let feedback = match next_move(&draft.state, step) {
        Move::AskModel(feedback) => feedback,
        Move::CallTools(_) | Move::Finish(_) | Move::TakePlan(_) | Move::Fail(_) => return Ok(()),
    };
    match plan_model_call(draft, &step.planned.id, feedback, 0) {
        Err(Obstacle::Short(short)) => Err(short),
        Ok(_) | Err(Obstacle::Fails(_)) => Ok(()),
    }
}

/// Intends a call of the first model that takes the prompt, of those lined up from place `from` on.
///
/// # Errors
///
/// Fails where there is none, or a limit stands against it; nothing is recorded then.
pub(super) fn try_models(
    draft: &mut Draft<'_>,
    id: &StepId,
    feedback: Option<String>,
    from: usize,
) -> Result<(), Obstacle> {
    let intent = plan_model_call(draft, id, feedback, from)?;
    draft.intend(id, intent);
    Ok(())
}

fn plan_model_call(draft: &Draft<'_>, id: &StepId, feedback: Option<String>, from: usize) -> Result<Intent, Obstacle> {
    let state = &draft.state;
    let step = state.step(id).ok_or_else(|| ApiError::new(ErrorCode::Internal, format!("there is no step {id}")))?;
    let (who, limit) = match &step.planned.action {
        Action::Agent { agent, .. } => {
            (agent.as_str(), state.pins.agents.get(agent).map_or(0, |agent| agent.limits.turns))
        }
        Action::Plan { .. } => ("planner", PLANNER_TURNS_MAX),
        Action::Tool { .. } | Action::Approval { .. } | Action::Map { .. } | Action::Contract => {
            return Err(ApiError::new(ErrorCode::Internal, format!("step {id} has no turns")).into());
        }
    };
    check_schema(state, step)?;
    if turns(step).len() >= limit as usize {
        let detail = format!("agent {who} has used its {limit} turns without a final answer");
        return Err(ApiError::new(ErrorCode::LimitReached, detail).into());
    }
    let mut refused = ApiError::new(ErrorCode::NoProvider, "no model was available when the task was submitted");
    for pinned in models::line_up(state, step).iter().skip(from) {
        // Money is no limit for what has no price: it does not stand in for another.
        if from > 0 && pinned.price.is_none() && state.budget.cost_micro_usd.is_some() {
            continue;
        }
        let (context, prompt_tokens) = match choose(state, step, pinned, feedback.as_deref()).checked() {
            Ok(fit) => fit,
            Err(error) => {
                refused = error;
                continue;
            }
        };
        let output_tokens = u64::from(context.max_output_tokens);
        let reserve = budget::reserve(state, pinned, prompt_tokens, output_tokens, draft.now);
        let reserve = reserve.and_then(|reserve| draft.share(id, reserve)).map_err(Obstacle::Short)?;
        let is_usual = state.submitted.model.as_ref().is_some_and(|usual| usual.model == pinned.model);
        let model = (!is_usual).then(|| pinned.model.clone());
        let (reserved_tokens, reserved_micro_usd) = (reserve.tokens, reserve.micro_usd);
        return Ok(Intent::Model { model, context, reserved_tokens, reserved_micro_usd, feedback });
    }
    Err(refused.into())
}

/// Refuses a step whose answer could not be judged: no answer of the model's would mend that.
fn check_schema(state: &TaskState, step: &StepState) -> Result<(), ApiError> {
    let Action::Agent { schema: Some(spec), .. } = &step.planned.action else { return Ok(()) };
    let unusable = |why: String| ApiError::new(ErrorCode::SchemaMismatch, format!("the answer's schema: {why}"));
    let schema = schema_of(state, step, spec).ok_or_else(|| unusable("nothing stands where it should".to_owned()))?;
    jsonschema::validator_for(&schema).map(drop).map_err(|error| unusable(error.to_string()))
}

fn call_tools(draft: &mut Draft<'_>, id: &StepId, calls: &[ToolCall]) {
    for call in calls {
        let number = draft.next_call(id);
        let checked = check_call(&draft.state, id, call);
        let class = checked.as_ref().copied().unwrap_or(EffectClass::Pure);
        let (tool, args) = (call.name.clone(), call.args.clone());
        draft.intend(id, Intent::Tool { tool, args, class, answers: Some(call.id.clone()) });
        match checked {
            Ok(_) if call.name == nest::DELEGATE => nest::delegate(draft, id, number, &call.args),
            Ok(class) => wait::gate_call(draft, id, number, class, true),
            Err(detail) => {
                let error = ApiError::new(ErrorCode::InvalidRequest, detail);
                draft.push(Record::CallEnded {
                    step: id.clone(),
                    call: number,
                    outcome: Outcome::Failed { error, usage: crate::api::Usage::default() },
                });
            }
        }
    }
}

/// Returns the class of a call that may be made, else what to tell the model.
fn check_call(state: &TaskState, id: &StepId, call: &ToolCall) -> Result<EffectClass, String> {
    let asked = state.step(id).and_then(|step| Some((step, models::newest_model(state, step)?)));
    let offered = asked.map(|(step, model)| offered_tools(state, step, &model.info)).unwrap_or_default();
    if !offered.iter().any(|tool| tool.name == call.name) {
        let names: Vec<_> = offered.iter().map(|tool| tool.name.as_str()).collect();
        let name: String = call.name.chars().take(80).collect();
        return Err(format!("there is no tool `{name}`; the tools are: {}", names.join(", ")));
    }
    let class = check_args(&state.pins, &call.name, &call.args)?;
    if call.name == nest::DELEGATE {
        nest::check_delegation(state, id, &call.args)?;
    }
    Ok(class)
}

/// Returns the class of a tool if its arguments fit its schema, else what is wrong, in words that a model can act on.
pub fn check_args(pins: &Pins, tool: &str, args: &Value) -> Result<EffectClass, String> {
    let pinned = pins.tools.get(tool).ok_or_else(|| format!("there is no tool `{tool}`"))?;
    if values::is_too_deep(args) {
        return Err(format!("the arguments of `{tool}` are nested too deeply"));
    }
    let validator = jsonschema::validator_for(&pinned.definition.schema)
        .map_err(|error| format!("the schema of `{tool}` cannot be used: {error}"))?;
    let faults: Vec<String> = validator.iter_errors(args).take(FAULTS_MAX).map(|fault| describe(&fault)).collect();
    match faults.is_empty() {
        true => Ok(pinned.class),
        false => Err(format!("the arguments of `{tool}` do not fit: {}", faults.join("; "))),
    }
}

/// Names the place and the rule, not the value: that may be long, and the model knows it.
fn describe(fault: &jsonschema::ValidationError<'_>) -> String {
    let at = fault.instance_path().to_string();
    let text = format!("{}: {}", if at.is_empty() { "/" } else { &at }, fault.masked());
    text.chars().take(FAULT_CHARS_MAX).collect()
}

/// Returns what a tool that only returned a text returned.
pub(super) fn returned(ok: bool, output: Value) -> Outcome {
    Outcome::Returned { ok, output, delta: ManifestDelta::default(), images: Vec::new() }
}
