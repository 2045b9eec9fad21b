//! Images in a conversation: who is shown them, how many, and what stands in the place of the others.

use super::*;
use crate::{
    api::{ApiError, ErrorCode},
    journal::record::{IMAGE_BYTES_MAX, Image, ImageFile, ImageShape, ImageTokens, InputFile, MediaType},
};

fn shape(width: u32, height: u32) -> ImageShape {
    ImageShape { media_type: MediaType::Png, width, height, is_animated: false, is_cut: false }
}

fn input(number: u8, bytes: u64, image: Option<ImageShape>) -> InputFile {
    let (file, blob) = (crate::api::FileId::from_uuid(Uuid::nil()), BlobHash::from_bytes([number; 32]));
    InputFile { file, name: format!("{number}.png"), bytes, blob, image }
}

fn shown_file(number: u8, name: &str) -> ImageFile {
    let blob = BlobHash::from_bytes([number; 32]);
    ImageFile { name: name.to_owned(), blob, bytes: 1_000, shape: shape(640, 480) }
}

fn pinned(images: Option<ImageTokens>, window_tokens: u32) -> PinnedModel {
    let model = ModelRef { provider: "p".to_owned(), model: "m".to_owned() };
    let info = ModelInfo { window_tokens, tools: true, images, label: "m".to_owned() };
    PinnedModel { model, info, price: None }
}

fn begun(pinned: PinnedModel, inputs: Vec<InputFile>) -> World {
    let lineup = [(ModelClass::Fast, vec![pinned])].into();
    let setup = Setup { lineup, inputs, ..Setup::default() };
    let mut world = World::with_setup(vec![step("a", &[], agent("look"))], Budget::default(), setup);
    world.report(Input::Begin);
    world
}

/// Returns the newest model call, its cut and its reserve, and the conversation that it sends.
fn asked(world: &World) -> (u32, ContextChoice, u64, Vec<Message>) {
    let step = world.state.step(&id("a")).unwrap();
    let call = step.calls.len() - 1;
    let Intent::Model { context, reserved_tokens, .. } = &step.calls[call].intent else { panic!("a model call") };
    let messages = conversation(&world.state, step, context);
    (u32::try_from(call).unwrap(), *context, *reserved_tokens, messages)
}

fn names(messages: &[Message]) -> Vec<&str> {
    messages.iter().flat_map(Message::images).map(|image| image.file.name.as_str()).collect()
}

fn returns_images(images: Vec<ImageFile>) -> Outcome {
    Outcome::Returned { ok: true, output: json!("drawn"), delta: ManifestDelta::default(), images }
}

#[test]
fn an_attached_image_is_shown_with_the_instruction_and_paid_for() {
    let inputs = |image| vec![input(1, 1_000, image), input(2, 50, None)];
    let world = begun(pinned(Some(ImageTokens::Other), 8_192), inputs(Some(shape(640, 480))));
    let (_, context, reserved, messages) = asked(&world);
    let [Image { file, tokens: 1_200 }] = messages[1].images() else { panic!("{messages:?}") };
    assert_eq!((file.name.as_str(), file.blob), ("inputs/1.png", BlobHash::from_bytes([1; 32])));
    assert!(messages[1].text().ends_with("\n(image inputs/1.png, 640×480, shown)"), "{}", messages[1].text());
    let blind = begun(pinned(Some(ImageTokens::Other), 8_192), inputs(None));
    let (_, without, less, _) = asked(&blind);
    assert!(context.estimated_tokens >= without.estimated_tokens + 1_200 && reserved >= less + 1_200);
    assert_eq!(context.images_max, None, "nothing was left out");
}

#[test]
fn a_model_that_takes_none_is_told_of_it() {
    let world = begun(pinned(None, 8_192), vec![input(1, 1_000, Some(shape(640, 480)))]);
    let (_, _, _, messages) = asked(&world);
    assert_eq!(names(&messages), Vec::<&str>::new());
    let line = "\n(image inputs/1.png, 640×480, not shown: p/m takes no images)";
    assert!(messages[1].text().ends_with(line), "{}", messages[1].text());
}

#[test]
fn a_prompt_that_says_itself_what_it_needs_gets_no_inputs() {
    let setup = Setup {
        inputs: vec![input(1, 9, Some(shape(9, 9)))],
        lineup: [(ModelClass::Fast, vec![pinned(Some(ImageTokens::Other), 8_192)])].into(),
        ..Setup::default()
    };
    let steps = vec![step("z", &[], tool("shell", json!({}))), step("a", &["z"], agent("sum up {{steps.z.output}}"))];
    let mut world = World::with_setup(steps, Budget::default(), setup);
    world.report(Input::Begin);
    world.end("z", 0, returns(json!("it")));
    assert_eq!(names(&asked(&world).3), Vec::<&str>::new());
}

#[test]
fn what_a_tool_shows_is_in_its_result_and_survives_a_replay() {
    let mut world = begun(pinned(Some(ImageTokens::Openai), 8_192), Vec::new());
    world.end("a", 0, calls(&[("look", json!({})), ("look", json!({ "n": 1 }))]));
    world.end("a", 1, returns_images(vec![shown_file(1, "chart.png")]));
    world.end("a", 2, returns(json!("nothing")));
    let (call, context, _, messages) = asked(&world);
    let shows = |message: &&Message| matches!(message, Message::Tool { .. });
    let results: Vec<_> = messages.iter().filter(shows).map(|message| message.images().len()).collect();
    assert_eq!((results, names(&messages)), (vec![1, 0], vec!["chart.png"]));
    assert!(context.estimated_tokens > 1_445, "{context:?}");
    world.end("a", call, says("seen"));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
    let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
    assert_eq!(replay.difference, None);
}

#[test]
fn the_oldest_of_too_many_are_left_out() {
    let inputs = (1..=22).map(|number| input(number, 1_000, Some(shape(28, 28)))).collect();
    let world = begun(pinned(Some(ImageTokens::Anthropic), 200_000), inputs);
    let (_, _, _, messages) = asked(&world);
    let shown = names(&messages);
    assert_eq!((shown.len(), shown[0], shown[19]), (20, "inputs/3.png", "inputs/22.png"));
    let refused = messages[1].text().lines().filter(|line| line.ends_with("there is no room for more in one call)"));
    let refused: Vec<_> = refused.map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(refused, ["(image inputs/1.png", "(image inputs/2.png"]);
}

#[test]
fn what_a_vendor_would_refuse_is_not_sent() {
    let gif = ImageShape { media_type: MediaType::Gif, ..shape(9, 9) };
    for (tokens, bytes, shape, why) in [
        (ImageTokens::Anthropic, IMAGE_BYTES_MAX, shape(8_000, 8_000), None),
        (ImageTokens::Anthropic, IMAGE_BYTES_MAX + 1, shape(9, 9), Some("it has 3932161 bytes")),
        (ImageTokens::Anthropic, 9, shape(9, 8_001), Some("no side may have more than 8000 pixels")),
        (ImageTokens::Gemini, 9, gif, Some("p/m takes no image/gif")),
        (ImageTokens::Anthropic, 9, gif, None),
        (ImageTokens::Openai, 9, gif, None),
        (ImageTokens::Openai, 9, ImageShape { is_animated: true, ..gif }, Some("p/m takes no animated image")),
        (ImageTokens::Openai, 9, ImageShape { is_cut: true, ..gif }, Some("its file ends before the picture does")),
    ] {
        let world = begun(pinned(Some(tokens), 200_000), vec![input(1, bytes, Some(shape))]);
        let (_, _, _, messages) = asked(&world);
        assert_eq!(names(&messages).is_empty(), why.is_some(), "{tokens:?} {shape:?}");
        assert!(messages[1].text().contains(why.unwrap_or("shown")), "{}", messages[1].text());
    }
}

#[test]
fn the_images_of_a_call_fit_a_request() {
    let inputs = (1..=4).map(|number| input(number, IMAGE_BYTES_MAX, Some(shape(28, 28)))).collect();
    let world = begun(pinned(Some(ImageTokens::Anthropic), 200_000), inputs);
    assert_eq!(names(&asked(&world).3), ["inputs/2.png", "inputs/3.png", "inputs/4.png"]);
}

#[test]
fn an_image_is_sent_once_however_often_it_is_looked_at() {
    let mut world = begun(pinned(Some(ImageTokens::Other), 8_192), vec![input(1, 1_000, Some(shape(640, 480)))]);
    world.end("a", 0, calls(&[("look", json!({}))]));
    world.end("a", 1, returns_images(vec![shown_file(1, "again.png")]));
    let (_, _, _, messages) = asked(&world);
    assert_eq!(names(&messages), ["again.png"]);
    assert!(messages[1].text().ends_with("not shown: it is shown again below)"), "{}", messages[1].text());
}

#[test]
fn a_window_that_is_too_small_for_all_shows_the_newest() {
    for (window, shown) in [(20_000, 4), (4_000, 2), (2_500, 1), (1_500, 0)] {
        let inputs = (1..=4).map(|number| input(number, 1_000, Some(shape(640, 480)))).collect();
        let mut world = begun(pinned(Some(ImageTokens::Other), window), inputs);
        let (_, context, reserved, messages) = asked(&world);
        let newest = ["inputs/1.png", "inputs/2.png", "inputs/3.png", "inputs/4.png"];
        assert_eq!(names(&messages), newest[4 - shown..], "{window}");
        assert!(context.estimated_tokens >= 1_200 * shown as u64 && reserved <= u64::from(window));
        // What was left out once does not come and go.
        world.end("a", 0, calls(&[("look", json!({}))]));
        world.end("a", 1, returns(json!("x")));
        let (_, later, _, messages) = asked(&world);
        assert_eq!((later.images_max, names(&messages).len(), later.first_turn), (context.images_max, shown, 0));
    }
}

#[test]
fn long_results_are_cut_before_small_images_go() {
    let inputs = (1..=4).map(|number| input(number, 1_000, Some(shape(28, 28)))).collect();
    let mut world = begun(pinned(Some(ImageTokens::Anthropic), 4_000), inputs);
    world.end("a", 0, calls(&[("look", json!({}))]));
    world.end("a", 1, returns(Value::String("a b ".repeat(5_000))));
    let (_, context, _, messages) = asked(&world);
    assert_eq!((context.images_max, names(&messages).len()), (None, 4));
    assert!(context.result_bytes_max < 20_000, "{context:?}");
}

#[test]
fn old_turns_go_before_images() {
    let mut world = begun(pinned(Some(ImageTokens::Other), 4_000), vec![input(1, 1_000, Some(shape(640, 480)))]);
    for turn in 0..3_u32 {
        world.end("a", turn * 2, calls(&[("look", json!({ "n": turn }))]));
        world.end("a", turn * 2 + 1, returns(Value::String("a b ".repeat(500))));
    }
    let (_, context, _, messages) = asked(&world);
    assert_eq!((context.images_max, names(&messages)), (None, vec!["inputs/1.png"]));
    assert!(context.first_turn > 0, "{context:?}");
}

fn refused() -> Outcome {
    Outcome::Failed { error: ApiError::new(ErrorCode::ProviderRejected, "bad image"), usage: Usage::default() }
}

/// Lets the agent look around once more; returns what the next call shows.
fn look(world: &mut World, outcome: Outcome) -> (Option<u32>, Vec<String>) {
    let (call, ..) = asked(world);
    world.end("a", call, calls(&[("look", json!({ "n": call }))]));
    world.end("a", call + 1, outcome);
    shows(world)
}

fn shows(world: &World) -> (Option<u32>, Vec<String>) {
    let (_, context, _, messages) = asked(world);
    (context.images_max, names(&messages).into_iter().map(str::to_owned).collect())
}

#[test]
fn a_call_that_was_refused_with_images_is_made_again_without_them() {
    let mut world = begun(pinned(Some(ImageTokens::Other), 8_192), vec![input(1, 1_000, Some(shape(640, 480)))]);
    world.end("a", 0, refused());
    let (call, _, _, messages) = asked(&world);
    assert_eq!((call, shows(&world)), (1, (Some(0), vec![])));
    let line = "not shown: with more the call was too large or refused)";
    assert!(messages[1].text().ends_with(line), "{}", messages[1].text());
    assert_eq!(look(&mut world, returns(json!("x"))), (Some(0), vec![]), "not tried again");
    let copy = returns_images(vec![shown_file(2, "copy.png")]);
    assert_eq!(look(&mut world, copy), (Some(1), vec!["copy.png".to_owned()]), "this one was not refused");
    world.end("a", asked(&world).0, refused());
    assert_eq!(shows(&world), (Some(0), vec![]));
    world.end("a", asked(&world).0, refused());
    assert_eq!(world.error_code().as_deref(), Some("provider_rejected"), "that was not for images");
    let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
    assert_eq!(replay.difference, None);
}

#[test]
fn a_refusal_while_paused_is_answered_without_images_afterwards() {
    let mut world = begun(pinned(Some(ImageTokens::Other), 8_192), vec![input(1, 1_000, Some(shape(640, 480)))]);
    world.take(Input::Pause { by: person() }).unwrap();
    world.end("a", 0, refused());
    assert!(pending(&world.state).is_empty() && world.error_code().is_none());
    world.take(Input::Resume { by: person() }).unwrap();
    assert_eq!((asked(&world).0, shows(&world)), (1, (Some(0), vec![])));
}

#[test]
fn a_smaller_copy_of_what_was_left_out_is_shown() {
    let mut world = begun(pinned(Some(ImageTokens::Other), 4_000), vec![input(1, 1_000, Some(shape(8_000, 8_000)))]);
    assert_eq!(shows(&world), (Some(0), vec![]));
    let copy = returns_images(vec![shown_file(2, "copy.png")]);
    assert_eq!(look(&mut world, copy), (Some(1), vec!["copy.png".to_owned()]));
    assert_eq!(look(&mut world, returns(json!("x"))), (Some(1), vec!["copy.png".to_owned()]));
}

#[test]
fn large_images_do_not_cost_the_whole_history() {
    let inputs = (1..=2).map(|number| input(number, 1_000, Some(shape(8_000, 8_000)))).collect();
    let mut world = begun(pinned(Some(ImageTokens::Other), 16_384), inputs);
    assert_eq!(shows(&world).0, None);
    for _ in 0..3 {
        look(&mut world, returns(Value::String("a b ".repeat(1_500))));
    }
    let (_, context, _, messages) = asked(&world);
    assert_eq!((context.first_turn, names(&messages)), (0, vec!["inputs/2.png"]), "{context:?}");
}

#[test]
fn what_was_left_out_returns_when_turns_go() {
    let inputs = (1..=2).map(|number| input(number, 1_000, Some(shape(640, 480)))).collect();
    let mut world = begun(pinned(Some(ImageTokens::Other), 4_000), inputs);
    assert_eq!(shows(&world).0, None);
    // What is called is not cut, and the newest turn stays.
    world.end("a", 0, calls(&[("look", json!({ "n": 0, "words": "word ".repeat(1_900) }))]));
    world.end("a", 1, returns(json!("x")));
    assert_eq!(shows(&world), (Some(1), vec!["inputs/2.png".to_owned()]));
    let long = || returns(Value::String("a b ".repeat(350)));
    assert_eq!(look(&mut world, long()), (None, vec!["inputs/1.png".to_owned(), "inputs/2.png".to_owned()]));
    assert!(asked(&world).1.first_turn > 0);
}
