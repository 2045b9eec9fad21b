//! The kill loop: twenty tasks in flight, SIGKILL at random fifty times in a row.
//!
//! Every acknowledged task ends; no completed step runs twice; no `unsafe` effect happens twice, an ambiguous one waits for
//! a person, whom the test plays; event sequences have no gap and no repeat. The seed is printed; `NINJA_TEST_SEED` repeats it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ninja_core::{
    Engine, EngineOptions, ResumePolicy,
    api::{
        Approval, ApprovalKind, Budget, BudgetOf, Decision, ErrorCode, EventBody, StepStatus, StreamFrame, SubmitTask,
        Task, TaskId, TaskStatus, TaskSummary, Usage, UsageBy, UsageQuery, WaitFor,
    },
};
use ninja_sdk::{Client, ListTasks};
use ninja_tests::{Ledger, Random, agent_step, plan, tool_step};
use serde_json::json;

const TASKS: usize = 20;
const KILLS: usize = 50;
/// Not a timing: only a hang reaches it.
const HANG: Duration = Duration::from_secs(120);

fn seeded() -> Random {
    let seed = std::env::var("NINJA_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(Random::fresh_seed);
    println!("NINJA_TEST_SEED={seed}");
    Random::new(seed)
}

/// The daemon under test; killed when dropped.
struct Host {
    process: Child,
    client: Client,
}

impl Host {
    fn spawn(data_dir: &Path, args: &[&OsStr]) -> Self {
        Self::spawn_with(data_dir, args, None)
    }

    fn spawn_with(data_dir: &Path, args: &[&OsStr], variable: Option<(&str, String)>) -> Self {
        let socket = data_dir.join("ninja.sock");
        std::fs::remove_file(&socket).ok();
        let process = Command::new(env!("CARGO_BIN_EXE_ninja-crash-host"))
            .arg(data_dir)
            .args(args)
            .envs(variable)
            .stdout(Stdio::null())
            .spawn()
            .expect("the host starts");
        let client = Client::builder().unix_socket(&socket).build().expect("a client");
        Self { process, client }
    }

    async fn start(data_dir: &Path, ledger: &Path) -> Self {
        Self::spawn(data_dir, &[ledger.as_os_str()]).ready().await
    }

    /// Starts one whose users may together spend so much in a day, in dollars.
    async fn start_with_daily(dollars: f64, data_dir: &Path, ledger: &Path) -> Self {
        let budget = ("NINJA_BUDGETS__INSTALLATION__DAY__USD", dollars.to_string());
        Self::spawn_with(data_dir, &[ledger.as_os_str()], Some(budget)).ready().await
    }

    async fn ready(mut self) -> Self {
        let host = &mut self;
        let ready = async {
            while host.client.health().await.is_err() {
                let gone = host.process.try_wait().expect("the host can be asked");
                assert!(gone.is_none(), "the host ended by itself: {gone:?}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(HANG, ready).await.expect("the host serves");
        self
    }

    fn kill(&mut self) {
        self.process.kill().expect("the host can be killed");
        self.process.wait().expect("the host can be awaited");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn request(number: usize) -> SubmitTask {
    let trail = json!({ "command": "echo shell >> trail; sleep 0.01; cat trail" });
    let mut steps = vec![
        agent_step("think", &[], "leave a trail"),
        tool_step("pay", &["think"], "pay", &json!({})),
        tool_step("shell", &["pay"], "shell", &trail),
        tool_step("left", &["shell"], "pay", &json!({})),
        tool_step("right", &["shell"], "post", &json!({})),
        agent_step("sum", &["left", "right"], "leave a trail"),
    ];
    for n in 0..number % 4 {
        steps.push(tool_step(&format!("more{n}"), &["shell"], "shell", &trail));
    }
    plan(steps)
}

/// What the journal holds at a kill, read by an engine that takes nothing up.
async fn completed_steps(data_dir: &Path, tasks: &[TaskId]) -> BTreeSet<(TaskId, String)> {
    let mut options = EngineOptions::new(data_dir);
    options.resume = ResumePolicy::None;
    let engine = Engine::start(options).await.expect("the journal opens after a kill");
    let owner = engine.local_owner();
    let mut completed = BTreeSet::new();
    for id in tasks {
        let task = engine.task(&owner, *id).await.expect("an acknowledged task is there");
        let done = task.steps.iter().filter(|step| step.status == StepStatus::Succeeded);
        completed.extend(done.map(|step| (*id, step.id.to_string())));
    }
    engine.stop().await;
    completed
}

/// Plays the person who knows: looks into the ledger whether the payment was made.
async fn answer_open_questions(client: &Client, ledger: &Ledger, tasks: &[TaskId]) {
    for id in tasks {
        let Ok(task) = client.task(*id).await else { return };
        for approval in &task.approvals {
            let decision = judge(approval, ledger);
            // A kill may take the answer or its reply; the question is then asked again or gone.
            client.decide_approval(*id, approval.id, &decision).await.ok();
        }
    }
}

fn judge(approval: &Approval, ledger: &Ledger) -> Decision {
    assert_eq!(approval.kind, ApprovalKind::Ambiguous, "only what a crash made ambiguous is asked");
    let paid = format!("pay {}/{}/", approval.task, approval.step);
    match ledger.lines().iter().any(|line| line.starts_with(&paid)) {
        true => Decision::Happened,
        false => Decision::DidNotHappen,
    }
}

struct Scene {
    _directory: tempfile::TempDir,
    data_dir: PathBuf,
    ledger_path: PathBuf,
    ledger: Ledger,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (data_dir, ledger_path) = (directory.path().join("data"), directory.path().join("ledger"));
        let ledger = Ledger::at(&ledger_path);
        Self { data_dir, ledger, ledger_path, _directory: directory }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_and_repeat_nothing() {
    let (scene, mut random) = (Scene::new(), seeded());
    let mut tasks: Vec<TaskId> = Vec::new();
    let mut finished_before: BTreeMap<(TaskId, String), usize> = BTreeMap::new();
    for kill in 0..KILLS {
        let mut host = Host::start(&scene.data_dir, &scene.ledger_path).await;
        let moment = Duration::from_millis(random.below(120));
        let work = async {
            answer_open_questions(&host.client, &scene.ledger, &tasks).await;
            while tasks.len() < TASKS && tasks.len() <= kill {
                match host.client.submit_task(&request(tasks.len())).await {
                    Ok(task) => tasks.push(task.id),
                    Err(_) => return,
                }
            }
        };
        tokio::select! {
            () = async { work.await; std::future::pending::<()>().await } => {}
            () = tokio::time::sleep(moment) => {}
        }
        host.kill();
        let written = scene.ledger.lines().len();
        for step in completed_steps(&scene.data_dir, &tasks).await {
            finished_before.entry(step).or_insert(written);
        }
    }
    let host = Host::start(&scene.data_dir, &scene.ledger_path).await;
    while tasks.len() < TASKS {
        tasks.push(host.client.submit_task(&request(tasks.len())).await.expect("the host serves").id);
    }
    finish(&host, &scene, &tasks).await;
    check_ledger(&scene.ledger, &tasks, &finished_before);
    check_events(&host.client, &tasks).await;
    check_usage(&host.client).await;
}

/// What was counted by model is what the tasks used, however often they were killed over it.
async fn check_usage(client: &Client) {
    let total = async |by| {
        let report = client.usage(&UsageQuery { by, ..UsageQuery::default() }).await.expect("usage is served");
        // Calls of tools are counted for tasks alone.
        Usage { tool_calls: 0, ..report.total }
    };
    // A task whose submission was killed before its answer may still be at work.
    let equal = async {
        while total(UsageBy::Model).await != total(UsageBy::Task).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(HANG, equal).await.is_err() {
        assert_eq!(total(UsageBy::Model).await, total(UsageBy::Task).await);
    }
    assert!(total(UsageBy::Model).await.model_calls > 0);
}

async fn finish(host: &Host, scene: &Scene, tasks: &[TaskId]) {
    let all_end = async {
        loop {
            answer_open_questions(&host.client, &scene.ledger, tasks).await;
            let mut open = 0;
            for id in tasks {
                let task = host.client.task(*id).await.expect("an acknowledged task is there");
                assert!(!matches!(task.status, TaskStatus::Failed | TaskStatus::Cancelled), "{:?}", task.error);
                open += usize::from(task.status != TaskStatus::Succeeded);
            }
            if open == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG, all_end).await.expect("every acknowledged task ends");
}

/// No payment twice; nothing at all by a step after the journal knew it as completed.
fn check_ledger(ledger: &Ledger, tasks: &[TaskId], finished_before: &BTreeMap<(TaskId, String), usize>) {
    let lines = ledger.lines();
    for task in tasks {
        for step in ["pay", "left"] {
            let paid = lines.iter().filter(|line| line.starts_with(&format!("pay {task}/{step}/"))).count();
            assert_eq!(paid, 1, "{task}/{step} was paid {paid} times");
        }
    }
    for ((task, step), written) in finished_before {
        let again = lines.iter().skip(*written).filter(|line| line.contains(&format!("{task}/{step}/"))).count();
        assert_eq!(again, 0, "{task}/{step} ran again after it had completed");
    }
}

async fn check_events(client: &Client, tasks: &[TaskId]) {
    for id in tasks {
        let mut events = client.events(*id, None).await.expect("events are served");
        let mut seen = 0;
        while let Some(frame) = events.next().await {
            if let StreamFrame::Event { event } = frame.expect("a frame") {
                assert_eq!(event.seq, seen + 1, "{id} has a gap or a repeat");
                seen = event.seq;
            }
        }
        assert_eq!(client.task(*id).await.expect("the task is there").last_seq, seen);
    }
}

/// Starts the host over and over, until every task has ended. Returns how often, and the tasks.
async fn start_until_all_have_ended(scene: &Scene, count: usize) -> (usize, Vec<TaskSummary>) {
    for starts in 1..=12 {
        let mut host = Host::spawn(&scene.data_dir, &[scene.ledger_path.as_os_str(), "suspicious".as_ref()]);
        while host.process.try_wait().expect("the host can be asked").is_none() {
            let tasks = host.client.list_tasks(&ListTasks::default()).await.map_or(Vec::new(), |page| page.items);
            if tasks.iter().filter(|task| task.status.is_terminal()).count() == count {
                return (starts, tasks);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    panic!("the host ends again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_the_process_is_set_aside_and_no_other() {
    let scene = Scene::new();
    let mut host = Host::start(&scene.data_dir, &scene.ledger_path).await;
    let trail = json!({ "command": "sleep 0.3" });
    let steps = |last: &str| {
        let waits = (0..4).map(|n| tool_step(&format!("wait{n}"), &[], "shell", &trail));
        plan(waits.chain([agent_step("think", &[], last)]).collect())
    };
    for _ in 0..5 {
        host.client.submit_task(&steps("leave a trail")).await.unwrap();
    }
    // Its answer may come, or the end of the process before it.
    host.client.submit_task(&steps("abort the process")).await.ok();
    host.process.wait().expect("the host can be awaited");
    let all = tokio::time::timeout(HANG, start_until_all_have_ended(&scene, 6));
    let (starts, tasks) = all.await.expect("every task ends");
    let failed: Vec<_> = tasks.iter().filter_map(|task| task.error.as_ref()).collect();
    assert_eq!(failed.len(), 1, "{tasks:?}");
    assert_eq!(failed[0].code, ErrorCode::Poisoned);
    assert_eq!(failed[0].detail, "the process ended 2 times while it worked on this task alone");
    // Two more that ended as the first did, two with the task alone, and one that lived.
    assert_eq!(starts, 5);
}

/// A task of steps side by side, each with one call that its model writes down.
fn billed(steps: usize, cost_micro_usd: Option<u64>) -> SubmitTask {
    let steps = (0..steps).map(|n| agent_step(&format!("s{n}"), &[], "write your bill")).collect();
    let budget = cost_micro_usd.map(|cost| Budget { cost_micro_usd: Some(cost), ..Budget::default() });
    SubmitTask { budget, ..plan(steps) }
}

/// Returns the task when it stands still.
async fn stands_still(client: &Client, id: TaskId) -> Task {
    until(async || {
        let task = client.task(id).await.expect("the task is there");
        (task.status.is_terminal() || task.status == TaskStatus::Waiting).then_some(task)
    })
    .await
}

/// Asks until there is something.
async fn until<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANG, wait).await.expect("it comes to that")
}

/// Returns what a task set aside for its first model call.
async fn first_reserve(client: &Client, id: TaskId) -> u64 {
    let mut events = client.events(id, None).await.expect("events are served");
    while let Some(frame) = events.next().await {
        if let StreamFrame::Event { event } = frame.expect("a frame")
            && let EventBody::ModelCallStarted { reserved_micro_usd, .. } = event.event
        {
            return reserved_micro_usd.expect("the price is known");
        }
    }
    panic!("no model was called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_a_wall_across_kills_and_more_lets_the_task_go_on() {
    let (scene, mut random) = (Scene::new(), seeded());
    let bills = Ledger::at(scene.ledger_path.with_extension("calls"));
    let mut host = Host::start(&scene.data_dir, &scene.ledger_path).await;
    let one = host.client.submit_task(&billed(1, None)).await.unwrap();
    let price_of_call = stands_still(&host.client, one.id).await.usage.cost_micro_usd;
    let before = bills.lines().len();

    let cap = first_reserve(&host.client, one.id).await * 15 / 2;
    let task = host.client.submit_task(&billed(20, Some(cap))).await.unwrap().id;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(random.below(12))).await;
        host.kill();
        host = Host::start(&scene.data_dir, &scene.ledger_path).await;
    }
    let waiting = stands_still(&host.client, task).await;
    assert_eq!(waiting.waiting.map(|waiting| waiting.wait_for), Some(WaitFor::Budget), "{:?}", waiting.usage);
    let billed = (bills.lines().len() - before) as u64 * price_of_call;
    let charged = waiting.usage.cost_micro_usd;
    assert!(billed <= charged && charged <= cap, "billed {billed}, charged {charged}, of {cap}");

    let more = Budget { cost_micro_usd: Some(cap * 100), ..Budget::default() };
    host.client.change_budget(task, &more).await.unwrap();
    assert_eq!(stands_still(&host.client, task).await.status, TaskStatus::Succeeded);
    check_usage(&host.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tasks_share_is_a_wall_across_kills_and_more_lets_them_go_on() {
    let (scene, mut random) = (Scene::new(), seeded());
    let bills = Ledger::at(scene.ledger_path.with_extension("calls"));
    let mut host = Host::start(&scene.data_dir, &scene.ledger_path).await;
    let one = host.client.submit_task(&billed(1, None)).await.unwrap();
    let price_of_call = stands_still(&host.client, one.id).await.usage.cost_micro_usd;
    let reserve = first_reserve(&host.client, one.id).await;
    let cap = price_of_call + reserve * 15 / 2;
    let dollars = cap as f64 / 1e6;
    host.kill();
    host = Host::start_with_daily(dollars, &scene.data_dir, &scene.ledger_path).await;
    let mut tasks = vec![one.id];
    for steps in 1..=5 {
        tasks.push(host.client.submit_task(&billed(steps, None)).await.unwrap().id);
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(random.below(12))).await;
        host.kill();
        host = Host::start_with_daily(dollars, &scene.data_dir, &scene.ledger_path).await;
    }
    // One goes on where another one gives back what it did not use.
    let day = until(async || {
        let [day] = host.client.budgets().await.unwrap().items[..] else { panic!("one limit is set") };
        (day.reserved == 0 && day.most.saturating_sub(day.used) < reserve).then_some(day)
    })
    .await;
    let (mut charged, mut waiting) = (0, 0);
    for task in &tasks {
        let task = stands_still(&host.client, *task).await;
        charged += task.usage.cost_micro_usd;
        let Some(why) = task.waiting else { continue };
        assert_eq!((why.wait_for, why.of), (WaitFor::Budget, BudgetOf::InstallationDay));
        waiting += 1;
    }
    let billed = bills.lines().len() as u64 * price_of_call;
    assert!(waiting > 0 && billed <= charged && charged <= cap, "billed {billed}, charged {charged}, of {cap}");
    assert_eq!((day.used, day.most), (charged, cap));

    host.kill();
    host = Host::start_with_daily(dollars * 100.0, &scene.data_dir, &scene.ledger_path).await;
    for task in &tasks {
        let ended = async || Some(host.client.task(*task).await.unwrap()).filter(|task| task.status.is_terminal());
        assert_eq!(until(ended).await.status, TaskStatus::Succeeded);
    }
    check_usage(&host.client).await;
}

/// A request that was sent, a kill at any moment after, a daemon that is started again: the client repeats what it has no answer
/// to, and there is one task.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_done_once_however_often_it_is_repeated_across_kills() {
    let (scene, mut random) = (Scene::new(), seeded());
    let mut host = Host::start(&scene.data_dir, &scene.ledger_path).await;
    let mut submitted = Vec::new();
    for round in 0..15 {
        let request =
            SubmitTask { goal: format!("round {round}"), ..plan(vec![agent_step("think", &[], "leave a trail")]) };
        let client = host.client.clone();
        let asked = tokio::spawn(async move { client.submit_task(&request).await });
        tokio::time::sleep(Duration::from_micros(random.below(4_000))).await;
        host.kill();
        host = Host::start(&scene.data_dir, &scene.ledger_path).await;
        // A kill that came before the request was sent is no lost answer: then nobody was reached, and nothing was made.
        submitted.push(asked.await.unwrap().ok().map(|task| task.id));
    }
    let list = ListTasks { limit: Some(200), ..ListTasks::default() };
    let listed = host.client.list_tasks(&list).await.unwrap().items;
    for (round, made) in submitted.iter().enumerate() {
        let found: Vec<TaskId> =
            listed.iter().filter(|task| task.goal == format!("round {round}")).map(|task| task.id).collect();
        assert_eq!(found, made.iter().copied().collect::<Vec<_>>(), "round {round}");
    }
    assert!(submitted.iter().flatten().count() >= 5, "the kills came too early: {submitted:?}");
}
