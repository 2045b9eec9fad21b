//! Planned steps as records hold them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Retry, SchemaSpec, StepId, StepKind};

/// A step of a plan that was found valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name.
    pub id: StepId,
    /// A few words for people.
    pub title: Option<String>,
    /// The steps before it.
    pub after: Vec<StepId>,
    /// A dotted path; skipped when what stands there is false, null or missing.
    pub when: Option<String>,
    /// Whether the task goes on when it fails.
    pub optional: bool,
    /// When it is tried again after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// What `{{item}}` stands for in it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub item: Value,
    /// What it does.
    pub action: Action,
}

/// What a step is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The step.
    pub step: StepId,
    /// Its call that waits for the part, where an agent delegated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u32>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// An agent works in turns.
    Agent {
        /// Its name in the [`Pins`].
        agent: String,
        /// The instruction, not yet filled in.
        prompt: String,
        /// The schema of its final answer.
        schema: Option<SchemaSpec>,
        /// The most tokens one answer may have.
        max_output_tokens: Option<u32>,
    },
    /// One tool call.
    Tool {
        /// Its name in the [`Pins`].
        tool: String,
        /// Its arguments, not yet filled in.
        args: Value,
    },
    /// A person approves or denies.
    Approval {
        /// The question, not yet filled in.
        prompt: String,
    },
    /// One step for each item of a list.
    Map {
        /// A dotted path to the list.
        over: String,
        /// What is done for each item.
        each: Box<MapStep>,
    },
    /// The planner's model makes the plan, or makes one for what is left.
    Plan {
        /// The step whose failure it is to mend, if it is not the first plan.
        after_failure: Option<StepId>,
    },
    /// The task's contract is checked.
    Contract,
}

/// What a `map` does for each item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MapStep {
    /// A few words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether the others' results are of use without this one's.
    #[serde(default)]
    pub optional: bool,
    /// When it is tried again after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What it does.
    pub action: Action,
}

impl Action {
    /// Returns the kind as the wire names it.
    pub fn kind(&self) -> StepKind {
        match self {
            Self::Agent { .. } => StepKind::Agent,
            Self::Tool { .. } => StepKind::Tool,
            Self::Approval { .. } => StepKind::Approval,
            Self::Map { .. } => StepKind::Map,
            Self::Plan { .. } => StepKind::Plan,
            Self::Contract => StepKind::Contract,
        }
    }

    /// Returns the agent or tool at work.
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Agent { agent, .. } => Some(agent),
            Self::Tool { tool, .. } => Some(tool),
            Self::Approval { .. } | Self::Map { .. } | Self::Plan { .. } | Self::Contract => None,
        }
    }

    /// Returns whether it goes in turns with a model.
    pub fn has_turns(&self) -> bool {
        match self {
            Self::Agent { .. } | Self::Plan { .. } => true,
            Self::Tool { .. } | Self::Approval { .. } | Self::Map { .. } | Self::Contract => false,
        }
    }
}
