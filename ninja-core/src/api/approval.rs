//! Questions that only a person can answer; they survive restarts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApprovalId, PlanSpec, StepId, TaskId, Timestamp, UserId};

/// What is asked of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// May the step go on, or the proposed call be made? Answer `approve` or `deny`.
    Approval,
    /// A crash fell into an `unsafe` effect. Answer `happened`, `did_not_happen` or `abort`.
    Ambiguous,
    /// An agent asks. Answer `answer` with a text.
    Question,
    /// May this plan be carried out? Answer `approve`, `deny`, or `answer` with what should be different.
    Plan,
}

/// The exact call that an answer is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProposedCall {
    /// The tool.
    pub tool: String,
    /// Its exact arguments.
    pub args: Value,
    /// SHA-256 of tool and arguments as canonical JSON; an answer is bound to it.
    pub hash: String,
}

/// An open question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The task that waits.
    pub task: TaskId,
    /// The step that waits.
    pub step: StepId,
    /// What is asked.
    pub kind: ApprovalKind,
    /// The question in words.
    pub prompt: String,
    /// The call in question, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<ProposedCall>,
    /// The plan in question, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSpec>,
    /// Since when it waits.
    pub since: Timestamp,
}

/// An open question in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalSummary {
    /// Whose task waits.
    pub owner: UserId,
    /// What was wanted of the task, cut to 200 characters.
    pub goal: String,
    /// The question. A plan that it is about stands in the task.
    pub approval: Approval,
    /// When it is no longer open, if it does not stay open until somebody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "decision", deny_unknown_fields)]
pub enum Decision {
    /// Go on.
    Approve,
    /// Do not.
    Deny,
    /// The ambiguous effect happened; its receipt is what the person says.
    Happened,
    /// The ambiguous effect did not happen: make it now.
    DidNotHappen,
    /// End the task rather than decide.
    Abort,
    /// The answer to a question, or what should be different in a plan.
    Answer {
        /// The text given to the agent or the planner.
        text: String,
    },
}

impl Decision {
    /// Returns what kind of answer it is, as it stands on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Happened => "happened",
            Self::DidNotHappen => "did_not_happen",
            Self::Abort => "abort",
            Self::Answer { .. } => "answer",
        }
    }
}

/// The body of `POST /tasks/{id}/approvals/{approval_id}`: the answer itself.
pub type DecideApproval = Decision;
