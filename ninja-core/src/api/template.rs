//! Templates as lists show them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many files a template takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FileCount {
    /// At least.
    pub min: usize,
    /// At most.
    pub max: usize,
}

impl Default for FileCount {
    fn default() -> Self {
        Self { min: 0, max: 100 }
    }
}

/// A template that a task can be made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateInfo {
    /// Its name.
    pub name: String,
    /// A few words for people.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// JSON Schema of its parameters.
    pub parameters: Value,
    /// How many files it takes.
    pub files: FileCount,
}
