//! Plans: order, conditions, failures, cancellation.

use super::*;

#[test]
fn a_plain_agent_step_costs_one_commit() {
    let mut world = World::new(vec![step("a", &[], agent("do a")), step("b", &["a"], agent("do b"))]);
    world.report(Input::Begin);
    let records = world.end("a", 0, says("done"));
    let kinds: Vec<_> = records.iter().map(kind).collect();
    assert_eq!(kinds, ["call_ended", "step_ended", "step_started", "call_intended"]);
    let records = world.end("b", 0, says("done too"));
    assert_eq!(records.iter().map(kind).collect::<Vec<_>>(), ["call_ended", "step_ended", "task_ended"]);
    assert_eq!((world.view().status, world.view().progress), (TaskStatus::Succeeded, 100));
}

fn kind(record: &Record) -> String {
    serde_json::to_value(record).unwrap().as_object().unwrap().keys().next().unwrap().clone()
}

#[test]
fn five_in_a_row_then_five_side_by_side_run_in_order() {
    let mut steps = vec![step("s0", &[], tool("shell", json!({})))];
    steps.extend((1..5).map(|n| step(&format!("s{n}"), &[&format!("s{}", n - 1)], tool("shell", json!({})))));
    steps.extend((0..5).map(|n| step(&format!("p{n}"), &["s4"], tool("shell", json!({})))));
    steps.reverse();
    let mut world = World::new(steps);
    world.report(Input::Begin);
    for n in 0..5 {
        let owed = pending(&world.state);
        assert_eq!(owed, [Effect::CallTool { step: id(&format!("s{n}")), call: 0 }]);
        world.end(&format!("s{n}"), 0, returns(json!(n)));
    }
    assert_eq!(pending(&world.state).len(), 5);
    for n in [3, 1, 4, 0, 2] {
        world.end(&format!("p{n}"), 0, returns(json!(n)));
    }
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn a_condition_that_does_not_hold_skips_the_step_and_later_ones_run() {
    let mut skipped = step("b", &["a"], agent("b"));
    skipped.when = Some("steps.a.output.go".to_owned());
    let mut world =
        World::new(vec![step("a", &[], tool("look", json!({}))), skipped, step("c", &["b"], tool("look", json!({})))]);
    world.report(Input::Begin);
    world.end("a", 0, returns(json!({ "json": { "go": false } })));
    assert_eq!(world.status_of("b"), StepStatus::Skipped);
    world.end("c", 0, returns(Value::Null));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn arguments_and_prompts_are_filled_in_and_keep_their_types() {
    let args = json!({ "n": "{{steps.a.output.n}}", "text": "n is {{steps.a.output.n}} for {{goal}}{{params.none}} {{.Name}}" });
    let mut world = World::new(vec![step("a", &[], tool("look", json!({}))), step("b", &["a"], tool("look", args))]);
    world.report(Input::Begin);
    world.end("a", 0, returns(json!({ "n": 7 })));
    let Intent::Tool { args, .. } = &world.state.call(&id("b"), 0).unwrap().intent else { panic!("a tool call") };
    assert_eq!(args, &json!({ "n": 7, "text": "n is 7 for the goal {{.Name}}" }));
}

#[test]
fn a_failing_step_stops_the_others_then_the_task_fails_with_its_error() {
    let mut world = World::new(vec![
        step("a", &[], tool("shell", json!({}))),
        step("b", &[], tool("shell", json!({}))),
        step("c", &["a"], agent("c")),
    ]);
    world.report(Input::Begin);
    let failed = json!({ "exit": 1, "stderr": "warning\nno such column: x\n" });
    world.end(
        "a",
        0,
        Outcome::Returned { ok: false, output: failed, delta: ManifestDelta::default(), images: Vec::new() },
    );
    assert_eq!(pending(&world.state), [Effect::StopCall { step: id("b"), call: 0 }]);
    world.end("b", 0, stopped());
    let task = world.view();
    assert_eq!((task.status, task.error.unwrap().detail.as_str()), (TaskStatus::Failed, "no such column: x"));
    assert_eq!(world.status_of("c"), StepStatus::Pending);
}

#[test]
fn an_optional_step_may_fail() {
    let mut optional = step("a", &[], tool("shell", json!({})));
    optional.optional = true;
    let mut world = World::new(vec![optional, step("b", &["a"], tool("look", json!({ "x": "{{steps.a.status}}" })))]);
    world.report(Input::Begin);
    world.end(
        "a",
        0,
        Outcome::Returned { ok: false, output: json!("no"), delta: ManifestDelta::default(), images: Vec::new() },
    );
    let Intent::Tool { args, .. } = &world.state.call(&id("b"), 0).unwrap().intent else { panic!("a tool call") };
    assert_eq!(args, &json!({ "x": "failed" }));
    world.end("b", 0, returns(Value::Null));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn cancelling_waits_for_what_runs_and_gives_a_receipt() {
    let mut world = World::new(vec![step("a", &[], tool("shell", json!({}))), step("b", &[], agent("b"))]);
    world.report(Input::Begin);
    world.cancel().unwrap();
    assert_eq!(world.view().status, TaskStatus::Running);
    world.end("a", 0, stopped());
    world.end("b", 0, Outcome::Stopped { processes: 0, after_ms: 1 });
    let task = world.view();
    let receipt = task.cancel_receipt.unwrap();
    assert_eq!((task.status, receipt.stopped.len(), receipt.took_ms), (TaskStatus::Cancelled, 2, 2_000));
    assert_eq!(
        task.usage.estimated_tokens, world.state.usage.input_tokens,
        "a stopped model call is charged at its reserve"
    );
    assert_eq!(world.cancel(), Err(Refusal::Ended));
    assert!(pending(&world.state).is_empty());
}

#[test]
fn cancelling_a_task_that_has_not_begun_ends_it_at_once() {
    let mut world = World::new(vec![step("a", &[], agent("a"))]);
    world.cancel().unwrap();
    assert_eq!(world.view().status, TaskStatus::Cancelled);
    assert!(world.report(Input::Begin).is_empty());
}

#[test]
fn plans_that_are_no_graphs_are_refused() {
    let look = || tool("look", json!({}));
    let plan = |steps: Vec<PlannedStep>| order_steps(steps, PlanLimits::default()).unwrap_err().to_string();
    assert_eq!(plan(vec![]), "the plan has no steps");
    assert_eq!(plan(vec![step("a", &[], look()), step("a", &[], look())]), "two steps are named a");
    assert_eq!(plan(vec![step("a", &["x"], look())]), "step a comes after x, which is not in the plan");
    let cycle = vec![step("a", &["b"], look()), step("b", &["a"], look()), step("c", &[], look())];
    assert_eq!(plan(cycle), "these steps wait for each other: a, b");
    assert_eq!(plan(vec![step("a", &["a"], look())]), "these steps wait for each other: a");
    let many = (0..1_001).map(|n| step(&format!("s{n}"), &[], look())).collect();
    assert_eq!(plan(many), "the plan has 1001 steps; at most 1000 are taken");
}

#[test]
fn steps_side_by_side_do_not_see_each_other_and_a_join_sees_both() {
    let file =
        |byte| crate::workspace::FileEntry { blob: BlobHash::from_bytes([byte; 32]), bytes: 1, executable: false };
    let delta = |changed: &[(&str, u8)], removed: &[&str]| ManifestDelta {
        changed: changed.iter().map(|(path, byte)| (path.parse().unwrap(), file(*byte))).collect(),
        removed: removed.iter().map(|path| path.parse().unwrap()).collect(),
    };
    let wrote = |delta| Outcome::Returned { ok: true, output: Value::Null, delta, images: Vec::new() };
    let shell = || tool("shell", json!({}));
    let mut world = World::new(vec![
        step("a", &[], shell()),
        step("left", &["a"], shell()),
        step("right", &["a"], shell()),
        step("join", &["left", "right"], shell()),
    ]);
    world.report(Input::Begin);
    world.end("a", 0, wrote(delta(&[("x", 1), ("y", 1)], &[])));
    world.end("left", 0, wrote(delta(&[("l", 2)], &["x"])));
    let paths = |world: &World, step: &str| {
        world.state.manifest_of(&id(step)).iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&world, "right"), ["x", "y"]);
    world.end("right", 0, wrote(delta(&[("y", 3)], &[])));
    assert_eq!(paths(&world, "join"), ["l", "y"], "what one side removed stays removed");
    world.end("join", 0, wrote(delta(&[(".hidden/z", 4)], &[])));
    let made: Vec<_> = world.view().artifacts.iter().map(|file| (file.path.clone(), file.step.to_string())).collect();
    assert_eq!(made, [("l".to_owned(), "left".to_owned()), ("y".to_owned(), "right".to_owned())]);
}
