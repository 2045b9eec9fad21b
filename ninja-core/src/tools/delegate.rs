//! `delegate`: a piece of an agent's work for another agent. Only a definition: the machine turns the call into a step of
//! the same task and ends the call with that step's result.

use futures::future::BoxFuture;
use serde_json::json;

use super::{Tool, ToolError, ToolOutput, ToolRun, tool::define};
use crate::{api::EffectClass, providers::ToolDefinition};

/// Gives a piece of work to another agent.
#[derive(Debug, Clone, Copy)]
pub struct Delegate;

impl Tool for Delegate {
    fn definition(&self) -> ToolDefinition {
        define(
            "delegate",
            "Gives a piece of work to another agent and returns its answer. It sees the files of your workspace as they are now, \
             and what it changes is there when you go on. Several at once work side by side without seeing each other's changes.",
            json!({
                "agent": { "type": "string", "minLength": 1, "description": "The agent's name" },
                "task": { "type": "string", "minLength": 1, "description": "What to do, complete in itself" },
            }),
            &["agent", "task"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, _call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async { Err(ToolError::Internal("made into a step by the engine".to_owned())) })
    }
}
