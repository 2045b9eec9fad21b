//! Crashes: what each effect class does when its outcome is lost, by table and by random kill.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::api::ApprovalKind;

fn lost(action: Action) -> World {
    let mut world = World::new(vec![step("a", &[], action)]);
    world.report(Input::Begin);
    world.report(Input::Recover);
    world
}

#[test]
fn what_may_run_again_stays_owed() {
    for name in ["look", "shell", "post"] {
        let world = lost(tool(name, json!({})));
        assert_eq!(pending(&world.state), [Effect::CallTool { step: id("a"), call: 0 }], "{name}");
    }
}

#[test]
fn a_lost_model_call_is_charged_at_its_reserve_and_made_again() {
    let mut world = lost(agent("go"));
    assert_eq!(pending(&world.state), [Effect::CallModel { step: id("a"), call: 1 }]);
    let charged = world.view().usage;
    assert!(charged.estimated_tokens > 0 && charged.model_calls == 1, "{charged:?}");
    assert!(world.end("a", 0, says("too late")).is_empty(), "the lost call's late answer changes nothing");
    world.end("a", 1, says("done"));
    assert_eq!((world.view().status, world.state.reserved_tokens), (TaskStatus::Succeeded, 0));
}

#[test]
fn an_unsafe_effect_of_unknown_outcome_waits_for_a_person() {
    let world = lost(tool("pay", json!({ "n": 1 })));
    assert_eq!(world.view().status, TaskStatus::Waiting);
    assert!(pending(&world.state).is_empty());
    let mut again = world.clone();
    assert!(again.report(Input::Recover).is_empty(), "a second crash asks nothing new");

    let mut happened = world.clone();
    happened.decide(Decision::Happened).unwrap();
    assert_eq!(happened.view().status, TaskStatus::Succeeded);

    let mut not = world.clone();
    not.decide(Decision::DidNotHappen).unwrap();
    assert_eq!(pending(&not.state), [Effect::CallTool { step: id("a"), call: 0 }]);
    not.report(Input::Recover);
    assert_eq!(not.view().status, TaskStatus::Waiting, "a crash in the second attempt is as ambiguous as in the first");

    let mut aborted = world;
    aborted.decide(Decision::Abort).unwrap();
    assert_eq!(aborted.error_code().as_deref(), Some("denied"));
}

#[test]
fn a_crash_while_cancelling_ends_the_task() {
    for action in [agent("go"), tool("shell", json!({})), tool("pay", json!({}))] {
        let mut world = World::new(vec![step("a", &[], action)]);
        world.report(Input::Begin);
        world.cancel().unwrap();
        world.report(Input::Recover);
        assert_eq!(world.view().status, TaskStatus::Cancelled);
    }
}

#[test]
fn the_third_failure_of_an_actor_poisons_the_task() {
    let mut world = World::new(vec![step("a", &[], agent("go")), step("b", &[], tool("shell", json!({})))]);
    world.report(Input::Begin);
    let fail = |world: &mut World| {
        world.report(Input::LoseActor { actor: ActorKind::Agent, step: Some(id("a")), reason: "boom".to_owned() })
    };
    fail(&mut world);
    assert_eq!(pending(&world.state).len(), 2);
    fail(&mut world);
    fail(&mut world);
    assert_eq!(pending(&world.state), [Effect::StopCall { step: id("b"), call: 0 }]);
    world.end("b", 0, stopped());
    assert_eq!((world.view().status, world.error_code().as_deref()), (TaskStatus::Failed, Some("poisoned")));
}

#[test]
fn a_call_that_ran_beside_a_failure_is_not_held_against_its_task() {
    let mut world = World::new(vec![step("a", &[], tool("shell", json!({})))]);
    world.report(Input::Begin);
    let interrupt = |world: &mut World, blamed| {
        world.report(Input::InterruptCall { step: id("a"), call: 0, reason: "boom".to_owned(), blamed })
    };
    for _ in 0..5 {
        assert!(interrupt(&mut world, false).is_empty());
        assert_eq!(pending(&world.state), [Effect::CallTool { step: id("a"), call: 0 }]);
    }
    for _ in 0..3 {
        interrupt(&mut world, true);
    }
    assert_eq!(world.error_code().as_deref(), Some("poisoned"));

    let mut paid = World::new(vec![step("a", &[], tool("pay", json!({})))]);
    paid.report(Input::Begin);
    interrupt(&mut paid, false);
    assert_eq!(paid.view().status, TaskStatus::Waiting, "an effect of unknown outcome is asked about");
}

#[derive(Debug, Clone)]
enum Fate {
    Run(u8),
    Crash,
    FailAgent,
    Answer(u8),
    Pause,
    Resume,
    Wake,
    Retry,
    Cancel,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => any::<u8>().prop_map(Fate::Run),
        3 => Just(Fate::Crash),
        1 => Just(Fate::FailAgent),
        4 => any::<u8>().prop_map(Fate::Answer),
        1 => Just(Fate::Cancel),
        1 => Just(Fate::Pause),
        2 => Just(Fate::Resume),
        2 => Just(Fate::Wake),
        1 => Just(Fate::Retry),
    ]
}

fn plan() -> impl Strategy<Value = Vec<PlannedStep>> {
    let kinds = prop::collection::vec((0_u8..10, any::<u16>()), 1..7);
    kinds.prop_map(|kinds| {
        let steps = kinds.iter().enumerate().map(|(index, (kind, edges))| {
            let after: Vec<String> =
                (0..index).filter(|before| edges & (1 << before) != 0).map(|n| format!("s{n}")).collect();
            let after: Vec<&str> = after.iter().map(String::as_str).collect();
            let action = match kind {
                0 => tool("look", json!({})),
                1 => tool("shell", json!({})),
                2 => tool("post", json!({})),
                3 => tool("pay", json!({})),
                4 => approval("?"),
                5 => nested::map("params.list", tool("shell", json!({ "text": "{{item}}" }))),
                6 => nested::map("params.list", agent("{{item}}")),
                7 => Action::Plan { after_failure: None },
                _ => agent("go"),
            };
            let retry = edges.is_multiple_of(3).then_some(crate::api::Retry { attempts: 2, wait_ms: 1_000 });
            PlannedStep { retry, ..step(&format!("s{index}"), &after, action) }
        });
        steps.collect()
    })
}

/// Counts what really happened in the world, as the external ledger of a crash test does.
#[derive(Default)]
struct Ledger {
    ended: BTreeMap<(StepId, u32), u32>,
    unsafe_runs: BTreeMap<(StepId, u32), u32>,
}

impl Ledger {
    fn make(&mut self, world: &mut World, effect: &Effect, choice: u8) {
        match effect {
            Effect::StopCall { step, call } => drop(world.end(step.as_str(), *call, stopped())),
            Effect::CallModel { step, call } => {
                let outcome = match choice % 4 {
                    0 => calls(&[("shell", json!({ "n": choice })), ("look", json!({}))]),
                    1 => calls(&[("pay", json!({ "n": choice }))]),
                    2 if choice % 8 < 4 => calls(&[("ask", json!({ "question": "?" }))]),
                    2 => calls(&[("delegate", json!({ "agent": "helper", "task": "look" })), ("look", json!({}))]),
                    _ if choice.is_multiple_of(3) => says("done"),
                    _ => says(r#"{"steps":[{"id":"made","kind":"agent","agent":"helper","prompt":"go","after":[]}]}"#),
                };
                self.end(world, step, *call, outcome);
            }
            Effect::CallTool { step, call } => {
                if world.state.call(step, *call).unwrap().class() == EffectClass::Unsafe {
                    *self.unsafe_runs.entry((step.clone(), *call)).or_default() += 1;
                }
                // One in five happens without its receipt: the crash comes between.
                if choice.is_multiple_of(5) {
                    drop(world.report(Input::Recover));
                } else {
                    self.end(world, step, *call, returns(json!(choice)));
                }
            }
        }
    }

    fn end(&mut self, world: &mut World, step: &StepId, call: u32, outcome: Outcome) {
        *self.ended.entry((step.clone(), call)).or_default() += 1;
        world.end(step.as_str(), call, outcome);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_task_ends_whatever_fails_and_no_effect_is_repeated_blindly(
        plan in plan(),
        fates in prop::collection::vec(fate(), 0..60),
    ) {
        let mut world = World::new(plan);
        let mut ledger = Ledger::default();
        let mut asked_again: BTreeMap<StepId, u32> = BTreeMap::new();
        world.report(Input::Begin);
        let finish = (0..1_000).map(|n| match n % 4 {
            0 => Fate::Run(3),
            1 => Fate::Answer(1),
            2 => Fate::Resume,
            _ => Fate::Wake,
        });
        for fate in fates.into_iter().chain(finish) {
            let owed = pending(&world.state);
            match fate {
                Fate::Run(choice) => if let Some(effect) = owed.get(usize::from(choice) % owed.len().max(1)) {
                    ledger.make(&mut world, effect, choice);
                },
                Fate::Crash => drop(world.report(Input::Recover)),
                Fate::FailAgent => {
                    let step = world.state.steps[0].planned.id.clone();
                    let actor = ActorKind::Agent;
                    world.report(Input::LoseActor { actor, step: Some(step), reason: "boom".to_owned() });
                }
                Fate::Answer(choice) => answer_first(&mut world, choice, &mut asked_again),
                Fate::Cancel => drop(world.cancel()),
                Fate::Pause => drop(world.take(Input::Pause { by: person() })),
                Fate::Resume => drop(world.take(Input::Resume { by: person() })),
                Fate::Retry => drop(world.take(Input::Retry { by: person() })),
                Fate::Wake => drop(world.state.wake_at().map(|due| world.report(Input::Wake { due }))),
            }
        }
        prop_assert!(world.state.end.is_some(), "still {:?}: {:?}", world.view().status, pending(&world.state));
        let hung = world.log.iter().any(|entry| serde_json::to_string(entry).unwrap().contains("corrupt"));
        prop_assert!(!hung, "a whole log was taken for a cut one");
        prop_assert_eq!(world.state.reserved_tokens, 0);
        let replayed = replay(world.state.id, &world.log, pins()).unwrap();
        prop_assert_eq!(replayed.difference, None);
        prop_assert_eq!((replayed.given, replayed.decided), (2, world.log.len() as u64 - 2));
        prop_assert!(ledger.ended.values().all(|times| *times == 1), "a completed call ran again: {:?}", ledger.ended);
        for ((step, call), runs) in &ledger.unsafe_runs {
            let allowed = 1 + asked_again.get(step).copied().unwrap_or(0);
            prop_assert!(*runs <= allowed, "{step}/{call} ran {runs} times, {allowed} allowed");
        }
    }
}

fn answer_first(world: &mut World, choice: u8, asked_again: &mut BTreeMap<StepId, u32>) {
    let Some(open) = world.state.approvals.values().next().cloned() else { return };
    let decision = match (open.approval.kind, choice % 3) {
        (ApprovalKind::Plan, 0) => Decision::Deny,
        (ApprovalKind::Plan, _) => Decision::Approve,
        (ApprovalKind::Approval, 0) => Decision::Deny,
        (ApprovalKind::Approval, _) => Decision::Approve,
        (ApprovalKind::Ambiguous, 0) => Decision::Happened,
        (ApprovalKind::Ambiguous, 1) if !world.state.is_paused() => {
            *asked_again.entry(open.approval.step.clone()).or_default() += 1;
            Decision::DidNotHappen
        }
        (ApprovalKind::Ambiguous, _) => Decision::Abort,
        (ApprovalKind::Question, _) => Decision::Answer { text: "yes".to_owned() },
    };
    // A paused task takes no answers; it is asked again when it goes on.
    world.take(Input::DecideApproval { approval: open.approval.id, decision, by: person() }).ok();
}

/// Does what is owed, in order, until nothing is.
fn run_to_the_end(world: &mut World) {
    while let Some(effect) = pending(&world.state).first().cloned() {
        match effect {
            Effect::CallModel { step, call } => world.end(step.as_str(), call, says("done")),
            Effect::CallTool { step, call } => world.end(step.as_str(), call, returns(json!("done"))),
            Effect::StopCall { step, call } => world.end(step.as_str(), call, stopped()),
        };
    }
}

#[test]
fn a_log_that_ends_within_a_commit_comes_to_an_end_and_can_be_tried_again() {
    let over_list = nested::map("params.list", tool("shell", json!({ "text": "{{item}}" })));
    let steps = vec![
        step("tool", &[], tool("look", json!({}))),
        step("beside", &[], tool("post", json!({}))),
        step("agent", &["tool"], agent("go")),
        step("map", &["agent"], over_list),
        step("last", &["map", "beside"], tool("shell", json!({}))),
    ];
    let mut whole = World::new(steps);
    whole.report(Input::Begin);
    run_to_the_end(&mut whole);
    assert_eq!(whole.view().status, TaskStatus::Succeeded);
    let mut damaged = 0;
    for len in 1..=whole.log.len() {
        let mut world = World { log: whole.log[..len].to_vec(), ..whole.clone() };
        world.state = world.refold();
        world.report(Input::Recover);
        run_to_the_end(&mut world);
        let error = world.error_code();
        match world.view().status {
            TaskStatus::Succeeded => {}
            TaskStatus::Failed if error.as_deref() == Some("corrupt") => damaged += 1,
            status => panic!("cut after {len} records it is {status:?}: {error:?}"),
        }
        if world.view().status == TaskStatus::Failed && len > 1 {
            world.take(Input::Retry { by: person() }).unwrap();
            run_to_the_end(&mut world);
            assert_eq!(world.view().status, TaskStatus::Succeeded, "cut after {len} records and tried again");
        }
    }
    assert!(damaged > 0, "no cut fell within a commit");
}

#[test]
fn an_actor_that_fails_again_while_its_task_stops_takes_no_other_call_along() {
    let mut world = World::new(vec![step("a", &[], agent("go")), step("b", &[], agent("go"))]);
    world.report(Input::Begin);
    for _ in 0..6 {
        let (actor, step, reason) = (ActorKind::Agent, Some(id("a")), "boom".to_owned());
        world.report(Input::LoseActor { actor, step, reason });
    }
    assert_eq!(pending(&world.state), [Effect::StopCall { step: id("b"), call: 0 }], "it is still being stopped");
    world.end("b", 0, stopped());
    assert_eq!((world.view().status, world.state.reserved_tokens), (TaskStatus::Failed, 0));
    assert_eq!(world.error_code().as_deref(), Some("poisoned"));
}
