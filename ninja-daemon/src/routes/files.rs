//! Uploads, streamed to the engine as they arrive.

use std::{io, time::Duration};

use axum::{
    Json,
    extract::{Multipart, State, multipart::Field, multipart::MultipartRejection},
    http::StatusCode,
};
use bytes::Bytes;
use futures::Stream;
use ninja_core::api::{ErrorCode, File};
use tokio::time::timeout;

use crate::{app::App, auth::Caller, error::Refusal};

/// No pause within an upload may be longer.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// What is read and thrown away of a refused upload, so that its sender reads the refusal instead of a broken pipe.
const DRAIN_BYTES_MAX: usize = 50_000_000;
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Stores the one file of the form, its field `file`.
pub(super) async fn upload_file(
    State(app): State<App>,
    Caller(by): Caller,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<File>), Refusal> {
    let expected = "this route takes multipart/form-data with one field `file` that has a file name";
    let mut form = form.map_err(|_| Refusal::invalid(expected))?;
    let field =
        timeout(PAUSE_MAX, form.next_field()).await.map_err(|_| Refusal::invalid("the upload paused too long"))?;
    let mut field = field.map_err(|_| Refusal::invalid(expected))?.ok_or_else(|| Refusal::invalid(expected))?;
    let name = match (field.name(), field.file_name()) {
        (Some("file"), Some(name)) => name.to_owned(),
        _ => return Err(Refusal::invalid(expected)),
    };
    let mut cut = None;
    let stored = app.engine.upload_file(&by, &name, content(&mut field, &mut cut)).await;
    match (stored, cut) {
        (Ok(file), _) => Ok((StatusCode::CREATED, Json(file))),
        (Err(_), Some(refusal)) => Err(refusal),
        (Err(error), None) => {
            drain(&mut field).await;
            Err(error.into())
        }
    }
}

/// Returns the field's bytes; `cut` says why they ended early.
fn content<'a>(
    field: &'a mut Field<'_>,
    cut: &'a mut Option<Refusal>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'a {
    futures::stream::unfold((field, cut, false), |(field, cut, ended)| async move {
        if ended {
            return None;
        }
        let refusal = match timeout(PAUSE_MAX, field.chunk()).await {
            Ok(Ok(piece)) => return piece.map(|piece| (Ok(piece), (field, cut, false))),
            Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Refusal::new(ErrorCode::TooLarge, "the file is larger than 50 MB")
            }
            Ok(Err(_)) => Refusal::invalid("the upload broke off"),
            Err(_) => Refusal::invalid("the upload paused too long"),
        };
        *cut = Some(refusal);
        Some((Err(io::Error::other("the upload was cut")), (field, cut, true)))
    })
}

async fn drain(field: &mut Field<'_>) {
    let read = async {
        let mut bytes = 0;
        while let Ok(Some(piece)) = field.chunk().await {
            bytes += piece.len();
            if bytes > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    // Whoever still sends after this sees a broken connection.
    timeout(DRAIN_MAX, read).await.ok();
}
