//! From what a plan says to planned steps: known agents and tools, fields that apply, predecessors first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::references;
use crate::{
    api::{PlanSpec, SchemaSpec, StepId, StepKind, StepSpec},
    journal::record::{Action, MapStep, Pins, PlannedStep},
    machine::{PlanError, PlanLimits, check_args, is_too_deep, nest::DELEGATE, order_steps, values},
};

/// The longest wait before a second attempt: longer ones are another task's business.
const RETRY_WAIT_MS_MAX: u64 = 600_000;

/// Turns an explicit plan into steps, predecessors first.
///
/// # Errors
///
/// Fails where the plan is not a graph of known agents and tools; the error names the step.
pub fn plan_explicit(plan: &PlanSpec, pins: &Pins) -> Result<Vec<PlannedStep>, PlanError> {
    let ordered = order_steps(plan_steps(plan, pins)?, PlanLimits::default())?;
    references::check(&ordered)?;
    Ok(ordered)
}

/// Turns a plan into steps in its own order; how they hang together is not looked at.
pub(super) fn plan_steps(plan: &PlanSpec, pins: &Pins) -> Result<Vec<PlannedStep>, PlanError> {
    let named = (1..).zip(&plan.steps).map(|(position, spec)| (step_id(spec, position), spec));
    named.map(|(id, spec)| plan_step(id, spec, pins)).collect()
}

/// Makes the plan of a bare goal: one agent does it in one step.
pub fn plan_goal(agent: &str) -> PlannedStep {
    let action =
        Action::Agent { agent: agent.to_owned(), prompt: "{{goal}}".to_owned(), schema: None, max_output_tokens: None };
    bare_step(step_name("work"), action)
}

/// Makes a step of which nothing is said but what it does.
pub(super) fn bare_step(id: StepId, action: Action) -> PlannedStep {
    PlannedStep {
        id,
        title: None,
        after: Vec::new(),
        when: None,
        optional: false,
        retry: None,
        parent: None,
        item: Value::Null,
        action,
    }
}

fn step_id(spec: &StepSpec, position: usize) -> StepId {
    spec.id.clone().unwrap_or_else(|| step_name(&format!("step_{position}")))
}

fn step_name(name: &str) -> StepId {
    name.parse().expect("a made-up step name is short and plain")
}

fn plan_step(id: StepId, spec: &StepSpec, pins: &Pins) -> Result<PlannedStep, PlanError> {
    let checked = check_name(&id).and_then(|()| check_retry(spec)).and_then(|()| plan_action(spec, pins));
    let action = checked
        .and_then(|action| check_unused_fields(spec).map(|()| action))
        .map_err(|what| PlanError::Step { step: id.clone(), what })?;
    Ok(PlannedStep {
        title: spec.title.clone(),
        after: spec.after.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect(),
        when: spec.when.clone(),
        optional: spec.optional,
        retry: spec.retry,
        ..bare_step(id, action)
    })
}

fn check_name(id: &StepId) -> Result<(), String> {
    match id.is_added() {
        true => Err("names with a colon are for steps that are added to a plan".to_owned()),
        false => Ok(()),
    }
}

fn check_retry(spec: &StepSpec) -> Result<(), String> {
    match spec.retry {
        Some(retry) if !(2..=10).contains(&retry.attempts) => Err("`retry.attempts` is 2 to 10".to_owned()),
        Some(retry) if retry.wait_ms > RETRY_WAIT_MS_MAX => {
            Err(format!("`retry.wait_ms` is at most {RETRY_WAIT_MS_MAX}"))
        }
        Some(_) | None => Ok(()),
    }
}

fn plan_action(spec: &StepSpec, pins: &Pins) -> Result<Action, String> {
    match spec.kind {
        StepKind::Agent => {
            let agent = spec.agent.clone().unwrap_or_else(|| pins.default_agent.clone());
            known("agent", &agent, &pins.agents)?;
            let prompt = spec.prompt.clone().unwrap_or_else(|| "{{goal}}".to_owned());
            if let Some(SchemaSpec::Inline(schema)) = &spec.schema
                && is_too_deep(schema)
            {
                return Err("`schema` is nested too deeply".to_owned());
            }
            let (schema, max_output_tokens) = (spec.schema.clone(), spec.max_output_tokens);
            Ok(Action::Agent { agent, prompt, schema, max_output_tokens })
        }
        StepKind::Tool => {
            let tool = spec.tool.clone().ok_or("a tool step names its `tool`")?;
            known("tool", &tool, &pins.tools)?;
            if tool == DELEGATE {
                return Err("only agents delegate; a plan has steps".to_owned());
            }
            let args = spec.args.clone().unwrap_or_else(|| Value::Object(Map::new()));
            check_known_args(pins, &tool, &args)?;
            Ok(Action::Tool { tool, args })
        }
        StepKind::Approval => {
            Ok(Action::Approval { prompt: spec.prompt.clone().ok_or("an approval step has a `prompt`")? })
        }
        StepKind::Map => plan_map(spec, pins),
        StepKind::Plan | StepKind::Contract => Err("steps of this kind are added by themselves".to_owned()),
    }
}

fn plan_map(spec: &StepSpec, pins: &Pins) -> Result<Action, String> {
    let over = spec.over.clone().ok_or("a map step says what it goes `over`")?;
    let each = spec.each.as_ref().ok_or("a map step says what it does for `each` item")?;
    if each.kind == StepKind::Map {
        return Err("`each`: a map within a map is not possible; let the list hold all items".to_owned());
    }
    if each.id.is_some() || each.when.is_some() || !each.after.is_empty() {
        return Err("`each`: `id`, `after` and `when` belong to the map step itself".to_owned());
    }
    let action = check_retry(each).and_then(|()| plan_action(each, pins));
    let action = action.and_then(|action| check_unused_fields(each).map(|()| action));
    let action = action.map_err(|what| format!("`each`: {what}"))?;
    let each = MapStep { title: each.title.clone(), optional: each.optional, retry: each.retry, action };
    Ok(Action::Map { over, each: Box::new(each) })
}

/// Checks arguments that are known now; those with placeholders are checked when these are filled in.
fn check_known_args(pins: &Pins, tool: &str, args: &Value) -> Result<(), String> {
    if !args.is_object() {
        return Err("`args` is an object".to_owned());
    }
    if is_too_deep(args) {
        return Err("`args` are nested too deeply".to_owned());
    }
    let mut has_placeholders = false;
    values::paths_in(args, &mut |_| has_placeholders = true);
    match has_placeholders {
        true => Ok(()),
        false => check_args(pins, tool, args).map(drop),
    }
}

fn known<T>(what: &str, name: &str, all: &BTreeMap<String, T>) -> Result<(), String> {
    match all.contains_key(name) {
        true => Ok(()),
        false => {
            let names = all.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let name: String = name.chars().take(80).collect();
            Err(format!("there is no {what} `{name}`; there are: {names}"))
        }
    }
}

/// A field that does not apply to the step's kind is a mistake of its author, who expects something of it.
fn check_unused_fields(spec: &StepSpec) -> Result<(), String> {
    let given = [
        ("agent", spec.agent.is_some(), spec.kind == StepKind::Agent),
        ("prompt", spec.prompt.is_some(), matches!(spec.kind, StepKind::Agent | StepKind::Approval)),
        ("tool", spec.tool.is_some(), spec.kind == StepKind::Tool),
        ("args", spec.args.is_some(), spec.kind == StepKind::Tool),
        ("schema", spec.schema.is_some(), spec.kind == StepKind::Agent),
        ("max_output_tokens", spec.max_output_tokens.is_some(), spec.kind == StepKind::Agent),
        ("over", spec.over.is_some(), spec.kind == StepKind::Map),
        ("each", spec.each.is_some(), spec.kind == StepKind::Map),
    ];
    match given.iter().find(|(_, given, applies)| *given && !applies) {
        Some((field, ..)) => Err(format!("`{field}` does not apply to a step of this kind")),
        None => Ok(()),
    }
}
