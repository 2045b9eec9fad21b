//! Filling in prompts, arguments and conditions from what the task knows.
//!
//! A path is dotted: `goal`, `params.NAME`, `inputs.0.name`, `steps.ID.output.KEY`, `steps.ID.status`. `{{ path }}` in a
//! text is replaced by what stands there: a string as it is, nothing for null or missing, compact JSON otherwise. Braces
//! around anything else are left as they are.

use serde_json::{Value, json};

use super::state::TaskState;

/// Levels of nesting that a value may have. JSON is read back to 128 levels and a record adds its own, so what is nested
/// deeper would make a log that nobody can read.
const DEPTH_MAX: usize = 64;

/// Returns whether a value is nested too deeply to be recorded.
pub fn is_too_deep(value: &Value) -> bool {
    fn fits(value: &Value, levels: usize) -> bool {
        match value {
            Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
            Value::Object(map) => levels > 0 && map.values().all(|item| fits(item, levels - 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    !fits(value, DEPTH_MAX)
}

/// Returns what stands at a dotted path, if anything does.
pub(super) fn look_up(state: &TaskState, path: &str) -> Option<Value> {
    let mut parts = path.trim().split('.');
    match parts.next()? {
        "goal" => descend(Value::String(state.submitted.goal.clone()), parts),
        "params" => descend(Value::Object(state.submitted.params.clone()), parts),
        "inputs" => descend(inputs(state), parts),
        "steps" => {
            let id = parts.next()?.parse().ok()?;
            let step = state.step(&id)?;
            match parts.next()? {
                "output" => descend(step.output.clone(), parts),
                "status" => Some(Value::String(step.status.as_str().to_owned())),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns what scripts of a template may read about their task; it reaches them as a file, never as code.
pub fn request_document(state: &TaskState) -> Value {
    let steps = state.steps.iter().map(|step| {
        let document = json!({ "status": step.status.as_str(), "output": step.output });
        (step.planned.id.to_string(), document)
    });
    let model = state.submitted.model.as_ref();
    json!({
        "goal": state.submitted.goal,
        "params": state.submitted.params,
        "inputs": inputs(state),
        "steps": steps.collect::<serde_json::Map<_, _>>(),
        "provider": model.map(|pinned| json!({
            "name": pinned.model.provider,
            "model": pinned.model.model,
            "label": pinned.info.label,
        })),
    })
}

/// Returns the inputs as scripts and prompts see them.
pub(super) fn inputs(state: &TaskState) -> Value {
    let one = |file: &crate::journal::record::InputFile| json!({ "path": format!("inputs/{}", file.name), "name": file.name, "bytes": file.bytes, "sha256": file.blob });
    state.submitted.inputs.iter().map(one).collect()
}

fn descend<'a>(mut value: Value, path: impl Iterator<Item = &'a str>) -> Option<Value> {
    for part in path {
        value = match value {
            Value::Object(mut map) => map.remove(part)?,
            Value::Array(mut items) => {
                let index: usize = part.parse().ok()?;
                if index >= items.len() {
                    return None;
                }
                items.swap_remove(index)
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Returns whether a condition holds: what stands at `path` is neither false nor null nor missing.
pub(super) fn holds(state: &TaskState, path: &str) -> bool {
    !matches!(look_up(state, path), None | Some(Value::Null | Value::Bool(false)))
}

/// Replaces each `{{ path }}` in a text.
pub(super) fn fill_text(state: &TaskState, text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{{") {
        let Some((path, after)) = from.split_once("}}") else { break };
        filled.push_str(before);
        match is_path(path) {
            true => filled.push_str(&as_text(&look_up(state, path).unwrap_or_default())),
            false => filled.extend(["{{", path, "}}"]),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Fills in every string of a JSON value. A string that is one placeholder alone becomes the value itself, so that
/// arguments keep their types.
pub(super) fn fill_value(state: &TaskState, value: &Value) -> Value {
    match value {
        Value::String(text) => match lone_placeholder(text) {
            Some(path) => look_up(state, path).unwrap_or_default(),
            None => Value::String(fill_text(state, text)),
        },
        Value::Array(items) => items.iter().map(|item| fill_value(state, item)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), fill_value(state, item))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn lone_placeholder(text: &str) -> Option<&str> {
    let path = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!path.contains("{{") && !path.contains("}}") && is_path(path)).then_some(path)
}

/// Returns whether double braces hold a path of ours: other languages have double braces too.
fn is_path(text: &str) -> bool {
    matches!(text.trim().split('.').next(), Some("goal" | "params" | "inputs" | "steps"))
}

/// Returns a value as prompts show it.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
