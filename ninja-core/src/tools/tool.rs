//! The [`Tool`] trait and what goes in and out of it.

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{EffectClass, StepId, TaskId},
    providers::ToolDefinition,
    sandbox::{Mount, Sandbox, SandboxLimits},
    workspace::WorkspaceDir,
};

/// Something an agent or a plan can do.
pub trait Tool: Send + Sync + 'static {
    /// Returns the tool as a model sees it.
    fn definition(&self) -> ToolDefinition;

    /// Returns what happens when a crash falls between its intent and its receipt.
    fn effect_class(&self) -> EffectClass;

    /// Runs one call, whose arguments match the schema. When `cancel` fires it ends with [`ToolError::Cancelled`] and
    /// nothing of it goes on; dropping the future has the same effect, without waiting.
    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>>;
}

/// One call and what it may use.
#[derive(Clone)]
pub struct ToolRun<'a> {
    /// Its arguments.
    pub args: &'a Value,
    /// `task/step/call-seq`: the same when the call is run again.
    pub key: String,
    /// The task it belongs to.
    pub task: TaskId,
    /// The step it belongs to.
    pub step: &'a StepId,
    /// The step's folder, prepared.
    pub workspace: &'a WorkspaceDir,
    /// Inputs, the request, the template: read-only.
    pub mounts: &'a [Mount],
    /// Environment of processes, added to a plain one.
    pub env: &'a [(String, String)],
    /// What processes may use.
    pub limits: SandboxLimits,
    /// Where processes run.
    pub sandbox: &'a dyn Sandbox,
    /// Fires when the call is to end.
    pub cancel: CancellationToken,
}

impl ToolRun<'_> {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// [`ToolError::InvalidArgs`] where they are not what the tool takes.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ToolError> {
        T::deserialize(self.args).map_err(|error| ToolError::InvalidArgs(error.to_string()))
    }
}

/// What a tool says.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    /// Whether it did what it was asked. If not, the output says why: it is told to the model, or fails a direct step.
    pub ok: bool,
    /// The result.
    pub output: Value,
    /// Processes that had to be killed at the end.
    pub killed: u32,
    /// What it shows to a model that asked.
    pub images: Vec<ShownFile>,
}

/// A file that a tool shows. Whether it is an image is for its content to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownFile {
    /// What people and models call it.
    pub name: String,
    /// Its content.
    pub bytes: Bytes,
}

impl ToolOutput {
    /// Makes the output of a tool that did what it was asked.
    pub fn done(output: Value) -> Self {
        Self { ok: true, output, killed: 0, images: Vec::new() }
    }

    /// Adds a field to an output that is an object.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(fields) = &mut self.output {
            fields.insert(field.to_owned(), value.into());
        }
        self
    }

    /// Shows a file beside the output.
    #[must_use]
    pub fn showing(mut self, name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        self.images.push(ShownFile { name: name.into(), bytes: bytes.into() });
        self
    }

    /// Makes the output of a tool that could not: `{"error": reason}`.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { ok: false, output: json!({ "error": reason.into() }), killed: 0, images: Vec::new() }
    }
}

/// Why a call has no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The tool runs code and there is no isolation on this machine; the text says how to get it.
    #[error("no sandbox: {0}")]
    NoSandbox(String),
    /// The call was cancelled, and nothing of it is alive.
    #[error("the call was cancelled")]
    Cancelled {
        /// Processes that were killed.
        killed: u32,
    },
    /// What ran it ended under it; nothing of it is alive. It may run again where its effect class allows.
    #[error("the call was interrupted")]
    Interrupted {
        /// Whether this call is what ended it.
        blamed: bool,
    },
    /// The arguments are not what the tool takes; the text says what is wrong.
    #[error("invalid arguments: {0}")]
    InvalidArgs(String),
    /// A defect, here or in the machine.
    #[error("failed to run the tool: {0}")]
    Internal(String),
}

/// Runs blocking work of a tool off the async threads.
pub(super) async fn blocking(
    work: impl FnOnce() -> Result<ToolOutput, ToolError> + Send + 'static,
) -> Result<ToolOutput, ToolError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ToolError::Internal(error.to_string()))?
}

/// Makes a definition whose arguments are an object with these properties and no others.
pub(super) fn define(name: &str, description: &str, properties: Value, required: &[&str]) -> ToolDefinition {
    let schema =
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    ToolDefinition { name: name.to_owned(), description: description.to_owned(), schema }
}
