//! The API described: for programs as OpenAPI, for people as a page. The page is Swagger UI, served from the binary itself.

use std::sync::{Arc, LazyLock};

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use ninja_core::api::ErrorCode;
use utoipa_swagger_ui::Config;

use super::table;
use crate::{error::Refusal, openapi};

/// The page runs its own scripts and asks this daemon, and that is all. Its styles and pictures are partly in its script.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document, which is the same for as long as the program runs.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    // What the derives made is maps, lists and texts, which all have a form in JSON.
    serde_json::to_vec_pretty(&openapi::document(&table())).unwrap_or_default().into()
});

/// Answers with the OpenAPI document.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// Sends on to the page, below whose address its files are.
pub(super) async fn docs() -> Response {
    Redirect::permanent("/docs/index.html").into_response()
}

/// Answers with a file of the page.
pub(super) async fn docs_file(Path(file): Path<String>) -> Result<Response, Refusal> {
    let config = Arc::new(Config::from("/openapi.json").validator_url("none").persist_authorization(false));
    let internal = |error: Box<dyn std::error::Error>| Refusal::new(ErrorCode::Internal, error.to_string());
    let served = utoipa_swagger_ui::serve(&file, config).map_err(internal)?;
    let file = served.ok_or_else(|| Refusal::new(ErrorCode::NotFound, "the documentation has no such file"))?;
    let mut answer = Body::from(file.bytes.into_owned()).into_response();
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            answer.headers_mut().insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, &file.content_type);
    put(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    Ok(answer)
}
