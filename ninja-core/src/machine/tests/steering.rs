//! What an operator does with a task: pause, resume, retry.

use super::*;
use crate::api::WaitFor;

fn two() -> World {
    let mut world = World::new(vec![step("a", &[], agent("a")), step("b", &["a"], tool("shell", json!({})))]);
    world.report(Input::Begin);
    world
}

#[test]
fn a_paused_task_lets_end_what_runs_and_begins_nothing_until_it_is_resumed() {
    let mut world = two();
    assert_eq!(world.take(Input::Resume { by: person() }), Err(Refusal::NotPaused));
    world.take(Input::Pause { by: person() }).unwrap();
    assert_eq!(world.view().status, TaskStatus::Running, "the call still runs");
    assert_eq!(world.take(Input::Pause { by: person() }), Err(Refusal::Paused));
    world.end("a", 0, calls(&[("look", json!({}))]));
    assert_eq!(world.view().waiting.map(|waiting| waiting.wait_for), Some(WaitFor::Operator));
    assert!(pending(&world.state).is_empty());
    assert!(world.report(Input::Recover).is_empty(), "a restart does not resume it");
    world.take(Input::Resume { by: person() }).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("a"), call: 1 }]);
    world.end("a", 1, returns(Value::Null));
    world.end("a", 2, says("done"));
    world.take(Input::Pause { by: person() }).unwrap();
    world.end("b", 0, returns(Value::Null));
    assert_eq!(world.view().status, TaskStatus::Waiting, "even the end waits");
    world.take(Input::Resume { by: person() }).unwrap();
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn a_paused_task_can_be_cancelled_and_its_questions_wait() {
    let mut world = World::new(vec![step("a", &[], approval("go?"))]);
    world.report(Input::Begin);
    world.take(Input::Pause { by: person() }).unwrap();
    assert_eq!(world.decide(Decision::Approve), Err(Refusal::Paused));
    world.cancel().unwrap();
    assert_eq!(world.view().status, TaskStatus::Cancelled);
}

#[test]
fn a_model_call_lost_while_paused_is_made_again_when_resumed() {
    let mut world = two();
    world.take(Input::Pause { by: person() }).unwrap();
    world.report(Input::Recover);
    assert!(pending(&world.state).is_empty());
    world.take(Input::Resume { by: person() }).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("a"), call: 1 }]);
}

#[test]
fn a_failed_task_is_tried_again_from_what_failed() {
    let mut world = two();
    assert_eq!(world.take(Input::Retry { by: person() }), Err(Refusal::NothingToRetry));
    world.end("a", 0, says("done"));
    world.end(
        "b",
        0,
        Outcome::Returned { ok: false, output: json!("no"), delta: ManifestDelta::default(), images: Vec::new() },
    );
    assert_eq!(world.view().status, TaskStatus::Failed);
    world.take(Input::Retry { by: person() }).unwrap();
    let task = world.view();
    assert_eq!((task.status, task.error, task.ended_at), (TaskStatus::Running, None, None));
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("b"), call: 1 }], "what succeeded stays");
    world.end("b", 1, returns(Value::Null));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
    assert_eq!(world.take(Input::Retry { by: person() }), Err(Refusal::NothingToRetry));
}

#[test]
fn a_cancelled_task_is_tried_again_and_an_effect_that_may_have_happened_is_asked_about() {
    let mut world = World::new(vec![step("a", &[], tool("pay", json!({})))]);
    world.report(Input::Begin);
    world.cancel().unwrap();
    world.end("a", 0, stopped());
    assert_eq!(world.view().status, TaskStatus::Cancelled);
    world.take(Input::Retry { by: person() }).unwrap();
    assert!(pending(&world.state).is_empty(), "it is not repeated blindly");
    world.decide(Decision::Approve).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("a"), call: 1 }]);
    world.end("a", 1, returns(Value::Null));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn a_retried_map_begins_with_new_parts() {
    let mut world = World::new(vec![step("each", &[], super::nested::map("params.list", tool("shell", json!({}))))]);
    world.report(Input::Begin);
    world.cancel().unwrap();
    for part in 0..3 {
        world.end(&format!("each:{part}"), 0, stopped());
    }
    world.take(Input::Retry { by: person() }).unwrap();
    for part in 3..6 {
        world.end(&format!("each:{part}"), 0, returns(json!(part)));
    }
    assert_eq!(world.view().steps[0].output, json!([3, 4, 5]));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}
