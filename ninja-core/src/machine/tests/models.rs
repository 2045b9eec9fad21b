//! Which model answers, who does where it fails, and the wait where all do.

use super::*;
use crate::api::{ApiError, ErrorCode, WaitFor};

fn pinned(provider: &str, window_tokens: u32) -> PinnedModel {
    PinnedModel {
        model: ModelRef { provider: provider.to_owned(), model: "m".to_owned() },
        info: ModelInfo { window_tokens, tools: true, images: None, label: provider.to_owned() },
        price: None,
    }
}

/// A task of one agent step, whose class has these models.
fn world(lineup: &[(&str, u32)]) -> World {
    let models = lineup.iter().map(|(provider, window)| pinned(provider, *window)).collect();
    let lineup = [(ModelClass::Fast, models)].into();
    let setup = Setup { lineup, ..Setup::default() };
    let mut world = World::with_setup(vec![step("a", &[], agent("a"))], Budget::default(), setup);
    world.report(Input::Begin);
    world
}

fn fails(code: ErrorCode) -> Outcome {
    Outcome::Failed { error: ApiError::new(code, "down"), usage: Usage::default() }
}

/// Returns who is asked by the call that a decision intended, if it intended one.
fn asked(records: &[Record]) -> Option<String> {
    records.iter().find_map(|record| match record {
        Record::CallIntended { intent: Intent::Model { model, .. }, .. } => {
            Some(model.as_ref().map_or("scripted".to_owned(), |model| model.provider.clone()))
        }
        _ => None,
    })
}

fn waits_until(world: &World) -> Option<i64> {
    let waiting = world.view().waiting.filter(|waiting| waiting.wait_for == WaitFor::Provider)?;
    waiting.until.map(Timestamp::as_second)
}

fn wake(world: &mut World) -> Vec<Record> {
    let due = world.state.wake_at().expect("it waits for a time");
    let records = world.report(Input::Wake { due });
    world.seconds = due.as_second();
    records
}

#[test]
fn the_next_model_of_the_line_answers_where_one_fails_and_the_first_is_asked_again_for_the_next_turn() {
    let mut world = world(&[("one", 8_192), ("scripted", 8_192), ("tiny", 150), ("three", 8_192)]);
    let Some(Intent::Model { model, .. }) = world.state.call(&id("a"), 0).map(|call| call.intent.clone()) else {
        panic!("a model is asked")
    };
    assert_eq!(model.unwrap().provider, "one", "that of the agent's class");
    assert_eq!(asked(&world.end("a", 0, fails(ErrorCode::ProviderFailed))).as_deref(), Some("scripted"));
    let third = asked(&world.end("a", 1, fails(ErrorCode::ProviderFailed)));
    assert_eq!(third.as_deref(), Some("three"), "the window of the one between is too small");
    assert_eq!(asked(&world.end("a", 2, calls(&[("look", json!({}))]))), None);
    assert_eq!(asked(&world.end("a", 3, returns(Value::Null))).as_deref(), Some("one"));
    world.end("a", 4, says("done"));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn where_all_fail_the_step_waits_longer_each_time_until_one_answers() {
    let mut world = world(&[("one", 8_192), ("two", 8_192)]);
    let newest = |world: &World| world.state.step(&id("a")).unwrap().next_call() - 1;
    let fail_both = |world: &mut World| {
        let call = newest(world);
        assert_eq!(asked(&world.end("a", call, fails(ErrorCode::ProviderFailed))).as_deref(), Some("two"));
        let begun = world.seconds + 1;
        assert_eq!(asked(&world.end("a", call + 1, fails(ErrorCode::ProviderFailed))), None);
        assert_eq!((world.view().status, world.status_of("a")), (TaskStatus::Waiting, StepStatus::Waiting));
        assert!(pending(&world.state).is_empty());
        waits_until(world).expect("it waits for its provider") - begun
    };
    for wanted in [5, 10, 20, 40, 80, 160, 300, 300] {
        assert_eq!(fail_both(&mut world), wanted);
        assert!(world.report(Input::Begin).is_empty(), "not before its time");
        assert_eq!(asked(&wake(&mut world)).as_deref(), Some("one"));
    }
    let call = newest(&world);
    world.end("a", call, calls(&[("look", json!({}))]));
    world.end("a", call + 1, returns(Value::Null));
    assert_eq!(fail_both(&mut world), 5, "it had answered");
}

#[test]
fn a_wait_that_never_ends_fails_in_the_end() {
    let mut world = world(&[("one", 8_192)]);
    let mut waits = 0;
    for call in 0.. {
        // Straight to the machine: the log grows long.
        let report = |state: &TaskState, input: Input, now| {
            let mut new_uuid = Uuid::nil;
            decide_through(state, input, Surroundings { now, new_uuid: &mut new_uuid, room: &Boundless }).unwrap().after
        };
        let down = Input::EndCall { step: id("a"), call, outcome: fails(ErrorCode::ProviderFailed) };
        world.state = report(&world.state, down, at(0));
        let Some(due) = world.state.wake_at() else { break };
        waits += 1;
        world.state = report(&world.state, Input::Wake { due }, at(0));
    }
    assert_eq!((waits, world.error_code().as_deref()), (300, Some("provider_failed")));
}

#[test]
fn what_is_wrong_with_the_request_or_the_key_is_so_with_every_try() {
    for code in [ErrorCode::ProviderRejected, ErrorCode::ProviderUnauthorized, ErrorCode::PromptTooLarge] {
        let mut world = world(&[("one", 8_192), ("two", 8_192)]);
        world.end("a", 0, fails(code));
        assert_eq!((world.view().status, world.error_code()), (TaskStatus::Failed, Some(code.to_string())));
    }
}

#[test]
fn a_wait_can_be_cut_short_paused_cancelled_and_survives_a_restart() {
    let mut world = world(&[("one", 8_192)]);
    world.end("a", 0, fails(ErrorCode::ProviderFailed));
    assert!(world.report(Input::Recover).is_empty(), "a restart does not shorten it");
    assert!(waits_until(&world).is_some());

    let mut cancelled = world.clone();
    cancelled.cancel().unwrap();
    assert_eq!(cancelled.view().status, TaskStatus::Cancelled);

    let mut resumed = world.clone();
    assert_eq!(asked(&resumed.take(Input::Resume { by: person() }).unwrap()).as_deref(), Some("one"));
    assert_eq!(resumed.take(Input::Resume { by: person() }), Err(Refusal::NotPaused));

    world.take(Input::Pause { by: person() }).unwrap();
    assert_eq!(world.view().waiting.unwrap().wait_for, WaitFor::Operator);
    assert_eq!(world.state.wake_at(), None);
    assert_eq!(asked(&world.take(Input::Resume { by: person() }).unwrap()).as_deref(), Some("one"));
}

#[test]
fn a_failure_while_paused_waits_for_the_person_and_then_asks_again() {
    let mut world = world(&[("one", 8_192), ("two", 8_192)]);
    world.take(Input::Pause { by: person() }).unwrap();
    assert_eq!(asked(&world.end("a", 0, fails(ErrorCode::ProviderFailed))), None);
    assert_eq!(asked(&world.take(Input::Resume { by: person() }).unwrap()).as_deref(), Some("one"));
}

#[test]
fn what_waits_for_its_provider_replays_to_the_same() {
    let mut world = world(&[("one", 8_192), ("two", 8_192)]);
    world.end("a", 0, fails(ErrorCode::ProviderFailed));
    world.end("a", 1, fails(ErrorCode::ProviderFailed));
    wake(&mut world);
    world.end("a", 2, fails(ErrorCode::ProviderFailed));
    world.end("a", 3, fails(ErrorCode::ProviderFailed));
    world.take(Input::Resume { by: person() }).unwrap();
    world.end("a", 4, says("done"));
    let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
    assert_eq!((replay.difference, replay.state.view()), (None, world.view()));
}

#[test]
fn of_many_that_wait_for_the_same_models_one_asks_again_and_the_others_go_on_when_it_is_answered() {
    let steps = (0..30).map(|n| step(&format!("s{n}"), &[], agent("go"))).collect();
    let mut world = World::new(steps);
    world.report(Input::Begin);
    for n in 0..30 {
        world.end(&format!("s{n}"), 0, fails(ErrorCode::ProviderFailed));
    }
    let asked = |world: &World| pending(&world.state).len();
    for call in 1..4 {
        // The first time it was due while others still failed.
        if call > 1 {
            wake(&mut world);
        }
        assert_eq!((asked(&world), world.state.wake_at()), (1, None), "it knows for all of them");
        world.end("s0", call, fails(ErrorCode::ProviderFailed));
    }
    wake(&mut world);
    world.end("s0", 4, says("done"));
    assert_eq!(asked(&world), 29);
    let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
    assert_eq!(replay.difference, None);
}

#[test]
fn one_that_stands_in_may_not_cost_more_than_there_is() {
    let price = |input| Some(Price { input, cached_input: input, output: input });
    let lineup = [("cheap", 1_000_000), ("dear", 1_000_000_000)]
        .map(|(provider, input)| PinnedModel { price: price(input), ..pinned(provider, 8_192) });
    let budget = Budget { cost_micro_usd: Some(10_000), ..Budget::default() };
    let setup =
        Setup { lineup: [(ModelClass::Fast, lineup.to_vec())].into(), price: price(1_000_000), ..Setup::default() };
    let mut world = World::with_setup(vec![step("a", &[], agent("a"))], budget, setup);
    world.report(Input::Begin);
    assert_eq!(asked(&world.end("a", 0, fails(ErrorCode::ProviderFailed))), None);
    assert!(waits_until(&world).is_some(), "it waits for the first one, and does not ask it over and over");
}

#[test]
fn a_prompt_that_a_provider_finds_too_large_goes_to_one_with_a_larger_window() {
    let mut world = world(&[("one", 8_192), ("two", 8_192), ("three", 100_000)]);
    assert_eq!(asked(&world.end("a", 0, fails(ErrorCode::PromptTooLarge))).as_deref(), Some("three"));
    world.end("a", 1, fails(ErrorCode::PromptTooLarge));
    assert_eq!(world.error_code().as_deref(), Some("prompt_too_large"));
}

#[test]
fn what_a_person_wants_different_in_a_plan_is_not_forgotten_while_nobody_answers() {
    let setup = Setup { autonomy: Autonomy::Review, ..Setup::default() };
    let mut world = World::with_setup(vec![crate::machine::plan_by_model()], Budget::default(), setup);
    world.report(Input::Begin);
    let plan = json!({ "steps": [{ "id": "a", "kind": "agent", "agent": "helper", "prompt": "go", "after": [] }] });
    world.end("plan:1", 0, says(&plan.to_string()));
    world.decide(Decision::Answer { text: "shorter".to_owned() }).unwrap();
    let told = |world: &World, call| match &world.state.call(&id("plan:1"), call).unwrap().intent {
        Intent::Model { feedback, .. } => feedback.clone().unwrap_or_default(),
        Intent::Tool { .. } => panic!("a model call"),
    };
    assert!(told(&world, 1).contains("shorter"));
    world.end("plan:1", 1, fails(ErrorCode::ProviderFailed));
    wake(&mut world);
    assert!(told(&world, 2).contains("shorter"), "asked again for the same");
    world.take(Input::Pause { by: person() }).unwrap();
    world.end("plan:1", 2, fails(ErrorCode::ProviderFailed));
    world.take(Input::Resume { by: person() }).unwrap();
    assert!(told(&world, 3).contains("shorter"));
}
