//! Bodies, queries and ids, read strictly: what is not understood is refused with a sentence that says where.

use std::{error::Error, str::FromStr};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, header, request::Parts},
    response::IntoResponse,
};
use ninja_core::api::{ErrorCode, IdError};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tower_http::timeout::TimeoutError;

use crate::{error::Refusal, serve::Deadlines};

/// Deeper than any plan or argument that makes sense.
const JSON_DEPTH_MAX: usize = 64;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "this route takes JSON; send it with `Content-Type: application/json`";
            return Err(Refusal::new(ErrorCode::UnsupportedMediaType, detail));
        }
        let Deadlines { body: max, .. } = request.extensions().get().copied().unwrap_or_default();
        let bytes = match timeout(max, Bytes::from_request(request, state)).await {
            Err(_) => return Err(too_slow()),
            Ok(Err(rejection)) if is_pause(&rejection) => return Err(too_slow()),
            Ok(Err(rejection)) => return Err(unread(rejection.into_response().status())),
            Ok(Ok(bytes)) => bytes,
        };
        if depth(&bytes) > JSON_DEPTH_MAX {
            return Err(Refusal::invalid(format!("the body nests deeper than {JSON_DEPTH_MAX} levels")));
        }
        // serde reads an array as the fields in their order, past the check for unknown ones.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(Refusal::invalid("the body is a JSON object"));
        }
        let read = serde_json::from_slice(&bytes).or_else(|error| match with_whole_numbers(&bytes) {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| error),
            None => Err(error),
        });
        read.map(Self).map_err(|error| Refusal::invalid(format!("the body cannot be read: {error}")))
    }
}

fn too_slow() -> Refusal {
    Refusal::new(ErrorCode::RequestTimeout, "the body did not arrive in time")
}

/// Returns whether a body was given up because nothing more came of it.
pub(crate) fn is_pause(error: &(dyn Error + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        if error.is::<TimeoutError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn unread(status: StatusCode) -> Refusal {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(ErrorCode::TooLarge, "the body is larger than this route takes"),
        _ => Refusal::invalid("the body broke off"),
    }
}

/// Returns how deep brackets nest, outside of strings.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Returns the same JSON with `7` for `7.0`, where there is any such number: JSON and its schemas know no difference, and some clients
/// write all their numbers like that.
fn with_whole_numbers(json: &[u8]) -> Option<Vec<u8>> {
    let (mut whole, mut rest, mut in_string) = (Vec::with_capacity(json.len()), json, false);
    while let Some((byte, after)) = rest.split_first() {
        match (in_string, byte) {
            (true, b'\\') => {
                let (pair, after) = rest.split_at_checked(2)?;
                whole.extend_from_slice(pair);
                rest = after;
                continue;
            }
            (_, b'"') => in_string = !in_string,
            (false, b'.') => {
                let zeros = after.iter().take_while(|byte| **byte == b'0').count();
                let behind = after.get(zeros..)?;
                let ends =
                    behind.first().is_none_or(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
                if zeros > 0 && ends {
                    rest = behind;
                    continue;
                }
            }
            _ => {}
        }
        whole.push(*byte);
        rest = after;
    }
    (whole.len() < json.len()).then_some(whole)
}

/// A query string.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        read.map(|Query(params)| Self(params)).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            Refusal::invalid(format!("the query cannot be read: {detail}"))
        })
    }
}

/// Parses an id out of a path.
pub(crate) fn id<T: FromStr<Err = IdError>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: IdError| Refusal::invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_whole_however_they_are_written() {
        let whole = |json: &str| with_whole_numbers(json.as_bytes()).map(|json| String::from_utf8(json).unwrap());
        assert_eq!(whole(r#"{"a":7.0,"b":[-1.000 ,2.0]}"#).as_deref(), Some(r#"{"a":7,"b":[-1 ,2]}"#));
        for as_it_is in ["", "7", "7.5", "7.05", "7.0e2", "7.", r#""7.0""#, r#""\"7.0""#, r#"{"7.0":"a.0"}"#] {
            assert_eq!(whole(as_it_is), None, "{as_it_is}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        for (json, expected) in [
            ("", 0),
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{}]}"#, 3),
            (r#""[[[""#, 0),
            (r#"["\"[[", "\\", []]"#, 2),
            ("]]][", 1),
        ] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }
}
