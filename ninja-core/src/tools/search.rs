//! `search_files`: lines that match a regular expression.

use futures::future::BoxFuture;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Tool, ToolError, ToolOutput, ToolRun,
    files::{Files, parse_folder},
    glob,
    list::lies_in,
    tool::{blocking, define},
};
use crate::{
    api::EffectClass,
    providers::ToolDefinition,
    workspace::{Listed, WorkPath},
};

/// Lines in one answer.
const MATCHES_MAX: usize = 200;

/// The longest line told, in characters.
const LINE_CHARS_MAX: usize = 300;

/// Larger files are passed over and named.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The largest compiled expression: beyond it, matching would be slow.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Searches files of the workspace and inputs.
#[derive(Debug, Clone, Copy)]
pub struct SearchFiles;

#[derive(Deserialize)]
struct Args {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
}

impl Tool for SearchFiles {
    fn definition(&self) -> ToolDefinition {
        define(
            "search_files",
            "Searches the lines of text files in the workspace and in `inputs/` for a regular expression.",
            json!({
                "pattern": { "type": "string", "minLength": 1, "description": "Regular expression, without look-around" },
                "path": { "type": "string", "description": "Only in this folder or file" },
                "glob": { "type": "string", "description": "Only in files with such a name, such as `*.py` or `src/**/*.rs`" },
            }),
            &["pattern"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: Args = call.parse()?;
            let (files, cancel) = (Files::of(&call), call.cancel.child_token());
            // A dropped future cancels as well, so that the thread ends.
            let _dropped = cancel.clone().drop_guard();
            blocking(move || search(&files, &args, &cancel).unwrap_or_else(Ok)).await
        })
    }
}

type Outcome = Result<Result<ToolOutput, ToolError>, ToolOutput>;

fn search(files: &Files, args: &Args, cancel: &CancellationToken) -> Outcome {
    let refused = |what: &str, error: regex::Error| ToolOutput::refused(format!("`{what}` is not understood: {error}"));
    let pattern = RegexBuilder::new(&args.pattern).size_limit(PATTERN_BYTES_MAX).build();
    let pattern = pattern.map_err(|error| refused("pattern", error))?;
    let glob = args.glob.as_deref().map(glob::compile).transpose().map_err(|error| refused("glob", error))?;
    let folder = parse_folder(args.path.as_deref())?;
    let listed = files.list().map_err(|error| ToolOutput::refused(error.to_string()))?;
    let (mut matches, mut passed_over, mut searched) = (Vec::new(), Vec::new(), 0);
    for (path, listed) in listed {
        let Listed::File { bytes } = listed else { continue };
        if !lies_in(&path, folder.as_ref()) || glob.as_ref().is_some_and(|glob| !glob.is_match(path.as_str())) {
            continue;
        }
        if cancel.is_cancelled() {
            return Ok(Err(ToolError::Cancelled { killed: 0 }));
        }
        match text(files, &path, bytes) {
            Some(content) => search_one(&pattern, &path, &content, &mut matches),
            None => passed_over.push(path),
        }
        searched += 1;
        if matches.len() > MATCHES_MAX {
            break;
        }
    }
    let truncated = matches.len() > MATCHES_MAX;
    matches.truncate(MATCHES_MAX);
    passed_over.truncate(20);
    let output = ToolOutput::done(json!({ "matches": matches, "files_searched": searched, "truncated": truncated }));
    Ok(Ok(if passed_over.is_empty() { output } else { output.with("passed_over", json!(passed_over)) }))
}

/// Returns a file's bytes; `None` for a large, binary or unreadable one.
fn text(files: &Files, path: &WorkPath, bytes: u64) -> Option<Vec<u8>> {
    if bytes > FILE_BYTES_MAX {
        return None;
    }
    let content = files.open(path).ok()?.read_at(0, FILE_BYTES_MAX).ok()?;
    (!content.contains(&0)).then_some(content)
}

fn search_one(pattern: &Regex, path: &WorkPath, content: &[u8], matches: &mut Vec<Value>) {
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        if pattern.is_match(line) {
            let text: String = String::from_utf8_lossy(line).chars().take(LINE_CHARS_MAX).collect();
            matches.push(json!({ "path": path, "line": index + 1, "text": text.trim_end_matches('\r') }));
            if matches.len() > MATCHES_MAX {
                return;
            }
        }
    }
}
