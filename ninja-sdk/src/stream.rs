//! A live stream of frames, whichever transport they come over.

use std::{pin::Pin, task};

use futures::{Stream, StreamExt, stream::BoxStream};
use ninja_core::api::StreamFrame;

use crate::SdkError;

/// What a stream tells beside its frames, for those who show a person whether it lives.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "one is in memory at a time, and is handed on at once")]
pub enum Signal {
    /// A frame came.
    Frame(StreamFrame),
    /// Nothing to tell, but the daemon is there.
    Alive,
    /// The connection is lost. The stream makes another by itself and goes on after `last`.
    Away {
        /// The number of the last frame that was delivered.
        last: u64,
        /// What happened, in words.
        reason: String,
    },
    /// There is a connection again.
    Back,
}

/// The frames of one task or of the caller's feed.
///
/// Numbered frames arrive in order, each exactly once, across lost connections and restarts of the daemon.
/// Text deltas are passed through as they come and may be missing. A task's stream ends after
/// [`StreamFrame::End`]; an error is the last item.
pub struct EventStream {
    signals: BoxStream<'static, Result<Signal, SdkError>>,
}

impl EventStream {
    pub(crate) fn new(signals: impl Stream<Item = Result<Signal, SdkError>> + Send + 'static) -> Self {
        Self { signals: signals.boxed() }
    }

    /// Returns the next frame, or nothing after the last. Cancel-safe: no frame is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<StreamFrame, SdkError>> {
        StreamExt::next(self).await
    }

    /// Returns the next frame or news of the connection, or nothing after the last frame. Cancel-safe, as [`Self::next`].
    pub async fn next_signal(&mut self) -> Option<Result<Signal, SdkError>> {
        self.signals.next().await
    }
}

impl Stream for EventStream {
    type Item = Result<StreamFrame, SdkError>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut task::Context<'_>) -> task::Poll<Option<Self::Item>> {
        loop {
            match std::task::ready!(self.signals.poll_next_unpin(ctx)) {
                Some(Ok(Signal::Frame(frame))) => return task::Poll::Ready(Some(Ok(frame))),
                Some(Ok(Signal::Alive | Signal::Away { .. } | Signal::Back)) => {}
                Some(Err(error)) => return task::Poll::Ready(Some(Err(error))),
                None => return task::Poll::Ready(None),
            }
        }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}
