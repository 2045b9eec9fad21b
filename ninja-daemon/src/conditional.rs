//! Conditional requests (RFC 9110, section 13): versions of what is answered, and what a request makes of them.
//!
//! A version is an entity-tag, here the number of a task's last record in quotes. It is a strong one: what a task looks like
//! follows from its records alone. Whoever decides compares it where nothing can come between; see [`IfMatch`].

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use crate::error::Refusal;

/// Tags in one header: more are nobody's memory of a version.
const TAGS_MAX: usize = 32;

/// Returns the entity-tag of a version.
pub(crate) fn etag(version: u64) -> HeaderValue {
    // Digits and quotes are a header's value.
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Puts the version of what it shows on an answer.
pub(crate) fn with_etag(version: u64, answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    answer.headers_mut().insert(header::ETAG, etag(version));
    answer
}

/// The versions for which alone a request is to be done, from `If-Match`; `None` where it is to be done for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IfMatch(pub(crate) Option<Vec<u64>>);

/// The versions that the client has, from `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IfNoneMatch(Tags);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        Ok(Self(match read(&parts.headers, header::IF_MATCH)? {
            // What is there at all fits, and what is not there is not found, with the header or without.
            Tags::None | Tags::Any => None,
            // A weak tag says that two versions are much the same, which is not enough to change one.
            Tags::These(tags) => Some(tags.iter().filter(|tag| !tag.weak).filter_map(|tag| tag.version).collect()),
        }))
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        read(&parts.headers, header::IF_NONE_MATCH).map(Self)
    }
}

impl IfNoneMatch {
    /// Returns whether anything is asked.
    pub(crate) fn is_there(&self) -> bool {
        self.0 != Tags::None
    }

    /// Returns the answer that says that the client has this version, if it does.
    pub(crate) fn not_modified(&self, version: u64) -> Option<Response> {
        let has = match &self.0 {
            Tags::None => false,
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| tag.version == Some(version)),
        };
        has.then(|| with_etag(version, StatusCode::NOT_MODIFIED))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    None,
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag {
    weak: bool,
    /// `None` for a tag that was never one of ours.
    version: Option<u64>,
}

fn read(headers: &HeaderMap, name: HeaderName) -> Result<Tags, Refusal> {
    let refusal = || Refusal::invalid(format!("{name} is `*`, or tags such as \"7\" with commas between"));
    let mut tags = Vec::new();
    let mut any = false;
    for value in headers.get_all(&name) {
        let text = value.to_str().map_err(|_| refusal())?.trim();
        match text {
            "*" => any = true,
            // Quotes are soon forgotten, and without them it means nothing else.
            bare if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit()) => {
                tags.push(Tag { weak: false, version: version_of(bare) });
            }
            text => read_tags(text, &mut tags).ok_or_else(refusal)?,
        }
    }
    match (any, tags.is_empty()) {
        (true, true) => Ok(Tags::Any),
        (true, false) => Err(refusal()),
        (false, true) if headers.contains_key(&name) => Err(refusal()),
        (false, true) => Ok(Tags::None),
        (false, false) if tags.len() > TAGS_MAX => Err(refusal()),
        (false, false) => Ok(Tags::These(tags)),
    }
}

/// Reads tags with commas between; `None` where they are none.
fn read_tags(text: &str, tags: &mut Vec<Tag>) -> Option<()> {
    let mut rest = text;
    loop {
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(Tag { weak, version: version_of(opaque) });
        match after.trim_start() {
            "" => return Some(()),
            after => rest = after.strip_prefix(',')?.trim_start(),
        }
    }
}

/// Reads a version as it is written by us, not `+7` or `007`.
fn version_of(opaque: &str) -> Option<u64> {
    opaque.parse::<u64>().ok().filter(|version| version.to_string() == opaque)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(values: &[&'static str]) -> Option<Tags> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        read(&headers, header::IF_MATCH).ok()
    }

    fn these(tags: &[(bool, Option<u64>)]) -> Option<Tags> {
        Some(Tags::These(tags.iter().map(|(weak, version)| Tag { weak: *weak, version: *version }).collect()))
    }

    #[test]
    fn tags_are_read_strictly_and_strange_ones_are_no_version() {
        assert_eq!(tags(&[]), Some(Tags::None));
        assert_eq!(tags(&["*"]), Some(Tags::Any));
        assert_eq!(tags(&["\"7\""]), these(&[(false, Some(7))]));
        assert_eq!(tags(&["W/\"7\", \"8\"", "\"x,y\""]), these(&[(true, Some(7)), (false, Some(8)), (false, None)]));
        for strange in ["\"007\"", "\"+7\"", "\"\"", "\"18446744073709551616\""] {
            assert_eq!(tags(&[strange]), these(&[(false, None)]), "{strange}");
        }
        assert_eq!(tags(&["7"]), these(&[(false, Some(7))]));
        assert_eq!(tags(&["007"]), these(&[(false, None)]));
        for bad in ["", "x", "7, 8", "\"7", "7\"", "w/\"7\"", "\"7\" \"8\"", "\"7\",", "*, \"7\"", ",\"7\""] {
            assert_eq!(tags(&[bad]), None, "{bad}");
        }
        assert_eq!(tags(&["*", "\"7\""]), None);
        assert_eq!(etag(7), "\"7\"");
    }
}
