//! A live stream of frames, whichever transport they come over.

use std::{pin::Pin, task};

use futures::{Stream, StreamExt, stream::BoxStream};
use ninja_core::api::StreamFrame;

use crate::SdkError;

/// The frames of one task or of the caller's feed.
///
/// Numbered frames arrive in order, each exactly once, across lost connections and restarts of the daemon.
/// Text deltas are passed through as they come and may be missing. A task's stream ends after
/// [`StreamFrame::End`]; an error is the last item.
pub struct EventStream {
    frames: BoxStream<'static, Result<StreamFrame, SdkError>>,
}

impl EventStream {
    pub(crate) fn new(frames: impl Stream<Item = Result<StreamFrame, SdkError>> + Send + 'static) -> Self {
        Self { frames: frames.boxed() }
    }

    /// Returns the next frame, or nothing after the last. Cancel-safe: no frame is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<StreamFrame, SdkError>> {
        self.frames.next().await
    }
}

impl Stream for EventStream {
    type Item = Result<StreamFrame, SdkError>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut task::Context<'_>) -> task::Poll<Option<Self::Item>> {
        self.frames.poll_next_unpin(ctx)
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}
