//! Tasks: what is asked, how it stands, what came of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    ApiError, Approval, Artifact, Contract, FileId, ModelRef, PlanSpec, StepId, StepKind, TaskId, Timestamp, Usage,
};

/// The body of `POST /tasks`. A goal, a template or a plan must be given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SubmitTask {
    /// What is wanted, in words: at most 64 KiB.
    pub goal: String,
    /// The template that makes the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The template's parameters.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// An explicit plan, instead of a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSpec>,
    /// Who makes the plan of a bare goal.
    #[serde(skip_serializing_if = "is_default")]
    pub planning: Planning,
    /// The agent that does a bare goal in one step: the name of one, or the whole text of an agent file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// How much is done without asking.
    #[serde(skip_serializing_if = "is_default")]
    pub autonomy: Autonomy,
    /// What must hold at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Uploaded files, placed read-only in `inputs/` of the workspace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileId>,
    /// `provider/name`, or a bare provider; the configured order of choice where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Hard limits on what the task may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Who makes the plan of a bare goal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Planning {
    /// The model where it is able to, else one agent does the whole goal in one step.
    #[default]
    Auto,
    /// The model.
    Model,
    /// Nobody: one agent does the whole goal in one step.
    None,
}

/// How much a task does without asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Autonomy {
    /// Everything but what cannot be undone.
    #[default]
    Full,
    /// The plan is shown for approval before anything of it is done.
    Review,
}

/// The body of `POST /tasks/{id}/fork`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ForkTask {
    /// The step before whose start the new task leaves the old one; its end where none is given, which is of use with a
    /// failed task and another model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<StepId>,
    /// The model of the new task; the old one's where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Where a task left another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForkPoint {
    /// The other task.
    pub task: TaskId,
    /// The last of its records that both share.
    pub seq: u64,
}

/// Hard limits, reserved before a call and settled after it. A task that reaches one waits for more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Tokens in and out, over all calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money for model calls, in millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
    /// Seconds from its submission on, waiting included. What runs when they are over ends by itself; nothing new begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Steps that begin, with second attempts and parts of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// One of the limits of a [`Budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BudgetLimit {
    /// Tokens.
    Tokens,
    /// Money.
    Cost,
    /// Time.
    Seconds,
    /// Steps.
    Steps,
}

impl BudgetLimit {
    /// Writes an amount of it with its unit.
    pub fn amount(self, amount: u64) -> String {
        match self {
            Self::Tokens => format!("{amount} tokens"),
            Self::Cost => dollars(amount),
            Self::Seconds => format!("{amount} seconds"),
            Self::Steps => format!("{amount} steps"),
        }
    }
}

/// Whose limit it is, and for which time: the task's own, or one that a user's tasks share, or everybody's. Days and months
/// are those of UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BudgetOf {
    /// The task's own.
    #[default]
    Task,
    /// The user's, for a day.
    UserDay,
    /// The user's, for a month.
    UserMonth,
    /// Everybody's, for a day.
    InstallationDay,
    /// Everybody's, for a month.
    InstallationMonth,
}

impl BudgetOf {
    /// Returns whether it is the task's own.
    pub fn is_task(&self) -> bool {
        *self == Self::Task
    }

    /// Returns it in words, as in `of the user's budget for the day`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Task => "the task's budget",
            Self::UserDay => "the user's budget for the day",
            Self::UserMonth => "the user's budget for the month",
            Self::InstallationDay => "the installation's budget for the day",
            Self::InstallationMonth => "the installation's budget for the month",
        }
    }
}

/// Writes millionths of a US dollar as dollars: `$1.25`, `$0.0042`.
pub fn dollars(micro_usd: u64) -> String {
    let (whole, fraction) = (micro_usd / 1_000_000, format!("{:06}", micro_usd % 1_000_000));
    let digits = fraction.trim_end_matches('0').len().max(2);
    format!("${whole}.{}", fraction.get(..digits).unwrap_or(&fraction))
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Accepted, not yet begun.
    Queued,
    /// The plan is being made.
    Planning,
    /// At least one step runs.
    Running,
    /// Nothing runs until something happens; `waiting` says what.
    Waiting,
    /// Done.
    Succeeded,
    /// Ended without success; `error` says why.
    Failed,
    /// Ended by a person.
    Cancelled,
}

impl std::str::FromStr for TaskStatus {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == name);
        found.ok_or_else(|| format!("a status is one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

impl TaskStatus {
    /// Every status there is.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Planning, Self::Running, Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Returns whether the task has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Returns the status as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a waiting task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// A decision on an approval.
    Approval,
    /// A person's word: an ambiguous effect or an agent's question.
    Person,
    /// More budget.
    Budget,
    /// A provider: every model that could answer failed, and is asked again later.
    Provider,
    /// A time: the next attempt of a step that failed.
    Timer,
    /// Somebody who paused it to resume it.
    Operator,
}

impl WaitFor {
    /// Returns the cause as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Person => "person",
            Self::Budget => "budget",
            Self::Provider => "provider",
            Self::Timer => "timer",
            Self::Operator => "operator",
        }
    }
}

/// Why a task waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// For what.
    #[serde(rename = "for")]
    pub wait_for: WaitFor,
    /// Since when.
    pub since: Timestamp,
    /// When something of it goes on by itself, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The limit that it wants more of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<BudgetLimit>,
    /// Whose limit that is.
    #[serde(default, skip_serializing_if = "BudgetOf::is_task")]
    pub of: BudgetOf,
    /// The approval to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Its predecessors have not all ended.
    Pending,
    /// At work.
    Running,
    /// A person must answer.
    Waiting,
    /// Done.
    Succeeded,
    /// Ended without success.
    Failed,
    /// Its condition did not hold.
    Skipped,
    /// Stopped with its task.
    Cancelled,
}

impl StepStatus {
    /// Returns whether the step has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled)
    }

    /// Returns the status as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A step as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// What it does.
    pub kind: StepKind,
    /// A few words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The agent or tool at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The step that it is a part of: a `map`, or an agent that delegated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<StepId>,
    /// Which attempt it is, from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub attempt: u32,
    /// The steps before it.
    pub after: Vec<StepId>,
    /// How it stands.
    pub status: StepStatus,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its result: an agent's final answer, a tool's output.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// What it used.
    pub usage: Usage,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(attempt: &u32) -> bool {
    *attempt == 1
}

/// One effect that a cancellation stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoppedCall {
    /// The step it belonged to.
    pub step: StepId,
    /// What ran: a tool's name, or `model`.
    pub what: String,
    /// Processes that were killed.
    pub processes: u32,
    /// From the request to the last process gone.
    pub stopped_after_ms: u64,
}

/// Proof of what a cancellation stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CancelReceipt {
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Each effect that was running.
    pub stopped: Vec<StoppedCall>,
    /// From the request to nothing left alive.
    pub took_ms: u64,
}

/// A task, whole: what `GET /tasks/{id}` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What was wanted.
    pub goal: String,
    /// The template, where one made the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The model that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// The task that it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkPoint>,
    /// How it stands.
    pub status: TaskStatus,
    /// 0 to 100: the share of steps that have ended.
    pub progress: u8,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Its steps, predecessors first.
    pub steps: Vec<Step>,
    /// Open questions to a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Files it made so far.
    pub artifacts: Vec<Artifact>,
    /// What it used.
    pub usage: Usage,
    /// Its limits as they are now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget: Budget,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// What the cancellation stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_receipt: Option<CancelReceipt>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The number of its newest event.
    pub last_seq: u64,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskSummary {
    /// Its id.
    pub id: TaskId,
    /// What was wanted, cut to 200 characters.
    pub goal: String,
    /// The template, where one made the plan. What ended under an older version does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// How it stands.
    pub status: TaskStatus,
    /// 0 to 100.
    pub progress: u8,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What it used.
    pub usage: Usage,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
