//! What comes back, as one answer or as none.
//!
//! It counts only with its final event and a reason to stop: a cut stream ends like a whole one, and some servers
//! end one properly after they failed.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt, stream};
use reqwest::header::CONTENT_TYPE;
use sse_stream::SseByteStream;

use super::{
    error,
    protocol::{Draft, Framing, Listener},
};
use crate::providers::{Answer, ProviderError};

/// More than any model writes at once: an answer beyond it is broken and would only take memory.
pub(in crate::providers) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same for what carries the answer: some 300 bytes for each token.
const STREAM_BYTES_MAX: usize = 64 * 1024 * 1024;

type Datas<'a> = Pin<Box<dyn Stream<Item = Result<String, ProviderError>> + Send + 'a>>;

/// Reads an answer to its end. Dropping the future closes its connection.
///
/// # Errors
/// [`ProviderError::Truncated`] if it ends without its final event; what the provider says, if it fails.
pub(super) async fn read(
    response: reqwest::Response,
    framing: Framing,
    mut draft: Box<dyn Draft>,
    listener: &Listener<'_>,
) -> Result<Answer, ProviderError> {
    if is_whole(&response) {
        let mut bytes = pin!(patient(response, listener));
        let mut body = BytesMut::new();
        while let Some(chunk) = bytes.next().await {
            body.extend_from_slice(&chunk?);
        }
        let is_last = draft.take_in(&text(&body)?, listener)?;
        return if is_last || draft.may_end() { draft.finish(listener) } else { Err(ProviderError::Truncated) };
    }
    let mut datas = match framing {
        Framing::Events => events(response, listener),
        Framing::Lines => lines(response, listener),
    };
    while let Some(data) = datas.next().await {
        if draft.take_in(&data?, listener)? {
            // What ends the body has mostly come too; a body read to its end leaves its connection to the next call.
            datas.next().now_or_never();
            return draft.finish(listener);
        }
    }
    if draft.may_end() { draft.finish(listener) } else { Err(ProviderError::Truncated) }
}

/// Returns whether an answer comes in one piece: some servers do not stream, whatever they are asked.
fn is_whole(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn events<'a>(response: reqwest::Response, listener: &'a Listener<'a>) -> Datas<'a> {
    // Some servers leave out the empty line after the last event; after half an event it makes no whole one.
    let end = stream::iter([Ok(Bytes::from_static(b"\n\n"))]);
    let events = SseByteStream::new(Box::pin(patient(response, listener).chain(end)));
    let datas = events.filter_map(|event| async {
        match event {
            Ok(event) => event.data.filter(|data| !data.is_empty()).map(Ok),
            Err(error) => Some(Err(error::map_event_stream(error))),
        }
    });
    Box::pin(datas)
}

fn lines<'a>(response: reqwest::Response, listener: &'a Listener<'a>) -> Datas<'a> {
    let bytes: Pin<Box<dyn Stream<Item = Result<Bytes, ProviderError>> + Send + 'a>> =
        Box::pin(patient(response, listener));
    Box::pin(stream::try_unfold((bytes, BytesMut::new()), |(mut bytes, mut held)| async move {
        loop {
            if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line = held.split_to(end + 1);
                match text(&line)?.trim() {
                    "" => continue,
                    line => return Ok(Some((line.to_owned(), (bytes, held)))),
                }
            }
            match bytes.next().await {
                Some(chunk) => held.extend_from_slice(&chunk?),
                None if held.is_empty() => return Ok(None),
                // A line without its end may be a whole one: its JSON tells.
                None => held.extend_from_slice(b"\n"),
            }
        }
    }))
}

fn text(bytes: &[u8]) -> Result<String, ProviderError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProviderError::Truncated)
}

/// Returns the bytes of a response, and gives up when none came for too long.
fn patient<'a>(
    response: reqwest::Response,
    listener: &'a Listener<'a>,
) -> impl Stream<Item = Result<Bytes, ProviderError>> + 'a {
    let Listener { timeouts, context, .. } = *listener;
    stream::try_unfold((response, timeouts.first_byte(), 0), move |(mut response, limit, read)| async move {
        let chunk = within(limit, response.chunk()).await?.map_err(|error| error::map_transport(&error, context))?;
        let Some(chunk) = chunk else { return Ok(None) };
        let read = read + chunk.len();
        if read > STREAM_BYTES_MAX { Err(too_large()) } else { Ok(Some((chunk, (response, timeouts.idle(), read)))) }
    })
}

/// Waits for a server so long and no longer.
///
/// # Errors
/// [`ProviderError::Unavailable`] when the time is up.
pub(super) async fn within<T>(limit: Duration, heard: impl Future<Output = T>) -> Result<T, ProviderError> {
    let silent = |_| ProviderError::Unavailable(format!("nothing came for {limit:?}"));
    tokio::time::timeout(limit, heard).await.map_err(silent)
}

/// Refuses an answer that has no end.
pub(in crate::providers) fn too_large() -> ProviderError {
    ProviderError::Rejected("the answer is larger than any may be".into())
}
