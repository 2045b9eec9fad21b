//! What the planner's model is told, and the schema of its answer.

use serde_json::{Value, json};

use crate::{
    api::StepId,
    journal::record::{Action, Message, Pins},
    machine::{
        context::cut,
        state::{StepState, TaskState},
        values,
    },
};

/// How much of each step's result the planner is shown when it plans anew.
const RESULT_BYTES_MAX: u32 = 2_000;

/// Builds the conversation's beginning: standing instructions, then the goal and what there is to reach it with.
pub(in crate::machine) fn conversation(
    state: &TaskState,
    after_failure: Option<&StepId>,
    bytes_max: u32,
) -> Vec<Message> {
    let mut text = format!("## Goal\n{}\n", state.submitted.goal);
    if !state.submitted.inputs.is_empty() {
        text.push_str("\n## Input files\n");
        for file in &state.submitted.inputs {
            let image = file.image.map(|image| format!(", an image of {}×{} pixels", image.width, image.height));
            text.push_str(&format!("- inputs/{} ({} bytes{})\n", file.name, file.bytes, image.unwrap_or_default()));
        }
    }
    text.push_str("\n## Agents\n");
    for agent in state.pins.agents.values() {
        text.push_str(&format!("- {}: {} Tools: {}.\n", agent.name, agent.description, agent.tools.join(", ")));
    }
    if let Some(failed) = after_failure {
        push_what_was_done(&mut text, state, failed, bytes_max.min(RESULT_BYTES_MAX));
    }
    vec![Message::System { text: state.pins.planner_prompt.clone() }, Message::user(text)]
}

fn push_what_was_done(text: &mut String, state: &TaskState, failed: &StepId, bytes_max: u32) {
    text.push_str(&format!("\n## What was done\nStep {failed} failed. Plan only what is left to do, another way.\n"));
    let done = |step: &&StepState| step.planned.parent.is_none() && !matches!(step.planned.action, Action::Plan { .. });
    for step in state.steps.iter().map(AsRef::as_ref).filter(done) {
        let said = match &step.error {
            Some(error) => error.detail.clone(),
            None => values::as_text(&step.output),
        };
        text.push_str(&format!("\n### {} ({})\n{}\n", step.planned.id, step.status.as_str(), cut(&said, bytes_max)));
    }
    text.push_str("\nThese names are taken; new steps need others. Steps that succeeded may stand in `after`.\n");
}

/// Returns the schema of a plan: agents and tools are named, so a model that is held to it cannot invent any.
pub(in crate::machine) fn schema(pins: &Pins) -> Value {
    let text = |max: u32| json!({ "type": ["string", "null"], "maxLength": max });
    let agents: Vec<Value> = pins.agents.keys().map(|name| json!(name)).chain([Value::Null]).collect();
    let step = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "title", "kind", "agent", "prompt", "after"],
        "properties": {
            "id": { "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$" },
            "title": text(200),
            "kind": { "type": "string", "enum": ["agent", "approval"] },
            "agent": { "enum": agents },
            "prompt": text(8_000),
            "after": { "type": "array", "items": { "type": "string" } },
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["steps"],
        "properties": { "steps": { "type": "array", "minItems": 1, "items": step } },
    })
}
