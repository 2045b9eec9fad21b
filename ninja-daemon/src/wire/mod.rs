//! What comes over a connection, before the HTTP library reads it: one request's head at a time, whole and strict.
//!
//! The library is lenient where the standard lets it be: it reads `Transfer-Encoding` over a `Content-Length` beside it,
//! takes a bare line feed for the end of a line, and answers what it cannot read without a body or headers. A proxy in front
//! may read the same bytes another way, and then a body becomes a request of somebody else. So what two readers could
//! understand differently is refused here, and the library sees only what is plain. `head.rs` says what that is, `body.rs`
//! follows where a body ends, `stall.rs` counts how long the other side takes.
//!
//! A refusal reaches the routes as a request of its own, with a method that no client can use ([`REFUSED`]), so it is
//! answered in its turn, with an id, headers and a problem body like every other.

mod body;
mod head;
mod stall;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

pub(crate) use head::Unreadable;

use body::Body;
use head::{HEAD_BYTES_MAX, Head};
use stall::Stall;

/// The method of the request that stands for one that was refused.
pub(crate) const REFUSED: &str = "REFUSED";
const REFUSED_HEAD: &[u8] = b"REFUSED / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Most heads fit into one piece.
const PIECE_BYTES: usize = 2 * 1024;
/// What is read and thrown away of a connection that was refused, so that the other side reads why instead of a reset.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(1);

/// How long the other side may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// From the first byte of a head to its last.
    pub(crate) head: Duration,
    /// Without taking any of what is written to it.
    pub(crate) write: Duration,
}

/// What a connection and the service on it tell each other.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    upgraded: AtomicBool,
    refused: OnceLock<Unreadable>,
    /// Whether a head has begun of which the HTTP library has not seen the end.
    in_head: AtomicBool,
    head_over: Notify,
}

impl Notes {
    /// Says that the connection speaks no HTTP from here on. To be said before the answer that says so is written.
    pub(crate) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Returns why the request was refused for which [`REFUSED`] stands.
    pub(crate) fn refused(&self) -> Option<Unreadable> {
        self.refused.get().copied()
    }

    /// Waits for the end of a head that has begun, if one has: the HTTP library, which has seen nothing of it, would take the
    /// connection for an idle one.
    pub(crate) async fn between_heads(&self) {
        let mut over = std::pin::pin!(self.head_over.notified());
        over.as_mut().enable();
        if self.in_head.load(Ordering::Acquire) {
            over.await;
        }
    }

    fn head_begins(&self) {
        self.in_head.store(true, Ordering::Release);
    }

    fn head_ends(&self) {
        if self.in_head.swap(false, Ordering::AcqRel) {
            self.head_over.notify_waiters();
        }
    }
}

/// What the next byte belongs to.
#[derive(Debug)]
enum At {
    Head,
    Body(Body),
    /// Nothing that still comes is read.
    Refused,
    /// A body whose end nobody can find.
    Broken,
    /// Another protocol.
    Upgraded,
}

/// A connection of which only plain requests are read.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    inner: S,
    notes: Arc<Notes>,
    at: At,
    /// Bytes that came and are not yet looked at to their end.
    came: BytesMut,
    /// Bytes to hand on.
    plain: BytesMut,
    /// What of `came` is known to be free of mistakes.
    head: Head,
    slow_head: Stall,
    slow_write: Stall,
    linger: Stall,
    lingered_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(inner: S, notes: Arc<Notes>, pace: Pace) -> Self {
        Self {
            inner,
            notes,
            at: At::Head,
            came: BytesMut::new(),
            plain: BytesMut::new(),
            head: Head::default(),
            slow_head: Stall::new(pace.head),
            slow_write: Stall::new(pace.write),
            linger: Stall::new(LINGER_MAX),
            lingered_bytes: 0,
        }
    }

    /// Puts a request in place of the one that came.
    fn refuse(&mut self, why: Unreadable) {
        // Only one request of a connection is refused: nothing is read after it.
        self.notes.refused.set(why).ok();
        self.at = At::Refused;
        self.came = BytesMut::new();
        self.plain = BytesMut::from(REFUSED_HEAD);
    }

    /// Looks for a whole head in what came.
    fn take_head(&mut self) {
        match self.head.read(&mut self.came) {
            Ok(None) if self.came.len() > HEAD_BYTES_MAX => self.refuse(head::TOO_LARGE),
            Ok(None) => {}
            Ok(Some((bytes, body))) => {
                self.slow_head.rest();
                self.head = Head::default();
                self.plain = self.came.split_to(bytes);
                self.at = body.map_or(At::Head, At::Body);
            }
            Err(why) => self.refuse(why),
        }
    }

    /// Waits for more of a head; `false` at the end of the connection.
    fn poll_more_of_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.came.is_empty() {
            // Whoever is silent between requests is not slow; the HTTP library closes idle connections.
            self.slow_head.rest();
        } else if self.slow_head.poll_over(cx).is_ready() {
            self.refuse(head::TOO_SLOW);
            return Poll::Ready(Ok(true));
        }
        // On the stack, because most connections wait here, and thousands may.
        let mut piece = [0; PIECE_BYTES];
        let mut piece = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut piece))?;
        self.came.extend_from_slice(piece.filled());
        if !self.came.is_empty() {
            self.notes.head_begins();
        }
        Poll::Ready(Ok(!piece.filled().is_empty()))
    }

    /// Hands a body on, up to its end.
    fn poll_body(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let At::Body(body) = &mut self.at else { return Poll::Ready(Ok(())) };
        if self.came.is_empty() {
            self.came.reserve(buffer.remaining().clamp(1, 64 * 1024));
            let bytes = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.inner), cx, &mut self.came))?;
            if bytes == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let followed = body.follow(&self.came);
        self.plain = self.came.split_to(followed.bytes);
        if self.came.is_empty() {
            // Between pieces a connection that waits holds no buffer.
            self.came = BytesMut::new();
        }
        if followed.is_over {
            self.at = At::Head;
        }
        if followed.is_broken {
            self.at = At::Broken;
            self.came = BytesMut::new();
        }
        hand_on(&mut self.plain, buffer);
        Poll::Ready(Ok(()))
    }

    /// Reads and forgets until the other side has nothing more to say, for a while.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.at {
            At::Refused | At::Broken | At::Body(_) => {}
            At::Head if !self.came.is_empty() => {}
            At::Head | At::Upgraded => return Poll::Ready(()),
        }
        let mut waste = [0; 4 * 1024];
        while self.lingered_bytes < LINGER_BYTES_MAX && self.linger.poll_over(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.lingered_bytes += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Counts how long a write waits.
    fn paced<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(written) => {
                self.slow_write.rest();
                Poll::Ready(written)
            }
            Poll::Pending => {
                ready!(self.slow_write.poll_over(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing")))
            }
        }
    }
}

/// Moves what fits.
fn hand_on(from: &mut BytesMut, to: &mut ReadBuf<'_>) {
    let bytes = from.len().min(to.remaining());
    to.put_slice(from.get(..bytes).unwrap_or_default());
    from.advance(bytes);
    if from.is_empty() {
        *from = BytesMut::new();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        if !matches!(wire.at, At::Upgraded) && wire.notes.upgraded.load(Ordering::Acquire) {
            wire.at = At::Upgraded;
            wire.plain.unsplit(std::mem::take(&mut wire.came));
        }
        loop {
            if !wire.plain.is_empty() {
                hand_on(&mut wire.plain, buffer);
                if wire.plain.is_empty() {
                    wire.notes.head_ends();
                }
                return Poll::Ready(Ok(()));
            }
            match wire.at {
                At::Upgraded => return Pin::new(&mut wire.inner).poll_read(cx, buffer),
                At::Body(_) => return wire.poll_body(cx, buffer),
                // The end of the connection would end the answer as well: it is the library that closes.
                At::Refused => return Poll::Pending,
                At::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                At::Head => {
                    wire.take_head();
                    if matches!(wire.at, At::Head) && wire.plain.is_empty() && !ready!(wire.poll_more_of_head(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.paced(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.paced(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.paced(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        ready!(self.paced(cx, closed))?;
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    const PACE: Pace = Pace { head: Duration::from_secs(10), write: Duration::from_secs(30) };

    fn wire(room: usize) -> (Wire<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<Notes>) {
        let (ours, theirs) = duplex(room);
        let notes = Arc::new(Notes::default());
        (Wire::new(ours, Arc::clone(&notes), PACE), theirs, notes)
    }

    #[tokio::test]
    async fn whole_requests_pass_as_they_came_and_nothing_passes_behind_a_refused_one() {
        let plain = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\nhost: a\r\n\r\n\
                     POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        for room in [1, 7, 64, 4096] {
            let (mut wire, mut theirs, notes) = wire(room);
            let write = tokio::spawn(async move {
                theirs.write_all(format!("{plain}GET / HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n").as_bytes()).await.ok();
                theirs
            });
            let mut came = vec![0; plain.len() + REFUSED_HEAD.len()];
            wire.read_exact(&mut came).await.unwrap();
            assert_eq!(came, [plain.as_bytes(), REFUSED_HEAD].concat(), "{room}");
            assert_eq!(notes.refused().map(|why| why.status), Some(400));
            drop(wire);
            write.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_is_waited_for_and_silence_is_not_counted() {
        let (mut wire, mut theirs, notes) = wire(64);
        let mut byte = [0];
        let silent = tokio::time::timeout(PACE.head * 10, wire.read(&mut byte)).await;
        assert!(silent.is_err() && notes.refused().is_none());
        let started = Instant::now();
        theirs.write_all(b"GET / HT").await.unwrap();
        wire.read_exact(&mut byte).await.unwrap();
        assert_eq!((started.elapsed(), notes.refused().map(|why| why.status)), (PACE.head, Some(408)));
    }

    #[tokio::test]
    async fn who_waits_for_the_end_of_a_head_waits_for_that_alone() {
        let (mut wire, mut theirs, notes) = wire(64);
        notes.between_heads().await;
        let mut head = vec![0; 27];
        theirs.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut read = std::pin::pin!(wire.read_exact(&mut head));
        assert!(futures::poll!(read.as_mut()).is_pending());
        let mut between = std::pin::pin!(notes.between_heads());
        assert!(futures::poll!(between.as_mut()).is_pending());
        theirs.write_all(b"host: a\r\n\r\n").await.unwrap();
        read.await.unwrap();
        between.await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_for_long_is_left() {
        let (mut wire, mut theirs, _) = wire(8);
        let started = Instant::now();
        // Taking a little begins a new wait.
        let reader = tokio::spawn(async move {
            tokio::time::sleep(PACE.write / 2).await;
            theirs.read_exact(&mut [0; 4]).await.unwrap();
            theirs
        });
        let error = wire.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), PACE.write / 2 + PACE.write);
        drop(reader);
    }

    #[tokio::test]
    async fn another_protocol_passes_unseen_once_it_was_agreed_on() {
        let (mut wire, mut theirs, notes) = wire(256);
        let head = b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\r\n";
        theirs.write_all(head).await.unwrap();
        let mut came = vec![0; head.len()];
        wire.read_exact(&mut came).await.unwrap();
        notes.upgrade();
        theirs.write_all(b"\x81\n\0\r").await.unwrap();
        wire.read_exact(&mut came[..4]).await.unwrap();
        assert_eq!(&came[..4], b"\x81\n\0\r");
    }
}
