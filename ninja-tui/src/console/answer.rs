//! Which answer a key gives to which question, and the question as it is shown: whole, without what hides or steers.

use ninja_sdk::api::{Approval, ApprovalKind, Decision};

use super::{keys::Action, text};
use crate::format::{cut, one_line};

/// Longer than any question: those of an agent and the arguments of a call are at most some 64 KiB.
const WHOLE: usize = usize::MAX;
/// Of a call's hash: enough to compare by eye. The arguments stand above it, whole.
const HASH_CHARACTERS: usize = 17;

/// What a key means to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The answer; it can be given at once.
    Give(Decision),
    /// The answer; it cannot be taken back, so it is confirmed.
    Confirm(Decision),
    /// A text must be typed.
    Type,
    /// This question is not answered so; how it is.
    No(&'static str),
}

/// Returns what a key means to a question.
pub(super) fn reply(kind: ApprovalKind, action: Action) -> Reply {
    match (kind, action) {
        (ApprovalKind::Approval | ApprovalKind::Plan, Action::Approve) => Reply::Give(Decision::Approve),
        (ApprovalKind::Approval | ApprovalKind::Question | ApprovalKind::Plan, Action::Deny) => {
            Reply::Confirm(Decision::Deny)
        }
        (ApprovalKind::Ambiguous, Action::Happened) => Reply::Confirm(Decision::Happened),
        (ApprovalKind::Ambiguous, Action::DidNotHappen) => Reply::Confirm(Decision::DidNotHappen),
        (ApprovalKind::Ambiguous, Action::Deny) => Reply::Confirm(Decision::Abort),
        (ApprovalKind::Question | ApprovalKind::Plan, Action::Answer) => Reply::Type,
        (ApprovalKind::Approval, _) => Reply::No("this is answered with a (approve) or d (deny)"),
        (ApprovalKind::Ambiguous, _) => {
            Reply::No("this is answered with h (it happened), n (it did not) or d (end the task)")
        }
        (ApprovalKind::Plan, _) => {
            Reply::No("this is answered with a (approve), i (type what should be different) or d (deny)")
        }
        (ApprovalKind::Question, _) => Reply::No("this is answered with i (type the answer) or d (deny)"),
    }
}

/// Returns what an answer does, for the confirmation.
pub(super) fn consequence(decision: &Decision) -> &'static str {
    match decision {
        Decision::Approve => "Approve?",
        Decision::Deny => "Deny? The step then fails or goes on without it.",
        Decision::Happened => "It happened? The task goes on as if its receipt had come.",
        Decision::DidNotHappen => "It did not happen? The call is made NOW.",
        Decision::Abort => "End the task rather than decide?",
        Decision::Answer { .. } => "Send the answer?",
    }
}

/// Returns how a kind of question is answered.
pub(super) fn ways(kind: ApprovalKind) -> &'static str {
    match kind {
        ApprovalKind::Approval => "a approve · d deny",
        ApprovalKind::Ambiguous => "h it happened · n it did not happen: make it now · d end the task",
        ApprovalKind::Plan => "a approve · i type what should be different · d deny",
        ApprovalKind::Question => "i type the answer · d deny",
    }
}

/// Returns the question, whole: words, the exact call, and how much was removed because it hides or steers.
pub(super) fn question(approval: &Approval) -> String {
    let mut shown = text::clean(&approval.prompt, WHOLE);
    let mut removed = text::hidden(&approval.prompt);
    if let Some(call) = &approval.call {
        let args = serde_json::to_string_pretty(&call.args).unwrap_or_else(|_| call.args.to_string());
        removed += text::hidden(&args) + text::hidden(&call.tool);
        shown += &format!("\n\nThe exact call: {}\n{}", one_line(&call.tool), text::clean(&args, WHOLE));
        shown += &format!("\n(sha256 {})", cut(&one_line(&call.hash), HASH_CHARACTERS));
    }
    if removed > 0 {
        shown += &format!("\n\n{removed} characters that hide or steer were removed from what is shown.");
    }
    shown
}
