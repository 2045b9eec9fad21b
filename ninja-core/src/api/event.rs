//! Events: what happened to a task, numbered without gaps, and the frames that carry them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApiError, Approval, ApprovalId, Budget, BudgetLimit, BudgetOf, CancelReceipt, Decision, IdError, ModelRef, Secret,
    StepId, StepStatus, TaskId, TaskStatus, Timestamp, Usage,
};

/// A place in a task's events (`t:<seq>`) or in a user's feed (`u:<seq>`): the last entry that was seen.
/// Opaque to clients; valid across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cursor {
    /// In a task's events.
    Task(u64),
    /// In a user's feed.
    Feed(u64),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(seq) => write!(f, "t:{seq}"),
            Self::Feed(seq) => write!(f, "u:{seq}"),
        }
    }
}

impl FromStr for Cursor {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error =
            || IdError { expected: "a cursor (`t:` or `u:` and a number)", found: text.chars().take(80).collect() };
        let (tag, seq) = text.split_once(':').ok_or_else(error)?;
        let seq = seq.parse().map_err(|_| error())?;
        match tag {
            "t" => Ok(Self::Task(seq)),
            "u" => Ok(Self::Feed(seq)),
            _ => Err(error()),
        }
    }
}

impl TryFrom<String> for Cursor {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> String {
        cursor.to_string()
    }
}

#[cfg(feature = "openapi")]
super::schema::text_schema!(Cursor, "^[tf]:[0-9]+$");

/// One numbered thing that happened to a task. `seq` starts at 1 and has no gaps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// The task.
    pub task: TaskId,
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// The task was accepted.
    TaskSubmitted {
        /// What is wanted.
        goal: String,
        /// The template, where one makes the plan.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<String>,
        /// The model that will answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
    },
    /// The plan stands.
    PlanMade {
        /// Its steps, predecessors first.
        steps: Vec<StepId>,
    },
    /// Steps were added to the plan: by the planner, a `map`, an agent that delegates, or the contract.
    StepsAdded {
        /// The new ones.
        steps: Vec<StepId>,
        /// Those that will not be done: the new ones stand in their place.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaced: Vec<StepId>,
    },
    /// A step failed and is tried again.
    StepRetried {
        /// Which.
        step: StepId,
        /// Which attempt comes next.
        attempt: u32,
        /// Why the one before failed.
        error: ApiError,
        /// When it begins at the earliest.
        not_before: Timestamp,
    },
    /// A step began.
    StepStarted {
        /// Which.
        step: StepId,
        /// Its agent or tool.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// A model call is about to be made.
    ModelCallStarted {
        /// The step.
        step: StepId,
        /// Its call number.
        call: u32,
        /// The model, where it is not the task's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelRef>,
        /// Tokens set aside for it.
        reserved_tokens: u64,
        /// Money set aside for it, in millionths of a US dollar, where its price is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserved_micro_usd: Option<u64>,
        /// What the model is told to be wrong with its answer before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        feedback: Option<String>,
    },
    /// A model answered.
    ModelCallEnded {
        /// The step.
        step: StepId,
        /// Its call number.
        call: u32,
        /// The answer's text.
        text: String,
        /// Tools it asks for.
        tools: Vec<String>,
        /// What it used.
        usage: Usage,
    },
    /// A tool call is about to be made.
    ToolCallStarted {
        /// The step.
        step: StepId,
        /// Its call number.
        call: u32,
        /// The tool.
        tool: String,
        /// Its arguments.
        args: Value,
    },
    /// A tool call ended.
    ToolCallEnded {
        /// The step.
        step: StepId,
        /// Its call number.
        call: u32,
        /// Whether it did what it should.
        ok: bool,
        /// What it returned, or why not.
        output: Value,
        /// Workspace files it changed or removed.
        changed: Vec<String>,
    },
    /// A call ended without a result: it failed, was lost in a crash or stopped.
    CallEnded {
        /// The step.
        step: StepId,
        /// Its call number.
        call: u32,
        /// Why.
        error: ApiError,
        /// What it is charged.
        usage: Usage,
    },
    /// Every model that could answer failed: the step waits, then asks them again.
    ProviderPaused {
        /// The step.
        step: StepId,
        /// What the last of them failed of.
        error: ApiError,
        /// When they are asked again.
        until: Timestamp,
    },
    /// The budget does not cover what comes next: the step waits for more.
    BudgetPaused {
        /// The step.
        step: StepId,
        /// The limit that stands against it.
        limit: BudgetLimit,
        /// Whose limit that is.
        #[serde(default, skip_serializing_if = "BudgetOf::is_task")]
        of: BudgetOf,
        /// In words.
        detail: String,
        /// When the time is over that the limit is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Most of a limit is used; told once.
    BudgetWarned {
        /// Which.
        limit: BudgetLimit,
        /// How much is used: tokens, millionths of a dollar, seconds or steps.
        used: u64,
        /// The limit.
        most: u64,
    },
    /// Somebody changed the limits.
    BudgetChanged {
        /// The limits from now on.
        budget: Budget,
    },
    /// A step that waited goes on.
    StepResumed {
        /// Which.
        step: StepId,
    },
    /// A step ended.
    StepEnded {
        /// Which.
        step: StepId,
        /// How.
        status: StepStatus,
        /// Its result.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        output: Value,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ApiError>,
        /// 0 to 100: how far the task is.
        progress: u8,
    },
    /// A person is asked.
    ApprovalRequested {
        /// The question.
        approval: Approval,
    },
    /// A person answered.
    ApprovalDecided {
        /// Which question.
        id: ApprovalId,
        /// The answer.
        decision: Decision,
    },
    /// The task was taken up again after a stop or a crash.
    TaskRecovered {
        /// Calls whose outcome was lost.
        lost_calls: u32,
    },
    /// An actor of this task failed and was restarted.
    ActorFailed {
        /// Its kind: `task`, `agent` or `sandbox`.
        actor: String,
        /// What it said.
        reason: String,
        /// How many failures the task has seen.
        failures: u32,
    },
    /// Somebody asked to cancel.
    CancelRequested,
    /// Somebody paused the task: what runs ends, nothing new begins.
    TaskPaused,
    /// Somebody resumed the task.
    TaskResumed,
    /// A task that had ended is tried again.
    TaskRetried {
        /// The steps that are done again.
        steps: Vec<StepId>,
    },
    /// The task ended.
    TaskEnded {
        /// How.
        status: TaskStatus,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ApiError>,
        /// What the cancellation stopped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cancel_receipt: Option<CancelReceipt>,
        /// What the task used.
        usage: Usage,
    },
}

/// One entry of a user's feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedEntry {
    /// Its number in this user's feed.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub body: FeedBody,
}

/// What a user's feed tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "few are in memory at a time, and a box would be in the way of all who match"
)]
pub enum FeedBody {
    /// A task's status changed.
    TaskStatus {
        /// Which task.
        task: TaskId,
        /// Its new status.
        status: TaskStatus,
        /// 0 to 100.
        progress: u8,
    },
    /// A person is asked.
    ApprovalRequested {
        /// The question.
        approval: Approval,
    },
    /// A task was deleted. What the feed told of it before stays.
    TaskDeleted {
        /// Which task.
        task: TaskId,
    },
    /// Most of a limit is used that the user's tasks share; told once in its period.
    BudgetWarned {
        /// Whose it is, and for which period.
        of: BudgetOf,
        /// Of what.
        limit: BudgetLimit,
        /// How much is used: tokens or millionths of a US dollar.
        used: u64,
        /// The limit.
        most: u64,
    },
}

/// What a WebSocket client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Subscribe {
    /// The events of a task, after a cursor or from the start.
    Task {
        /// Which.
        task: TaskId,
        /// The last event that was seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Cursor>,
    },
    /// The caller's feed, after a cursor or from its start.
    Feed {
        /// The last entry that was seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Cursor>,
    },
}

/// The first thing a WebSocket client sends where its request had no header that says who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Introduce {
    /// Who it is.
    Authenticate {
        /// A ticket of `POST /auth/ws-ticket`, an access token or an API key.
        #[serde(serialize_with = "super::secret::reveal")]
        credential: Secret,
    },
}

/// What a WebSocket or SSE client receives. Frames without a sequence number may be dropped; events may not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum StreamFrame {
    /// A numbered event.
    Event {
        /// The event.
        event: Event,
    },
    /// A numbered feed entry.
    Feed {
        /// The entry.
        entry: FeedEntry,
    },
    /// Text that a model is producing now.
    Delta {
        /// The task.
        task: TaskId,
        /// The step.
        step: StepId,
        /// The piece of text.
        text: String,
    },
    /// The reader fell behind what is live. It misses no event: what follows is read from disk; text that a model produced
    /// meanwhile is lost.
    Lagged {
        /// The task that is followed; the caller's feed where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// The last number that the reader was sent.
        seq: u64,
    },
    /// The task has ended and every event of it was sent.
    End {
        /// The task.
        task: TaskId,
    },
    /// A subscription could not be served.
    Error {
        /// Why.
        error: ApiError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_wire_and_nothing_else_parses() {
        for cursor in [Cursor::Task(0), Cursor::Feed(u64::MAX)] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in ["", "t", "t:", "t:-1", "x:1", "t:18446744073709551616"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
