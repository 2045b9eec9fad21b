//! What comes of running a task's machine again, of holding two tasks beside each other, and what an agent may do.

use serde::{Deserialize, Serialize};

use super::{AgentLimits, EffectClass, Event, EventBody, ModelClass, ModelRef, TaskId, TaskStatus};

/// The answer of `GET /tasks/{id}/replay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayReport {
    /// The task.
    pub task: TaskId,
    /// Whether everything was decided again as it stands in the log, and every artifact is whole.
    pub same: bool,
    /// Records of the log.
    pub records: u64,
    /// Those that were decided again just as they stand there.
    pub decided: u64,
    /// Those that were not the machine's to decide: the submission with its plan, and what a fork shares with its origin.
    pub given: u64,
    /// Those that no machine decided: the end of a task that was set aside.
    pub external: u64,
    /// Outcomes of model and tool calls that were taken from the log.
    pub outcomes_reused: u64,
    /// Calls that the replay made to a model: none, ever.
    pub provider_calls: u64,
    /// How the task stands at the end of the replay.
    pub status: TaskStatus,
    /// Artifacts whose content was read and hashed.
    pub artifacts_checked: u64,
    /// The paths of those that are missing or not what they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts_damaged: Vec<String>,
    /// Where the machine decides otherwise now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<ReplayDifference>,
}

/// The first record that is not what is decided now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayDifference {
    /// Its number.
    pub seq: u64,
    /// What stands in the log; absent where the log ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<EventBody>,
    /// What is decided now; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<EventBody>,
    /// The first field in which they differ, where both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<FieldDifference>,
}

/// The first field in which two things differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldDifference {
    /// Its path, with dots.
    pub path: String,
    /// What the first has there, as JSON, cut; absent where it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    /// What the second has there, as JSON, cut; absent where it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

/// The answer of `GET /tasks/{id}/diff/{other}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskDiff {
    /// The first task.
    pub a: ComparedTask,
    /// The second task.
    pub b: ComparedTask,
    /// Whether nothing differs but the model, ids, times, costs and the order of what ran side by side.
    pub same: bool,
    /// Events that both tasks have alike.
    pub equal_events: u64,
    /// The first events that differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<EventDifference>,
}

/// One of two tasks that are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComparedTask {
    /// Its id.
    pub task: TaskId,
    /// The model that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// How it stands.
    pub status: TaskStatus,
    /// How many events it has.
    pub events: u64,
}

/// Two events in the same place that are not alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventDifference {
    /// The first task's; absent where it has none in this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a: Option<Event>,
    /// The second task's; absent where it has none in this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b: Option<Event>,
    /// The first field in which they differ, where both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<FieldDifference>,
}

/// The answer of `GET /agents/{type}/capabilities`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentCapabilities {
    /// The agent's name.
    pub agent: String,
    /// How capable a model it wants.
    pub model_class: ModelClass,
    /// What one step of it may use.
    pub limits: AgentLimits,
    /// The tools it may call.
    pub tools: Vec<ToolInfo>,
    /// The agents that it may hand work to, where it may delegate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<String>,
}

/// A tool as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolInfo {
    /// Its name.
    pub name: String,
    /// What it does, as models are told.
    pub description: String,
    /// What a crash means for a call of it.
    pub effect: EffectClass,
}
