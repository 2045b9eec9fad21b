//! The head of a request: refused unless every reader would understand it alike.

use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Header, Request, Status};

use super::body::{Body, Chunks};

/// Headers that make sense fit many times over.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// As long as browsers and proxies write at most.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// More than any client sends; it is also what the HTTP library takes.
const HEADERS_MAX: usize = 100;
/// What routes and preflights know, and what is well known and meant for no path. All others are refused before they are looked
/// at.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"];
/// Headers that stand once: of two, one reader takes the first and another the last.
const ONCE: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "content-type", "authorization", "origin", "expect"];

/// Why a request is refused before a route is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) status: u16,
    pub(crate) detail: &'static str,
}

const fn unreadable(status: u16, detail: &'static str) -> Unreadable {
    Unreadable { status, detail }
}

pub(super) const TOO_SLOW: Unreadable = unreadable(408, "the head of the request did not arrive in time");
pub(super) const TOO_LARGE: Unreadable = unreadable(431, "the headers are longer than 64 KiB");
const TOO_MANY: Unreadable = unreadable(431, "there are more than 100 headers");
const TOO_LONG: Unreadable = unreadable(414, "the first line is longer than 8 KiB");
const BARE: Unreadable = unreadable(400, "lines end with a carriage return and a line feed, and neither stands alone");
const NO_LINE: Unreadable = unreadable(400, "the first line is a method, a path and `HTTP/1.1`");
const VERSION: Unreadable = unreadable(505, "this server speaks HTTP/1.1");
const METHOD: Unreadable = unreadable(501, "this server does not know the method");
const TARGET: Unreadable =
    unreadable(400, "the target of a request is a path, and a name belongs into the header Host");
const HEADER: Unreadable = unreadable(400, "a header cannot be read");
const FOLDED: Unreadable = unreadable(400, "a header stands on one line");
const TWICE: Unreadable = unreadable(400, "a header that may stand once stands twice");
const NO_HOST: Unreadable = unreadable(400, "the header Host is missing");
const LENGTH: Unreadable = unreadable(400, "Content-Length is a number");
const CODING: Unreadable = unreadable(400, "Transfer-Encoding is `chunked` or not there");
const BOTH: Unreadable = unreadable(400, "Content-Length and Transfer-Encoding contradict each other");
const EXPECTATION: Unreadable = unreadable(417, "nothing but `100-continue` can be expected");

/// A head of which a part has come.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The bytes that were looked at.
    seen: usize,
    /// The end of the first line, once it was looked at.
    line: Option<usize>,
}

impl Head {
    /// Looks at what came since; returns the length of the head and its body once it is whole.
    ///
    /// # Errors
    ///
    /// As soon as it is certain that the head cannot be read.
    pub(super) fn read(&mut self, came: &mut BytesMut) -> Result<Option<(usize, Option<Body>)>, Unreadable> {
        // Old clients end a body with an empty line; any number of them is no request yet.
        while self.seen == 0 && came.starts_with(b"\r\n") {
            came.advance(2);
        }
        while let Some(byte) = came.get(self.seen) {
            let next = came.get(self.seen + 1);
            match (byte, next) {
                (b'\r', None) => break,
                (b'\r', Some(b'\n')) => {
                    let end = self.seen + 2;
                    self.end_line(came.get(..end).unwrap_or_default())?;
                    if came.get(..end).is_some_and(|head| head.ends_with(b"\r\n\r\n")) {
                        let head = came.get(..end).unwrap_or_default();
                        return check(head).map(|body| Some((end, body)));
                    }
                    self.seen = end;
                }
                (b'\r' | b'\n', _) => return Err(BARE),
                _ => self.seen += 1,
            }
        }
        match self.line {
            None if came.len() > LINE_BYTES_MAX => Err(TOO_LONG),
            _ => Ok(None),
        }
    }

    /// Looks at the first line as soon as it is there: who speaks another protocol sends nothing more.
    fn end_line(&mut self, head: &[u8]) -> Result<(), Unreadable> {
        if self.line.is_some() {
            return Ok(());
        }
        self.line = Some(head.len());
        let line = head.strip_suffix(b"\r\n").unwrap_or(head);
        check_line(line)
    }
}

fn check_line(line: &[u8]) -> Result<(), Unreadable> {
    if line.len() > LINE_BYTES_MAX {
        return Err(TOO_LONG);
    }
    let line = std::str::from_utf8(line).map_err(|_| NO_LINE)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(NO_LINE);
    };
    match version {
        "HTTP/1.1" | "HTTP/1.0" => {}
        _ if version.starts_with("HTTP/") => return Err(VERSION),
        _ => return Err(NO_LINE),
    }
    if !METHODS.contains(&method) {
        return Err(METHOD);
    }
    let is_plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_path = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    match is_plain && is_path && target.parse::<axum::http::Uri>().is_ok() {
        true => Ok(()),
        false => Err(TARGET),
    }
}

/// Checks a whole head; returns the body that follows it.
fn check(head: &[u8]) -> Result<Option<Body>, Unreadable> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_MANY),
        Err(_) if head.windows(3).any(|three| matches!(three, b"\r\n " | b"\r\n\t")) => return Err(FOLDED),
        Ok(Status::Partial) | Err(_) => return Err(HEADER),
    }
    let is_old = request.version == Some(0);
    for name in ONCE {
        if all(request.headers, name).count() > 1 {
            return Err(TWICE);
        }
    }
    let first = |name| all(request.headers, name).next();
    if first("host").is_none() && !is_old {
        return Err(NO_HOST);
    }
    if first("expect").is_some_and(|expected| !expected.eq_ignore_ascii_case(b"100-continue")) {
        return Err(EXPECTATION);
    }
    match (first("content-length"), first("transfer-encoding")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(BOTH),
        (Some(length), None) => body_of(length),
        (None, Some(_)) if is_old => Err(CODING),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Body::Chunked(Chunks::default()))),
        (None, Some(_)) => Err(CODING),
    }
}

fn body_of(length: &[u8]) -> Result<Option<Body>, Unreadable> {
    let digits = std::str::from_utf8(length).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(0) => Ok(None),
        Some(bytes) => Ok(Some(Body::Length(bytes))),
        None => Err(LENGTH),
    }
}

fn all<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a head that comes byte by byte; returns what is left and what was found.
    fn read(wire: &[u8]) -> Result<Option<(usize, Option<Body>)>, Unreadable> {
        let (mut head, mut came) = (Head::default(), BytesMut::new());
        for (at, byte) in wire.iter().enumerate() {
            came.extend_from_slice(&[*byte]);
            if let Some((bytes, body)) = head.read(&mut came)? {
                assert_eq!(at + 1, wire.len(), "it ends where it ends");
                return Ok(Some((bytes, body)));
            }
        }
        Ok(None)
    }

    fn refused(wire: &str) -> Option<Unreadable> {
        let slow = read(wire.as_bytes());
        let fast = Head::default().read(&mut BytesMut::from(wire.as_bytes()));
        assert_eq!(slow.as_ref().err(), fast.as_ref().err(), "however it is cut: {wire:?}");
        slow.err()
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        for (why, wire) in [
            (BOTH, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n"),
            (BOTH, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n"),
            (TWICE, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\n"),
            (TWICE, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nContent-Length: 5\r\n\r\n"),
            (TWICE, "GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n"),
            (LENGTH, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\n"),
            (LENGTH, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4, 4\r\n\r\n"),
            (LENGTH, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n"),
            (CODING, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n"),
            (CODING, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n"),
            (CODING, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n"),
            (CODING, "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"),
            (FOLDED, "GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n"),
            (HEADER, "GET / HTTP/1.1\r\nhost: a\r\nx : a\r\n\r\n"),
            (HEADER, "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n"),
            (BARE, "GET / HTTP/1.1\nhost: a\r\n\r\n"),
            (BARE, "GET / HTTP/1.1\r\nhost: a\n\r\n"),
            (BARE, "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n"),
            (NO_HOST, "GET / HTTP/1.1\r\n\r\n"),
            (EXPECTATION, "POST / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n"),
        ] {
            assert_eq!(refused(wire), Some(why), "{wire:?}");
        }
    }

    #[test]
    fn first_lines_that_are_none_are_refused_at_their_end() {
        for (why, line) in [
            (NO_LINE, "GET /"),
            (NO_LINE, "GET  / HTTP/1.1"),
            (NO_LINE, "GET / HTTP/1.1 "),
            (NO_LINE, "hello"),
            (NO_LINE, "GET / http/1.1"),
            (VERSION, "PRI * HTTP/2.0"),
            (VERSION, "GET / HTTP/1.2"),
            (METHOD, "CONNECT evil.example:443 HTTP/1.1"),
            (METHOD, "get / HTTP/1.1"),
            (METHOD, "REFUSED / HTTP/1.1"),
            (TARGET, "GET http://evil.example/ HTTP/1.1"),
            (TARGET, "GET * HTTP/1.1"),
            (TARGET, "GET x HTTP/1.1"),
            (TARGET, "GET /a#b HTTP/1.1"),
            (TARGET, "GET /a\0b HTTP/1.1"),
            (TARGET, "GET /ä HTTP/1.1"),
        ] {
            assert_eq!(refused(&format!("{line}\r\n")), Some(why), "{line:?}");
        }
        assert_eq!(refused(&format!("GET /{}", "x".repeat(LINE_BYTES_MAX))), Some(TOO_LONG));
    }

    #[test]
    fn what_is_plain_is_let_through_with_its_body() {
        for (wire, body) in [
            ("GET /a?b=%20 HTTP/1.1\r\nhost: a\r\n\r\n", "None"),
            ("GET / HTTP/1.0\r\n\r\n", "None"),
            ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "None"),
            ("POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 0\r\n\r\n", "None"),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-Continue\r\n\r\n", "Some(Length(5))"),
        ] {
            let (bytes, found) = read(wire.as_bytes()).unwrap().unwrap();
            assert_eq!((bytes, format!("{found:?}").as_str()), (wire.len(), body), "{wire:?}");
        }
        let chunked = read(b"\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert!(matches!(chunked, Ok(Some((_, Some(Body::Chunked(_)))))));
        let many = |count| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!((refused(&many(HEADERS_MAX - 1)), refused(&many(HEADERS_MAX))), (None, Some(TOO_MANY)));
    }
}
