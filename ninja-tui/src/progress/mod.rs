//! A task's progress as its frames arrive: moving lines on a terminal, one plain line an event elsewhere, or nothing.
//!
//! `events.rs` puts events into words, `live.rs` draws. Neither asks anything nor decides when a command ends.

mod events;
mod live;

pub(crate) use events::words;
use ninja_sdk::api::{StreamFrame, Task};

use crate::cli::Output;
use live::Live;

/// One task's progress.
pub(crate) enum Progress<'a> {
    /// Moving lines on stderr.
    Live(Box<Live>),
    /// A line an event on stdout.
    Plain(&'a Output),
    /// Nothing: JSON was asked for and nobody watches.
    Silent,
}

impl<'a> Progress<'a> {
    /// Chooses by what stands at the end of the streams.
    pub(crate) fn new(output: &'a Output, task: &Task) -> Self {
        let terminal = output.terminal;
        match (terminal.stderr && (terminal.stdout || output.json), output.json) {
            (true, _) => Self::Live(Box::new(Live::new(terminal.colour, task))),
            (false, false) => Self::Plain(output),
            (false, true) => Self::Silent,
        }
    }

    /// Shows a frame.
    pub(crate) fn show(&mut self, frame: &StreamFrame) {
        match self {
            Self::Live(live) => live.show(frame),
            Self::Plain(output) => {
                if let StreamFrame::Event { event } = frame {
                    output.say(&events::plain(event));
                }
            }
            Self::Silent => {}
        }
    }

    /// Runs `ask` while nothing moves on the screen.
    pub(crate) fn suspend<R>(&self, ask: impl FnOnce() -> R) -> R {
        match self {
            Self::Live(live) => live.suspend(ask),
            Self::Plain(_) | Self::Silent => ask(),
        }
    }

    /// Takes the moving lines away while a person types, or brings them back.
    pub(crate) fn rest(&self, rest: bool) {
        if let Self::Live(live) = self {
            live.rest(rest);
        }
    }

    /// Takes the moving lines away for good.
    pub(crate) fn finish(&mut self) {
        if let Self::Live(live) = self {
            live.finish();
        }
    }
}
