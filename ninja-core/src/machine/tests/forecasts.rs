//! What is foreseen of a task, held to what comes of it.

use super::{nested::map, *};
use crate::api::{Forecast, Outlook, Retry, Span};

/// A dollar a million tokens in, two a million out.
const PRICE: Price = Price { input: 1_000_000, cached_input: 500_000, output: 2_000_000 };

fn world(steps: Vec<PlannedStep>, budget: Budget) -> World {
    World::with_setup(steps, budget, Setup { price: Some(PRICE), ..Setup::default() })
}

fn foreseen(steps: Vec<PlannedStep>) -> Forecast {
    forecast(&world(steps, Budget::default()).state)
}

fn only(action: Action) -> Outlook {
    foreseen(vec![step("a", &[], action)]).steps[0].outlook
}

/// An agent that does not delegate.
fn helper(prompt: &str) -> Action {
    let Action::Agent { prompt, schema, max_output_tokens, .. } = agent(prompt) else { panic!("an agent") };
    Action::Agent { agent: "helper".to_owned(), prompt, schema, max_output_tokens }
}

fn span(least: u64, likely: u64, most: u64) -> Span {
    Span { least, likely, most: Some(most) }
}

#[test]
fn a_prompt_is_counted_as_it_is_sent_and_the_most_is_what_the_limits_allow() {
    let mut world = world(vec![step("a", &[], helper("look around"))], Budget::default());
    let foreseen = forecast(&world.state);
    world.report(Input::Begin);
    let Intent::Model { context, reserved_tokens, .. } = &world.state.call(&id("a"), 0).unwrap().intent else {
        panic!("a model call")
    };
    let (tokens, prompt) = (foreseen.total.tokens, context.estimated_tokens);
    assert_eq!(foreseen.total.calls, span(1, 5, 6), "its agent takes at most six turns");
    assert_eq!(tokens.least, prompt + 20);
    assert!((prompt + 20..6 * 8_192).contains(&tokens.likely), "{tokens:?}");
    assert_eq!(tokens.most, Some(6 * 8_192), "each with a window full");
    assert!(tokens.most.unwrap() >= reserved_tokens * 6);
    let cost = foreseen.total.cost_micro_usd;
    // The least is at the price of what the vendor kept.
    assert_eq!((cost.least, cost.most), (prompt.div_ceil(2) + 40, Some(6 * (8_092 + 200))));
    assert_eq!((foreseen.total.unpriced_calls, foreseen.steps[0].outlook), (0, foreseen.total));
    assert_eq!(foreseen.steps[0].model.as_ref().unwrap().to_string(), "scripted/m");
}

#[test]
fn what_has_no_tools_answers_at_once_and_what_asks_no_model_costs_nothing() {
    let schema = Some(crate::api::SchemaSpec::Inline(json!({ "type": "object" })));
    let Action::Agent { agent, prompt, max_output_tokens, .. } = helper("go") else { panic!("an agent") };
    assert_eq!(only(Action::Agent { agent, prompt, max_output_tokens, schema }).calls, span(1, 1, 6));
    for action in [tool("look", json!({})), approval("may I?")] {
        assert_eq!(only(action), Outlook::NOTHING);
    }
}

#[test]
fn results_of_earlier_steps_make_prompts_longer() {
    let after = foreseen(vec![step("a", &[], helper("go")), step("b", &["a"], helper("go"))]);
    let [a, b] = [0, 1].map(|index| after.steps[index].outlook.tokens);
    assert!(b.likely > a.likely && b.least == a.least, "{a:?} {b:?}");
    assert_eq!(after.total, after.steps[0].outlook.plus(after.steps[1].outlook));
}

#[test]
fn lists_that_are_known_are_counted_and_others_are_guessed() {
    let one = only(helper("see x"));
    let known = only(map("params.list", helper("see {{item}}")));
    assert_eq!(known.calls, span(3, 15, 18));
    assert_eq!(known.tokens.least, 3 * one.tokens.least, "each prompt has its item");
    let unknown = foreseen(vec![
        step("list", &[], helper("list")),
        step("each", &["list"], map("steps.list.output.items", helper("see {{item}}"))),
    ]);
    let calls = unknown.steps[1].outlook.calls;
    assert_eq!(calls, Span { least: 0, likely: 15, most: None });
    let tools = foreseen(vec![step("a", &[], map("steps.x.output", tool("look", json!({}))))]);
    assert_eq!(tools.total, Outlook::NOTHING, "however many there are");
    assert!(unknown.assumed.iter().any(|what| what.contains("3 items")), "{:?}", unknown.assumed);
}

#[test]
fn conditions_and_attempts_widen_it() {
    let maybe = PlannedStep { when: Some("params.sure".to_owned()), ..step("a", &[], helper("go")) };
    assert_eq!(foreseen(vec![maybe]).total.calls, span(0, 5, 6));
    let retry = Some(Retry { attempts: 3, wait_ms: 0 });
    let again = PlannedStep { retry, ..step("a", &[], helper("go")) };
    assert_eq!(foreseen(vec![again]).total.calls, span(1, 5, 18));
}

#[test]
fn what_is_handed_on_or_planned_by_a_model_has_no_end_but_a_budget() {
    let delegating = foreseen(vec![step("a", &[], agent("go"))]);
    assert_eq!(delegating.total.calls, Span { least: 1, likely: 5, most: None });
    let planned = foreseen(vec![plan_by_model()]);
    assert_eq!(planned.total.calls, Span { least: 1, likely: 16, most: None });
    let budget = Budget { tokens: Some(9_000), cost_micro_usd: Some(5), ..Budget::default() };
    let limited = forecast(&world(vec![plan_by_model()], budget).state).total;
    assert_eq!((limited.tokens.most, limited.cost_micro_usd.most), (Some(9_000), Some(5)));
    assert_eq!(limited.tokens.likely, planned.total.tokens.likely);
}

#[test]
fn a_contract_may_cost_one_repair() {
    let contract = Some(Contract { checks: Vec::new(), repair_agent: Some("helper".to_owned()) });
    let setup = Setup { price: Some(PRICE), contract, ..Setup::default() };
    let world = World::with_setup(vec![step("a", &[], helper("go"))], Budget::default(), setup);
    assert_eq!(forecast(&world.state).total.calls, span(1, 5, 12));
}

#[test]
fn a_price_that_is_not_known_and_a_prompt_that_is_too_large_are_told() {
    let unpriced = forecast(&World::new(vec![step("a", &[], helper("go"))]).state);
    assert_eq!((unpriced.total.unpriced_calls, unpriced.total.cost_micro_usd), (5, Span::ZERO));
    let large = foreseen(vec![step("a", &[], helper(&"word ".repeat(9_000)))]);
    let error = large.steps[0].error.as_ref().unwrap();
    assert_eq!(error.code, crate::api::ErrorCode::PromptTooLarge);
    assert_eq!(large.total, Outlook::NOTHING);
}

#[test]
fn a_model_that_may_stand_in_widens_it_and_a_list_that_is_too_long_is_told() {
    let model = |name: &str, window_tokens, price| PinnedModel {
        model: ModelRef { provider: "p".to_owned(), model: name.to_owned() },
        info: ModelInfo { window_tokens, tools: true, images: None, label: name.to_owned() },
        price: Some(price),
    };
    let two = vec![model("usual", 8_192, PRICE), model("wide", 16_384, Price::FREE)];
    let setup = Setup { lineup: BTreeMap::from([(ModelClass::Fast, two)]), ..Setup::default() };
    let mut world = World::with_setup(vec![step("a", &[], helper("go"))], Budget::default(), setup);
    let total = forecast(&world.state).total;
    assert_eq!((total.tokens.most, total.cost_micro_usd.least), (Some(6 * 16_384), 0));
    assert_eq!(total.cost_micro_usd.most, Some(6 * (8_092 + 200)));

    world = World::new(vec![step("a", &[], map("params.many", helper("go")))]);
    let many = Value::Array(vec![Value::Null; 1_001]);
    let mut submitted = TaskSubmitted::clone(&world.state.submitted);
    submitted.params.insert("many".to_owned(), many);
    world.state.submitted = Arc::new(submitted);
    let error = forecast(&world.state).steps[0].error.clone().unwrap();
    assert_eq!(error.code, crate::api::ErrorCode::LimitReached);
}
