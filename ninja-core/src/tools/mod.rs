//! Tools contract (placeholder for compile).
use crate::{
    api::{EffectClass, StepId, TaskId},
    providers::ToolDefinition,
    sandbox::{Mount, Sandbox, SandboxLimits},
    workspace::WorkspaceDir,
};
use futures::future::BoxFuture;
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;
/// T
pub trait Tool: Send + Sync + 'static {
    /// d
    fn definition(&self) -> ToolDefinition;
    /// d
    fn effect_class(&self) -> EffectClass;
    /// d
    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>>;
}
/// d
#[allow(missing_docs)]
pub struct ToolRun<'a> {
    pub args: &'a serde_json::Value,
    pub key: String,
    pub task: TaskId,
    pub step: &'a StepId,
    pub workspace: &'a WorkspaceDir,
    pub mounts: &'a [Mount],
    pub env: &'a [(String, String)],
    pub limits: SandboxLimits,
    pub sandbox: &'a dyn Sandbox,
    pub cancel: CancellationToken,
}
/// d
#[allow(missing_docs)]
pub struct ToolOutput {
    pub ok: bool,
    pub output: serde_json::Value,
    pub killed: u32,
}
/// d
#[allow(missing_docs)]
pub enum ToolError {
    NoSandbox(String),
    Cancelled { killed: u32 },
    Interrupted,
    InvalidArgs(String),
    Internal(String),
}
/// d
#[derive(Clone, Default)]
pub struct ToolSet(BTreeMap<String, Arc<dyn Tool>>);
#[allow(missing_docs)]
impl ToolSet {
    pub fn builtin() -> Self {
        Self::default()
    }
    pub fn with(mut self, tool: Arc<dyn Tool>) -> Self {
        self.0.insert(tool.definition().name, tool);
        self
    }
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.0.get(name)
    }
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        self.0.values()
    }
}
