//! A prompt and its answer fit the model's window, whatever happened before, or the step fails.

use proptest::prelude::*;

use super::*;
use crate::{
    api::{ApiError, ErrorCode},
    journal::record::{ContextChoice, Message},
};

/// What a tool returns, or what a model does.
#[derive(Debug, Clone)]
enum Turn {
    /// It calls a tool that returns so many of these.
    Returns(usize, char),
    /// It says so many words and asks for a tool that there is not.
    Babbles(usize),
    /// It refuses the prompt as too large.
    Refuses,
}

fn turn() -> impl Strategy<Value = Turn> {
    let characters = prop_oneof![Just('a'), Just('7'), Just('\u{4e2d}'), Just('\n'), Just('{')];
    prop_oneof![
        4 => (0..60_000_usize, characters).prop_map(|(length, character)| Turn::Returns(length, character)),
        1 => (0..4_000_usize).prop_map(Turn::Babbles),
        1 => Just(Turn::Refuses),
    ]
}

fn world(window_tokens: u32, prompt: &str) -> World {
    let info = ModelInfo { window_tokens, tools: true, images: None, label: "small".to_owned() };
    let model = ModelRef { provider: "small".to_owned(), model: "m".to_owned() };
    let lineup = [(ModelClass::Fast, vec![PinnedModel { model, info, price: None }])].into();
    let setup = Setup { lineup, ..Setup::default() };
    World::with_setup(vec![step("a", &[], agent(prompt))], Budget::default(), setup)
}

/// Returns the call that is owed and how its prompt was cut.
fn asked(world: &World) -> Option<(u32, ContextChoice)> {
    let step = world.state.step(&id("a"))?;
    pending(&world.state).into_iter().find_map(|effect| match effect {
        Effect::CallModel { call, .. } => match step.calls[call as usize].intent {
            Intent::Model { context, .. } => Some((call, context)),
            Intent::Tool { .. } => None,
        },
        _ => None,
    })
}

/// Counts what would be sent, by itself.
fn tokens(world: &World, choice: &ContextChoice) -> u64 {
    let step = world.state.step(&id("a")).unwrap();
    let info = ModelInfo { window_tokens: 0, tools: true, images: None, label: String::new() };
    let offered = offered_tools(&world.state, step, &info);
    let tools = offered.iter().map(|tool| estimate_tokens(&tool.schema.to_string()));
    let messages = conversation(&world.state, step, choice);
    let calls = messages.iter().flat_map(|message| match message {
        Message::Assistant { tool_calls, .. } => tool_calls.clone(),
        _ => Vec::new(),
    });
    let calls = calls.map(|call| estimate_tokens(&call.args.to_string()));
    tools.sum::<u64>()
        + calls.sum::<u64>()
        + messages.iter().map(|message| estimate_tokens(message.text())).sum::<u64>()
}

fn take(world: &mut World, call: u32, turn: &Turn) {
    match turn {
        Turn::Returns(length, character) => {
            world.end("a", call, calls(&[("look", json!({ "n": *length }))]));
            let text: String = std::iter::repeat_n(*character, *length).collect();
            world.end("a", call + 1, returns(Value::String(text)));
        }
        Turn::Babbles(words) => {
            world.end("a", call, answer(&"so ".repeat(*words), &[("fly", json!({}))]));
        }
        Turn::Refuses => {
            let error = ApiError::new(ErrorCode::PromptTooLarge, "too long");
            world.end("a", call, Outcome::Failed { error, usage: Usage::default() });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_prompt_and_its_answer_fit_the_window_whatever_came_before(
        window in 200_u32..9_000, words in 0_usize..2_000, turns in prop::collection::vec(turn(), 0..7),
    ) {
        let mut world = world(window, &"do it ".repeat(words));
        world.report(Input::Begin);
        for turn in &turns {
            let Some((call, choice)) = asked(&world) else { break };
            let sent = tokens(&world, &choice);
            prop_assert!(sent + u64::from(choice.max_output_tokens) <= u64::from(window), "{sent} of {window}");
            take(&mut world, call, turn);
        }
        if asked(&world).is_none() {
            let codes = ["prompt_too_large", "limit_reached", "tool_failed", "stuck"].map(|code| Some(code.to_owned()));
            prop_assert!(codes.contains(&world.error_code()), "{:?}", world.view().error);
        }
    }
}

#[test]
fn what_a_model_refuses_is_cut_until_it_takes_it_or_nothing_is_left_to_cut() {
    let mut world = world(8_192, "do it");
    world.report(Input::Begin);
    take(&mut world, 0, &Turn::Returns(20_000, 'a'));
    let mut sizes = Vec::new();
    while let Some((call, choice)) = asked(&world) {
        sizes.push(choice.estimated_tokens);
        take(&mut world, call, &Turn::Refuses);
    }
    assert!(sizes.len() > 3 && sizes.windows(2).all(|two| two[1] <= two[0] * 3 / 4), "{sizes:?}");
    let error = world.view().error.unwrap();
    assert_eq!((error.code, error.detail.as_str()), (ErrorCode::PromptTooLarge, "too long"));
    let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
    assert_eq!(replay.difference, None);
}

#[test]
fn after_a_refusal_the_step_goes_on_with_less() {
    let mut world = world(8_192, "do it");
    world.report(Input::Begin);
    take(&mut world, 0, &Turn::Returns(20_000, 'a'));
    let (call, refused) = asked(&world).unwrap();
    take(&mut world, call, &Turn::Refuses);
    let (call, _) = asked(&world).unwrap();
    take(&mut world, call, &Turn::Returns(20_000, 'b'));
    let (call, later) = asked(&world).unwrap();
    assert!(later.estimated_tokens <= refused.estimated_tokens * 3 / 4, "also in the turns after it");
    world.end("a", call, says("done"));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}
