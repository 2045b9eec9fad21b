//! The log of a recorded run, cut after every record: what a process leaves behind that dies right after a record is
//! durable. Each such directory opens, goes on, and ends as the recorded run did: the same status and steps, the same
//! files by hash, the same evidence, events without a gap that begin with the recorded ones, a log that replays.
//!
//! A cut in the middle of a commit cannot come about by a crash, for commits are whole or not there. Such a directory opens
//! too, and the task comes to the same, or it fails as `corrupt` and comes to the same when it is tried again; but a replay
//! need not agree, for no machine decided half of a commit.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use ninja_core::{
    Engine,
    api::{
        Approval, ApprovalKind, BlobHash, Decision, EffectClass, ErrorCode, StepKind, StepStatus, SubmitTask, Task,
        TaskId, TaskStatus,
    },
    journal::record::{Outcome as CallOutcome, Record},
    providers::Scripted,
    sandbox::{Bubblewrap, NoSandbox, Sandbox},
};
use ninja_tests::{
    Cut, Ledger, LedgerTool, Recording, ScriptedEngine, StepClock, agent_step, approval_step, folder_in_memory, plan,
    tool_step,
};
use serde_json::{Value, json};

use super::{
    bug_fix, code_with_tests, data_analysis,
    host::{Job, Script, answering},
    research_report, static_site,
};

/// Engines at a time.
const AT_ONCE: usize = 4;
/// Where the tools with an effect in the world write.
const LEDGER: &str = "ledger";

type Model = Arc<dyn Fn() -> Scripted + Send + Sync>;

/// What engines are made of that do the same.
struct Scene {
    model: Model,
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<StepClock>,
    has_effects: bool,
}

/// A run that is made again from any of its records.
struct Sweep {
    scene: Scene,
    recording: Recording,
    events: Vec<Value>,
    outcome: Outcome,
}

/// What must be the same however often the process dies.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    status: TaskStatus,
    steps: Vec<(String, StepStatus)>,
    files: BTreeSet<(String, BlobHash)>,
    evidence: Vec<Value>,
}

impl Outcome {
    fn of(task: &Task) -> Self {
        let steps = task.steps.iter().map(|step| (step.id.to_string(), step.status));
        let files = task.artifacts.iter().map(|artifact| (artifact.path.clone(), artifact.sha256));
        let contracts = task.steps.iter().filter(|step| step.kind == StepKind::Contract);
        let evidence = contracts.map(|step| json!([step.output, step.error])).collect();
        Self { status: task.status, steps: steps.collect(), files: files.collect(), evidence }
    }
}

impl Scene {
    async fn new(model: Model, has_effects: bool) -> Self {
        // Found once: looking for it takes as long as a run.
        let sandbox: Arc<dyn Sandbox> = match Bubblewrap::detect_in("/usr/local/bin:/usr/bin:/bin".as_ref()).await {
            Ok(sandbox) => Arc::new(sandbox),
            Err(error) => Arc::new(NoSandbox { reason: error.to_string() }),
        };
        Self { model, sandbox, clock: Arc::default(), has_effects }
    }

    /// Starts an engine in a folder.
    async fn start(&self, folder: &Path) -> ScriptedEngine {
        ScriptedEngine::start_with((self.model)(), |options| {
            options.data_dir = folder.join("data");
            options.sandbox = Some(Arc::clone(&self.sandbox));
            options.clock = Arc::clone(&self.clock) as _;
            if self.has_effects {
                let tool = |name, class| Arc::new(LedgerTool::new(name, class, Ledger::at(folder.join(LEDGER)))) as _;
                options.tools = vec![tool("pay", EffectClass::Unsafe), tool("post", EffectClass::Idempotent)];
            }
        })
        .await
    }

    /// Follows a task to its end, and plays the person meanwhile.
    async fn finish(&self, host: &ScriptedEngine, folder: &Path, id: TaskId) -> Task {
        let ledger = Ledger::at(folder.join(LEDGER));
        tokio::select! {
            task = host.finish(id) => task,
            () = answer(&host.engine, id, &ledger), if self.has_effects => unreachable!(),
        }
    }
}

/// Answers every question as long as it is polled: whoever is asked whether a payment was made looks into the ledger.
async fn answer(engine: &Engine, id: TaskId, ledger: &Ledger) {
    let owner = engine.local_owner();
    let judge = |approval: &Approval| match approval.kind {
        ApprovalKind::Approval | ApprovalKind::Plan | ApprovalKind::Question => Decision::Approve,
        ApprovalKind::Ambiguous => {
            let paid = format!("pay {}/{}/", approval.task, approval.step);
            let is_paid = ledger.lines().iter().any(|line| line.starts_with(&paid));
            if is_paid { Decision::Happened } else { Decision::DidNotHappen }
        }
    };
    loop {
        for approval in engine.task(&owner, id).await.unwrap().approvals {
            engine.decide_approval(&owner, id, approval.id, judge(&approval)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Sweep {
    /// Does something once, and keeps its log.
    async fn record(job: Job<'_>, model: Model) -> Self {
        let (scene, folder) = (Scene::new(model, false).await, folder_in_memory());
        let host = scene.start(folder.path()).await;
        let id = job.submit(&host).await.unwrap().id;
        Self::keep(scene, host, folder.path(), id).await
    }

    async fn record_plan(request: SubmitTask, model: Model) -> Self {
        let (scene, folder) = (Scene::new(model, true).await, folder_in_memory());
        let host = scene.start(folder.path()).await;
        let id = host.engine.submit_task(&host.engine.local_owner(), request).await.unwrap().id;
        Self::keep(scene, host, folder.path(), id).await
    }

    async fn keep(scene: Scene, host: ScriptedEngine, folder: &Path, id: TaskId) -> Self {
        let task = scene.finish(&host, folder, id).await;
        assert_eq!((task.status, &task.error), (TaskStatus::Succeeded, &None));
        let events = all_events(&host.engine, id).await;
        host.engine.stop().await;
        Self { scene, recording: Recording::read(&folder.join("data")), events, outcome: Outcome::of(&task) }
    }

    /// Cuts the log after every record.
    async fn cut_everywhere(self) {
        let this = Arc::new(self);
        let cuts = this.recording.cuts();
        let checked = stream::iter(cuts.clone()).map(|cut| {
            let this = Arc::clone(&this);
            async move { (cut, tokio::spawn(async move { this.check(cut).await }).await) }
        });
        let done: Vec<_> = checked.buffer_unordered(AT_ONCE).collect().await;
        let failed: Vec<Cut> = done.iter().filter(|(_, done)| done.is_err()).map(|(cut, _)| *cut).collect();
        println!("{} cuts, {} of them between commits", cuts.len(), cuts.iter().filter(|cut| cut.ends_commit).count());
        assert!(failed.is_empty(), "these cuts do not come to the same end: {failed:?}");
    }

    async fn check(&self, cut: Cut) {
        // Whether what was in flight at the cut had happened, nobody knows; without effects in the world it is all the same.
        // What lies in the working folders then is thrown away, so they may as well be empty.
        let mut cases = vec![(true, false)];
        if cut.ends_commit {
            cases.push((false, self.scene.has_effects));
        }
        for (has_junk, happened) in cases {
            let folder = folder_in_memory();
            self.recording.lay_down(&folder.path().join("data"), cut.after).await;
            if has_junk {
                self.leave_junk(folder.path());
            }
            let ledger = Ledger::at(folder.path().join(LEDGER));
            for line in self.effects(cut.after, happened) {
                ledger.append(&line).unwrap();
            }
            self.go_on(cut, folder.path()).await;
            if cut.ends_commit {
                self.check_ledger(cut, &ledger);
            }
        }
    }

    async fn go_on(&self, cut: Cut, folder: &Path) {
        let host = self.scene.start(folder).await;
        let (owner, id) = (host.engine.local_owner(), self.recording.task());
        let found = host.engine.task(&owner, id).await.unwrap();
        assert!(found.last_seq >= cut.after as u64, "{cut:?}: records are missing");
        match cut.ends_commit {
            true => {
                let task = self.scene.finish(&host, folder, id).await;
                assert_eq!(Outcome::of(&task), self.outcome, "{cut:?}");
            }
            false => self.come_to_an_end(cut, &host, folder).await,
        }
        let events = all_events(&host.engine, id).await;
        let (kept, recorded) = (&events[..cut.after], &self.events[..cut.after]);
        assert_eq!(kept, recorded, "{cut:?}: what had happened before is told otherwise");
        host.engine.stop().await;
    }

    /// Whatever half a commit left, the task does not hang, and a person can have it done.
    async fn come_to_an_end(&self, cut: Cut, host: &ScriptedEngine, folder: &Path) {
        let (engine, owner, id) = (&host.engine, host.engine.local_owner(), self.recording.task());
        let ledger = Ledger::at(folder.join(LEDGER));
        let ended = || async {
            tokio::select! {
                _ = all_events(engine, id) => engine.task(&owner, id).await.unwrap(),
                () = answer(engine, id, &ledger), if self.scene.has_effects => unreachable!(),
            }
        };
        let mut task = within(cut, ended()).await;
        let is_damaged = task.error.as_ref().is_some_and(|error| error.code == ErrorCode::Corrupt);
        // A task without a plan has nothing that could be tried; a payment that was made is nobody's to try again here.
        if is_damaged && (task.steps.is_empty() || self.scene.has_effects) {
            return;
        }
        if is_damaged {
            engine.retry_task(&owner, id).await.unwrap();
            task = within(cut, ended()).await;
        }
        assert_eq!(Outcome::of(&task), self.outcome, "{cut:?}");
    }

    /// Leaves in the working folders what a process could have left there: other files than the manifests say, and others
    /// under the names of those that are still to be made.
    fn leave_junk(&self, folder: &Path) {
        let task = self.recording.task().to_string();
        let name = task.trim_start_matches("task_");
        for (step, _) in &self.outcome.steps {
            let paths = self.outcome.files.iter().map(|(path, _)| path.as_str());
            for path in paths.chain(["junk.txt", "folder/of/junk"]) {
                let whole = folder.join("data/work/files").join(name).join(step).join(path);
                std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
                std::fs::write(whole, "half of a lin").unwrap();
            }
        }
        let request = folder.join("data/work/requests").join(&task);
        std::fs::create_dir_all(&request).unwrap();
        std::fs::write(request.join("request.json"), "{").unwrap();
    }

    /// Returns what tools had written into the ledger when the process died.
    fn effects(&self, after: usize, with_those_in_flight: bool) -> Vec<String> {
        let records = self.recording.records(usize::MAX);
        let is_intended = |of: &Record| {
            let Record::CallEnded { step: ended, call: number, .. } = of else { return false };
            records[..after].iter().any(|entry| {
                matches!(&entry.record, Record::CallIntended { step, call, .. } if step == ended && call == number)
            })
        };
        let written = records
            .iter()
            .enumerate()
            .filter(|(at, entry)| *at < after || (with_those_in_flight && is_intended(&entry.record)));
        let lines = written.filter_map(|(_, entry)| match &entry.record {
            Record::CallEnded { outcome: CallOutcome::Returned { output: Value::String(line), .. }, .. } => {
                Some(line.clone())
            }
            _ => None,
        });
        lines.filter(|line| line.starts_with("pay ") || line.starts_with("post ")).collect()
    }

    /// Each payment once; what carries a key may come twice with the same.
    fn check_ledger(&self, cut: Cut, ledger: &Ledger) {
        let (lines, all) = (ledger.lines(), self.effects(usize::MAX, false));
        let of = |lines: &[String], tool: &str| -> Vec<String> {
            let mut of: Vec<_> = lines.iter().filter(|line| line.starts_with(tool)).cloned().collect();
            of.sort();
            of
        };
        assert_eq!(of(&lines, "pay "), of(&all, "pay "), "{cut:?}");
        let mut posted = of(&lines, "post ");
        posted.dedup();
        assert_eq!(posted, of(&all, "post "), "{cut:?}");
    }
}

/// Not a timing: only a hang reaches it.
async fn within<T>(cut: Cut, work: impl Future<Output = T>) -> T {
    let hang = Duration::from_secs(60);
    tokio::time::timeout(hang, work).await.unwrap_or_else(|_| panic!("{cut:?}: it does not come to an end"))
}

/// Reads the events of a task until it has ended, and holds them to have no gap.
async fn all_events(engine: &Engine, id: TaskId) -> Vec<Value> {
    let mut follow = engine.task_events(&engine.local_owner(), id, None).await.unwrap();
    let mut events = Vec::new();
    while let Some(frame) = follow.next().await.unwrap() {
        if let Some(seq) = frame.seq {
            assert_eq!(seq, events.len() as u64 + 1, "events have no gap and no repeat");
            events.push(serde_json::from_str(&frame.json).unwrap());
        }
    }
    events
}

async fn sweep((job, script): (Job<'static>, Script)) {
    Sweep::record(job, Arc::new(move || answering(script.clone()))).await.cut_everywhere().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_analysis_comes_to_the_same_from_every_record() {
    let (job, model) = data_analysis::recorded();
    Sweep::record(job, Arc::new(model)).await.cut_everywhere().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn research_report_comes_to_the_same_from_every_record() {
    sweep(research_report::recorded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_with_tests_comes_to_the_same_from_every_record() {
    sweep(code_with_tests::recorded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_fix_comes_to_the_same_from_every_record() {
    sweep(bug_fix::recorded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn static_site_comes_to_the_same_from_every_record() {
    sweep(static_site::recorded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_in_the_world_come_to_the_same_from_every_record() {
    let trail = json!({ "command": "echo shell >> trail; cat trail" });
    let steps = vec![
        agent_step("think", &[], "say it"),
        tool_step("pay", &["think"], "pay", &json!({})),
        tool_step("shell", &["pay"], "shell", &trail),
        approval_step("ask", &["shell"], "May this go on?"),
        tool_step("left", &["ask"], "pay", &json!({})),
        tool_step("right", &["ask"], "post", &json!({})),
        tool_step("again", &["left", "right"], "shell", &trail),
    ];
    let model = Arc::new(|| Scripted::answering("said"));
    Sweep::record_plan(plan(steps), model).await.cut_everywhere().await;
}
