//! Plans: a graph of steps, as a request or a template states it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StepId;

/// What happens when a crash falls between a call's intent and its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Changes nothing: run again.
    Pure,
    /// A model call: settle the lost attempt at its reserve, then run again.
    Charged,
    /// Changes the sandbox's workspace only: restore the last manifest, run again.
    Workspace,
    /// Carries a key that makes repetition harmless: run again with the same key.
    Idempotent,
    /// Can be asked whether it happened; unknown counts as `unsafe`.
    Probe,
    /// Never again by itself: a person says whether it happened.
    Unsafe,
}

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// An agent works in turns with a model and tools.
    Agent,
    /// One direct tool call, no model.
    Tool,
    /// A person approves or denies.
    Approval,
    /// One step for each item of a list.
    Map,
    /// The planner's model makes or mends the plan. Added by the machine, never planned.
    Plan,
    /// The task's contract is checked. Added by the machine, never planned.
    Contract,
}

impl StepKind {
    /// Returns its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Approval => "approval",
            Self::Map => "map",
            Self::Plan => "plan",
            Self::Contract => "contract",
        }
    }
}

/// When a step that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all: 2 to 10.
    pub attempts: u32,
    /// The wait before the second attempt, in milliseconds; it doubles with each further one, up to ten minutes.
    #[serde(default)]
    pub wait_ms: u64,
}

/// Where the JSON Schema of an agent step's answer comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SchemaSpec {
    /// The schema itself.
    Inline(Value),
    /// A dotted path into an earlier step's output, such as `steps.profile.output.schema`.
    From(String),
}

/// One step of an explicit plan. Which fields apply depends on `kind`; a field that does not apply is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// The step's name; `step_1`, `step_2`, … by position where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<StepId>,
    /// What the step does.
    pub kind: StepKind,
    /// A few words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `agent`: the agent's name; the configured default where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// `agent`, `approval`: the instruction; `{{goal}}`, `{{params.x}}` and `{{steps.ID.output}}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// `tool`: the tool's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// `tool`: its arguments; strings in them are filled in like prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
    /// `agent`: the schema that the final answer must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaSpec>,
    /// `map`: a dotted path to the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// `map`: what is done for each item: an `agent`, `tool` or `approval` step without `id`, `after` or `when`. `{{item}}` and
    /// `{{item.FIELD}}` in it are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub each: Option<Box<StepSpec>>,
    /// When it is tried again after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// A dotted path; the step is skipped when what stands there is false, null or missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether the task goes on when this step fails; later steps see its status.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// `agent`: the most tokens one answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// The steps that must have ended before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepId>,
}

impl StepSpec {
    /// Makes a step of a kind with nothing else said.
    pub fn new(kind: StepKind) -> Self {
        Self {
            id: None,
            kind,
            title: None,
            agent: None,
            prompt: None,
            tool: None,
            args: None,
            schema: None,
            over: None,
            each: None,
            retry: None,
            when: None,
            optional: false,
            max_output_tokens: None,
            after: Vec::new(),
        }
    }
}

/// An explicit plan: at most 1,000 steps, without cycles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanSpec {
    /// The steps, in any order.
    pub steps: Vec<StepSpec>,
}
