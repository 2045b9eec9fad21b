//! Plans that a model makes: right ones, wrong ones, others after a failure, and a person who looks at them first.

use super::*;
use crate::{api::ApprovalKind, journal::record::Message};

fn planning(autonomy: Autonomy) -> World {
    let mut world = World::with_setup(vec![plan_by_model()], Budget::default(), Setup { autonomy, ..Setup::default() });
    world.report(Input::Begin);
    world
}

fn plan_of(steps: Value) -> Outcome {
    says(&json!({ "steps": steps }).to_string())
}

fn agent_step(id: &str, after: &[&str]) -> Value {
    json!({ "id": id, "title": null, "kind": "agent", "agent": "helper", "prompt": format!("do {id}"), "after": after })
}

fn told(world: &World, call: u32) -> String {
    match &world.state.call(&id("plan:1"), call).unwrap().intent {
        Intent::Model { feedback, .. } => feedback.clone().unwrap_or_default(),
        Intent::Tool { .. } => panic!("a model call"),
    }
}

#[test]
fn a_model_plans_and_the_steps_are_done() {
    let mut world = planning(Autonomy::Full);
    assert_eq!(world.view().status, TaskStatus::Planning);
    let step = world.state.step(&id("plan:1")).unwrap();
    let Intent::Model { context, .. } = &step.calls[0].intent else { panic!("a model call") };
    let messages = conversation(&world.state, step, context);
    let text: String = messages.iter().map(Message::text).collect();
    assert!(text.contains("You plan.") && text.contains("the goal") && text.contains("- helper:"), "{text}");
    assert!(schema_of_step(&world.state, step).unwrap().to_string().contains("\"mighty\""), "agents are named");

    let mut join = agent_step("join", &[]);
    join["prompt"] = json!("join {{steps.one.output}} and {{steps.two.output}}");
    world.end("plan:1", 0, plan_of(json!([agent_step("one", &[]), agent_step("two", &[]), join])));
    assert_eq!(world.view().status, TaskStatus::Running);
    assert_eq!(pending(&world.state).len(), 2, "what a step refers to comes before it, said or not");
    world.end("one", 0, says("1"));
    world.end("two", 0, says("2"));
    world.end("join", 0, says("12"));
    assert_eq!((world.view().status, world.view().progress), (TaskStatus::Succeeded, 100));
}

#[test]
fn what_is_wrong_with_a_plan_is_told_and_after_three_one_agent_does_it_all() {
    let many: Vec<Value> = (0..10_000).map(|n| agent_step(&format!("s{n}"), &[])).collect();
    let unknown_tool = json!([{ "id": "a", "kind": "tool", "tool": "fly", "after": [] }]);
    let unknown_agent = json!([{ "id": "a", "kind": "agent", "agent": "nobody", "after": [] }]);
    let taken = json!([{ "id": "plan:1", "kind": "agent", "after": [] }]);
    let table = [
        (says("I would rather chat."), "not JSON"),
        (says("{\"plan\": 1}"), "cannot be read"),
        (plan_of(json!([])), "the plan has no steps"),
        (plan_of(json!([agent_step("a", &["b"]), agent_step("b", &["a"])])), "these steps wait for each other: a, b"),
        (plan_of(json!([agent_step("a", &["x"])])), "comes after x, which is not in the plan"),
        (plan_of(json!([agent_step("a", &[]), agent_step("a", &[])])), "two steps are named a"),
        (plan_of(unknown_tool), "there is no tool `fly`"),
        (plan_of(unknown_agent), "there is no agent `nobody`; there are: helper, mighty, worker"),
        (plan_of(taken), "colon"),
        (plan_of(json!(many)), "the plan has 10000 steps; at most 100"),
        (says(&"[".repeat(10_000)), "not JSON"),
    ];
    for (answer, why) in table {
        let mut world = planning(Autonomy::Full);
        for call in 0..3 {
            world.end("plan:1", call, answer.clone());
            if call < 2 {
                assert!(told(&world, call + 1).contains(why), "{why}: {}", told(&world, call + 1));
            }
        }
        let error = world.view().steps[0].error.clone().unwrap();
        assert_eq!(error.code, crate::api::ErrorCode::InvalidPlan);
        assert!(error.detail.contains(why), "{}", error.detail);
        world.end("work", 0, says("done"));
        assert_eq!(world.view().status, TaskStatus::Succeeded, "{why}");
    }
}

#[test]
fn a_corrected_plan_is_taken() {
    let mut world = planning(Autonomy::Full);
    world.end("plan:1", 0, says("hm"));
    world.end("plan:1", 1, says("```json\n{\"steps\": [{\"id\": \"a\", \"kind\": \"agent\"}]}\n```"));
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("a"), call: 0 }]);
}

#[test]
fn a_person_looks_at_a_plan_first_wants_it_different_and_agrees() {
    let mut world = planning(Autonomy::Review);
    world.end("plan:1", 0, plan_of(json!([agent_step("one", &[])])));
    let open = world.view().approvals[0].clone();
    assert_eq!((world.view().status, open.kind), (TaskStatus::Waiting, ApprovalKind::Plan));
    assert!(open.prompt.contains("- one: helper: do one") && open.plan.unwrap().steps.len() == 1, "{}", open.prompt);
    let mut denied = world.clone();
    denied.decide(Decision::Deny).unwrap();
    assert_eq!(denied.error_code().as_deref(), Some("denied"));

    world.decide(Decision::Answer { text: "in two steps".to_owned() }).unwrap();
    assert!(told(&world, 1).contains("in two steps"));
    world.end("plan:1", 1, plan_of(json!([agent_step("one", &[]), agent_step("two", &["one"])])));
    world.decide(Decision::Approve).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("one"), call: 0 }]);
    assert_eq!(world.state.steps.len(), 3);
}

#[test]
fn a_known_plan_is_shown_first_as_well() {
    let steps = review_first(vec![step("a", &[], agent("do {{goal}}")), step("b", &["a"], agent("b"))]);
    let mut world = World::new(steps);
    world.report(Input::Begin);
    let prompt = world.view().approvals[0].prompt.clone();
    assert!(prompt.contains("- a: worker: do") && !prompt.contains("the goal"), "{prompt}");
    world.decide(Decision::Approve).unwrap();
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("a"), call: 0 }]);
}

#[test]
fn a_failure_is_planned_around_twice_and_then_stands() {
    let mut world = planning(Autonomy::Full);
    let shell = |id: &str| json!({ "id": id, "kind": "tool", "tool": "shell", "args": {}, "after": [] });
    let fails = || Outcome::Returned {
        ok: false,
        output: json!({ "error": "no way" }),
        delta: ManifestDelta::default(),
        images: Vec::new(),
    };
    world.end("plan:1", 0, plan_of(json!([shell("one"), agent_step("later", &["one"]), shell("side")])));
    world.end("one", 0, fails());
    assert_eq!(world.status_of("later"), StepStatus::Skipped);
    assert_eq!(world.status_of("one"), StepStatus::Failed);
    let plan = world.state.step(&id("plan:2")).unwrap();
    let Intent::Model { context, .. } = &plan.calls[0].intent else { panic!("a model call") };
    let text: String =
        conversation(&world.state, plan, context).iter().map(|message| message.text().to_owned()).collect();
    assert!(text.contains("### one (failed)\nno way"), "{text}");
    world.end("side", 0, returns(json!("side result")));
    world.end("plan:2", 0, plan_of(json!([shell("another"), agent_step("end", &["another", "side"])])));
    let mut works = world.clone();
    works.end("another", 0, returns(Value::Null));
    works.end("end", 0, says("done"));
    assert_eq!(works.view().status, TaskStatus::Succeeded);

    world.end("another", 0, fails());
    world.end("plan:3", 0, plan_of(json!([shell("third")])));
    world.end("third", 0, fails());
    assert_eq!((world.view().status, world.view().error.unwrap().detail.as_str()), (TaskStatus::Failed, "no way"));
}

#[test]
fn a_failure_without_another_way_is_told_as_it_was() {
    let mut world = planning(Autonomy::Full);
    world.end("plan:1", 0, plan_of(json!([{ "id": "one", "kind": "tool", "tool": "shell", "args": {}, "after": [] }])));
    world.end(
        "one",
        0,
        Outcome::Returned {
            ok: false,
            output: json!({ "error": "no way" }),
            delta: ManifestDelta::default(),
            images: Vec::new(),
        },
    );
    for call in 0..3 {
        world.end("plan:2", call, says("?"));
    }
    let error = world.view().error.unwrap();
    assert!(error.detail.starts_with("step one failed: no way; and no other way was found"), "{}", error.detail);
    assert_eq!(error.code, crate::api::ErrorCode::ToolFailed);
}

#[test]
fn an_explicit_plan_is_not_planned_around() {
    let mut world = World::new(vec![step("one", &[], tool("shell", json!({})))]);
    world.report(Input::Begin);
    world.end(
        "one",
        0,
        Outcome::Returned { ok: false, output: json!("no"), delta: ManifestDelta::default(), images: Vec::new() },
    );
    assert_eq!(world.view().status, TaskStatus::Failed);
}
