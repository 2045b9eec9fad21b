//! The catalogue of tools.

use std::{collections::BTreeMap, sync::Arc};

use jsonschema::Validator;
use serde_json::Value;

use super::{Ask, EditFile, ListFiles, Python, ReadFile, SearchFiles, Shell, Tool, ToolError, WriteFile};
use crate::providers::ToolDefinition;

/// Faults told at a time: a model corrects a few, and is confused by many.
const FAULTS_MAX: usize = 3;

/// The longest text of a fault, in characters.
const FAULT_CHARS_MAX: usize = 300;

/// Tools by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct ToolSet {
    tools: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    tool: Arc<dyn Tool>,
    /// The compiled schema, or why it is none.
    validator: Arc<Result<Validator, String>>,
}

impl std::fmt::Debug for ToolSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.tools.keys()).finish()
    }
}

impl ToolSet {
    /// Returns the tools that come with Ninja.
    pub fn builtin() -> Self {
        let files = Self::default().with(ReadFile).with(WriteFile).with(EditFile).with(ListFiles).with(SearchFiles);
        files.with(Shell).with(Python).with(Ask)
    }

    /// Adds a tool. One of the same name is replaced.
    #[must_use]
    pub fn with(mut self, tool: impl Tool) -> Self {
        let definition = tool.definition();
        let validator = jsonschema::validator_for(&definition.schema).map_err(|error| error.to_string());
        self.tools.insert(definition.name, Entry { tool: Arc::new(tool), validator: Arc::new(validator) });
        self
    }

    /// Returns a tool.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name).map(|entry| &entry.tool)
    }

    /// Returns the names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// Returns the definitions of all tools, in the order of their names.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        self.tools.values().map(|entry| entry.tool.definition()).collect()
    }

    /// Checks a call's arguments against the tool's schema.
    ///
    /// # Errors
    ///
    /// [`ToolError::InvalidArgs`] with what is wrong in words that a model can act on; also where there is no such
    /// tool.
    pub fn validate_args(&self, name: &str, args: &Value) -> Result<(), ToolError> {
        let Some(entry) = self.tools.get(name) else {
            let names: Vec<&str> = self.names().collect();
            return Err(ToolError::InvalidArgs(format!("there is no tool `{name}`; there are {}", names.join(", "))));
        };
        let validator = match entry.validator.as_ref() {
            Ok(validator) => validator,
            Err(error) => return Err(ToolError::Internal(format!("the schema of `{name}` is not one: {error}"))),
        };
        let faults: Vec<String> = validator.iter_errors(args).take(FAULTS_MAX).map(|fault| describe(&fault)).collect();
        match faults.is_empty() {
            true => Ok(()),
            false => Err(ToolError::InvalidArgs(faults.join("; "))),
        }
    }
}

fn describe(fault: &jsonschema::ValidationError<'_>) -> String {
    let at = fault.instance_path().to_string();
    let at = if at.is_empty() { "the arguments" } else { at.trim_start_matches('/') };
    format!("{at}: {}", fault.masked()).chars().take(FAULT_CHARS_MAX).collect()
}
