//! Requests that are repeated, and words that hold only where the task was seen.

use std::collections::HashSet;

use futures::future::join_all;
use ninja_core::{
    Engine, EngineOptions, TaskAt,
    api::{
        ApiError, Budget, Decision, ErrorCode, ForkTask, IdempotencyKey, Made, StreamFrame, SubmitTask, Task,
        TaskStatus,
    },
    providers::Scripted,
};
use ninja_tests::{ScriptedEngine, agent_step, approval_step, plan};

use super::{deleting::stranger, one_at_work_and_one_queued};

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn request(goal: &str) -> SubmitTask {
    SubmitTask { goal: goal.to_owned(), ..plan(vec![agent_step("a", &[], "go")]) }
}

fn code<T>(result: Result<T, ApiError>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_of_the_same_request_make_one_task() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let submit = |goal: &'static str| {
        let (engine, owner) = (engine.clone(), owner.clone());
        tokio::spawn(async move { engine.submit_task_once(&owner, &key("k"), request(goal)).await })
    };
    let made: Vec<Made> =
        join_all((0..100).map(|_| submit("x"))).await.into_iter().map(|made| made.unwrap().unwrap()).collect();
    let ids: HashSet<_> = made.iter().map(|made| made.task.id).collect();
    assert_eq!((ids.len(), made.iter().filter(|made| !made.replayed).count()), (1, 1));
    assert_eq!(engine.list_tasks(&owner, Default::default()).await.unwrap().items.len(), 1);

    let task = host.finish(made[0].task.id).await;
    let again = submit("x").await.unwrap().unwrap();
    assert_eq!((again.task, again.replayed), (task.clone(), true), "as it stands now");
    assert_eq!(code(submit("y").await.unwrap()), Some(ErrorCode::IdempotencyMismatch));
    // Somebody else's key, and the same key for something else, are other keys.
    let other = engine.submit_task_once(&stranger(&owner), &key("k"), request("y")).await.unwrap();
    let at = || ForkTask { at: Some("a".parse().unwrap()), model: None };
    let fork = async || engine.fork_task_once(&owner, task.id, &key("k"), at()).await.unwrap();
    let (forked, again) = (fork().await, fork().await);
    assert!(!other.replayed && !forked.replayed && again.replayed);
    assert_eq!((forked.task.id, forked.task.forked_from.map(|point| point.task)), (again.task.id, Some(task.id)));
    let elsewhere = ForkTask::default();
    let refused = engine.fork_task_once(&owner, task.id, &key("k"), elsewhere).await;
    assert_eq!(code(refused), Some(ErrorCode::IdempotencyMismatch));

    engine.delete_task(&owner, task.id).await.unwrap();
    let gone = submit("x").await.unwrap().unwrap_err();
    assert!(gone.code == ErrorCode::NotFound && gone.detail.contains("has been deleted"), "{gone}");
    host.finish(forked.task.id).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_up_by_what_it_made_and_by_nothing_else() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let bad = SubmitTask { template: Some("none".to_owned()), ..SubmitTask::default() };
    let refused = engine.submit_task_once(&owner, &key("k"), bad).await;
    assert_eq!(code(refused), Some(ErrorCode::InvalidRequest));
    let made = engine.submit_task_once(&owner, &key("k"), request("x")).await.unwrap();
    assert!(!made.replayed, "what was refused made nothing");

    // Whoever has gone before the answer came asks again, and there is one task.
    for n in 0..20 {
        let key = key(&format!("gone {n}"));
        let goal = format!("goal {n}");
        {
            let mut first = Box::pin(engine.submit_task_once(&owner, &key, request(&goal)));
            // It has begun, and on a busy machine may even have ended.
            let _answer = futures::poll!(&mut first);
        }
        let made = engine.submit_task_once(&owner, &key, request(&goal)).await.unwrap();
        let listed = engine.list_tasks(&owner, Default::default()).await.unwrap().items;
        assert_eq!(listed.iter().filter(|task| task.goal == goal).count(), 1, "{made:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_for_another_state_is_not_taken() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let steps = || plan(vec![approval_step("ok", &[], "may I?"), agent_step("a", &["ok"], "go")]);
    let task = engine.submit_task(&owner, steps()).await.unwrap();
    host.wait_for(task.id, |frame| matches!(frame, StreamFrame::Event { event } if event.seq == 4)).await;
    let task = engine.task(&owner, task.id).await.unwrap();
    let stale = || TaskAt { task: task.id, seqs: Some(vec![task.last_seq - 1, task.last_seq + 1]) };
    let asked = task.approvals[0].id;
    let budget = Budget { steps: Some(9), ..Budget::default() };
    for said in [
        code(engine.cancel_task(&owner, stale()).await),
        code(engine.pause_task(&owner, stale()).await),
        code(engine.resume_task(&owner, stale()).await),
        code(engine.retry_task(&owner, stale()).await),
        code(engine.change_budget(&owner, stale(), budget).await),
        code(engine.decide_approval(&owner, stale(), asked, Decision::Approve).await),
    ] {
        assert_eq!(said, Some(ErrorCode::PreconditionFailed));
    }
    assert_eq!(engine.task(&owner, task.id).await.unwrap(), task, "nothing came of it");

    // Of words for the same state, one is taken.
    let seen = |task: &Task| TaskAt { task: task.id, seqs: Some(vec![task.last_seq]) };
    let words = (0..8).map(|_| engine.decide_approval(&owner, seen(&task), asked, Decision::Approve));
    let said: Vec<_> = join_all(words).await.into_iter().map(code).collect();
    assert_eq!(said.iter().filter(|code| code.is_none()).count(), 1, "{said:?}");
    assert!(said.iter().flatten().all(|code| *code == ErrorCode::PreconditionFailed), "{said:?}");
    assert_eq!(host.finish(task.id).await.status, TaskStatus::Succeeded);

    // Taking a task up after a restart is no change of it.
    let task = engine.submit_task(&owner, steps()).await.unwrap();
    host.wait_for(task.id, |frame| matches!(frame, StreamFrame::Event { event } if event.seq == 4)).await;
    let task = engine.task(&owner, task.id).await.unwrap();
    engine.stop().await;
    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(ninja_tests::scripted_providers(host.model.clone()));
    let host = ScriptedEngine { engine: Engine::start(options).await.unwrap(), ..host };
    let answered = host.engine.decide_approval(&owner, seen(&task), task.approvals[0].id, Decision::Approve).await;
    assert!(answered.is_ok(), "{answered:?}");
    assert_eq!(host.finish(task.id).await.status, TaskStatus::Succeeded);
}

/// A word that is not taken must not lose the task that it was for, nor let it begin out of turn with nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_its_turn_outlives_a_word_for_another_state() {
    let (host, running, queued) = one_at_work_and_one_queued().await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let stale = TaskAt { task: queued.id, seqs: Some(vec![queued.last_seq + 9]) };
    assert_eq!(code(engine.cancel_task(&owner, stale.clone()).await), Some(ErrorCode::PreconditionFailed));
    engine.cancel_task(&owner, running.id).await.unwrap();
    host.wait_for(queued.id, super::started("a")).await;
    assert_eq!(code(engine.cancel_task(&owner, stale).await), Some(ErrorCode::PreconditionFailed));
    engine.cancel_task(&owner, queued.id).await.unwrap();
}
