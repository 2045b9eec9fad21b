//! How long the other side takes: a timer that costs nothing until something has to be waited for.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// A wait that may last for so long and no longer.
#[derive(Debug)]
pub(super) struct Stall {
    max: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(super) fn new(max: Duration) -> Self {
        Self { max, running: None }
    }

    /// Is ready when the wait has lasted too long; it begins with the first call after a rest.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.running.get_or_insert_with(|| Box::pin(sleep(self.max))).as_mut().poll(cx)
    }

    /// Ends the wait.
    pub(super) fn rest(&mut self) {
        self.running = None;
    }
}
