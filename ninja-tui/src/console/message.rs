//! What the console hears (messages) and what it wants done (commands): the whole interface between `app.rs` and the
//! world.

use crossterm::event::Event;
use ninja_sdk::api::{ApprovalId, Decision, StreamFrame, Task, TaskId, TaskSummary, Timestamp};

/// Something that happened.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one is in memory at a time, and is handed on at once")]
pub(super) enum Message {
    /// A key, a paste or a new size.
    Terminal(Event),
    /// A second passed.
    Tick(Timestamp),
    /// The newest tasks, as many as were wanted, or why not.
    Listed(Result<Listing, String>),
    /// News of a stream.
    News {
        /// Which stream.
        source: Source,
        /// What it told.
        news: News,
    },
    /// The followed task as it stands.
    Snapshot {
        /// Which following it was read for.
        follow: u64,
        /// The task.
        task: Box<Task>,
    },
    /// An answer or a cancellation came home: the task after it, or why not.
    Done {
        /// The task.
        task: TaskId,
        /// The question, where it was an answer.
        approval: Option<ApprovalId>,
        /// What came of it.
        result: Result<Box<Task>, String>,
    },
    /// Something went wrong that belongs to no task.
    Trouble(String),
}

/// The newest tasks.
#[derive(Debug)]
pub(super) struct Listing {
    /// Newest first.
    pub(super) tasks: Vec<TaskSummary>,
    /// Whether there are older ones.
    pub(super) more: bool,
}

/// A stream. Each following of a task has a number, so that news of one that was left is known as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The caller's feed.
    Feed,
    /// The events of the followed task.
    Task(u64),
}

/// What a stream tells.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one is in memory at a time, and is handed on at once")]
pub(super) enum News {
    /// There is a connection.
    Up,
    /// Nothing happened, but the daemon is there.
    Alive,
    /// There is no connection; another is being tried.
    Down(String),
    /// A frame.
    Frame(StreamFrame),
    /// It will never come back.
    Gone(String),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Read this many of the newest tasks, soon.
    List(usize),
    /// Follow a task instead of the one before.
    Follow {
        /// The number of this following.
        follow: u64,
        /// The task.
        task: TaskId,
    },
    /// Follow nothing.
    Unfollow,
    /// Read the followed task again, soon.
    Look,
    /// Answer a question.
    Decide {
        /// The task.
        task: TaskId,
        /// The question.
        approval: ApprovalId,
        /// The answer.
        decision: Decision,
    },
    /// Cancel a task.
    Cancel(TaskId),
}
