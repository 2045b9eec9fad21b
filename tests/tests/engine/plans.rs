//! Plans that are made, mended and kept: by a model, over lists, by delegation, with second attempts and contracts.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures::future::BoxFuture;
use ninja_core::{
    api::{
        Check, Contract, EffectClass, ErrorCode, EventBody, PlanSpec, Planning, StepId, StepSpec, StepStatus,
        StreamFrame, SubmitTask, TaskStatus,
    },
    providers::{ChatRequest, Message, ScriptStep, Scripted, ToolCall, ToolDefinition},
    tools::{Tool, ToolError, ToolOutput, ToolRun},
};
use ninja_tests::{ScriptedEngine, agent_step, plan, tool_step};
use serde_json::{Value, json};

use super::shell;

/// A tool that fails as often as it is told to, then works; it counts its runs.
pub(crate) struct Flaky {
    pub(crate) failures: u32,
    pub(crate) runs: Arc<AtomicU32>,
}

impl Tool for Flaky {
    fn definition(&self) -> ToolDefinition {
        let schema = json!({ "type": "object" });
        ToolDefinition { name: "flaky".to_owned(), description: "Fails at first.".to_owned(), schema }
    }

    fn effect_class(&self) -> EffectClass {
        EffectClass::Pure
    }

    fn run<'a>(&'a self, _: ToolRun<'a>) -> BoxFuture<'a, Result<ToolOutput, ToolError>> {
        Box::pin(async move {
            let run = self.runs.fetch_add(1, Ordering::SeqCst);
            let ok = run >= self.failures;
            let output = if ok { json!({ "run": run }) } else { json!({ "error": format!("run {run} failed") }) };
            Ok(ToolOutput { ok, output, killed: 0, images: Vec::new() })
        })
    }
}

fn is_planner(request: &ChatRequest) -> bool {
    request.messages.iter().any(|message| message.text().starts_with("You plan work for a team"))
}

fn text_of(request: &ChatRequest) -> String {
    request.messages.iter().map(Message::text).collect::<Vec<_>>().join("\n")
}

fn goal(goal: &str) -> SubmitTask {
    SubmitTask { goal: goal.to_owned(), planning: Planning::Model, ..SubmitTask::default() }
}

fn spec(value: Value) -> StepSpec {
    serde_json::from_value(value).unwrap()
}

fn steps(value: Value) -> SubmitTask {
    plan(serde_json::from_value::<PlanSpec>(json!({ "steps": value })).unwrap().steps)
}

fn tool_call(name: &str, args: Value) -> ScriptStep {
    ScriptStep::tools(vec![ToolCall { id: "call".to_owned(), name: name.to_owned(), args }])
}

fn has_results(request: &ChatRequest) -> bool {
    request.messages.iter().any(|message| matches!(message, Message::Tool { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_plans_a_goal_and_its_agents_do_it() {
    let model = Scripted::new(|request| {
        match is_planner(request) {
        true => ScriptStep::answer(
            json!({ "steps": [
                { "id": "collect", "kind": "agent", "agent": "researcher", "prompt": "collect", "after": [] },
                { "id": "write", "kind": "agent", "agent": "writer", "prompt": "write from {{steps.collect.output}}", "after": [] },
            ] })
            .to_string(),
        ),
        false if text_of(request).contains("write from collected") => ScriptStep::answer("written"),
        false => ScriptStep::answer("collected"),
    }
    });
    let host = ScriptedEngine::start(model).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, goal("a report")).await.unwrap();
    let task = host.finish(task.id).await;
    let names: Vec<_> = task.steps.iter().map(|step| (step.id.as_str(), step.status)).collect();
    let done = StepStatus::Succeeded;
    assert_eq!(names, [("plan:1", done), ("collect", done), ("write", done)], "{:?}", task.error);
    assert_eq!((task.steps[2].output.clone(), host.model.calls()), (json!("written"), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_plan_leaves_the_goal_to_one_agent() {
    let model = Scripted::new(|request| match is_planner(request) {
        true => ScriptStep::answer("I would rather chat."),
        false => ScriptStep::answer("done alone"),
    });
    let host = ScriptedEngine::start(model).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, goal("a report")).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, host.model.calls()), (TaskStatus::Succeeded, 4), "asked three times, then done");
    let error = task.steps[0].error.clone().unwrap();
    assert_eq!((error.code, task.steps[0].status), (ErrorCode::InvalidPlan, StepStatus::Failed));
    assert_eq!(task.steps[1].output, json!("done alone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_is_planned_around() {
    let model = Scripted::new(|request| {
        match is_planner(request) {
        true if text_of(request).contains("one (failed)") => ScriptStep::answer(
            json!({ "steps": [{ "id": "two", "kind": "agent", "agent": "coder", "prompt": "another way" }] }).to_string(),
        ),
        true => ScriptStep::answer(
            json!({ "steps": [
                { "id": "one", "kind": "tool", "tool": "shell", "args": { "command": "echo no such thing >&2; exit 3" } },
                { "id": "later", "kind": "agent", "agent": "coder", "prompt": "later", "after": ["one"] },
            ] })
            .to_string(),
        ),
        false => ScriptStep::answer("done another way"),
    }
    });
    let host = ScriptedEngine::start(model).await;
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, goal("a report")).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error.clone()), (TaskStatus::Succeeded, None));
    let by_name = |name: &str| task.steps.iter().find(|step| step.id.as_str() == name).unwrap();
    assert_eq!(by_name("one").error.as_ref().unwrap().detail, "no such thing");
    assert_eq!(by_name("later").status, StepStatus::Skipped);
    assert_eq!(by_name("two").output, json!("done another way"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_runs_a_command_for_each_item_and_gathers_what_they_made() {
    let host = ScriptedEngine::start(Scripted::answering("")).await;
    let owner = host.engine.local_owner();
    let list = tool_step("list", &[], "python", &json!({ "code": "import json; print(json.dumps(['a', 'b', 'c']))" }));
    let each = json!({ "kind": "tool", "tool": "shell", "args": { "command": "printf '{{item}}' | tr a-z A-Z | tee '{{item}}.txt'" } });
    let map =
        spec(json!({ "id": "each", "kind": "map", "over": "steps.list.output", "each": each, "after": ["list"] }));
    let join = tool_step("join", &["each"], "shell", &shell("cat a.txt b.txt c.txt > all"));
    let task = host.engine.submit_task(&owner, plan(vec![list, map, join])).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error.clone()), (TaskStatus::Succeeded, None));
    let parts: Vec<_> = task.steps.iter().filter(|step| step.parent.is_some()).collect();
    let each: StepId = "each".parse().unwrap();
    assert_eq!(parts.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), ["each:0", "each:1", "each:2"]);
    assert!(parts.iter().all(|step| step.parent.as_ref() == Some(&each)));
    let map = task.steps.iter().find(|step| step.id == each).unwrap();
    let printed: Vec<_> = map.output.as_array().unwrap().iter().map(|output| output["stdout"].clone()).collect();
    assert_eq!(printed, ["A", "B", "C"]);
    let mut all = String::new();
    let (_, mut file) = host.engine.artifact(&owner, task.id, "all").await.unwrap();
    std::io::Read::read_to_string(&mut file, &mut all).unwrap();
    assert_eq!(all, "ABC", "what the parts wrote is there for what comes after");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_delegates_and_goes_on_with_the_answer() {
    let model = Scripted::new(|request| {
        let text = text_of(request);
        match () {
            () if text.contains("You lead.") && has_results(request) => {
                ScriptStep::answer(format!("led: {}", if text.contains("found it") { "found it" } else { "nothing" }))
            }
            () if text.contains("You lead.") => {
                tool_call("delegate", json!({ "agent": "researcher", "task": "find {{it}}" }))
            }
            () if text.contains("find {{it}}") => ScriptStep::answer("found it"),
            () => ScriptStep::answer("what?"),
        }
    });
    let host = ScriptedEngine::start(model).await;
    let owner = host.engine.local_owner();
    let lead = "+++\nname = \"lead\"\ndescription = \"Leads.\"\ntools = [\"delegate\"]\ndelegates = [\"researcher\"]\n+++\n\nYou lead.\n";
    let request = SubmitTask { goal: "find it".to_owned(), agent: Some(lead.to_owned()), ..SubmitTask::default() };
    let task = host.engine.submit_task(&owner, request).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error.clone()), (TaskStatus::Succeeded, None));
    assert_eq!(task.steps[0].output, json!("led: found it"));
    assert_eq!(task.steps[1].parent.as_ref(), Some(&task.steps[0].id));
    assert_eq!((task.steps[1].actor.as_deref(), task.steps[1].output.clone()), (Some("researcher"), json!("found it")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_tried_again_after_a_wait() {
    let runs = Arc::new(AtomicU32::new(0));
    let host = ScriptedEngine::start_with(Scripted::answering(""), |options| {
        options.tools = vec![Arc::new(Flaky { failures: 2, runs: Arc::clone(&runs) })];
    })
    .await;
    let owner = host.engine.local_owner();
    let retry = json!({ "attempts": 3, "wait_ms": 20 });
    let request = steps(json!([{ "id": "s", "kind": "tool", "tool": "flaky", "retry": retry }]));
    let task = host.engine.submit_task(&owner, request).await.unwrap();
    let second = |frame: &StreamFrame| matches!(frame, StreamFrame::Event { event } if matches!(&event.event, EventBody::StepRetried { attempt: 3, .. }));
    host.wait_for(task.id, second).await;
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.steps[0].attempt), (TaskStatus::Succeeded, 3));
    assert_eq!((runs.load(Ordering::SeqCst), task.steps[0].output.clone()), (3, json!({ "run": 2 })));
}

fn promise(command: &str) -> Option<Contract> {
    let checks = vec![Check::Command { command: command.to_owned(), timeout_seconds: None }];
    Some(Contract { checks, repair_agent: None })
}

fn mending(repaired: &'static str) -> Scripted {
    Scripted::new(move |request| {
        let repairs = text_of(request).contains("a check did not pass");
        let command = if repairs { repaired } else { "echo wrong > out.txt" };
        match has_results(request) {
            true => ScriptStep::answer("done"),
            false => tool_call("shell", shell(command)),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_promised_is_checked_and_mended_before_a_task_succeeds() {
    let host = ScriptedEngine::start(mending("echo right > out.txt")).await;
    let owner = host.engine.local_owner();
    let promised = SubmitTask {
        contract: promise("grep -q right out.txt && touch left-by-the-check"),
        ..plan(vec![agent_step("a", &[], "go")])
    };
    let task = host.engine.submit_task(&owner, promised).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!((task.status, task.error.clone()), (TaskStatus::Succeeded, None));
    let names: Vec<_> = task.steps.iter().map(|step| (step.id.as_str(), step.status)).collect();
    let (done, failed) = (StepStatus::Succeeded, StepStatus::Failed);
    assert_eq!(names, [("a", done), ("contract:1", failed), ("repair:1", done), ("contract:2", done)]);
    assert_eq!(task.steps[2].actor.as_deref(), Some("debugger"), "the default agent has no shell");
    assert_eq!(task.steps[3].output["checks"][0]["held"], json!(true));
    assert_eq!(task.artifacts.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["out.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_could_never_be_kept_is_refused() {
    let host = ScriptedEngine::start(mending("true")).await;
    let owner = host.engine.local_owner();
    for (check, why) in [
        (json!({ "kind": "file", "path": "/etc/passwd" }), "check 1 of the contract: "),
        (json!({ "kind": "file", "path": "a.txt", "pattern": "(" }), "the pattern cannot be used"),
        (json!({ "kind": "file", "path": "a.json", "schema": { "type": "objekt" } }), "the schema cannot be used"),
    ] {
        let contract = Some(serde_json::from_value(json!({ "checks": [check] })).unwrap());
        let promised = SubmitTask { contract, ..plan(vec![agent_step("a", &[], "go")]) };
        let error = host.engine.submit_task(&owner, promised).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        assert!(error.detail.contains(why), "{check}: {}", error.detail);
    }
    let later = json!({ "checks": [{ "kind": "file", "path": "{{params.name}}.txt", "pattern": "{{params.what}}(" }] });
    let contract = Some(serde_json::from_value(later).unwrap());
    let promised = SubmitTask { contract, ..plan(vec![agent_step("a", &[], "go")]) };
    host.engine.submit_task(&owner, promised).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_promise_is_no_success() {
    let host = ScriptedEngine::start(mending("true")).await;
    let owner = host.engine.local_owner();
    let promised = SubmitTask { contract: promise("grep -q right out.txt"), ..plan(vec![agent_step("a", &[], "go")]) };
    let task = host.engine.submit_task(&owner, promised).await.unwrap();
    let task = host.finish(task.id).await;
    let error = task.error.unwrap();
    assert_eq!((task.status, error.code), (TaskStatus::Failed, ErrorCode::ContractFailed));
    assert!(error.detail.contains("grep -q right out.txt"), "{}", error.detail);
}
