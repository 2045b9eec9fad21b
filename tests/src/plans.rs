//! Explicit plans, shortly.

use ninja_core::api::{PlanSpec, StepSpec, SubmitTask};
use serde_json::{Value, json};

fn step(value: Value) -> StepSpec {
    serde_json::from_value(value).expect("a step of a test")
}

/// Makes a step in which the agent `coder` works.
pub fn agent_step(id: &str, after: &[&str], prompt: &str) -> StepSpec {
    step(json!({ "id": id, "kind": "agent", "agent": "coder", "prompt": prompt, "after": after }))
}

/// Makes a step with one tool call.
pub fn tool_step(id: &str, after: &[&str], tool: &str, args: &Value) -> StepSpec {
    step(json!({ "id": id, "kind": "tool", "tool": tool, "args": args, "after": after }))
}

/// Makes a step that a person approves.
pub fn approval_step(id: &str, after: &[&str], prompt: &str) -> StepSpec {
    step(json!({ "id": id, "kind": "approval", "prompt": prompt, "after": after }))
}

/// Makes a request from steps.
pub fn plan(steps: Vec<StepSpec>) -> SubmitTask {
    SubmitTask { goal: "a test".to_owned(), plan: Some(PlanSpec { steps }), ..SubmitTask::default() }
}
