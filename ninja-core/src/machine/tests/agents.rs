//! The turn loop: tools, limits, schemas, feedback, the window.

use super::*;
use crate::{api::SchemaSpec, journal::record::Message};

fn one_agent() -> World {
    let mut world = World::new(vec![step("a", &[], agent("do it"))]);
    world.report(Input::Begin);
    world
}

fn prompt(world: &World, call: u32) -> Vec<Message> {
    let step = world.state.step(&id("a")).unwrap();
    let Intent::Model { context, .. } = &step.calls[call as usize].intent else { panic!("a model call") };
    conversation(&world.state, step, context)
}

/// Every call that an assistant message names is answered before the next one, as providers demand.
fn assert_sendable(messages: &[Message]) {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        match message {
            Message::Assistant { text, tool_calls, .. } => {
                assert!(open.is_empty(), "unanswered: {open:?}");
                assert!(!text.trim().is_empty() || !tool_calls.is_empty(), "without content");
                open = tool_calls.iter().map(|call| call.id.as_str()).collect();
            }
            Message::Tool { call_id, .. } => open.retain(|id| id != call_id),
            Message::System { .. } | Message::User { .. } => assert!(open.is_empty(), "unanswered: {open:?}"),
        }
    }
    assert!(open.is_empty(), "unanswered: {open:?}");
}

#[test]
fn tool_results_are_fed_back_and_pure_calls_run_side_by_side() {
    let mut world = one_agent();
    let wanted = [("look", json!({ "n": 1 })), ("look", json!({ "n": 2 })), ("shell", json!({})), ("look", json!({}))];
    world.end("a", 0, calls(&wanted));
    let owed = |world: &World| pending(&world.state).len();
    assert_eq!(owed(&world), 2, "the two pure ones at the front");
    world.end("a", 2, returns(json!("two")));
    world.end("a", 1, returns(json!("one")));
    assert_eq!(pending(&world.state), [Effect::CallTool { step: id("a"), call: 3 }], "then the shell alone");
    world.end("a", 3, returns(json!("done")));
    world.end("a", 4, returns(json!("four")));
    let messages = prompt(&world, 5);
    assert_sendable(&messages);
    assert_eq!(messages.iter().filter(|message| matches!(message, Message::Tool { .. })).count(), 4);
    world.end("a", 5, says("all done"));
    assert_eq!(world.view().steps[0].output, json!("all done"));
    assert_eq!((world.view().usage.tool_calls, world.view().usage.model_calls), (4, 2));
}

#[test]
fn unknown_tools_and_wrong_arguments_are_told_twice_then_fail_the_step() {
    let mut world = one_agent();
    for (call, wanted) in [(0, ("fly", json!({}))), (2, ("look", json!({ "n": "x" })))] {
        world.end("a", call, calls(&[wanted]));
        let messages = prompt(&world, call + 2);
        assert_sendable(&messages);
        let Some(Message::Tool { text, .. }) = messages.last() else { panic!("the refusal is told") };
        assert!(text.contains("fly") || text.contains("/n"), "{text}");
    }
    world.end("a", 4, calls(&[("look", json!("not an object"))]));
    assert_eq!((world.view().status, world.error_code().as_deref()), (TaskStatus::Failed, Some("tool_failed")));
}

#[test]
fn an_answer_against_its_schema_is_told_twice_then_fails_the_step() {
    let schema = json!({ "type": "object", "required": ["x"], "properties": { "x": { "enum": ["a", "b"] } } });
    let action = Action::Agent {
        agent: "worker".to_owned(),
        prompt: "choose".to_owned(),
        schema: Some(SchemaSpec::Inline(schema)),
        max_output_tokens: None,
    };
    let mut world = World::new(vec![step("a", &[], action)]);
    world.report(Input::Begin);
    world.end("a", 0, says("{\"x\": \"c\"}"));
    let messages = prompt(&world, 1);
    assert_sendable(&messages);
    let Some(Message::User { text, .. }) = messages.last() else { panic!("the mistake is told") };
    assert!(text.contains("does not match its schema at `/x`"), "{text}");
    let mut good = world.clone();
    good.end("a", 1, says("```json\n{\"x\": \"a\"}\n```"));
    assert_eq!(good.view().steps[0].output, json!({ "x": "a" }));
    world.end("a", 1, says("x = a"));
    world.end("a", 2, says("still no"));
    assert_eq!(world.error_code().as_deref(), Some("schema_mismatch"));
}

#[test]
fn the_same_calls_with_the_same_results_are_stuck() {
    let mut world = one_agent();
    for turn in 0..3 {
        world.end("a", turn * 2, calls(&[("look", json!({ "n": 1 }))]));
        world.end("a", turn * 2 + 1, returns(json!("same")));
    }
    assert_eq!(world.error_code().as_deref(), Some("stuck"));
}

#[test]
fn turns_are_limited() {
    let mut world = one_agent();
    for turn in 0..6 {
        world.end("a", turn * 2, calls(&[("look", json!({ "n": turn }))]));
        world.end("a", turn * 2 + 1, returns(json!(turn)));
    }
    assert_eq!(world.error_code().as_deref(), Some("limit_reached"));
}

#[test]
fn an_answer_with_too_many_calls_is_refused_whole() {
    let mut world = one_agent();
    world.end("a", 0, calls(&vec![("look", json!({})); 65]));
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("a"), call: 1 }]);
    assert_sendable(&prompt(&world, 1));
}

#[test]
fn a_schema_that_is_none_fails_the_step_before_the_model_is_asked() {
    for schema in [SchemaSpec::From("steps.none.output".to_owned()), SchemaSpec::Inline(json!({ "type": 7 }))] {
        let (agent, prompt) = ("worker".to_owned(), "choose".to_owned());
        let action = Action::Agent { agent, prompt, schema: Some(schema), max_output_tokens: None };
        let mut world = World::new(vec![step("a", &[], action)]);
        world.report(Input::Begin);
        assert_eq!(world.error_code().as_deref(), Some("schema_mismatch"));
        assert_eq!(world.view().usage.model_calls, 0);
    }
}

/// Deeper than a record can be read back, not deeper than what a model or a script prints can be read.
fn deep() -> Value {
    (0..125).fold(json!(1), |inner, _| json!({ "x": inner }))
}

#[test]
fn what_is_nested_too_deeply_never_reaches_the_log() {
    let mut world = one_agent();
    world.end("a", 0, calls(&[("look", deep())]));
    assert_sendable(&prompt(&world, 2));
    world.end("a", 2, calls(&[("look", json!({}))]));
    world.end("a", 3, returns(deep()));
    assert_sendable(&prompt(&world, 4));
    let action = Action::Agent {
        agent: "worker".to_owned(),
        prompt: "choose".to_owned(),
        schema: Some(SchemaSpec::Inline(json!({}))),
        max_output_tokens: None,
    };
    let mut world = World::new(vec![step("a", &[], action)]);
    world.report(Input::Begin);
    world.end("a", 0, says(&deep().to_string()));
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("a"), call: 1 }], "told, not taken");
    let mut world = World::new(vec![step("b", &[], tool("look", json!({})))]);
    world.report(Input::Begin);
    world.end("b", 0, returns(json!({ "json": deep() })));
    assert_eq!(world.error_code().as_deref(), Some("tool_failed"));
}

#[test]
fn an_empty_answer_is_told_twice_then_fails_the_step() {
    let mut world = one_agent();
    for call in 0..2 {
        world.end("a", call, says(" \n"));
        assert_sendable(&prompt(&world, call + 1));
    }
    world.end("a", 2, says(""));
    assert_eq!(world.error_code().as_deref(), Some("schema_mismatch"));
}

#[test]
fn a_provider_that_fails_for_good_fails_the_step() {
    let mut world = one_agent();
    let error = crate::api::ApiError::new(crate::api::ErrorCode::ProviderUnauthorized, "no");
    world.end("a", 0, Outcome::Failed { error, usage: Usage::default() });
    assert_eq!(world.error_code().as_deref(), Some("provider_unauthorized"));
}

#[test]
fn a_long_conversation_is_cut_to_the_window_and_a_prompt_that_cannot_fit_is_refused() {
    let mut world = one_agent();
    for turn in 0..4 {
        world.end("a", turn * 2, calls(&[("look", json!({ "n": turn }))]));
        world.end("a", turn * 2 + 1, returns(json!("7 ".repeat(6_000))));
        let messages = prompt(&world, turn * 2 + 2);
        assert_sendable(&messages);
        let tokens: u64 = messages.iter().map(|message| estimate_tokens(message.text())).sum();
        assert!(tokens < 8_192, "{tokens}");
        assert!(messages[1].text().contains("do it"), "the instruction stays");
    }
    let mut world = World::new(vec![step("a", &[], agent(&"word ".repeat(20_000)))]);
    world.report(Input::Begin);
    assert_eq!(world.error_code().as_deref(), Some("prompt_too_large"));
}

#[test]
fn results_of_predecessors_reach_the_prompt() {
    let mut world = World::new(vec![step("b", &[], tool("look", json!({}))), step("a", &["b"], agent("use it"))]);
    world.report(Input::Begin);
    world.end("b", 0, returns(json!({ "n": 42 })));
    let text = prompt(&world, 0)[1].text().to_owned();
    assert!(text.contains("use it") && text.contains("the goal") && text.contains(r#"{"n":42}"#), "{text}");
}
