//! `list_files`: what there is.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Tool, ToolError, ToolOutput, ToolRun,
    files::{Files, parse_folder},
    tool::{blocking, define},
};
use crate::{
    api::EffectClass,
    providers::ToolDefinition,
    workspace::{Listed, WorkPath},
};

/// Entries in one answer.
const ENTRIES_MAX: usize = 1_000;

/// Lists files of the workspace and inputs.
#[derive(Debug, Clone, Copy)]
pub struct ListFiles;

#[derive(Deserialize)]
struct Args {
    path: Option<String>,
}

impl Tool for ListFiles {
    fn definition(&self) -> ToolDefinition {
        define(
            "list_files",
            "Lists the files of the workspace with their sizes, in all folders; inputs are below `inputs/`. Folders end with `/`.",
            json!({ "path": { "type": "string", "description": "Only what lies in this folder" } }),
            &[],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: Args = call.parse()?;
            let files = Files::of(&call);
            blocking(move || Ok(list(&files, &args).unwrap_or_else(|refused| refused))).await
        })
    }
}

fn list(files: &Files, args: &Args) -> Result<ToolOutput, ToolOutput> {
    let folder = parse_folder(args.path.as_deref())?;
    let listed = files.list().map_err(|error| ToolOutput::refused(error.to_string()))?;
    let wanted = listed.iter().filter(|(path, _)| lies_in(path, folder.as_ref()));
    let mut entries: Vec<Value> = wanted.map(|(path, listed)| entry(path, *listed)).collect();
    if let (true, Some(folder)) = (entries.is_empty(), folder) {
        return Err(ToolOutput::refused(format!(
            "there is nothing in `{folder}`; list_files without a path shows all"
        )));
    }
    let total = entries.len();
    entries.truncate(ENTRIES_MAX);
    let output = ToolOutput::done(json!({ "files": entries }));
    Ok(match total.checked_sub(ENTRIES_MAX) {
        Some(missing @ 1..) => output.with("missing", missing),
        Some(0) | None => output,
    })
}

fn entry(path: &WorkPath, listed: Listed) -> Value {
    match listed {
        Listed::File { bytes } => json!({ "path": path, "bytes": bytes }),
        Listed::Folder => json!({ "path": format!("{path}/") }),
        Listed::Link => json!({ "path": path, "link": true }),
        Listed::Special => json!({ "path": path, "special": true }),
    }
}

/// Returns whether a path is a folder or lies in it.
pub(super) fn lies_in(path: &WorkPath, folder: Option<&WorkPath>) -> bool {
    folder.is_none_or(|folder| {
        let rest = path.as_str().strip_prefix(folder.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
