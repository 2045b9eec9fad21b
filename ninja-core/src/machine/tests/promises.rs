//! Contracts: `succeeded` is only said when they hold.

use super::*;
use crate::journal::record::Message;

fn promising(steps: Vec<PlannedStep>) -> World {
    let checks = vec![
        Check::File { path: "{{params.list.0}}.txt".to_owned(), min_bytes: Some(1), pattern: None, schema: None },
        Check::Command { command: "test -e out".to_owned(), timeout_seconds: None },
    ];
    let contract = Some(Contract { checks, repair_agent: Some("helper".to_owned()) });
    let mut world = World::with_setup(steps, Budget::default(), Setup { contract, ..Setup::default() });
    world.report(Input::Begin);
    world
}

fn broken(why: &str) -> Outcome {
    Outcome::Returned {
        ok: false,
        output: json!({ "held": false, "why": why }),
        delta: ManifestDelta::default(),
        images: Vec::new(),
    }
}

#[test]
fn the_contract_is_checked_one_check_at_a_time_and_its_evidence_is_kept() {
    let mut world = promising(vec![step("a", &[], agent("go"))]);
    world.end("a", 0, says("done"));
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("contract:1"), call: 0 }]);
    let Intent::Tool { tool, args, .. } = &world.state.call(&id("contract:1"), 0).unwrap().intent else { panic!() };
    assert_eq!((tool.as_str(), args), ("check_file", &json!({ "path": "x.txt", "min_bytes": 1 })));
    world.report(Input::Recover);
    world.end("contract:1", 0, returns(json!({ "held": true, "sha256": "…" })));
    assert_eq!(world.view().status, TaskStatus::Running, "not before all hold");
    world.end("contract:1", 1, returns(json!({ "exit": 0 })));
    let task = world.view();
    assert_eq!((task.status, task.progress), (TaskStatus::Succeeded, 100));
    assert_eq!(task.steps[1].output["checks"][1]["evidence"], json!({ "exit": 0 }));
}

#[test]
fn what_does_not_hold_is_mended_once() {
    let mut world = promising(vec![step("a", &[], agent("go"))]);
    world.end("a", 0, says("done"));
    world.end("contract:1", 0, broken("there is no x.txt"));
    world.end("contract:1", 1, returns(json!({ "exit": 0 })));
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("repair:1"), call: 0 }]);
    let repair = world.state.step(&id("repair:1")).unwrap();
    assert_eq!(repair.planned.action.actor(), Some("helper"));
    let Intent::Model { context, .. } = &repair.calls[0].intent else { panic!("a model call") };
    let told: Vec<Message> = conversation(&world.state, repair, context);
    assert!(told[1].text().contains("there is no x.txt") && told[1].text().contains("the goal"), "{}", told[1].text());
    world.end("repair:1", 0, says("mended"));
    let mut mended = world.clone();
    mended.end("contract:2", 0, returns(json!({})));
    mended.end("contract:2", 1, returns(json!({})));
    assert_eq!(mended.view().status, TaskStatus::Succeeded);

    world.end("contract:2", 0, broken("still none"));
    world.end("contract:2", 1, returns(json!({})));
    assert_eq!((world.view().status, world.error_code().as_deref()), (TaskStatus::Failed, Some("contract_failed")));
    assert!(world.view().error.unwrap().detail.contains("still none"));

    world.take(Input::Retry { by: person() }).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("contract:2"), call: 2 }], "a retry checks again");
    world.end("contract:2", 2, returns(json!({})));
    world.end("contract:2", 3, returns(json!({})));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn a_check_that_cannot_be_made_is_not_mended_by_a_model() {
    let mut world = promising(vec![step("a", &[], tool("look", json!({})))]);
    world.end("a", 0, returns(Value::Null));
    world.end("contract:1", 0, returns(json!({})));
    let error = crate::api::ApiError::new(crate::api::ErrorCode::NoSandbox, "no isolation");
    world.end("contract:1", 1, Outcome::Failed { error, usage: Usage::default() });
    assert_eq!(world.error_code().as_deref(), Some("no_sandbox"));
}

#[test]
fn what_a_check_changes_is_thrown_away() {
    let mut world = promising(vec![step("a", &[], tool("look", json!({})))]);
    world.end("a", 0, returns(Value::Null));
    world.end("contract:1", 0, returns(json!({})));
    let file = crate::workspace::FileEntry { blob: BlobHash::from_bytes([1; 32]), bytes: 1, executable: false };
    let changed = BTreeMap::from([("cache".parse().unwrap(), file)]);
    let delta = ManifestDelta { changed, ..ManifestDelta::default() };
    world.end("contract:1", 1, Outcome::Returned { ok: true, output: json!({}), delta, images: Vec::new() });
    assert_eq!((world.view().status, world.view().artifacts.len()), (TaskStatus::Succeeded, 0));
}

#[test]
fn a_failed_task_is_not_checked() {
    let mut world = promising(vec![step("a", &[], tool("shell", json!({})))]);
    world.end("a", 0, broken("no"));
    assert_eq!((world.view().status, world.state.steps.len()), (TaskStatus::Failed, 1));
}
