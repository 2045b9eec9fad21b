//! The parts of a check that are written in languages of their own, read and refused with a sentence. Planners ask here
//! before they take a contract.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use crate::workspace::WorkPath;

/// The largest compiled expression: beyond it, matching would be slow.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The longest part of a compiler's complaint that is told.
const COMPLAINT_CHARS_MAX: usize = 300;

/// Checks that a text is a regular expression as `check_file` takes it.
///
/// # Errors
///
/// Fails with a sentence that says what is wrong.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    compile_pattern(pattern).map(drop)
}

/// Checks that a value is a JSON Schema as `check_file` takes it.
///
/// # Errors
///
/// Fails with a sentence that says what is wrong.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    compile_schema(schema).map(drop)
}

/// Checks that a text is a path as `check_file` takes it: of a file in the workspace, with `*` in one of its names at most.
///
/// # Errors
///
/// Fails with a sentence that says what is wrong.
pub fn check_path_pattern(path: &str) -> Result<(), String> {
    parse_path_pattern(path).map(drop)
}

/// `^` and `$` match at lines, as they do in `search_files`.
pub(super) fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).multi_line(true).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| shorten(format!("the pattern cannot be used: {error}")))
}

pub(super) fn compile_schema(schema: &Value) -> Result<jsonschema::Validator, String> {
    jsonschema::validator_for(schema).map_err(|error| shorten(format!("the schema cannot be used: {error}")))
}

/// Which files are meant.
#[derive(Debug)]
pub(super) enum PathPattern {
    /// This one.
    One(WorkPath),
    /// All whose path matches.
    All(regex::Regex),
}

pub(super) fn parse_path_pattern(text: &str) -> Result<PathPattern, String> {
    let relative = text.strip_prefix("/workspace/").or_else(|| text.strip_prefix("./")).unwrap_or(text);
    let path: WorkPath = relative.parse().map_err(|error| format!("{error}"))?;
    match path.names().filter(|name| name.contains('*')).count() {
        0 => Ok(PathPattern::One(path)),
        1 if !path.as_str().contains("**") => {
            let pieces: Vec<String> = path.as_str().split('*').map(regex::escape).collect();
            let compiled = regex::Regex::new(&format!("^{}$", pieces.join("[^/]*")));
            compiled.map(PathPattern::All).map_err(|error| shorten(format!("`{path}` cannot be used: {error}")))
        }
        _ => Err(format!("`{path}`: `*` may stand in one name of a path only, and stands for a part of that name")),
    }
}

fn shorten(complaint: String) -> String {
    let joined = complaint.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.chars().take(COMPLAINT_CHARS_MAX).collect()
}
