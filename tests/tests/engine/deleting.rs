//! Deleting tasks: what is gone and what stays, whoever is faster, and who is told.

use std::time::Duration;

use ninja_core::{
    Engine, EngineOptions, TaskAt,
    api::{
        ApiError, Decision, ErrorCode, FeedBody, ForkTask, Principal, Role, StreamFrame, SubmitTask, Task, TaskStatus,
        UsageBy, UsageQuery, UserId,
    },
    journal::feed::Follow,
    providers::Scripted,
};
use ninja_tests::{ScriptedEngine, agent_step, approval_step, plan, tool_step};
use serde_json::json;

use super::one_at_work_and_one_queued;

/// Not a timing: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

/// Somebody who is no administrator.
pub(super) fn stranger(of: &Principal) -> Principal {
    let user: UserId = "user_01920000000070008000000000000099".parse().unwrap();
    Principal { user, role: Role::User, ..of.clone() }
}

fn greeting() -> SubmitTask {
    let content = json!({ "path": "a.txt", "content": "hello" });
    plan(vec![tool_step("write", &[], "write_file", &content), agent_step("say", &["write"], "say it")])
}

async fn done(host: &ScriptedEngine) -> Task {
    let task = host.engine.submit_task(&host.engine.local_owner(), greeting()).await.unwrap();
    let task = host.finish(task.id).await;
    assert_eq!(task.status, TaskStatus::Succeeded, "{:?}", task.error);
    task
}

/// A task that ended without success, so that it can be tried again.
async fn denied(host: &ScriptedEngine) -> Task {
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, plan(vec![approval_step("ok", &[], "may I?")])).await.unwrap();
    host.wait_for(task.id, |frame| matches!(frame, StreamFrame::Event { event } if event.seq == 4)).await;
    let asked = host.engine.task(&owner, task.id).await.unwrap().approvals.first().unwrap().id;
    host.engine.decide_approval(&owner, task.id, asked, Decision::Deny).await.unwrap()
}

async fn rest_of(mut follow: Follow) -> Vec<StreamFrame> {
    let read = async {
        let mut frames = Vec::new();
        while let Some(frame) = follow.next().await.unwrap() {
            frames.push(serde_json::from_str(&frame.json).unwrap());
        }
        frames
    };
    tokio::time::timeout(HANG, read).await.expect("it ends")
}

fn code<T>(result: Result<T, ApiError>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}

/// What every verb says of a task.
async fn said_of(engine: &Engine, by: &Principal, task: &Task) -> Vec<Option<ErrorCode>> {
    let id = task.id;
    let asked = "appr_01920000000070008000000000000001".parse().unwrap();
    vec![
        code(engine.task(by, id).await),
        code(engine.last_seq(by, id)),
        code(engine.cancel_task(by, id).await),
        code(engine.pause_task(by, id).await),
        code(engine.resume_task(by, id).await),
        code(engine.retry_task(by, id).await),
        code(engine.change_budget(by, id, Default::default()).await),
        code(engine.fork_task(by, id, ForkTask { at: Some("say".parse().unwrap()), model: None }).await),
        code(engine.replay_task(by, id).await),
        code(engine.diff_tasks(by, id, id).await),
        code(engine.task_events(by, id, Some(2)).await),
        code(engine.artifact(by, id, "a.txt").await),
        code(engine.decide_approval(by, id, asked, Decision::Approve).await),
        code(engine.delete_task(by, id).await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_task_is_gone_for_everybody_and_what_came_of_it_stays() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let (task, other) = (done(&host).await, done(&host).await);
    let used = |by| UsageQuery { by, ..UsageQuery::default() };
    let before = engine.usage(&owner, used(UsageBy::Model)).await.unwrap();
    let at = ForkTask { at: Some("say".parse().unwrap()), model: None };
    let fork = engine.fork_task(&owner, task.id, at).await.unwrap();
    assert_eq!(code(engine.delete_task(&stranger(&owner), task.id).await), Some(ErrorCode::NotFound));
    engine.delete_task(&owner, task.id).await.unwrap();

    assert_eq!(said_of(engine, &owner, &task).await, vec![Some(ErrorCode::NotFound); 14]);
    assert_eq!(host.finish(fork.id).await.status, TaskStatus::Succeeded, "it has its own records and files");
    let listed = engine.list_tasks(&owner, Default::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|task| task.id).collect::<Vec<_>>(), [fork.id, other.id]);
    let after = engine.usage(&owner, used(UsageBy::Model)).await.unwrap();
    assert_eq!(before.total.model_calls + 1, after.total.model_calls, "money was spent, and by the fork as well");
    let mut feed = engine.feed(&owner, None).await.unwrap();
    let told = async {
        loop {
            let frame = feed.next().await.unwrap().unwrap();
            if let StreamFrame::Feed { entry } = serde_json::from_str(&frame.json).unwrap()
                && let FeedBody::TaskDeleted { task } = entry.body
            {
                return task;
            }
        }
    };
    assert_eq!(tokio::time::timeout(HANG, told).await.expect("it is told"), task.id);
    engine.stop().await;

    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(ninja_tests::scripted_providers(host.model.clone()));
    let engine = Engine::start(options).await.unwrap();
    assert_eq!(code(engine.task(&owner, task.id).await), Some(ErrorCode::NotFound));
    assert!(engine.replay_task(&owner, fork.id).await.unwrap().same);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_ended_is_cancelled_first() {
    let (host, running, queued) = one_at_work_and_one_queued().await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    for task in [queued.id, running.id] {
        let refused = engine.delete_task(&owner, task).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.detail.as_str()),
            (ErrorCode::Conflict, "the task has not ended; cancel it first")
        );
        engine.cancel_task(&owner, task).await.unwrap();
        engine.delete_task(&owner, task).await.unwrap();
        assert_eq!(code(engine.task(&owner, task).await), Some(ErrorCode::NotFound));
    }
    assert_eq!(host.model.calls(), 1, "the queued one was never worked on");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_task_while_it_is_deleted_is_told_so() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    // More than a reader takes from the disk at a time.
    let steps = (0..120).map(|n| agent_step(&format!("s{n}"), &[], "go")).collect();
    let task = engine.submit_task(&owner, plan(steps)).await.unwrap();
    let task = host.finish(task.id).await;
    assert!(task.last_seq > 300, "{}", task.last_seq);
    let mut slow = engine.task_events(&owner, task.id, None).await.unwrap();
    assert!(slow.next().await.unwrap().is_some());
    let late = engine.task_events(&owner, task.id, None).await.unwrap();
    engine.delete_task(&owner, task.id).await.unwrap();
    for follow in [slow, late] {
        let frames = rest_of(follow).await;
        let (last, before) = frames.split_last().unwrap();
        assert!(matches!(last, StreamFrame::Error { error } if error.code == ErrorCode::NotFound), "{last:?}");
        assert!(before.iter().all(|frame| matches!(frame, StreamFrame::Event { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deletion_and_another_word_one_comes_first() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let (mut deleted_first, mut retried_first) = (0, 0);
    for round in 0..24 {
        let task = denied(&host).await;
        let delete = engine.delete_task(&owner, task.id);
        let retry = engine.retry_task(&owner, task.id);
        // Who is polled first alternates; who is first at the actor is up to them.
        let (deleted, retried) = match round % 2 {
            0 => tokio::join!(delete, retry),
            _ => {
                let (retried, deleted) = tokio::join!(retry, delete);
                (deleted, retried)
            }
        };
        match (code(deleted), code(retried)) {
            (None, Some(ErrorCode::NotFound)) => {
                deleted_first += 1;
                assert_eq!(code(engine.task(&owner, task.id).await), Some(ErrorCode::NotFound));
            }
            (Some(ErrorCode::Conflict), None) => {
                retried_first += 1;
                assert_eq!(engine.cancel_task(&owner, task.id).await.unwrap().status, TaskStatus::Cancelled);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(deleted_first > 0 && retried_first > 0, "{deleted_first} {retried_first}");

    for _ in 0..12 {
        let task = done(&host).await;
        let at = || ForkTask { at: Some("say".parse().unwrap()), model: None };
        let (deleted, forked) =
            tokio::join!(engine.delete_task(&owner, task.id), engine.fork_task(&owner, task.id, at()));
        deleted.unwrap();
        match forked {
            Ok(fork) => assert_eq!(host.finish(fork.id).await.status, TaskStatus::Succeeded),
            Err(error) => assert_eq!(error.code, ErrorCode::NotFound),
        }
    }

    let task = done(&host).await;
    let twice = (0..8).map(|_| engine.delete_task(&owner, task.id));
    let said: Vec<_> = futures::future::join_all(twice).await.into_iter().map(code).collect();
    assert!(
        said.contains(&None) && said.iter().all(|code| matches!(code, None | Some(ErrorCode::NotFound))),
        "{said:?}"
    );
}

/// A task that was set aside may have a log that nobody can fold, and is to be got rid of all the same.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_folds_no_log_and_an_actor_that_fails_is_asked_again() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let task = done(&host).await;
    let handled = host.failpoints.visits("task.begin");
    host.failpoints.arm("task.delete", 1);
    engine.delete_task(&owner, task.id).await.unwrap();
    assert_eq!((host.failpoints.left("task.delete"), host.failpoints.visits("task.delete")), (0, 2));
    assert!(
        host.failpoints.visits("task.begin") <= handled + 1,
        "it is taken up where its actor failed, and only there"
    );

    let task = done(&host).await;
    let begun = host.failpoints.visits("task.begin");
    engine.delete_task(&owner, task.id).await.unwrap();
    assert_eq!(host.failpoints.visits("task.begin"), begun);
    assert_eq!(code(engine.delete_task(&owner, task.id).await), Some(ErrorCode::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_deleted_only_where_it_was_seen() {
    let host = ScriptedEngine::start(Scripted::answering("fine")).await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let task = done(&host).await;
    let seen = |seqs: Vec<u64>| TaskAt { task: task.id, seqs: Some(seqs) };
    for seqs in [vec![], vec![task.last_seq - 1], vec![task.last_seq + 1, 0]] {
        assert_eq!(code(engine.delete_task(&owner, seen(seqs)).await), Some(ErrorCode::PreconditionFailed));
    }
    engine.delete_task(&owner, seen(vec![1, task.last_seq])).await.unwrap();
}
