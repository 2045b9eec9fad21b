//! Lists of tasks and of what they ask, in pages, through filters, and never without a bound; and tasks in numbers.

use futures::{StreamExt, stream};
use ninja_core::{
    Engine, EngineOptions,
    api::{
        Decision, ErrorCode, ForkTask, ListApprovals, ListTasks, StreamFrame, SubmitTask, SummaryQuery, Task, TaskId,
        TaskStatus,
    },
    journal::{
        disk::{DiskOptions, DiskStore},
        store::{Commit, DocKey, DocKind, Store},
    },
    providers::Scripted,
};
use ninja_tests::{ScriptedEngine, agent_step, approval_step, plan, tool_step, until};
use serde_json::json;

use super::deleting::stranger;

async fn start() -> ScriptedEngine {
    ScriptedEngine::start(Scripted::answering("fine")).await
}

fn goal(text: &str, request: SubmitTask) -> SubmitTask {
    SubmitTask { goal: text.to_owned(), ..request }
}

async fn ended(host: &ScriptedEngine, text: &str) -> Task {
    let request = goal(text, plan(vec![agent_step("a", &[], "go")]));
    let task = host.engine.submit_task(&host.engine.local_owner(), request).await.unwrap();
    host.finish(task.id).await
}

async fn asking(host: &ScriptedEngine, text: &str) -> Task {
    let request = goal(text, plan(vec![approval_step("ok", &[], "may I?")]));
    let owner = host.engine.local_owner();
    let task = host.engine.submit_task(&owner, request).await.unwrap();
    host.wait_for(task.id, |frame| matches!(frame, StreamFrame::Event { event } if event.seq == 4)).await;
    host.engine.task(&owner, task.id).await.unwrap()
}

async fn listed(host: &ScriptedEngine, query: ListTasks) -> Vec<TaskId> {
    let page = host.engine.list_tasks(&host.engine.local_owner(), query).await.unwrap();
    page.items.into_iter().map(|task| task.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_filtered_by_status_text_and_time_and_goes_on_where_it_was() {
    let host = start().await;
    let owner = host.engine.local_owner();
    let mut tasks = Vec::new();
    for (n, text) in ["Count the Ärger", "count sheep", "sleep"].into_iter().enumerate() {
        tasks.push(if n == 1 { asking(&host, text).await } else { ended(&host, text).await });
    }
    let [first, second, third] = [&tasks[0], &tasks[1], &tasks[2]].map(|task| task.id);
    let status = |status: &[TaskStatus]| ListTasks { status: status.to_vec(), ..ListTasks::default() };
    let text = |text: &str| ListTasks { q: Some(text.to_owned()), ..ListTasks::default() };
    assert_eq!(listed(&host, ListTasks::default()).await, [third, second, first]);
    assert_eq!(listed(&host, status(&[TaskStatus::Succeeded])).await, [third, first]);
    assert_eq!(listed(&host, status(&[TaskStatus::Waiting, TaskStatus::Failed])).await, [second]);
    assert_eq!(listed(&host, text("COUNT")).await, [second, first]);
    assert_eq!(listed(&host, text("äRG")).await, [first]);
    let template = ListTasks { template: Some("none".to_owned()), ..ListTasks::default() };
    assert_eq!(listed(&host, template).await, []);
    let after = ListTasks { created_after: Some(tasks[1].created_at), ..ListTasks::default() };
    assert_eq!(listed(&host, after.clone()).await, [third, second]);
    let before = ListTasks { created_before: Some(tasks[2].created_at), ..after };
    assert_eq!(listed(&host, before).await, [second]);
    let past = ListTasks { created_before: Some(tasks[0].created_at), ..ListTasks::default() };
    assert_eq!(listed(&host, past).await, []);

    // A cursor is a place among all tasks: it stays one with another filter, and where the task at it is gone.
    let page = host.engine.list_tasks(&owner, ListTasks { limit: Some(1), ..ListTasks::default() }).await.unwrap();
    let cursor = page.next_cursor;
    assert_eq!(cursor, Some(third.to_string()));
    host.engine.delete_task(&owner, third).await.unwrap();
    let rest = ListTasks { cursor, q: Some("ärger".to_owned()), ..ListTasks::default() };
    assert_eq!(listed(&host, rest).await, [first]);

    for bad in [
        ListTasks { cursor: Some("u:1".to_owned()), ..ListTasks::default() },
        ListTasks { limit: Some(0), ..ListTasks::default() },
        ListTasks { limit: Some(201), ..ListTasks::default() },
        text(""),
        text(&"x".repeat(201)),
        ListTasks {
            created_after: Some(tasks[1].created_at),
            created_before: Some(tasks[1].created_at),
            ..ListTasks::default()
        },
    ] {
        let refused = host.engine.list_tasks(&owner, bad).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRequest);
    }
}

async fn questions(engine: &Engine, all: bool) -> Vec<(TaskId, String)> {
    let query = ListApprovals { all, ..ListApprovals::default() };
    let page = engine.list_approvals(&engine.local_owner(), query).await.unwrap();
    page.items.into_iter().map(|asked| (asked.approval.task, asked.goal)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn open_questions_are_listed_while_they_are_open() {
    let host = start().await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    assert_eq!(questions(engine, false).await, []);
    let [one, two, three] = [asking(&host, "one").await, asking(&host, "two").await, asking(&host, "three").await];
    let both = plan(vec![
        approval_step("ok", &[], "may I?"),
        tool_step("write", &[], "write_file", &json!({ "path": "a", "content": "b" })),
    ]);
    let four = engine.submit_task(&owner, goal("four", both)).await.unwrap();
    let entry = |task: &Task| (task.id, task.goal.clone());
    host.wait_for(four.id, |frame| matches!(frame, StreamFrame::Event { event } if event.seq == 7)).await;
    assert_eq!(questions(engine, false).await, [entry(&four), entry(&three), entry(&two), entry(&one)]);
    assert_eq!(questions(engine, true).await.len(), 4);

    let asked = engine.list_approvals(&owner, ListApprovals { limit: Some(1), ..Default::default() }).await.unwrap();
    assert_eq!(asked.items[0].approval, engine.task(&owner, four.id).await.unwrap().approvals[0]);
    let rest = ListApprovals { cursor: asked.next_cursor, limit: Some(2), ..Default::default() };
    let rest = engine.list_approvals(&owner, rest).await.unwrap().items;
    assert_eq!(rest.iter().map(|asked| asked.approval.task).collect::<Vec<_>>(), [three.id, two.id]);
    let stranger = stranger(&owner);
    assert_eq!(engine.list_approvals(&stranger, ListApprovals::default()).await.unwrap().items, []);
    for (by, query, code) in [
        (&stranger, ListApprovals { all: true, ..Default::default() }, ErrorCode::Forbidden),
        (&owner, ListApprovals { cursor: Some("x".to_owned()), ..Default::default() }, ErrorCode::InvalidRequest),
        (&owner, ListApprovals { limit: Some(999), ..Default::default() }, ErrorCode::InvalidRequest),
    ] {
        assert_eq!(engine.list_approvals(by, query).await.unwrap_err().code, code);
    }

    // A fork that begins after the question was asked asks it as well.
    let fork = ForkTask { at: Some("write".parse().unwrap()), model: None };
    let fork = engine.fork_task(&owner, four.id, fork).await.unwrap();
    engine.decide_approval(&owner, one.id, one.approvals[0].id, Decision::Approve).await.unwrap();
    engine.cancel_task(&owner, two.id).await.unwrap();
    let left = [entry(&fork), entry(&four), entry(&three)];
    assert_eq!(sorted(questions(engine, false).await), sorted(left.to_vec()));
    engine.stop().await;

    // What was written by a version without the list is listed at the next start.
    let store = DiskStore::open(host.directory.path(), DiskOptions::default()).unwrap();
    let mut deletes = vec![DocKey::new(DocKind::Installation, "questions")];
    let docs = store.list_docs(DocKind::Question, "").unwrap();
    assert_eq!(docs.len(), 6, "two for each that is open");
    deletes.extend(docs.into_iter().map(|(id, _)| DocKey::new(DocKind::Question, id)));
    store.commit(Commit { deletes, ..Commit::default() }).await.unwrap();
    store.close().await.unwrap();
    let mut options = EngineOptions::new(host.directory.path());
    options.providers = Some(ninja_tests::scripted_providers(host.model.clone()));
    let engine = Engine::start(options).await.unwrap();
    assert_eq!(sorted(questions(&engine, true).await), sorted(left.to_vec()));
    engine.stop().await;
}

fn sorted(mut questions: Vec<(TaskId, String)>) -> Vec<(TaskId, String)> {
    questions.sort();
    questions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_nothing_passes_reads_no_more_than_its_share() {
    const TASKS: usize = 2_100;
    let host = start().await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let first = asking(&host, "needle").await;
    let submit = |_| engine.submit_task(&owner, goal("hay", plan(vec![approval_step("ok", &[], "may I?")])));
    let rest = stream::iter(0..TASKS).map(submit).buffer_unordered(16).map(Result::unwrap).collect::<Vec<_>>().await;
    assert_eq!(rest.len(), TASKS);

    let needle = ListTasks { q: Some("needle".to_owned()), ..ListTasks::default() };
    let page = engine.list_tasks(&owner, needle.clone()).await.unwrap();
    assert!(page.items.is_empty() && page.next_cursor.is_some(), "two thousand were looked at");
    let page = engine.list_tasks(&owner, ListTasks { cursor: page.next_cursor, ..needle }).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].id, page.next_cursor), (1, first.id, None));

    let counted = || async { engine.tasks_summary(&owner, SummaryQuery::default()).await.unwrap() };
    until("all of them ask", || engine.last_seq(&owner, rest[0].id).unwrap() >= 4).await;
    let summary = counted().await;
    assert_eq!((summary.all.tasks, summary.last_24h.tasks), (TASKS as u64 + 1, TASKS as u64 + 1));
    assert!(!summary.all.is_cut && summary.all.success_rate.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_told_in_numbers() {
    let host = start().await;
    let (engine, owner) = (&host.engine, host.engine.local_owner());
    let tasks = [ended(&host, "a").await, ended(&host, "b").await];
    let asked = asking(&host, "c").await;
    engine.decide_approval(&owner, asked.id, asked.approvals[0].id, Decision::Deny).await.unwrap();
    let cancelled = asking(&host, "d").await;
    engine.cancel_task(&owner, cancelled.id).await.unwrap();
    asking(&host, "e").await;
    let summary = engine.tasks_summary(&owner, SummaryQuery::default()).await.unwrap();
    assert_eq!((&summary.last_24h, &summary.last_7d), (&summary.all, &summary.all));
    let counts: Vec<_> = summary.all.by_status.iter().map(|(status, count)| (*status, *count)).collect();
    use TaskStatus::{Cancelled, Failed, Succeeded, Waiting};
    assert_eq!(counts, [(Waiting, 1), (Succeeded, 2), (Failed, 1), (Cancelled, 1)]);
    assert_eq!(summary.all.success_rate, Some(2.0 / 3.0));
    assert!(summary.all.median_ms <= summary.all.mean_ms.map(|mean| mean * 4) && summary.all.median_ms.is_some());
    let used: u64 = tasks.iter().map(|task| task.usage.input_tokens).sum();
    assert_eq!((summary.all.usage.input_tokens, summary.all.usage.model_calls), (used, 2));

    let all = SummaryQuery { all: true };
    assert_eq!(engine.tasks_summary(&owner, all).await.unwrap(), summary);
    let stranger = stranger(&owner);
    assert_eq!(engine.tasks_summary(&stranger, all).await.unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(engine.tasks_summary(&stranger, SummaryQuery::default()).await.unwrap(), Default::default());
    // What is deleted is counted no more.
    engine.delete_task(&owner, tasks[0].id).await.unwrap();
    assert_eq!(engine.tasks_summary(&owner, all).await.unwrap().all.tasks, 4);
}
