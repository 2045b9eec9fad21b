//! Files that a task made: never shown by a browser, only saved.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use ninja_core::api::{Artifact, ErrorCode, Page};
use tokio_util::io::ReaderStream;

use crate::{app::App, auth::Caller, error::Refusal, extract::id};

/// Few reads a megabyte, little memory a download.
const READ_BYTES: usize = 64 * 1024;

/// Answers with what the task has made so far.
pub(super) async fn list(
    State(app): State<App>,
    Caller(by): Caller,
    Path(task): Path<String>,
) -> Result<Json<Page<Artifact>>, Refusal> {
    let task = app.engine.task(&by, id(&task)?).await?;
    Ok(Json(Page { items: task.artifacts, next_cursor: None }))
}

/// Streams one file.
pub(super) async fn artifact(
    State(app): State<App>,
    Caller(by): Caller,
    Path((task, path)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let (artifact, file) = app.engine.artifact(&by, id(&task)?, &path).await?;
    let headers = headers(&artifact).ok_or_else(|| {
        Refusal::new(ErrorCode::Internal, format!("the headers of {:?} cannot be written", artifact.path))
    })?;
    let body = ReaderStream::with_capacity(tokio::fs::File::from_std(file), READ_BYTES);
    Ok((headers, Body::from_stream(body)).into_response())
}

fn headers(artifact: &Artifact) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, artifact.bytes.into());
    headers.insert(header::ETAG, HeaderValue::try_from(format!("\"{}\"", artifact.sha256)).ok()?);
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(disposition(&artifact.path)).ok()?);
    Some(headers)
}

/// Names the file for whoever saves it (RFC 6266): plain for old clients, exact for the others.
fn disposition(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let plain: String = name
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | ' ' => character,
            _ => '_',
        })
        .collect();
    let mut exact = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => exact.push(char::from(byte)),
            _ => exact.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("out/a \"b\"\r\nü.md"),
            "attachment; filename=\"a _b____.md\"; filename*=UTF-8''a%20%22b%22%0D%0A%C3%BC.md"
        );
    }
}
