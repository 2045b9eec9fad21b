//! Questions to a person: approvals, an agent's `ask`, effects of unknown outcome.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    advance,
    decide::{Draft, Refusal},
    plan, turn,
};
use crate::{
    api::{
        ApiError, ApprovalId, ApprovalKind, BlobHash, Decision, EffectClass, ErrorCode, PlanSpec, ProposedCall, StepId,
        Usage, UserId,
    },
    journal::record::{Intent, Outcome, Record},
};

/// The tool that a person answers.
const ASK: &str = "ask";

/// Asks for approval of a whole step.
pub(super) fn ask_for_approval(draft: &mut Draft<'_>, step: &StepId, prompt: String) {
    let approval = draft.new_approval_id();
    let kind = ApprovalKind::Approval;
    let step = step.clone();
    draft.push(Record::ApprovalRequested { approval, step, call: None, kind, prompt, proposed: None, plan: None });
}

/// Closes the gate of a call that only a person may open: `ask`, and an `unsafe` call that a model wants. One that stands in
/// an explicit plan was already wanted by a person.
pub(super) fn gate_call(draft: &mut Draft<'_>, step: &StepId, number: u32, class: EffectClass, asked_by_model: bool) {
    let Some((tool, args)) = tool_call(draft, step, number) else { return };
    if tool == ASK {
        let question = args.get("question").and_then(Value::as_str).unwrap_or_default().to_owned();
        request(draft, step, number, ApprovalKind::Question, question, None);
    } else if matches!(class, EffectClass::Unsafe | EffectClass::Probe) && may_have_happened(draft, step, &tool) {
        let prompt = format!("An attempt of this step before may have called `{tool}`, which cannot be undone. Again?");
        request(draft, step, number, ApprovalKind::Approval, prompt, Some(propose(&tool, &args)));
    } else if asked_by_model && matches!(class, EffectClass::Unsafe | EffectClass::Probe) {
        let prompt = format!("The agent wants to call `{tool}`, which cannot be undone or repeated safely.");
        request(draft, step, number, ApprovalKind::Approval, prompt, Some(propose(&tool, &args)));
    }
}

/// Returns whether an attempt before this one made a call of the tool whose outcome is not known.
fn may_have_happened(draft: &Draft<'_>, id: &StepId, tool: &str) -> bool {
    let Some(step) = draft.state.step(id) else { return false };
    let unknown = |outcome: &Option<Outcome>| {
        matches!(outcome, None | Some(Outcome::Stopped { .. } | Outcome::Lost { .. } | Outcome::Failed { .. }))
    };
    step.calls.iter().take(step.first_call).any(|call| call.what() == tool && unknown(&call.outcome))
}

/// Asks whether an effect happened whose outcome a crash took.
pub(super) fn ask_whether_it_happened(draft: &mut Draft<'_>, step: &StepId, number: u32) {
    let Some((tool, args)) = tool_call(draft, step, number) else { return };
    let prompt =
        format!("A crash took the outcome of `{tool}`. It may have happened or not; it is not repeated blindly.");
    request(draft, step, number, ApprovalKind::Ambiguous, prompt, Some(propose(&tool, &args)));
}

fn request(
    draft: &mut Draft<'_>,
    step: &StepId,
    number: u32,
    kind: ApprovalKind,
    prompt: String,
    proposed: Option<ProposedCall>,
) {
    let approval = draft.new_approval_id();
    let (step, call) = (step.clone(), Some(number));
    draft.push(Record::ApprovalRequested { approval, step, call, kind, prompt, proposed, plan: None });
}

fn tool_call(draft: &Draft<'_>, step: &StepId, number: u32) -> Option<(String, Value)> {
    match &draft.state.call(step, number)?.intent {
        Intent::Tool { tool, args, .. } => Some((tool.clone(), args.clone())),
        Intent::Model { .. } => None,
    }
}

/// Binds an answer to a call, by the hash of its canonical JSON (RFC 8785): equal arguments hash equally.
fn propose(tool: &str, args: &Value) -> ProposedCall {
    let canonical = serde_json_canonicalizer::to_vec(&json!({ "tool": tool, "args": args }));
    let digest = Sha256::digest(canonical.expect("a JSON value has a canonical form"));
    let hash = BlobHash::from_bytes(digest.into()).to_string();
    ProposedCall { tool: tool.to_owned(), args: args.clone(), hash }
}

/// Takes a person's answer.
pub(super) fn decide_approval(
    draft: &mut Draft<'_>,
    id: ApprovalId,
    decision: Decision,
    by: UserId,
) -> Result<(), Refusal> {
    let open = draft.state.approvals.get(&id).cloned().ok_or(Refusal::NotOpen(id))?;
    let expected = match open.approval.kind {
        ApprovalKind::Approval => "`approve` or `deny`",
        ApprovalKind::Ambiguous => "`happened`, `did_not_happen` or `abort`",
        ApprovalKind::Question => "`answer` with a text, or `deny`",
        ApprovalKind::Plan => "`approve`, `deny`, or `answer` with what should be different",
    };
    let step = open.approval.step.clone();
    let follow = match (open.approval.kind, &decision, open.call) {
        (ApprovalKind::Approval, Decision::Approve, None) => Follow::SucceedStep,
        (ApprovalKind::Approval, Decision::Deny, None) => Follow::FailStep("a person denied the step"),
        (ApprovalKind::Approval, Decision::Approve, Some(_)) => Follow::Run,
        (ApprovalKind::Approval | ApprovalKind::Question, Decision::Deny, Some(call)) => {
            let error = ApiError::new(ErrorCode::Denied, "a person denied this call");
            Follow::EndCall(call, Outcome::Failed { error, usage: Usage::default() })
        }
        (ApprovalKind::Ambiguous, Decision::Happened, Some(call)) => {
            Follow::EndCall(call, turn::returned(true, json!({ "confirmed_by_person": true })))
        }
        (ApprovalKind::Ambiguous, Decision::DidNotHappen, Some(_)) => Follow::Run,
        (ApprovalKind::Ambiguous, Decision::Abort, Some(_)) => {
            Follow::FailTask("a person ended the task rather than decide")
        }
        (ApprovalKind::Plan, Decision::Approve, None) => match &open.approval.plan {
            Some(plan) => Follow::AcceptPlan(Box::new(plan.clone())),
            None => return Err(Refusal::NotOpen(id)),
        },
        (ApprovalKind::Plan, Decision::Deny, None) => Follow::FailTask("a person denied the plan"),
        (ApprovalKind::Plan, Decision::Answer { text }, None) => Follow::PlanAgain(text.clone()),
        (ApprovalKind::Question, Decision::Answer { text }, Some(call)) => {
            Follow::EndCall(call, turn::returned(true, Value::String(text.clone())))
        }
        _ => return Err(Refusal::WrongAnswer { expected }),
    };
    draft.push(Record::ApprovalDecided { approval: id, decision, by });
    follow_answer(draft, &step, follow);
    Ok(())
}

#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Follow {
    Run,
    SucceedStep,
    FailStep(&'static str),
    FailTask(&'static str),
    AcceptPlan(Box<PlanSpec>),
    PlanAgain(String),
    EndCall(u32, Outcome),
}

fn follow_answer(draft: &mut Draft<'_>, step: &StepId, follow: Follow) {
    match follow {
        // The decision is the synced intent: the open gate makes the call pending.
        Follow::Run => {}
        Follow::SucceedStep => draft.succeed_step(step, json!({ "approved": true })),
        Follow::FailStep(why) => draft.fail_step(step, ApiError::new(ErrorCode::Denied, why)),
        Follow::FailTask(why) => {
            settle_open_calls(draft, step);
            advance::fail_task(draft, Some(step), ApiError::new(ErrorCode::Denied, why));
        }
        Follow::AcceptPlan(spec) => plan::accept(draft, step, &spec),
        Follow::PlanAgain(text) => {
            let feedback =
                format!("The person who asked for the plan wants it different: {text}\nAnswer with a new plan.");
            turn::ask_model(draft, step, Some(feedback));
        }
        Follow::EndCall(call, outcome) => super::decide::end_call(draft, step, call, outcome),
    }
}

/// Closes calls whose outcome nobody will learn, so that a failing task owes nothing.
fn settle_open_calls(draft: &mut Draft<'_>, id: &StepId) {
    let open: Vec<u32> =
        draft.state.step(id).map(|step| step.in_flight().map(|(number, _)| number).collect()).unwrap_or_default();
    for call in open {
        draft.push(Record::CallEnded { step: id.clone(), call, outcome: Outcome::Lost { usage: Usage::default() } });
    }
}
