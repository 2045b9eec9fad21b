//! `check_file`: whether a file is there, and is what was promised.

use std::io::Read;

use futures::future::BoxFuture;
use regex::bytes::Regex;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    rules::{PathPattern, compile_pattern, compile_schema, parse_path_pattern},
    verdict,
};
use crate::{
    api::EffectClass,
    providers::ToolDefinition,
    tools::{
        Tool, ToolError, ToolOutput, ToolRun,
        files::Files,
        tool::{blocking, define},
        web::text::clean,
    },
    workspace::{FileInfo, Listed, WorkPath},
};

/// The largest file whose content is looked at. Of a larger one only the size and the hash are known.
const CONTENT_BYTES_MAX: u64 = 16 << 20;

/// The most files that one pattern may mean.
const FILES_MAX: usize = 200;

/// How much of what a pattern matched is kept.
const MATCHED_CHARS_MAX: usize = 200;

/// How much is hashed between two looks at whether the call was cancelled.
const PART_BYTES: usize = 1 << 20;

/// Looks at files of the workspace and inputs.
#[derive(Debug, Clone, Copy)]
pub struct CheckFile;

#[derive(Deserialize)]
struct Args {
    path: String,
    #[serde(default)]
    min_bytes: u64,
    pattern: Option<String>,
    schema: Option<Value>,
}

impl Tool for CheckFile {
    fn definition(&self) -> ToolDefinition {
        define(
            "check_file",
            "Checks that a file of the workspace exists and is what was promised. With `*` in one name of the path at least one file must match, and all that do are checked.",
            json!({
                "path": { "type": "string", "minLength": 1, "description": "Relative path, such as `report.md` or `charts/*.png`" },
                "min_bytes": { "type": "integer", "minimum": 0, "description": "Least size" },
                "pattern": { "type": "string", "minLength": 1, "description": "Regular expression that must match somewhere, without look-around; `^` and `$` match at lines" },
                "schema": { "type": ["object", "boolean"], "description": "JSON Schema that the file, which must be JSON, must fit" },
            }),
            &["path"],
        )
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, call: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let args: Args = call.parse()?;
            let promise = Promise::read(&args).map_err(ToolError::InvalidArgs)?;
            let files = Files::of(&call);
            let cancel = call.cancel.clone();
            blocking(move || promise.check(&files, &args.path, &cancel)).await
        })
    }
}

/// What the files must be.
struct Promise {
    path: PathPattern,
    min_bytes: u64,
    pattern: Option<Regex>,
    schema: Option<jsonschema::Validator>,
}

/// What one file is.
struct Seen {
    bytes: u64,
    sha256: String,
    matched: Option<String>,
    why: Option<String>,
}

impl Promise {
    fn read(args: &Args) -> Result<Self, String> {
        Ok(Self {
            path: parse_path_pattern(&args.path)?,
            min_bytes: args.min_bytes,
            pattern: args.pattern.as_deref().map(compile_pattern).transpose()?,
            schema: args.schema.as_ref().map(compile_schema).transpose()?,
        })
    }

    fn check(&self, files: &Files, path: &str, cancel: &CancellationToken) -> Result<ToolOutput, ToolError> {
        match &self.path {
            PathPattern::One(path) => Ok(match self.look(files, path, cancel)? {
                Err(why) => verdict(json!({ "path": path }), Some(why)),
                Ok(seen) => {
                    let why = seen.why.clone();
                    verdict(tell(path, seen), why)
                }
            }),
            PathPattern::All(pattern) => self.check_all(files, path, pattern, cancel),
        }
    }

    fn check_all(
        &self,
        files: &Files,
        path: &str,
        pattern: &regex::Regex,
        cancel: &CancellationToken,
    ) -> Result<ToolOutput, ToolError> {
        let broken = |why: String| Ok(verdict(json!({ "path": path }), Some(why)));
        let listed = match files.list() {
            Ok(listed) => listed,
            Err(error) => return broken(error.to_string()),
        };
        let is_meant = |listed: &(WorkPath, Listed)| {
            matches!(listed.1, Listed::File { .. } | Listed::Link) && pattern.is_match(listed.0.as_str())
        };
        let meant: Vec<WorkPath> = listed.into_iter().filter(is_meant).map(|(path, _)| path).collect();
        if meant.is_empty() {
            return broken(format!("there is no file `{path}`"));
        }
        if meant.len() > FILES_MAX {
            return broken(format!("{} files match `{path}`; at most {FILES_MAX} are checked", meant.len()));
        }
        let (mut told, mut bytes, mut why) = (Vec::new(), 0, None);
        for path in meant {
            match self.look(files, &path, cancel)? {
                Err(refused) => why = why.or(Some(refused)),
                Ok(seen) => {
                    bytes += seen.bytes;
                    why = why.or_else(|| seen.why.clone());
                    told.push(tell(&path, seen));
                }
            }
        }
        Ok(verdict(json!({ "path": path, "bytes": bytes, "files": told }), why))
    }

    /// Looks at one file. The inner error says why it cannot be read.
    fn look(
        &self,
        files: &Files,
        path: &WorkPath,
        cancel: &CancellationToken,
    ) -> Result<Result<Seen, String>, ToolError> {
        let mut file = match files.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Err(format!("there is no file `{path}`")));
            }
            Err(error) => return Ok(Err(format!("`{path}`: {error}"))),
        };
        let wants_content = self.pattern.is_some() || self.schema.is_some();
        let read = read_whole(&mut file, wants_content, cancel)?;
        let (bytes, sha256, content) = match read {
            Ok(read) => read,
            Err(error) => return Ok(Err(format!("`{path}`: {error}"))),
        };
        let mut seen = Seen { bytes, sha256, matched: None, why: None };
        if bytes < self.min_bytes {
            seen.why = Some(format!("`{path}` has {bytes} bytes, not at least {}", self.min_bytes));
        } else if wants_content {
            match content {
                Some(content) => self.judge(path, &content, &mut seen),
                None => seen.why = Some(format!("`{path}` is larger than 16 MiB, so its content is not checked")),
            }
        }
        Ok(Ok(seen))
    }

    fn judge(&self, path: &WorkPath, content: &[u8], seen: &mut Seen) {
        if let Some(pattern) = &self.pattern {
            match pattern.find(content) {
                Some(found) => {
                    let text: String = clean(&String::from_utf8_lossy(found.as_bytes()));
                    seen.matched = Some(text.chars().take(MATCHED_CHARS_MAX).collect());
                }
                None => seen.why = Some(format!("nothing in `{path}` matches `{}`", pattern.as_str())),
            }
        }
        if let (Some(schema), None) = (&self.schema, &seen.why) {
            seen.why = match serde_json::from_slice::<Value>(content) {
                Err(error) => Some(format!("`{path}` is not JSON: {error}")),
                Ok(value) => schema.iter_errors(&value).next().map(|fault| {
                    let at = fault.instance_path().to_string();
                    let place = if at.is_empty() { "/" } else { &at };
                    let rule: String = fault.masked().to_string().chars().take(MATCHED_CHARS_MAX).collect();
                    format!("`{path}` does not fit the schema at {place}: {rule}")
                }),
            };
        }
    }
}

fn tell(path: &WorkPath, seen: Seen) -> Value {
    let mut told = json!({ "path": path, "bytes": seen.bytes, "sha256": seen.sha256 });
    if let (Some(matched), Some(fields)) = (seen.matched, told.as_object_mut()) {
        fields.insert("matched".to_owned(), matched.into());
    }
    told
}

type Whole = (u64, String, Option<Vec<u8>>);

/// Reads a file to its end: its size, its hash, and its content where that is wanted and not too large.
fn read_whole(
    file: &mut FileInfo,
    wants_content: bool,
    cancel: &CancellationToken,
) -> Result<std::io::Result<Whole>, ToolError> {
    let mut hasher = Sha256::new();
    let mut bytes = 0_u64;
    let mut content = wants_content.then(Vec::new);
    let mut part = Vec::with_capacity(PART_BYTES);
    loop {
        if cancel.is_cancelled() {
            return Err(ToolError::Cancelled { killed: 0 });
        }
        part.clear();
        match (&file.file).take(PART_BYTES as u64).read_to_end(&mut part) {
            Err(error) => return Ok(Err(error)),
            Ok(0) => break,
            Ok(count) => bytes += count as u64,
        }
        hasher.update(&part);
        if bytes > CONTENT_BYTES_MAX {
            content = None;
        }
        if let Some(content) = &mut content {
            content.extend_from_slice(&part);
        }
    }
    Ok(Ok((bytes, to_hex(&hasher.finalize()), content)))
}

/// Returns bytes in hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
