//! Agents: a Markdown file with front matter, naming tools, model class and limits.

use serde::{Deserialize, Serialize};

/// How capable a model the agent wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ModelClass {
    /// Quick and cheap.
    Fast,
    /// The usual.
    #[default]
    Balanced,
    /// The most capable.
    Best,
}

/// What one step of the agent may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AgentLimits {
    /// Model calls in one step.
    pub turns: u32,
    /// Tokens in one answer.
    pub output_tokens: u32,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self { turns: 20, output_tokens: 2_048 }
    }
}

/// A specialist: what it is told and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name, as plans say it.
    pub name: String,
    /// One sentence for people and planners.
    pub description: String,
    /// How capable a model it wants.
    #[serde(default)]
    pub model_class: ModelClass,
    /// The tools it may call.
    #[serde(default)]
    pub tools: Vec<String>,
    /// The agents that it may delegate to beside those whose tools are all its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<String>,
    /// Its limits.
    #[serde(default)]
    pub limits: AgentLimits,
    /// The system prompt: the body of its file.
    #[serde(default)]
    pub prompt: String,
}
