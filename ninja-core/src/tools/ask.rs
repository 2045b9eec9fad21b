//! `ask`: a question to a person. Only a definition: the engine turns the call into an approval and waits.

use futures::future::BoxFuture;
use serde_json::json;

use super::{Tool, ToolError, ToolOutput, ToolRun, tool::define};
use crate::{api::EffectClass, providers::ToolDefinition};

/// Asks the person whose task it is.
#[derive(Debug, Clone, Copy)]
pub struct Ask;

impl Tool for Ask {
    fn definition(&self) -> ToolDefinition {
        define(
            "ask",
            "Asks the person whose task this is, and waits for the answer. Only for what you cannot find out or decide.",
            json!({ "question": { "type": "string", "minLength": 1, "description": "One clear question" } }),
            &["question"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, _call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async { Err(ToolError::Internal("answered by the engine".to_owned())) })
    }
}
