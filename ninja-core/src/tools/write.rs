//! `write_file`: a whole file at once.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{
    Tool, ToolError, ToolOutput, ToolRun,
    files::{Files, parse_path, refused},
    tool::{blocking, define},
};
use crate::{api::EffectClass, providers::ToolDefinition, workspace::WorkPath};

/// Writes a file of the workspace.
#[derive(Debug, Clone, Copy)]
pub struct WriteFile;

#[derive(Deserialize)]
struct Args {
    path: String,
    content: String,
}

impl Tool for WriteFile {
    fn definition(&self) -> ToolDefinition {
        define(
            "write_file",
            "Writes a text file of the workspace whole, making its folders. A file that is there is replaced.",
            json!({
                "path": { "type": "string", "description": "Relative path, such as `report.md`" },
                "content": { "type": "string", "description": "The whole text" },
            }),
            &["path", "content"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Workspace
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: Args = call.parse()?;
            let files = Files::of(&call);
            blocking(move || Ok(write(&files, &args).unwrap_or_else(|refused| refused))).await
        })
    }
}

fn write(files: &Files, args: &Args) -> Result<ToolOutput, ToolOutput> {
    let path = parse_path(&args.path)?;
    replace(files, &path, &args.content)?;
    Ok(ToolOutput::done(json!({ "path": path, "bytes": args.content.len() })))
}

/// Puts a file into the workspace.
pub(super) fn replace(files: &Files, path: &WorkPath, content: &str) -> Result<(), ToolOutput> {
    if files.is_read_only(path) {
        return Err(ToolOutput::refused(format!("`{path}` is an input and read-only; write beside `inputs/`")));
    }
    files.workspace.write_file(path, content.as_bytes()).map_err(|error| refused(path, &error))
}
