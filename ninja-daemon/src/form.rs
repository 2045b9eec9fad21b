//! Forms with files, read piece by piece: what arrives is handed on before more is taken from the connection.
//!
//! The parser beneath reads whatever has arrived into its memory, however much that is, and holds the head of a part until it ends. So the
//! body is paced: one piece at a time, and only so many while a head is awaited.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{StatusCode, header},
};
use futures::{Stream, StreamExt};
use ninja_core::api::ErrorCode;
use tokio::time::{Instant, timeout};

use crate::{edge::only, error::Refusal, extract::is_pause, serve::Deadlines};

/// What is read and thrown away of a refused file, so that its sender reads the refusal instead of a broken pipe.
const DRAIN_BYTES_MAX: usize = 50_000_000;
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// What stands around and before the content of a part: a boundary and a few short headers.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
/// Fields that are no files are passed over, as far as forms of web pages have them.
const PARTS_MAX: usize = 1_000;
const PASSED_OVER_BYTES_MAX: usize = 64 * 1024;
/// In place of a count, while content is read.
const UNCOUNTED: u64 = u64::MAX;

/// A `multipart/form-data` body.
pub(crate) struct Form {
    parts: Multipart,
    /// How many there were.
    count: usize,
    head_bytes: Arc<AtomicU64>,
    patience: Patience,
}

/// How long the sender of a form may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    pause: Duration,
    until: Instant,
}

impl Patience {
    /// Returns how long to wait for the next piece.
    fn wait(self) -> Duration {
        self.pause.min(self.until.saturating_duration_since(Instant::now()))
    }
}

/// A part of a form.
pub(crate) struct Part<'a> {
    /// The field that it stands in.
    pub(crate) field: String,
    /// The name of the file; empty where it is none.
    pub(crate) name: String,
    content: Field<'a>,
    patience: Patience,
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        // Two boundaries make two forms of one body.
        let kind = only(request.headers(), header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let boundaries = kind.unwrap_or_default().to_ascii_lowercase().matches("boundary=").count();
        if boundaries != 1 {
            let detail = "this route takes multipart/form-data, with one boundary";
            return Err(Refusal::new(ErrorCode::UnsupportedMediaType, detail));
        }
        let Deadlines { pause, upload, .. } = request.extensions().get().copied().unwrap_or_default();
        let head_bytes = Arc::new(AtomicU64::new(0));
        let request = request.map(|body| {
            let paced = Paced { body: body.into_data_stream(), head_bytes: Arc::clone(&head_bytes), has_read: false };
            Body::from_stream(paced)
        });
        let parts = Multipart::from_request(request, state).await;
        let parts = parts.map_err(|_| Refusal::invalid("this route takes multipart/form-data"))?;
        Ok(Self { parts, count: 0, head_bytes, patience: Patience { pause, until: Instant::now() + upload } })
    }
}

impl Form {
    /// Returns the next part; nothing at the end. The part before has to be read to its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Part<'_>>, Refusal> {
        self.head_bytes.store(0, Ordering::Relaxed);
        let next = timeout(self.patience.wait(), self.parts.next_field()).await.map_err(|_| too_slow())?;
        self.head_bytes.store(UNCOUNTED, Ordering::Relaxed);
        let Some(content) = next.map_err(|error| broken(&error))? else { return Ok(None) };
        self.count += 1;
        if self.count > PARTS_MAX {
            return Err(Refusal::invalid("the form has more parts than this route reads"));
        }
        let Some(field) = content.name() else {
            return Err(Refusal::invalid("every part of a form has the name of a field"));
        };
        let (field, name) = (field.to_owned(), content.file_name().unwrap_or_default().to_owned());
        Ok(Some(Part { field, name, content, patience: self.patience }))
    }
}

impl Part<'_> {
    /// Returns the bytes as they arrive; `cut` says why they ended early.
    pub(crate) fn content<'a>(
        &'a mut self,
        cut: &'a mut Option<Refusal>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let patience = self.patience;
        futures::stream::unfold((&mut self.content, cut, false), move |(content, cut, has_ended)| async move {
            if has_ended {
                return None;
            }
            let refusal = match timeout(patience.wait(), content.chunk()).await {
                Ok(Ok(piece)) => return piece.map(|piece| (Ok(piece), (content, cut, false))),
                Ok(Err(error)) => broken(&error),
                Err(_) => too_slow(),
            };
            *cut = Some(refusal);
            Some((Err(io::Error::other("the upload was cut")), (content, cut, true)))
        })
    }

    /// Reads a field that nobody asked for, and throws it away.
    pub(crate) async fn pass_over(mut self) -> Result<(), Refusal> {
        let mut bytes = 0;
        while let Some(piece) = timeout(self.patience.wait(), self.content.chunk())
            .await
            .map_err(|_| too_slow())?
            .map_err(|error| broken(&error))?
        {
            bytes += piece.len();
            if bytes > PASSED_OVER_BYTES_MAX {
                return Err(Refusal::invalid(format!(
                    "the field `{}` is none of this route's, and too long to pass over",
                    self.field
                )));
            }
        }
        Ok(())
    }

    /// Reads the rest and throws it away; returns whether that was all of it.
    pub(crate) async fn drain(&mut self) -> bool {
        let read = async {
            let mut bytes = 0;
            while bytes <= DRAIN_BYTES_MAX {
                match self.content.chunk().await {
                    Ok(Some(piece)) => bytes += piece.len(),
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        // Whoever still sends after this sees a broken connection.
        timeout(DRAIN_MAX, read).await.unwrap_or(false)
    }
}

fn too_slow() -> Refusal {
    Refusal::new(ErrorCode::RequestTimeout, "the upload paused too long, or took too long as a whole")
}

fn broken(error: &MultipartError) -> Refusal {
    match error.status() {
        // The connection counts pauses as well, and may be the first to give up.
        _ if is_pause(error) => too_slow(),
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(ErrorCode::TooLarge, "the body is larger than this route takes"),
        _ => Refusal::invalid("the form cannot be read, or broke off"),
    }
}

/// A body that hands out one piece each time it is asked anew.
struct Paced {
    body: BodyDataStream,
    /// What was read since a head was awaited.
    head_bytes: Arc<AtomicU64>,
    has_read: bool,
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.has_read) {
            ctx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let counted = self.head_bytes.load(Ordering::Relaxed);
        if counted != UNCOUNTED && counted > HEAD_BYTES_MAX {
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::other("the head of a part does not end")))));
        }
        let polled = self.body.poll_next_unpin(ctx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.has_read = true;
            if counted != UNCOUNTED {
                self.head_bytes.store(counted.saturating_add(piece.len() as u64), Ordering::Relaxed);
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    const HEAD: &str = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";

    fn body(pieces: usize, taken: &Arc<AtomicU64>, first: &'static str) -> Request {
        let taken = Arc::clone(taken);
        let rest = stream::repeat_with(move || {
            taken.fetch_add(1, Ordering::Relaxed);
            Ok::<_, io::Error>(Bytes::from_static(&[b'a'; 16 * 1024]))
        });
        let body = stream::iter([Ok(Bytes::from_static(first.as_bytes()))]).chain(rest.take(pieces));
        let request = Request::builder().header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
        request.body(Body::from_stream(body)).unwrap()
    }

    #[tokio::test]
    async fn of_what_arrives_little_is_held() {
        let taken = Arc::default();
        let mut form = Form::from_request(body(60, &taken, HEAD), &()).await.ok().unwrap();
        let mut part = form.next().await.ok().unwrap().unwrap();
        assert_eq!((part.field.as_str(), part.name.as_str()), ("file", "a.txt"));
        let mut cut = None;
        let (mut content, mut seen) = (Box::pin(part.content(&mut cut)), 0);
        while let Some(Ok(piece)) = content.next().await {
            // Before it was handed out, the piece was held as well.
            let held = usize::try_from(taken.load(Ordering::Relaxed)).unwrap() * 16 * 1024 - seen;
            seen += piece.len();
            assert!(held <= 3 * 16 * 1024, "{held} bytes are held after {seen}");
        }
        drop(content);
        assert!(cut.is_some(), "the form has no end");
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_not_awaited() {
        for first in ["", "--x\r\nContent-Disposition: form-data; name=\"", "--x\r\na: b\r\nc: "] {
            let taken = Arc::default();
            let mut form = Form::from_request(body(1_000, &taken, first), &()).await.ok().unwrap();
            assert!(form.next().await.is_err());
            assert!(taken.load(Ordering::Relaxed) <= HEAD_BYTES_MAX / (16 * 1024) + 2, "{taken:?} pieces were taken");
        }
    }
}
