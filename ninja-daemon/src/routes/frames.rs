//! The engine's frames on their way out: serialised once by the engine, shared by every reader.

use std::sync::Arc;

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use ninja_core::{
    api::{ApiError, TaskId},
    journal::feed::{Follow, Frame},
};

/// What a reader follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Task(TaskId),
    Feed,
}

/// What comes of a topic on a socket.
pub(super) enum Sent {
    Frame(Arc<str>),
    Failed(ApiError),
    /// Nothing more.
    Over(Topic),
}

/// A topic's frames, then word that they are over.
pub(super) type TopicFrames = BoxStream<'static, Sent>;

/// Returns what comes of a topic.
pub(super) fn frames(topic: Topic, follow: Follow) -> TopicFrames {
    let sent = follow_on(follow).map(|frame| match frame {
        Ok(frame) => Sent::Frame(frame.json),
        Err(error) => Sent::Failed(error),
    });
    sent.chain(stream::iter([Sent::Over(topic)])).boxed()
}

/// Returns the frames as a stream; an error is its last item.
pub(super) fn follow_on(follow: Follow) -> impl Stream<Item = Result<Frame, ApiError>> + Send {
    stream::unfold(Some(follow), |follow| async move {
        let mut follow = follow?;
        match follow.next().await {
            Ok(frame) => frame.map(|frame| (Ok(frame), Some(follow))),
            Err(error) => Some((Err(ApiError::new(error.code(), error.to_string())), None)),
        }
    })
}

/// Makes a message of a frame without copying it.
pub(super) fn text(json: Arc<str>) -> Message {
    struct Json(Arc<str>);

    impl AsRef<[u8]> for Json {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    // What was a `str` is UTF-8.
    Message::Text(Utf8Bytes::try_from(Bytes::from_owner(Json(json))).unwrap_or_default())
}
