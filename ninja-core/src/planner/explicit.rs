//! Explicit plans, and the one-step plan of a bare goal.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::references;
use crate::{
    api::{PlanSpec, SchemaSpec, StepId, StepKind, StepSpec},
    journal::record::{Action, Pins, PlannedStep},
    machine::{PlanError, PlanLimits, check_args, is_too_deep, order_steps},
};

/// Turns an explicit plan into steps, predecessors first.
///
/// # Errors
///
/// Fails where the plan is not a graph of known agents and tools; the error names the step.
pub fn plan_explicit(plan: &PlanSpec, pins: &Pins, default_agent: &str) -> Result<Vec<PlannedStep>, PlanError> {
    let named = (1..).zip(&plan.steps).map(|(position, spec)| (step_id(spec, position), spec));
    let planned = named.map(|(id, spec)| plan_step(id, spec, pins, default_agent)).collect::<Result<_, _>>()?;
    let ordered = order_steps(planned, PlanLimits::default())?;
    references::check(&ordered)?;
    Ok(ordered)
}

/// Makes the plan of a bare goal: the default agent does it in one step.
pub fn plan_goal(default_agent: &str) -> Vec<PlannedStep> {
    let action = Action::Agent {
        agent: default_agent.to_owned(),
        prompt: "{{goal}}".to_owned(),
        schema: None,
        max_output_tokens: None,
    };
    vec![PlannedStep { id: step_name("work"), title: None, after: Vec::new(), when: None, optional: false, action }]
}

fn step_id(spec: &StepSpec, position: usize) -> StepId {
    spec.id.clone().unwrap_or_else(|| step_name(&format!("step_{position}")))
}

fn step_name(name: &str) -> StepId {
    name.parse().expect("a made-up step name is short and plain")
}

fn plan_step(id: StepId, spec: &StepSpec, pins: &Pins, default_agent: &str) -> Result<PlannedStep, PlanError> {
    let action = plan_action(spec, pins, default_agent)
        .and_then(|action| check_unused_fields(spec).map(|()| action))
        .map_err(|what| PlanError::Step { step: id.clone(), what })?;
    Ok(PlannedStep {
        id,
        title: spec.title.clone(),
        after: spec.after.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect(),
        when: spec.when.clone(),
        optional: spec.optional,
        action,
    })
}

fn plan_action(spec: &StepSpec, pins: &Pins, default_agent: &str) -> Result<Action, String> {
    match spec.kind {
        StepKind::Agent => {
            let agent = spec.agent.clone().unwrap_or_else(|| default_agent.to_owned());
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
            let args = spec.args.clone().unwrap_or_else(|| Value::Object(Map::new()));
            check_known_args(pins, &tool, &args)?;
            Ok(Action::Tool { tool, args })
        }
        StepKind::Approval => {
            Ok(Action::Approval { prompt: spec.prompt.clone().ok_or("an approval step has a `prompt`")? })
        }
    }
}

/// Checks arguments that are known now; those with placeholders are checked when these are filled in.
fn check_known_args(pins: &Pins, tool: &str, args: &Value) -> Result<(), String> {
    if !args.is_object() {
        return Err("`args` is an object".to_owned());
    }
    if is_too_deep(args) {
        return Err("`args` are nested too deeply".to_owned());
    }
    match args.to_string().contains("{{") {
        true => Ok(()),
        false => check_args(pins, tool, args).map(drop),
    }
}

fn known<T>(what: &str, name: &str, all: &BTreeMap<String, T>) -> Result<(), String> {
    match all.contains_key(name) {
        true => Ok(()),
        false => {
            let names = all.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(format!("there is no {what} `{name}`; there are: {names}"))
        }
    }
}

/// A field that does not apply to the step's kind is a mistake of its author, who expects something of it.
fn check_unused_fields(spec: &StepSpec) -> Result<(), String> {
    let given = [
        ("agent", spec.agent.is_some(), spec.kind == StepKind::Agent),
        ("prompt", spec.prompt.is_some(), spec.kind != StepKind::Tool),
        ("tool", spec.tool.is_some(), spec.kind == StepKind::Tool),
        ("args", spec.args.is_some(), spec.kind == StepKind::Tool),
        ("schema", spec.schema.is_some(), spec.kind == StepKind::Agent),
        ("max_output_tokens", spec.max_output_tokens.is_some(), spec.kind == StepKind::Agent),
    ];
    match given.iter().find(|(_, given, applies)| *given && !applies) {
        Some((field, ..)) => Err(format!("`{field}` does not apply to a step of this kind")),
        None => Ok(()),
    }
}
