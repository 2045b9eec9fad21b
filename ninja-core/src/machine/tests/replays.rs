//! Replay: what is told of a log that is as decided, of one that is not, and of what no machine decided.

use super::*;
use crate::{
    api::{ApiError, ErrorCode, ForkPoint, Retry},
    journal::record::StepEnd,
};

fn replayed(world: &World) -> Replay {
    replay(world.state.id, &world.log, pins()).unwrap()
}

fn is_as_decided(world: &World) {
    let found = replayed(world);
    assert_eq!(found.difference, None);
    assert_eq!((found.given, found.decided, found.external), (2, world.log.len() as u64 - 2, 0));
    assert_eq!(found.state.view(), world.view());
}

fn done() -> World {
    let mut world = World::new(vec![step("a", &[], agent("go")), step("b", &["a"], tool("shell", json!({})))]);
    world.report(Input::Begin);
    world.end("a", 0, calls(&[("look", json!({}))]));
    world.end("a", 1, returns(json!(1)));
    world.end("a", 2, says("done"));
    world.end("b", 0, returns(json!(2)));
    assert_eq!(world.view().status, TaskStatus::Succeeded);
    world
}

#[test]
fn every_prefix_that_was_committed_is_as_decided() {
    let world = done();
    is_as_decided(&world);
    let ends: Vec<usize> = (2..=world.log.len())
        .filter(|&end| end == world.log.len() || world.log[end].at != world.log[end - 1].at)
        .collect();
    for end in ends {
        let found = replay(world.state.id, &world.log[..end], pins()).unwrap();
        assert_eq!(found.difference, None, "{end}");
    }
}

#[test]
fn what_left_no_record_of_its_own_is_found_again() {
    let retry = Some(Retry { attempts: 3, wait_ms: 60_000 });
    let mut world = World::new(vec![PlannedStep { retry, ..step("a", &[], tool("shell", json!({}))) }]);
    world.report(Input::Begin);
    let no =
        || Outcome::Returned { ok: false, output: json!("no"), delta: ManifestDelta::default(), images: Vec::new() };
    world.end("a", 0, no());
    let due = world.state.wake_at().unwrap();
    world.report(Input::Wake { due });
    world.end("a", 1, no());
    // The process was away when the time came.
    world.seconds += 1_000;
    world.report(Input::Recover);
    assert_eq!(world.status_of("a"), StepStatus::Running);
    is_as_decided(&world);

    let mut paid = World::new(vec![step("a", &[], tool("pay", json!({})))]);
    paid.report(Input::Begin);
    paid.report(Input::InterruptCall { step: id("a"), call: 0, reason: "boom".to_owned(), blamed: false });
    paid.decide(Decision::DidNotHappen).unwrap();
    paid.report(Input::InterruptCall { step: id("a"), call: 0, reason: "boom".to_owned(), blamed: true });
    is_as_decided(&paid);
}

#[test]
fn an_altered_record_is_the_first_difference() {
    let world = done();
    let ended = |entry: &Entry| matches!(&entry.record, Record::StepEnded { step, .. } if *step == id("a"));
    let index = world.log.iter().position(ended).unwrap();
    let mut altered = world.clone();
    altered.log[index].record =
        Record::StepEnded { step: id("a"), end: StepEnd::Succeeded { output: json!("something else") }, progress: 50 };
    let found = replayed(&altered).difference.unwrap();
    assert_eq!((found.seq, found.recorded), (index as u64 + 1, Some(altered.log[index].record.clone())));
    assert_eq!(found.decided, Some(world.log[index].record.clone()));
}

#[test]
fn a_record_that_nothing_led_to_is_a_difference_and_so_is_one_that_is_missing() {
    let world = done();
    let is_start = |entry: &Entry| matches!(&entry.record, Record::StepStarted { step, .. } if *step == id("b"));
    let index = world.log.iter().position(is_start).unwrap();
    let mut cut = world.clone();
    cut.log.truncate(index);
    let found = replayed(&cut).difference.unwrap();
    assert_eq!((found.seq, found.recorded), (index as u64 + 1, None));
    assert_eq!(found.decided, Some(world.log[index].record.clone()));

    let mut added = world.clone();
    added.log.truncate(index - 2);
    let at = added.log.last().unwrap().at;
    let record = Record::StepStarted { step: id("b"), actor: Some("shell".to_owned()) };
    added.log.push(Entry { at, record: record.clone() });
    let found = replayed(&added).difference.unwrap();
    assert_eq!((found.seq, found.recorded, found.decided), (index as u64 - 1, Some(record), None));
}

#[test]
fn a_task_that_was_set_aside_says_so() {
    let mut world = World::new(vec![step("a", &[], tool("shell", json!({})))]);
    world.report(Input::Begin);
    let error = Some(ApiError::new(ErrorCode::Poisoned, "the task took its actor down 3 times"));
    let (status, usage) = (TaskStatus::Failed, Usage::default());
    let record = Record::TaskEnded { status, error, cancel_receipt: None, usage };
    let entry = Entry { at: at(9), record };
    world.state.apply(&entry).unwrap();
    world.log.push(entry);
    world.seconds = 9;
    world.take(Input::Retry { by: person() }).unwrap();
    let found = replayed(&world);
    assert_eq!((found.difference, found.external), (None, 1));
}

#[test]
fn what_a_fork_shares_is_taken_as_it_is() {
    let origin = done();
    let start = |entry: &Entry| matches!(&entry.record, Record::StepStarted { step, .. } if *step == id("b"));
    let shared = origin.log.iter().position(start).unwrap();
    let mut log = origin.log[..shared].to_vec();
    let Record::TaskSubmitted(submitted) = &mut log[0].record else { panic!("a submission") };
    submitted.forked_from = Some(ForkPoint { task: origin.state.id, seq: shared as u64 });
    let mut world = World { log, seconds: 1_000, ..origin.clone() };
    world.state = world.refold();
    world.report(Input::Recover);
    world.end("b", 0, returns(json!(3)));
    let found = replayed(&world);
    assert_eq!(found.difference, None);
    assert_eq!((found.given, found.decided), (shared as u64, (world.log.len() - shared) as u64));
}
