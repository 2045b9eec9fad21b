//! `read_file`: a file's text, a part at a time, or an image whole.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{
    Tool, ToolError, ToolOutput, ToolRun,
    files::{Files, parse_path, refused},
    tool::{blocking, define},
};
use crate::{
    api::EffectClass,
    providers::{IMAGE_BYTES_MAX, ImageShape, ToolDefinition},
    workspace::{FileInfo, WorkPath},
};

/// Bytes read where no limit is given: about 8,000 tokens.
const LIMIT_BYTES: u64 = 32 * 1_024;

/// The most bytes that can be read at once.
const LIMIT_BYTES_MAX: u64 = 256 * 1_024;

/// Reads a file of the workspace or an input.
#[derive(Debug, Clone, Copy)]
pub struct ReadFile;

#[derive(Deserialize)]
struct Args {
    path: String,
    #[serde(default)]
    offset: u64,
    limit: Option<u64>,
}

impl Tool for ReadFile {
    fn definition(&self) -> ToolDefinition {
        define(
            "read_file",
            "Reads a text file or an image of the workspace, or an input below `inputs/`. Large texts come in parts: go on at `next_offset`.",
            json!({
                "path": { "type": "string", "description": "Relative path, such as `notes/a.md`" },
                "offset": { "type": "integer", "minimum": 0, "description": "First byte; 0 if left out" },
                "limit": { "type": "integer", "minimum": 1, "description": "Most bytes; 32768 if left out" },
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
            let files = Files::of(&call);
            blocking(move || Ok(read(&files, &args).unwrap_or_else(|refused| refused))).await
        })
    }
}

fn read(files: &Files, args: &Args) -> Result<ToolOutput, ToolOutput> {
    let path = parse_path(&args.path)?;
    let limit = args.limit.unwrap_or(LIMIT_BYTES).clamp(1, LIMIT_BYTES_MAX);
    let mut file = files.open(&path).map_err(|error| refused(&path, &error))?;
    let total = file.bytes;
    if let Some(shape) = ImageShape::read(&mut file.file) {
        return image(&path, &mut file, shape);
    }
    let bytes = file.read_at(args.offset, limit).map_err(|error| refused(&path, &error))?;
    if bytes.contains(&0) {
        return Err(binary(&path, total));
    }
    let text = whole_characters(&bytes);
    let next = args.offset.saturating_add(text.len() as u64);
    let output = ToolOutput::done(json!({ "content": String::from_utf8_lossy(text), "bytes": total }));
    Ok(if next < total { output.with("next_offset", next) } else { output })
}

fn image(path: &WorkPath, file: &mut FileInfo, shape: ImageShape) -> Result<ToolOutput, ToolOutput> {
    let ImageShape { media_type, width, height, .. } = shape;
    let total = file.bytes;
    if total > IMAGE_BYTES_MAX {
        let kind = media_type.as_str();
        let why = format!("`{path}` is an image ({kind}) of {total} bytes; models are shown up to {IMAGE_BYTES_MAX}");
        return Err(ToolOutput::refused(format!("{why}; make it smaller with shell or python")));
    }
    let bytes = file.read_at(0, IMAGE_BYTES_MAX).map_err(|error| refused(path, &error))?;
    let output = json!({ "media_type": media_type, "width": width, "height": height, "bytes": total });
    Ok(ToolOutput::done(output).showing(path.as_str(), bytes))
}

fn binary(path: &WorkPath, total: u64) -> ToolOutput {
    ToolOutput::refused(format!("`{path}` is a binary file of {total} bytes; look at it with shell or python"))
}

/// Leaves the rest of a character that the limit split to the next part.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            bytes.get(..error.valid_up_to()).unwrap_or(bytes)
        }
        Ok(_) | Err(_) => bytes,
    }
}
