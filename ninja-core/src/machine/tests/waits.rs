//! Questions to a person.

use super::*;
use crate::api::{ApprovalKind, WaitFor};

#[test]
fn an_approval_step_waits_and_goes_on_or_fails() {
    let plan =
        || World::new(vec![step("ok", &[], approval("ship {{goal}}?")), step("b", &["ok"], tool("look", json!({})))]);
    let mut world = plan();
    world.report(Input::Begin);
    let task = world.view();
    assert_eq!((task.status, task.waiting.unwrap().wait_for), (TaskStatus::Waiting, WaitFor::Approval));
    assert_eq!(task.approvals[0].prompt, "ship the goal?");
    assert!(pending(&world.state).is_empty());
    let wrong = world.decide(Decision::Happened);
    assert!(matches!(wrong, Err(Refusal::WrongAnswer { .. })), "{wrong:?}");

    let mut denied = world.clone();
    denied.decide(Decision::Deny).unwrap();
    assert_eq!((denied.view().status, denied.error_code().as_deref()), (TaskStatus::Failed, Some("denied")));

    let approval = world.only_approval();
    world.decide(Decision::Approve).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("b"), call: 0 }]);
    let again =
        world.take(Input::DecideApproval { approval, decision: Decision::Approve, by: UserId::from_uuid(Uuid::nil()) });
    assert_eq!(again, Err(Refusal::NotOpen(approval)), "an answer counts once");
}

#[test]
fn an_unsafe_call_of_a_model_waits_for_a_person_bound_to_its_arguments() {
    let mut world = World::new(vec![step("a", &[], agent("pay"))]);
    world.report(Input::Begin);
    world.end("a", 0, calls(&[("pay", json!({ "n": 5, "a": 1 }))]));
    let open = world.view().approvals[0].clone();
    let proposed = open.call.unwrap();
    assert_eq!(
        (open.kind, proposed.tool.as_str(), &proposed.args),
        (ApprovalKind::Approval, "pay", &json!({ "a": 1, "n": 5 }))
    );
    assert_eq!(proposed.hash.len(), 64);
    assert!(pending(&world.state).is_empty());

    let mut denied = world.clone();
    denied.decide(Decision::Deny).unwrap();
    assert_eq!(pending(&denied.state), [Effect::CallModel { step: id("a"), call: 2 }], "the model is told");

    world.decide(Decision::Approve).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("a"), call: 1 }]);
}

#[test]
fn an_unsafe_call_in_an_explicit_plan_was_wanted_by_a_person() {
    let mut world = World::new(vec![step("a", &[], tool("pay", json!({ "n": 5 })))]);
    world.report(Input::Begin);
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("a"), call: 0 }]);
}

#[test]
fn an_agents_question_is_answered_by_a_person() {
    let mut world = World::new(vec![step("a", &[], agent("ask"))]);
    world.report(Input::Begin);
    world.end("a", 0, calls(&[("ask", json!({ "question": "which one?" }))]));
    let task = world.view();
    assert_eq!((task.status, task.waiting.unwrap().wait_for), (TaskStatus::Waiting, WaitFor::Person));
    assert_eq!(task.approvals[0].prompt, "which one?");
    world.decide(Decision::Answer { text: "the blue one".to_owned() }).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("a"), call: 2 }]);
}

#[test]
fn cancelling_a_waiting_task_ends_it_at_once() {
    let mut world = World::new(vec![step("ok", &[], approval("?"))]);
    world.report(Input::Begin);
    world.cancel().unwrap();
    assert_eq!(world.view().status, TaskStatus::Cancelled);
    assert!(world.view().approvals.is_empty());
}
