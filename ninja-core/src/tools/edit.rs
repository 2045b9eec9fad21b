//! `edit_file`: replaces a text that occurs in a file.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{
    Tool, ToolError, ToolOutput, ToolRun,
    files::{Files, parse_path, refused},
    tool::{blocking, define},
    write::replace,
};
use crate::{api::EffectClass, providers::ToolDefinition};

/// The largest file that is edited: beyond it, a program is the better tool.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Replaces text in a file of the workspace.
#[derive(Debug, Clone, Copy)]
pub struct EditFile;

#[derive(Deserialize)]
struct Args {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    all: bool,
}

impl Tool for EditFile {
    fn definition(&self) -> ToolDefinition {
        define(
            "edit_file",
            "Replaces `old` by `new` in a text file of the workspace. `old` must occur exactly once, unless `all` is true.",
            json!({
                "path": { "type": "string", "description": "Relative path" },
                "old": { "type": "string", "minLength": 1, "description": "The text as it stands in the file, character by character" },
                "new": { "type": "string", "description": "What takes its place" },
                "all": { "type": "boolean", "description": "Replace every occurrence" },
            }),
            &["path", "old", "new"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Workspace
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: Args = call.parse()?;
            let files = Files::of(&call);
            blocking(move || Ok(edit(&files, &args).unwrap_or_else(|refused| refused))).await
        })
    }
}

fn edit(files: &Files, args: &Args) -> Result<ToolOutput, ToolOutput> {
    let path = parse_path(&args.path)?;
    let mut file = files.open(&path).map_err(|error| refused(&path, &error))?;
    if file.bytes > FILE_BYTES_MAX {
        return Err(ToolOutput::refused(format!("`{path}` is larger than 4 MiB; edit it with shell or python")));
    }
    let bytes = file.read_at(0, FILE_BYTES_MAX).map_err(|error| refused(&path, &error))?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| ToolOutput::refused(format!("`{path}` is not UTF-8; edit it with shell or python")))?;
    let found = if args.old.is_empty() { 0 } else { text.matches(&args.old).count() };
    match found {
        0 => Err(ToolOutput::refused(format!(
            "`old` does not occur in `{path}`; read the file and copy the text exactly"
        ))),
        2.. if !args.all => Err(ToolOutput::refused(format!(
            "`old` occurs {found} times in `{path}`; give more of the text around it, or set `all`"
        ))),
        _ => {
            replace(files, &path, &text.replace(&args.old, &args.new))?;
            Ok(ToolOutput::done(json!({ "path": path, "replaced": found })))
        }
    }
}
