//! `/api/v1/files`: upload, list, look, download, delete. Uploads are streamed to the engine as they arrive.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use ninja_core::api::{
    ApiError, ErrorCode, FILES_AT_ONCE_MAX, File, FileUpload, FileUploadResult, ListFiles, Page, Principal,
};

use crate::{
    app::App,
    auth::Caller,
    download::{self, Saved},
    edge::only,
    error::Refusal,
    extract::{Params, id},
    form::{Form, Part},
};

/// What a form needs around one file, at most; the rest of an announced body is the file.
const FORM_BYTES_MAX: u64 = 64 * 1024;
/// The most files on a page.
const LIMIT_MAX: u32 = 200;

/// Stores the one file of the form, its field `file`. Other fields are passed over.
pub(super) async fn upload_file(
    State(app): State<App>,
    Caller(by): Caller,
    asked: HeaderMap,
    mut form: Form,
) -> Result<(StatusCode, Json<File>), Refusal> {
    let expected = || Refusal::invalid("this route takes a form with one field `file` that has a file name");
    let announced = only(&asked, header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let bytes_min = announced.unwrap_or_default().saturating_sub(FORM_BYTES_MAX);
    while let Some(mut part) = form.next().await? {
        if part.field != "file" {
            part.pass_over().await?;
            continue;
        }
        if part.name.is_empty() {
            return Err(expected());
        }
        if let Err(error) = app.engine.check_upload(&by, bytes_min) {
            part.drain().await;
            return Err(error.into());
        }
        return match store(&app, &by, &mut part).await {
            Ok(file) => Ok((StatusCode::CREATED, Json(file))),
            Err(Stopped { refusal, .. }) => Err(refusal),
        };
    }
    Err(expected())
}

/// Stores the files of the form, its fields `files`, each whole or not at all, and says of each what became of it. Other fields are
/// passed over.
pub(super) async fn upload_files(
    State(app): State<App>,
    Caller(by): Caller,
    mut form: Form,
) -> Result<(StatusCode, Json<Page<FileUpload>>), Refusal> {
    let mut items: Vec<FileUpload> = Vec::new();
    let mut is_whole = true;
    while is_whole {
        let (name, stored) = match form.next().await {
            Ok(None) => break,
            Ok(Some(part)) if part.field != "files" => match part.pass_over().await {
                Ok(()) => continue,
                Err(refusal) => (String::new(), Err(Stopped::at(refusal))),
            },
            Ok(Some(part)) if part.name.is_empty() => (
                String::new(),
                Err(Stopped::at(Refusal::invalid("each field `files` is a file, with the name of one"))),
            ),
            Ok(Some(part)) if items.len() == FILES_AT_ONCE_MAX => {
                let detail =
                    format!("one request uploads at most {FILES_AT_ONCE_MAX} files; none was stored from here on");
                (part.name, Err(Stopped::at(Refusal::new(ErrorCode::TooLarge, detail))))
            }
            Ok(Some(mut part)) => {
                let stored = store(&app, &by, &mut part).await;
                (part.name, stored)
            }
            Err(refusal) => (String::new(), Err(Stopped::at(refusal))),
        };
        let result = match stored {
            Ok(file) => FileUploadResult::Stored(file),
            // What was stored before has to be told of, so this is no refusal of the whole.
            Err(stopped) => {
                is_whole = stopped.goes_on;
                FileUploadResult::Refused(ApiError::from(stopped.refusal))
            }
        };
        items.push(FileUpload { name, result });
    }
    let stored = items.iter().filter(|item| matches!(item.result, FileUploadResult::Stored(_))).count();
    match items.pop() {
        None => Err(Refusal::invalid("this route takes a form of fields `files`, and there is none")),
        // Nothing is stored and nothing can be told but this.
        Some(FileUpload { result: FileUploadResult::Refused(error), .. }) if items.is_empty() && !is_whole => {
            Err(error.into())
        }
        Some(last) => {
            items.push(last);
            let status = if stored == items.len() { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
            Ok((status, Json(Page { items, next_cursor: None })))
        }
    }
}

/// Why a file of a form was not stored.
struct Stopped {
    refusal: Refusal,
    /// Whether what follows it in the form can be read.
    goes_on: bool,
}

impl Stopped {
    fn at(refusal: Refusal) -> Self {
        Self { refusal, goes_on: false }
    }
}

async fn store(app: &App, by: &Principal, part: &mut Part<'_>) -> Result<File, Stopped> {
    let (name, mut cut) = (part.name.clone(), None);
    let stored = app.engine.upload_file(by, &name, part.content(&mut cut)).await;
    match (stored, cut) {
        (Ok(file), _) => Ok(file),
        (Err(_), Some(refusal)) => Err(Stopped::at(refusal)),
        (Err(error), None) => Err(Stopped { refusal: error.into(), goes_on: part.drain().await }),
    }
}

/// Answers with the caller's files, newest first.
pub(super) async fn list_files(
    State(app): State<App>,
    Caller(by): Caller,
    Params(query): Params<ListFiles>,
) -> Result<Json<Page<File>>, Refusal> {
    if query.limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
        return Err(Refusal::new(ErrorCode::InvalidRequest, format!("`limit` is from 1 to {LIMIT_MAX}")));
    }
    Ok(Json(app.engine.list_files(&by, query).await?))
}

/// Answers with what is known of a file.
pub(super) async fn file(
    State(app): State<App>,
    Caller(by): Caller,
    Path(name): Path<String>,
) -> Result<Json<File>, Refusal> {
    Ok(Json(app.engine.file(&by, &name).await?))
}

/// Streams a file, or the part that is asked for.
pub(super) async fn download_file(
    State(app): State<App>,
    Caller(by): Caller,
    Path((owner, name)): Path<(String, String)>,
    method: Method,
    asked: HeaderMap,
) -> Result<Response, Refusal> {
    let (file, content) = app.engine.open_file(&by, id(&owner)?, &name).await?;
    let File { name, bytes, sha256, created_at, .. } = file;
    let saved = Saved { name, bytes, sha256, modified: Some(created_at) };
    download::answer(&method, &asked, &saved, content).await
}

/// Deletes a file.
pub(super) async fn delete_file(
    State(app): State<App>,
    Caller(by): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.engine.delete_file(&by, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
