//! What a task may use: reserved, settled, waited for, warned of, raised.

use std::cell::Cell;

use super::*;
use crate::api::{BudgetLimit, BudgetOf, WaitFor};

/// A dollar a token in, two a token out: round numbers.
const PRICE: Price = Price { input: 1_000_000_000_000, cached_input: 500_000_000_000, output: 2_000_000_000_000 };
const DOLLAR: u64 = 1_000_000;

fn parallel(count: usize) -> Vec<PlannedStep> {
    (0..count).map(|n| step(&format!("s{n}"), &[], agent("go"))).collect()
}

fn priced(steps: Vec<PlannedStep>, budget: Budget) -> World {
    let mut world = World::with_setup(steps, budget, Setup { price: Some(PRICE), ..Setup::default() });
    world.report(Input::Begin);
    world
}

/// Returns what one call of [`parallel`]'s steps sets aside.
fn reserve_of_one() -> (u64, u64) {
    let world = priced(parallel(1), Budget::default());
    (world.state.reserved_tokens, world.state.reserved_micro_usd)
}

fn in_flight(world: &World) -> Vec<StepId> {
    let calls = pending(&world.state).into_iter();
    calls
        .map(|effect| match effect {
            Effect::CallModel { step, .. } | Effect::CallTool { step, .. } | Effect::StopCall { step, .. } => step,
        })
        .collect()
}

fn newest_call(world: &World, step: &StepId) -> u32 {
    world.state.step(step).unwrap().next_call() - 1
}

fn change(world: &mut World, budget: Budget) -> Result<Vec<Record>, Refusal> {
    world.take(Input::ChangeBudget { by: person(), budget })
}

fn warnings(records: &[Record]) -> Vec<BudgetLimit> {
    let limits = records.iter().filter_map(|record| match record {
        Record::BudgetWarned { limit, .. } => Some(*limit),
        _ => None,
    });
    limits.collect()
}

#[test]
fn what_a_call_cost_is_recorded_and_a_price_that_is_not_known_is_no_price() {
    let mut world = priced(parallel(1), Budget::default());
    world.end("s0", 0, says("done"));
    assert_eq!((world.view().usage.cost_micro_usd, world.view().usage.unpriced_calls), (20 * DOLLAR, 0));
    let mut unpriced = World::new(parallel(1));
    unpriced.report(Input::Begin);
    unpriced.end("s0", 0, says("done"));
    assert_eq!((unpriced.view().usage.cost_micro_usd, unpriced.view().usage.unpriced_calls), (0, 1));
}

#[test]
fn twenty_steps_with_money_for_seven_never_spend_more_and_go_on_when_there_is_more() {
    let (tokens, micro_usd) = reserve_of_one();
    let budgets = [
        Budget { tokens: Some(tokens * 7 + tokens / 2), ..Budget::default() },
        Budget { cost_micro_usd: Some(micro_usd * 7 + micro_usd / 2), ..Budget::default() },
    ];
    for budget in budgets {
        let mut world = priced(parallel(20), budget);
        assert_eq!(in_flight(&world).len(), 7, "{budget:?}");
        // Each uses all that was set aside for it: nothing comes back.
        for step in in_flight(&world) {
            let mut all = says("done");
            let Outcome::Answered(answer) = &mut all else { panic!("an answer") };
            (answer.usage.input_tokens, answer.usage.output_tokens) = (tokens - 100, 100);
            world.end(step.as_str(), 0, all);
            let spent = world.state.usage;
            assert!(spent.tokens() <= budget.tokens.unwrap_or(u64::MAX));
            assert!(spent.cost_micro_usd <= budget.cost_micro_usd.unwrap_or(u64::MAX));
        }
        let waiting = world.view().waiting.map(|waiting| (waiting.wait_for, waiting.until));
        assert_eq!(waiting, Some((WaitFor::Budget, None)));
        assert!(world.report(Input::Recover).is_empty(), "a restart gives nothing");
        assert_eq!(change(&mut world, budget), Err(Refusal::SameBudget));

        let more = Budget { tokens: Some(tokens * 40), cost_micro_usd: Some(micro_usd * 40), ..Budget::default() };
        change(&mut world, more).unwrap();
        assert_eq!(in_flight(&world).len(), 13, "all that waited");
        for step in in_flight(&world) {
            world.end(step.as_str(), newest_call(&world, &step), says("done"));
        }
        assert_eq!(world.view().status, TaskStatus::Succeeded);
        let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
        assert_eq!((replay.difference, replay.state.view()), (None, world.view()));
    }
}

#[test]
fn what_was_set_aside_and_not_used_lets_the_next_begin() {
    let (tokens, _) = reserve_of_one();
    let mut world = priced(parallel(20), Budget { tokens: Some(tokens * 2), ..Budget::default() });
    assert_eq!(in_flight(&world).len(), 2);
    let mut ended = 0;
    while let Some(step) = in_flight(&world).first().cloned() {
        world.end(step.as_str(), newest_call(&world, &step), says("done"));
        ended += 1;
        assert!(world.state.usage.tokens() + world.state.reserved_tokens <= tokens * 2);
    }
    // Each uses 15 tokens; the last ones find less than a call may come to.
    assert_eq!(ended as u64, ((tokens * 2 - tokens) / 15 + 1).min(20));
}

#[test]
fn steps_and_time_are_limits_too() {
    let row = || vec![step("a", &[], agent("a")), step("b", &["a"], agent("b")), step("c", &["b"], agent("c"))];
    let mut world = priced(row(), Budget { steps: Some(2), ..Budget::default() });
    world.end("a", 0, says("done"));
    world.end("b", 0, says("done"));
    assert_eq!((world.status_of("c"), world.view().status), (StepStatus::Pending, TaskStatus::Waiting));
    assert_eq!(world.view().waiting.map(|waiting| waiting.wait_for), Some(WaitFor::Budget));
    change(&mut world, Budget { steps: Some(3), ..Budget::default() }).unwrap();
    world.end("c", 0, says("done"));
    assert_eq!(world.view().status, TaskStatus::Succeeded);

    let mut world = priced(row(), Budget { seconds: Some(3), ..Budget::default() });
    world.end("a", 0, says("done"));
    world.end("b", 0, calls(&[("look", json!({}))]));
    world.end("b", 1, returns(Value::Null));
    assert_eq!(world.status_of("b"), StepStatus::Waiting, "what ran has ended, nothing new began");
    change(&mut world, Budget { seconds: Some(100), ..Budget::default() }).unwrap();
    world.end("b", 2, says("done"));
    world.end("c", 0, says("done"));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
}

#[test]
fn most_of_a_limit_is_told_of_once_until_it_is_changed() {
    let mut world = priced(parallel(6), Budget { steps: Some(7), ..Budget::default() });
    assert_eq!(world.log.iter().filter(|entry| matches!(entry.record, Record::BudgetWarned { .. })).count(), 1);
    assert!(warnings(&world.end("s0", 0, says("done"))).is_empty());
    let records = change(&mut world, Budget { steps: Some(6), ..Budget::default() }).unwrap();
    assert_eq!(warnings(&records), [BudgetLimit::Steps]);
}

#[test]
fn a_call_that_a_crash_took_is_charged_what_was_set_aside() {
    let (tokens, micro_usd) = reserve_of_one();
    let mut world =
        priced(parallel(1), Budget { cost_micro_usd: Some(micro_usd + micro_usd / 2), ..Budget::default() });
    world.report(Input::Recover);
    let usage = world.view().usage;
    assert_eq!((usage.estimated_tokens, usage.cost_micro_usd, usage.unpriced_calls), (tokens, micro_usd, 0));
    assert_eq!(world.view().waiting.map(|waiting| waiting.wait_for), Some(WaitFor::Budget), "there is no second one");
}

#[test]
fn money_is_no_limit_for_what_has_no_price() {
    let budget = Budget { cost_micro_usd: Some(DOLLAR), ..Budget::default() };
    let mut world = World::with_budget(parallel(1), budget);
    world.report(Input::Begin);
    assert!(pending(&world.state).is_empty());
    let Some(Record::BudgetPaused { limit: BudgetLimit::Cost, detail, .. }) =
        world.log.iter().map(|entry| entry.record.clone()).find(|record| matches!(record, Record::BudgetPaused { .. }))
    else {
        panic!("it waits")
    };
    assert!(detail.contains("the price of scripted/m is not known"), "{detail}");
    world.cancel().unwrap();
    assert_eq!(world.view().status, TaskStatus::Cancelled);
}

#[test]
fn a_second_attempt_that_waits_for_more_waits_for_no_time() {
    let mut first = step("a", &[], tool("look", json!({})));
    first.retry = Some(crate::api::Retry { attempts: 3, wait_ms: 5_000 });
    let mut world = priced(vec![first], Budget { steps: Some(1), ..Budget::default() });
    let error = crate::api::ApiError::new(crate::api::ErrorCode::ToolFailed, "no");
    world.end("a", 0, Outcome::Failed { error, usage: Usage::default() });
    let due = world.state.wake_at().unwrap();
    world.report(Input::Wake { due });
    assert_eq!(world.view().waiting.map(|waiting| (waiting.wait_for, waiting.until)), Some((WaitFor::Budget, None)));
    world.seconds = due.as_second();
    change(&mut world, Budget { steps: Some(2), ..Budget::default() }).unwrap();
    assert_eq!(in_flight(&world), [id("a")]);
}

#[test]
fn a_step_that_was_replaced_does_not_come_back() {
    let mut world = priced(
        vec![step("a", &[], agent("a")), step("b", &[], agent("b"))],
        Budget { steps: Some(1), ..Budget::default() },
    );
    assert_eq!(world.status_of("b"), StepStatus::Pending);
    let replaced = Record::StepsAdded { steps: Vec::new(), replaced: vec![id("b")] };
    let entry = Entry { at: at(world.seconds), record: replaced };
    world.state.apply(&entry).unwrap();
    world.log.push(entry);
    change(&mut world, Budget { steps: Some(5), ..Budget::default() }).unwrap();
    assert_eq!((in_flight(&world), world.status_of("b")), (vec![id("a")], StepStatus::Skipped));
}

#[test]
fn one_limit_does_not_keep_those_that_wait_for_another() {
    let (tokens, _) = reserve_of_one();
    // One begins; the others begin and find no tokens, until there are no more steps either.
    let budget = Budget { tokens: Some(tokens + tokens / 2), steps: Some(3), ..Budget::default() };
    let mut world = priced(parallel(5), budget);
    let limits = |world: &World| {
        let holds = world.state.steps.iter().filter_map(|step| step.hold);
        holds.filter(|hold| matches!(hold.what, HoldFor::Budget { limit: BudgetLimit::Steps, .. })).count()
    };
    assert_eq!((in_flight(&world).len(), limits(&world)), (1, 2));
    change(&mut world, Budget { tokens: Some(tokens * 9), ..Budget::default() }).unwrap();
    assert_eq!((in_flight(&world).len(), limits(&world)), (3, 2));
    // More of the steps than have room is not begun in vain.
    let records = change(&mut world, Budget { steps: Some(4), ..Budget::default() }).unwrap();
    assert_eq!(records.iter().filter(|record| matches!(record, Record::StepResumed { .. })).count(), 1);
    assert_eq!((in_flight(&world).len(), limits(&world)), (4, 1));
}

#[test]
fn a_timer_that_comes_when_nothing_is_due_replays() {
    let mut world = priced(parallel(1), Budget { seconds: Some(10), ..Budget::default() });
    let records = world.report(Input::Wake { due: at(9) });
    assert_eq!(warnings(&records), [BudgetLimit::Seconds]);
    world.seconds = 9;
    world.end("s0", 0, says("done"));
    let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
    assert_eq!((replay.difference, replay.state.view()), (None, world.view()));
}

/// What others took of a budget that they share with the task, and how much that is at all.
struct Shared {
    most: Cell<u64>,
    until: Cell<i64>,
}

impl Shared {
    fn with(tokens: u64) -> Rc<Self> {
        Rc::new(Self { most: Cell::new(tokens), until: Cell::new(86_400) })
    }
}

impl Room for Shared {
    fn check(&self, _: &StepId, wanted: Wanted) -> Result<(), Short> {
        if wanted.now.tokens + wanted.call.tokens <= self.most.get() {
            return Ok(());
        }
        let (limit, of, until) = (BudgetLimit::Tokens, BudgetOf::UserDay, Some(at(self.until.get())));
        Err(Short { limit, of, detail: "too much".to_owned(), until })
    }
}

fn sharing(steps: Vec<PlannedStep>, room: &Rc<Shared>) -> World {
    let mut world = World { room: Rc::clone(room) as Rc<dyn Room>, ..World::new(steps) };
    world.report(Input::Begin);
    world
}

fn is_as_decided(world: &World) {
    let replay = crate::machine::replay(world.state.id, &world.log, pins()).unwrap();
    assert_eq!((replay.difference, replay.state.view()), (None, world.view()));
}

#[test]
fn what_tasks_share_is_a_limit_as_their_own_is() {
    let (tokens, _) = reserve_of_one();
    let room = Shared::with(tokens * 7 + tokens / 2);
    let mut world = sharing(parallel(20), &room);
    assert_eq!(in_flight(&world).len(), 7);
    for step in in_flight(&world) {
        let mut all = says("done");
        let Outcome::Answered(answer) = &mut all else { panic!("an answer") };
        answer.usage.input_tokens = tokens - 5;
        world.end(step.as_str(), 0, all);
    }
    let waiting = world.view().waiting.unwrap();
    let wanted = (WaitFor::Budget, Some(BudgetLimit::Tokens), BudgetOf::UserDay, Some(at(86_400)));
    assert_eq!((waiting.wait_for, waiting.limit, waiting.of, waiting.until), wanted);
    assert!(world.state.waits_for_shared_budget());
    is_as_decided(&world);

    room.most.set(tokens * 30);
    let due = at(world.seconds);
    world.report(Input::Wake { due });
    assert_eq!(in_flight(&world).len(), 13, "all that waited");
    is_as_decided(&world);
    for step in in_flight(&world) {
        world.end(step.as_str(), newest_call(&world, &step), says("done"));
    }
    assert_eq!(world.view().status, TaskStatus::Succeeded);
    is_as_decided(&world);
}

#[test]
fn a_day_that_is_over_makes_room_or_is_followed_by_another_to_wait_for() {
    let (tokens, _) = reserve_of_one();
    let room = Shared::with(tokens - 1);
    let mut world = sharing(parallel(3), &room);
    assert_eq!((in_flight(&world).len(), world.state.wake_at()), (0, Some(at(86_400))));
    room.until.set(2 * 86_400);
    let records = world.report(Input::Wake { due: at(86_400) });
    assert_eq!(records.iter().filter(|record| matches!(record, Record::BudgetPaused { .. })).count(), 3);
    assert_eq!(world.state.wake_at(), Some(at(2 * 86_400)));
    is_as_decided(&world);

    room.most.set(tokens * 2);
    world.report(Input::Wake { due: at(2 * 86_400) });
    assert_eq!(in_flight(&world).len(), 2);
    is_as_decided(&world);
}

#[test]
fn a_wait_is_told_anew_where_another_limit_stands_against_it_now() {
    let (tokens, _) = reserve_of_one();
    let room = Shared::with(tokens - 1);
    let own = Budget { tokens: Some(tokens - 1), ..Budget::default() };
    let mut world = World { room: Rc::clone(&room) as Rc<dyn Room>, ..World::with_budget(parallel(1), own) };
    world.report(Input::Begin);
    let waits_for = |world: &World| world.view().waiting.map(|waiting| (waiting.of, waiting.until));
    assert_eq!(waits_for(&world), Some((BudgetOf::Task, None)));
    change(&mut world, Budget { tokens: Some(tokens * 9), ..Budget::default() }).unwrap();
    assert_eq!(waits_for(&world), Some((BudgetOf::UserDay, Some(at(86_400)))));
    assert!(world.state.head().waits_for_shared_budget);
    let due = at(world.seconds);
    assert!(world.report(Input::Wake { due }).is_empty(), "it is told once");
    is_as_decided(&world);
    room.most.set(tokens * 9);
    let due = at(world.seconds);
    world.report(Input::Wake { due });
    assert_eq!(in_flight(&world).len(), 1);
    is_as_decided(&world);
}

#[test]
fn a_model_that_is_back_may_find_no_room() {
    let (tokens, _) = reserve_of_one();
    let room = Shared::with(tokens * 9);
    let mut world = sharing(parallel(1), &room);
    let error = crate::api::ApiError::new(crate::api::ErrorCode::ProviderFailed, "down");
    world.end("s0", 0, Outcome::Failed { error, usage: Usage::default() });
    let due = world.state.wake_at().unwrap();
    room.most.set(0);
    world.report(Input::Wake { due });
    assert_eq!(world.view().waiting.map(|waiting| waiting.of), Some(BudgetOf::UserDay));
    is_as_decided(&world);
}
