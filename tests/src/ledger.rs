//! The external witness: a file outside the data directory to which tools append what they really did.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::BoxFuture;
use ninja_core::{
    api::EffectClass,
    providers::ToolDefinition,
    tools::{Tool, ToolError, ToolOutput, ToolRun},
};
use serde_json::{Value, json};

/// The file.
#[derive(Debug, Clone)]
pub struct Ledger(PathBuf);

impl Ledger {
    /// Names the file.
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }

    /// Appends a line, synced.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be written.
    pub fn append(&self, line: &str) -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()
    }

    /// Returns the lines so far; none where the file is not there yet.
    pub fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.0).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// A tool that does nothing but write its key into the ledger, slowly enough to be killed before, between and after.
pub struct LedgerTool {
    name: &'static str,
    class: EffectClass,
    ledger: Ledger,
}

impl LedgerTool {
    /// Makes the tool.
    pub fn new(name: &'static str, class: EffectClass, ledger: Ledger) -> Self {
        Self { name, class, ledger }
    }
}

impl Tool for LedgerTool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: self.name.to_owned(),
            description: "Writes a line into the ledger.".to_owned(),
            schema: json!({ "type": "object" }),
        }
    }

    fn effect_class(&self) -> EffectClass {
        self.class
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let line = format!("{} {}", self.name, call.key);
            self.ledger.append(&line).map_err(|error| ToolError::Internal(error.to_string()))?;
            tokio::time::sleep(Duration::from_millis(3)).await;
            Ok(ToolOutput { ok: true, output: Value::String(line), killed: 0, images: Vec::new() })
        })
    }
}
