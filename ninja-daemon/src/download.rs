//! Answers with the bytes of a file that is kept: whole, in part, or not at all where the caller has them already (RFC 9110).
//!
//! One place for uploaded files and artifacts. Whatever the bytes are, a browser saves them and shows nothing: their type is not said, the
//! sandbox of the answer is [`edge`](crate::edge)'s. What may be read was decided before.

use std::ops::RangeInclusive;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::fmt::rfc2822::DateTimeParser;
use ninja_core::api::{BlobHash, ErrorCode, Timestamp};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::{edge::only, error::Refusal};

/// Few reads a megabyte, little memory a download.
const READ_BYTES: usize = 64 * 1024;

/// A file that may be read.
#[derive(Debug)]
pub(crate) struct Saved {
    /// What it is saved as; of a path, the last name.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// The address of its content, which is what its content is compared by.
    pub(crate) sha256: BlobHash,
    /// When it came to be, where that is known.
    pub(crate) modified: Option<Timestamp>,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Whole,
    Part(RangeInclusive<u64>),
    NotModified,
    PreconditionFailed,
    NoSuchPart,
}

/// Answers a request for a file, of which nothing was read yet.
///
/// # Errors
///
/// Refuses a part that is not there and a condition that does not hold.
pub(crate) async fn answer(
    method: &Method,
    asked: &HeaderMap,
    saved: &Saved,
    file: std::fs::File,
) -> Result<Response, Refusal> {
    let headers = headers(saved)?;
    let part = match decide(method, asked, saved) {
        Answer::PreconditionFailed => {
            return Err(Refusal::new(ErrorCode::PreconditionFailed, "the file is not the one that the request names"));
        }
        Answer::NoSuchPart => return Ok(no_such_part(saved)),
        Answer::NotModified => return Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        Answer::Whole => None,
        Answer::Part(part) => Some(part),
    };
    let (status, from, length) = match &part {
        Some(part) => (StatusCode::PARTIAL_CONTENT, *part.start(), part.end() - part.start() + 1),
        None => (StatusCode::OK, 0, saved.bytes),
    };
    let mut file = tokio::fs::File::from_std(file);
    let unread = |error| Refusal::new(ErrorCode::Internal, format!("failed to read the file: {error}"));
    file.seek(std::io::SeekFrom::Start(from)).await.map_err(unread)?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), READ_BYTES));
    let mut response = (status, headers, body).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    if let Some(part) = part {
        let range = format!("bytes {}-{}/{}", part.start(), part.end(), saved.bytes);
        response.headers_mut().insert(header::CONTENT_RANGE, value(range)?);
    }
    Ok(response)
}

fn no_such_part(saved: &Saved) -> Response {
    let detail = format!("the file has {} bytes, and the range that was asked for is none of them", saved.bytes);
    let mut response = Refusal::new(ErrorCode::RangeNotSatisfiable, detail).into_response();
    if let Ok(range) = HeaderValue::try_from(format!("bytes */{}", saved.bytes)) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

fn headers(saved: &Saved) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, value(tag(saved))?);
    headers.insert(header::CONTENT_DISPOSITION, value(disposition(&saved.name))?);
    if let Some(modified) = saved.modified.and_then(http_date) {
        headers.insert(header::LAST_MODIFIED, value(modified)?);
    }
    Ok(headers)
}

fn value(text: String) -> Result<HeaderValue, Refusal> {
    let unwritable = |_| Refusal::new(ErrorCode::Internal, "a header of the answer cannot be written");
    HeaderValue::try_from(text).map_err(unwritable)
}

fn tag(saved: &Saved) -> String {
    format!("\"{}\"", saved.sha256)
}

fn http_date(time: Timestamp) -> Option<String> {
    let mut text = String::new();
    jiff::fmt::rfc2822::DateTimePrinter::new().print_timestamp_rfc9110(&time, &mut text).ok()?;
    Some(text)
}

/// Weighs the conditions in the order of RFC 9110, 13.2.2. A condition that cannot be read is none.
fn decide(method: &Method, asked: &HeaderMap, saved: &Saved) -> Answer {
    let since = |name: HeaderName| {
        let time = DateTimeParser::new().parse_timestamp(only(asked, name)?.to_str().ok()?).ok()?;
        // Their seconds are whole.
        Some(saved.modified?.as_second() > time.as_second())
    };
    let is_other = match asked.contains_key(header::IF_MATCH) {
        true => !names(asked, header::IF_MATCH, saved, false),
        false => since(header::IF_UNMODIFIED_SINCE).unwrap_or(false),
    };
    if is_other {
        return Answer::PreconditionFailed;
    }
    let is_known = match asked.contains_key(header::IF_NONE_MATCH) {
        true => names(asked, header::IF_NONE_MATCH, saved, true),
        false => since(header::IF_MODIFIED_SINCE).is_some_and(|is_newer| !is_newer),
    };
    if is_known {
        return Answer::NotModified;
    }
    let range = only(asked, header::RANGE).and_then(|range| range.to_str().ok());
    // HEAD asks what a whole answer would say.
    match range.filter(|_| method == Method::GET && is_same_as_before(asked, saved)) {
        Some(range) => part(range, saved.bytes),
        None => Answer::Whole,
    }
}

/// Returns whether one of the tags of a header is the file's.
fn names(asked: &HeaderMap, name: HeaderName, saved: &Saved, takes_weak: bool) -> bool {
    let own = tag(saved);
    let lists = asked.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|tag| {
        let strong = tag.strip_prefix("W/").filter(|_| takes_weak).unwrap_or(tag);
        tag == "*" || strong == own
    })
}

/// Returns whether what the caller has a part of is still there. Times are too coarse to say so.
fn is_same_as_before(asked: &HeaderMap, saved: &Saved) -> bool {
    let before = asked.get(header::IF_RANGE);
    before.is_none_or(|before| before.as_bytes() == tag(saved).as_bytes())
}

/// Reads one range. Several are answered with the whole file, which RFC 9110 leaves open; so is what cannot be read.
fn part(range: &str, bytes: u64) -> Answer {
    let Some((unit, set)) = range.split_once('=') else { return Answer::Whole };
    let Some((first, last)) = set.trim().split_once('-') else { return Answer::Whole };
    if !unit.eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Answer::Whole;
    }
    let part = match (number(first), number(last)) {
        (Number::None, Number::Of(suffix)) => bytes.saturating_sub(suffix)..=bytes.saturating_sub(1),
        (Number::Of(first), Number::None) => first..=bytes.saturating_sub(1),
        (Number::Of(first), Number::Of(last)) if first <= last => first..=last.min(bytes.saturating_sub(1)),
        _ => return Answer::Whole,
    };
    match *part.start() < bytes && !part.is_empty() {
        true => Answer::Part(part),
        false => Answer::NoSuchPart,
    }
}

/// A number of a range.
enum Number {
    None,
    Of(u64),
    Unreadable,
}

fn number(text: &str) -> Number {
    match text {
        "" => Number::None,
        // One that is too large is larger than any file.
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Number::Of(digits.parse().unwrap_or(u64::MAX)),
        _ => Number::Unreadable,
    }
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

    fn saved(bytes: u64) -> Saved {
        let modified = Some("2026-11-23T10:00:00.5Z".parse().unwrap());
        Saved { name: "a".to_owned(), bytes, sha256: BlobHash::from_bytes([0xab; 32]), modified }
    }

    fn decided(pairs: &[(HeaderName, &str)], bytes: u64) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        decide(&Method::GET, &headers, &saved(bytes))
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("out/a \"b\"\r\nü.md"),
            "attachment; filename=\"a _b____.md\"; filename*=UTF-8''a%20%22b%22%0D%0A%C3%BC.md"
        );
    }

    #[test]
    fn a_range_is_a_part_the_whole_or_nothing() {
        let many = format!("bytes={}0-0", "0-0,".repeat(999));
        for (range, expected) in [
            ("bytes=0-0", Answer::Part(0..=0)),
            ("bytes=2-", Answer::Part(2..=9)),
            ("bytes=2-4", Answer::Part(2..=4)),
            ("bytes=9-9000000000000000000", Answer::Part(9..=9)),
            ("bytes=0-99999999999999999999999", Answer::Part(0..=9)),
            ("bytes=-3", Answer::Part(7..=9)),
            ("bytes=-99999999999999999999999", Answer::Part(0..=9)),
            ("Bytes=1-1", Answer::Part(1..=1)),
            ("bytes=10-", Answer::NoSuchPart),
            ("bytes=9000000000000000000-", Answer::NoSuchPart),
            ("bytes=99999999999999999999999-", Answer::NoSuchPart),
            ("bytes=-0", Answer::NoSuchPart),
            ("bytes=4-2", Answer::Whole),
            ("bytes=", Answer::Whole),
            ("bytes=-", Answer::Whole),
            ("bytes=a-b", Answer::Whole),
            ("bytes=+1-2", Answer::Whole),
            ("bytes=1-2-3", Answer::Whole),
            ("lines=1-2", Answer::Whole),
            ("bytes=0-1,5-6", Answer::Whole),
            (&many, Answer::Whole),
        ] {
            assert_eq!(decided(&[(header::RANGE, range)], 10), expected, "{range}");
        }
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(decided(&[(header::RANGE, range)], 0), Answer::NoSuchPart, "{range} of nothing");
        }
        let twice = [(header::RANGE, "bytes=0-0"), (header::RANGE, "bytes=1-1")];
        assert_eq!(decided(&twice, 10), Answer::Whole);
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
        assert_eq!(decide(&Method::HEAD, &headers, &saved(10)), Answer::Whole);
    }

    #[test]
    fn conditions_are_weighed_in_their_order() {
        let own = tag(&saved(10));
        let weak = format!("W/{own}");
        let list = format!("\"x\", {own}");
        let (own, weak, list) = (own.as_str(), weak.as_str(), list.as_str());
        let (before, at, after) =
            ("Mon, 23 Nov 2026 09:59:59 GMT", "Mon, 23 Nov 2026 10:00:00 GMT", "Mon, 23 Nov 2026 10:00:01 GMT");
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
        for (pairs, expected) in [
            (vec![(IF_NONE_MATCH, own)], Answer::NotModified),
            (vec![(IF_NONE_MATCH, weak)], Answer::NotModified),
            (vec![(IF_NONE_MATCH, list)], Answer::NotModified),
            (vec![(IF_NONE_MATCH, "*")], Answer::NotModified),
            (vec![(IF_NONE_MATCH, "\"x\"")], Answer::Whole),
            (vec![(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, after)], Answer::Whole),
            (vec![(IF_MODIFIED_SINCE, before)], Answer::Whole),
            (vec![(IF_MODIFIED_SINCE, at)], Answer::NotModified),
            (vec![(IF_MODIFIED_SINCE, "yesterday")], Answer::Whole),
            (vec![(IF_MATCH, list)], Answer::Whole),
            (vec![(IF_MATCH, weak)], Answer::PreconditionFailed),
            (vec![(IF_MATCH, "\"x\""), (IF_NONE_MATCH, own)], Answer::PreconditionFailed),
            (vec![(IF_UNMODIFIED_SINCE, before)], Answer::PreconditionFailed),
            (vec![(IF_UNMODIFIED_SINCE, at)], Answer::Whole),
            (vec![(RANGE, "bytes=0-0"), (IF_RANGE, own)], Answer::Part(0..=0)),
            (vec![(RANGE, "bytes=0-0"), (IF_RANGE, weak)], Answer::Whole),
            (vec![(RANGE, "bytes=0-0"), (IF_RANGE, "\"x\"")], Answer::Whole),
            (vec![(RANGE, "bytes=0-0"), (IF_RANGE, at)], Answer::Whole),
            (vec![(RANGE, "bytes=0-0"), (IF_NONE_MATCH, own)], Answer::NotModified),
        ] {
            assert_eq!(decided(&pairs, 10), expected, "{pairs:?}");
        }
    }
}
