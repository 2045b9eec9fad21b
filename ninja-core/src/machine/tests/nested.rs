//! Steps within steps: `map`, `delegate`, and attempts of one step.

use super::*;
use crate::{
    api::Retry,
    journal::record::{MapStep, Message},
    workspace::FileEntry,
};

/// Makes a `map` whose items' failures count.
pub(super) fn map(over: &str, action: Action) -> Action {
    let each = MapStep { title: None, optional: false, retry: None, action };
    Action::Map { over: over.to_owned(), each: Box::new(each) }
}

fn optional_map(over: &str, action: Action) -> Action {
    let each = MapStep { title: None, optional: true, retry: None, action };
    Action::Map { over: over.to_owned(), each: Box::new(each) }
}

fn wrote(path: &str, byte: u8) -> Outcome {
    let file = FileEntry { blob: BlobHash::from_bytes([byte; 32]), bytes: 1, executable: false };
    let changed = BTreeMap::from([(path.parse().unwrap(), file)]);
    Outcome::Returned {
        ok: true,
        output: json!(path),
        delta: ManifestDelta { changed, ..ManifestDelta::default() },
        images: Vec::new(),
    }
}

fn fails(why: &str) -> Outcome {
    Outcome::Returned {
        ok: false,
        output: json!({ "error": why }),
        delta: ManifestDelta::default(),
        images: Vec::new(),
    }
}

fn args_of(world: &World, step: &str) -> Value {
    match &world.state.call(&id(step), 0).unwrap().intent {
        Intent::Tool { args, .. } => args.clone(),
        Intent::Model { .. } => panic!("a tool call"),
    }
}

#[test]
fn a_map_does_its_step_for_each_item_side_by_side_and_keeps_their_order() {
    let each = tool("shell", json!({ "text": "for {{item}}", "whole": "{{item}}" }));
    let mut world = World::new(vec![
        step("each", &[], map("params.list", each)),
        step("join", &["each"], tool("look", json!({ "all": "{{steps.each.output}}" }))),
    ]);
    world.report(Input::Begin);
    assert_eq!(pending(&world.state).len(), 3);
    assert_eq!(args_of(&world, "each:1"), json!({ "text": "for y", "whole": "y" }));
    for (part, file, byte) in [("each:2", "c", 3), ("each:0", "a", 1), ("each:1", "b", 2)] {
        assert_eq!(world.state.manifest_of(&id(part)).iter().count(), 0, "{part} does not see the others");
        world.end(part, 0, wrote(file, byte));
    }
    assert_eq!(args_of(&world, "join"), json!({ "all": ["a", "b", "c"] }));
    assert_eq!(world.state.manifest_of(&id("join")).iter().count(), 3, "what comes after sees all");
    world.end("join", 0, returns(Value::Null));
    let task = world.view();
    assert_eq!((task.status, task.artifacts.len()), (TaskStatus::Succeeded, 3));
    assert_eq!(task.steps.iter().filter(|step| step.parent == Some(id("each"))).count(), 3);
}

#[test]
fn a_map_over_nothing_ends_and_one_over_no_list_fails() {
    let mut empty = World::new(vec![
        step("list", &[], tool("look", json!({}))),
        step("each", &["list"], map("steps.list.output.items", agent("{{item}}"))),
    ]);
    let mut none = empty.clone();
    empty.report(Input::Begin);
    empty.end("list", 0, returns(json!({ "items": [] })));
    assert_eq!((empty.view().status, &empty.view().steps[1].output), (TaskStatus::Succeeded, &json!([])));
    none.report(Input::Begin);
    none.end("list", 0, returns(json!({ "items": "text" })));
    assert_eq!(none.error_code().as_deref(), Some("invalid_request"));
}

#[test]
fn a_part_that_fails_fails_its_map_once_the_others_have_ended_and_an_optional_one_does_not() {
    let mut world = World::new(vec![step("each", &[], map("params.list", tool("shell", json!({}))))]);
    let mut lenient = World::new(vec![step("each", &[], optional_map("params.list", tool("shell", json!({}))))]);
    world.report(Input::Begin);
    world.end("each:0", 0, fails("no"));
    assert_eq!(world.view().status, TaskStatus::Running, "what runs is let end");
    world.end("each:1", 0, returns(json!(1)));
    world.end("each:2", 0, returns(json!(2)));
    let error = world.view().error.unwrap();
    assert_eq!((world.view().status, error.detail.as_str()), (TaskStatus::Failed, "each:0: no"));

    lenient.report(Input::Begin);
    lenient.end("each:0", 0, fails("no"));
    lenient.end("each:1", 0, returns(json!("one")));
    lenient.end("each:2", 0, returns(json!("two")));
    assert_eq!(lenient.view().steps[0].output, json!([null, "one", "two"]));
    assert_eq!(lenient.view().status, TaskStatus::Succeeded);
}

#[test]
fn delegated_work_is_a_step_whose_result_and_files_come_back() {
    let mut world = World::new(vec![step("a", &[], agent("do it"))]);
    world.report(Input::Begin);
    world.end("a", 0, calls(&[("shell", json!({}))]));
    world.end("a", 1, wrote("own", 1));
    let delegate = |agent: &str, task: &str| ("delegate", json!({ "agent": agent, "task": task }));
    world.end("a", 2, calls(&[delegate("helper", "see {{goal}}"), delegate("helper", "other")]));
    assert_eq!(
        pending(&world.state),
        [Effect::CallModel { step: id("a:0"), call: 0 }, Effect::CallModel { step: id("a:1"), call: 0 },]
    );
    let part = world.state.step(&id("a:0")).unwrap();
    let Intent::Model { context, .. } = &part.calls[0].intent else { panic!("a model call") };
    let told = conversation(&world.state, part, context);
    assert!(
        matches!(&told[1], Message::User { text, .. } if text.starts_with("see {{goal}}")),
        "a model's braces are text"
    );
    assert_eq!(world.state.manifest_of(&id("a:0")).iter().count(), 1, "it sees what the agent made so far");
    world.end("a:1", 0, says("second"));
    assert_eq!(pending(&world.state).len(), 1, "the agent waits for both");
    world.report(Input::Recover);
    world.end("a:0", 1, calls(&[("look", json!({}))]));
    world.end("a:0", 2, returns(json!("seen")));
    world.end("a:0", 3, says("first"));
    let results: Vec<_> = (3..5).map(|call| world.state.call(&id("a"), call).unwrap().outcome.clone()).collect();
    assert_eq!(results, [Some(returns(json!("first"))), Some(returns(json!("second")))]);
    world.end("a", 5, says("all"));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn an_agent_delegates_no_right_that_it_does_not_have_and_not_for_ever() {
    let mut world = World::new(vec![step("a", &[], agent("do it"))]);
    world.report(Input::Begin);
    let to = |agent: &str| calls(&[("delegate", json!({ "agent": agent, "task": "t" }))]);
    world.end("a", 0, to("mighty"));
    let Some(Outcome::Failed { error, .. }) = &world.state.call(&id("a"), 1).unwrap().outcome else {
        panic!("refused")
    };
    assert!(error.detail.contains("you may delegate to: helper"), "{}", error.detail);
    world.end("a", 2, to("helper"));
    assert_eq!(world.state.steps.len(), 2);
    // The helper is not offered the tool at all.
    world.end("a:0", 0, to("helper"));
    let Some(Outcome::Failed { error, .. }) = &world.state.call(&id("a:0"), 1).unwrap().outcome else {
        panic!("refused")
    };
    assert!(error.detail.contains("there is no tool `delegate`"), "{}", error.detail);
}

#[test]
fn a_failed_part_is_told_to_the_agent_that_delegated_it() {
    let mut world = World::new(vec![step("a", &[], agent("do it"))]);
    world.report(Input::Begin);
    world.end("a", 0, calls(&[("delegate", json!({ "agent": "helper", "task": "t" }))]));
    let error = crate::api::ApiError::new(crate::api::ErrorCode::ProviderRejected, "down");
    world.end("a:0", 0, Outcome::Failed { error, usage: Usage::default() });
    let told = world.state.call(&id("a"), 1).unwrap().outcome.clone();
    assert_eq!(
        told,
        Some(Outcome::Returned {
            ok: false,
            output: json!({ "error": "down" }),
            delta: ManifestDelta::default(),
            images: Vec::new()
        })
    );
    world.end("a", 2, says("did it myself"));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn a_step_is_tried_again_after_a_wait_that_doubles_and_from_its_beginning() {
    let retry = Some(Retry { attempts: 3, wait_ms: 5_000 });
    let mut world = World::new(vec![PlannedStep { retry, ..step("a", &[], tool("shell", json!({}))) }]);
    world.report(Input::Begin);
    world.end(
        "a",
        0,
        Outcome::Returned {
            ok: false,
            output: json!({ "error": "first" }),
            delta: match wrote("left", 1) {
                Outcome::Returned { delta, .. } => delta,
                _ => unreachable!(),
            },
            images: Vec::new(),
        },
    );
    let waiting = world.view().waiting.unwrap();
    assert_eq!((world.view().status, waiting.wait_for), (TaskStatus::Waiting, crate::api::WaitFor::Timer));
    let due = waiting.until.unwrap();
    assert_eq!(due, at(2 + 5));
    assert!(world.state.manifest_of(&id("a")).iter().next().is_none(), "nothing of the failed attempt stays");
    assert!(world.report(Input::Recover).is_empty(), "not before its time");
    world.report(Input::Wake { due });
    assert_eq!((world.view().steps[0].attempt, pending(&world.state).len()), (2, 1));
    world.end("a", 1, fails("second"));
    let due = world.state.wake_at().unwrap();
    assert_eq!(due.as_second() - world.seconds, 10, "twice as long");
    world.report(Input::Wake { due });
    world.end("a", 2, fails("third"));
    assert_eq!(world.view().error.unwrap().detail, "third");
}

#[test]
fn what_no_other_attempt_would_change_is_not_tried_again() {
    let retry = Some(Retry { attempts: 3, wait_ms: 0 });
    let mut world = World::new(vec![PlannedStep { retry, ..step("a", &[], tool("shell", json!({}))) }]);
    world.report(Input::Begin);
    let error = crate::api::ApiError::new(crate::api::ErrorCode::NoSandbox, "none");
    world.end("a", 0, Outcome::Failed { error, usage: Usage::default() });
    assert_eq!(world.error_code().as_deref(), Some("no_sandbox"));
}
