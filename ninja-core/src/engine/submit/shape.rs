//! What can be said of a request before anything is looked up.

use serde_json::{Map, Value};

use super::invalid;
use crate::{
    api::{ApiError, ErrorCode, PlanSpec, Planning, StepKind, SubmitTask},
    machine::is_too_deep,
    planner::Template,
};

/// A goal is a statement, not a document; documents are files.
const GOAL_BYTES_MAX: usize = 64 * 1024;
/// An agent file is a page of text.
const AGENT_BYTES_MAX: usize = 64 * 1024;
/// Files of one task.
const FILES_MAX: usize = 100;

/// Checks what can be said of a request by itself.
pub(super) fn check(request: &SubmitTask) -> Result<(), ApiError> {
    if request.goal.len() > GOAL_BYTES_MAX {
        return Err(ApiError::new(
            ErrorCode::TooLarge,
            format!("a goal has at most {GOAL_BYTES_MAX} bytes; put the rest in a file"),
        ));
    }
    if request.goal.trim().is_empty() && request.template.is_none() && request.plan.is_none() {
        return Err(invalid("say what is wanted: a `goal`, a `template` or a `plan`"));
    }
    if request.template.is_some() && request.plan.is_some() {
        return Err(invalid("`template` and `plan` both make the plan; give one of them"));
    }
    if request.template.is_none() && !request.params.is_empty() {
        return Err(invalid("`params` belong to a `template`"));
    }
    let is_bare = request.template.is_none() && request.plan.is_none();
    if request.agent.is_some() && !is_bare {
        return Err(invalid("an `agent` does a bare goal; steps of a plan name their own"));
    }
    if request.agent.is_some() && request.planning == Planning::Model {
        return Err(invalid("either an `agent` does the goal or the model plans it; give one of them"));
    }
    if request.agent.as_ref().is_some_and(|agent| agent.len() > AGENT_BYTES_MAX) {
        return Err(invalid(format!("an agent file has at most {AGENT_BYTES_MAX} bytes")));
    }
    if request.params.values().any(is_too_deep) {
        return Err(invalid("`params` are nested too deeply"));
    }
    if request.files.len() > FILES_MAX {
        return Err(invalid(format!("a task takes at most {FILES_MAX} files")));
    }
    Ok(())
}

/// Checks what is given to a template, and fills in its defaults.
pub(super) fn check_template_use(
    template: Option<&Template>,
    request: &SubmitTask,
    files: usize,
) -> Result<Map<String, Value>, ApiError> {
    let Some(template) = template else { return Ok(Map::new()) };
    let (min, max) = (template.files.min, template.files.max);
    if !(min..=max).contains(&files) {
        let takes = if min == max { format!("{min}") } else { format!("{min} to {max}") };
        return Err(invalid(format!("template {} takes {takes} file(s), {files} given", template.name)));
    }
    template.check_params(&request.params).map_err(invalid)
}

/// Returns whether a plan needs a model.
pub(super) fn has_agents(plan: &PlanSpec) -> bool {
    plan.steps
        .iter()
        .any(|step| step.kind == StepKind::Agent || step.each.as_ref().is_some_and(|each| each.kind == StepKind::Agent))
}
