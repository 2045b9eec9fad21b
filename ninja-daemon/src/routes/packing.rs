//! Which answers are compressed on their way.

use axum::http::{
    HeaderName, Response,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use hyper::body::Body;
use tower_http::compression::Predicate;

/// A packet: what fits into one is no faster for being shorter.
const BYTES_MIN: u64 = 1024;

/// Text that is there at once and is longer than a packet. What is streamed would wait in a buffer, and what is downloaded is as the
/// client knows its hash.
///
/// A page cannot have an answer made in which a text of its own stands beside a secret, and learn from the length what that is:
/// no browser sends our credentials by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextOfSomeLength;

impl Predicate for TextOfSomeLength {
    fn should_compress<B: Body>(&self, answer: &Response<B>) -> bool {
        let text =
            |name: HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
        let is_text = kind == "application/json" || (kind.starts_with("text/") && kind != "text/event-stream");
        let is_long = answer.body().size_hint().exact().is_some_and(|bytes| bytes >= BYTES_MIN);
        is_text && is_long && !answer.headers().contains_key(CONTENT_DISPOSITION)
    }
}
