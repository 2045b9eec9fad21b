//! Filling in prompts, arguments and conditions from what the task knows.
//!
//! A path is dotted: `goal`, `params.NAME`, `inputs.0.name`, `steps.ID.output.KEY`, `steps.ID.status`, and within a `map`
//! `item` or `item.KEY`. `{{ path }}` in a text is replaced by what stands there: a string as it is, nothing for null or
//! missing, compact JSON otherwise. Braces around anything else are left as they are.

use serde_json::{Value, json};

use super::state::TaskState;
use crate::journal::record::PlannedStep;

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

/// What a step's paths may name: its task, and its own item.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The task.
    pub state: &'a TaskState,
    /// What `item` stands for.
    pub item: &'a Value,
}

impl<'a> Scope<'a> {
    /// Returns what the paths of a step may name.
    pub(super) fn of(state: &'a TaskState, planned: &'a PlannedStep) -> Self {
        Self { state, item: &planned.item }
    }

    /// Returns what the paths of the task as a whole may name.
    pub(super) fn task(state: &'a TaskState) -> Self {
        Self { state, item: &Value::Null }
    }
}

/// Returns what stands at a dotted path, if anything does.
pub(super) fn look_up(scope: Scope<'_>, path: &str) -> Option<Value> {
    let state = scope.state;
    let mut parts = path.trim().split('.');
    match parts.next()? {
        "item" => descend(scope.item.clone(), parts),
        "goal" => descend(Value::String(state.submitted.goal.clone()), parts),
        "params" => descend(Value::Object(state.submitted.params.clone()), parts),
        "inputs" => descend(inputs(state), parts),
        "steps" => {
            let id = parts.next()?.parse().ok()?;
            let step = state.step(&id)?;
            match parts.next()? {
                "output" => descend(step.output.clone(), parts),
                "status" => Some(Value::String(step.status.as_str().to_owned())),
                "error" => step.error.as_ref().map(|error| Value::String(error.detail.clone())),
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
pub(super) fn holds(scope: Scope<'_>, path: &str) -> bool {
    !matches!(look_up(scope, path), None | Some(Value::Null | Value::Bool(false)))
}

/// A piece of a text with placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that stays as it is.
    Text(&'a str),
    /// A placeholder's path, without the braces around it.
    Path(&'a str),
}

/// Takes a text apart: the one reader of double braces.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut path = None;
    std::iter::from_fn(move || {
        if let Some(path) = path.take() {
            return Some(Piece::Path(path));
        }
        let mut from = 0;
        while let Some(open) = rest.get(from..).and_then(|tail| tail.find("{{")).map(|at| from + at) {
            let Some(close) = rest.get(open + 2..).and_then(|tail| tail.find("}}")).map(|at| open + 2 + at) else {
                break;
            };
            let inner = rest.get(open + 2..close).unwrap_or_default();
            if is_path(inner) {
                let before = rest.get(..open).unwrap_or_default();
                rest = rest.get(close + 2..).unwrap_or_default();
                path = Some(inner.trim());
                return Some(Piece::Text(before));
            }
            from = open + 2;
        }
        (!rest.is_empty()).then(|| Piece::Text(std::mem::take(&mut rest)))
    })
    .filter(|piece| !matches!(piece, Piece::Text("")))
}

/// Calls `found` with each path in the strings of a JSON value.
pub(super) fn paths_in(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => pieces(text).for_each(|piece| {
            if let Piece::Path(path) = piece {
                found(path);
            }
        }),
        Value::Array(items) => items.iter().for_each(|item| paths_in(item, found)),
        Value::Object(map) => map.values().for_each(|item| paths_in(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces each `{{ path }}` in a text.
pub(super) fn fill_text(scope: Scope<'_>, text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            // Outside a `map`, it is text of another language's.
            Piece::Path(path) if scope.item.is_null() && path.starts_with("item") => filled.extend(["{{", path, "}}"]),
            Piece::Path(path) => filled.push_str(&as_text(&look_up(scope, path).unwrap_or_default())),
        }
    }
    filled
}

/// Fills in every string of a JSON value. A string that is one placeholder alone becomes the value itself, so that
/// arguments keep their types.
pub(super) fn fill_value(scope: Scope<'_>, value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut pieces = pieces(text.trim());
            match (pieces.next(), pieces.next()) {
                (Some(Piece::Path(path)), None) if !(scope.item.is_null() && path.starts_with("item")) => {
                    look_up(scope, path).unwrap_or_default()
                }
                _ => Value::String(fill_text(scope, text)),
            }
        }
        Value::Array(items) => items.iter().map(|item| fill_value(scope, item)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), fill_value(scope, item))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Returns whether double braces hold a path of ours: other languages have double braces too.
fn is_path(text: &str) -> bool {
    matches!(text.trim().split('.').next(), Some("goal" | "params" | "inputs" | "steps" | "item"))
}

/// Returns a value as prompts show it.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
