//! The header `Idempotency-Key` of requests that make something, and the header that says that they had made it before.
//!
//! The key is a string of structured fields (RFC 9651) or the bare text: `"8e03…"` and `8e03…` are the same.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, request::Parts},
    response::Response,
};
use ninja_core::api::IdempotencyKey;

use crate::{edge::only, error::Refusal};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) Option<IdempotencyKey>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        if !parts.headers.contains_key(&IDEMPOTENCY_KEY) {
            return Ok(Self(None));
        }
        let value = only(&parts.headers, IDEMPOTENCY_KEY)
            .ok_or_else(|| Refusal::invalid("the header Idempotency-Key stands once"))?;
        let key = value.to_str().ok().and_then(read).ok_or_else(|| {
            Refusal::invalid(
                "Idempotency-Key is a text of 1 to 255 printable ASCII characters, in quotes or without any",
            )
        })?;
        Ok(Self(Some(key)))
    }
}

/// Says on an answer whether what it shows had been made before.
pub(crate) fn marked(replayed: bool, mut answer: Response) -> Response {
    if replayed {
        answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

fn read(value: &str) -> Option<IdempotencyKey> {
    let text = match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        // A comma is where somebody on the way made one header of two.
        None => Some(value.to_owned()).filter(|text| !text.contains(['"', ',']))?,
    };
    text.parse().ok()
}

/// Returns what stands before the closing quote, which must be the end.
fn unquoted(quoted: &str) -> Option<String> {
    let (mut text, mut characters) = (String::new(), quoted.chars());
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_quoted_or_bare_and_nothing_else() {
        let read = |value| read(value).map(|key| key.as_str().to_owned());
        for (value, key) in
            [("abc", "abc"), ("\"abc\"", "abc"), ("a b;c=1", "a b;c=1"), (r#""a\"b\\c, d""#, r#"a"b\c, d"#)]
        {
            assert_eq!(read(value).as_deref(), Some(key), "{value}");
        }
        for bad in ["", "\"\"", "\"abc", "abc\"", "\"abc\";v=1", "a, b", r#""a\b""#, "\"a\" ", &"x".repeat(256)] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
