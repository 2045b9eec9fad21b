//! The console without a world: screens as snapshots, keys by table, and any sequence of messages at any size.

mod anything;
mod presses;
mod screens;

use crossterm::event::{Event as Terminal, KeyCode, KeyEvent, KeyModifiers};
use ninja_sdk::api::{
    Approval, ApprovalKind, Artifact, BlobHash, BudgetOf, Event, EventBody, FeedBody, FeedEntry, ModelRef,
    ProposedCall, Step, StepKind, StepStatus, StreamFrame, Task, TaskId, TaskStatus, TaskSummary, Timestamp, Usage,
    WaitFor, Waiting,
};
use ratatui::{Terminal as Screen, backend::TestBackend};
use serde_json::{Value, json};

use super::{
    app::App,
    message::{Command, Listing, Message, News, Source},
    view::{self, Theme},
};

/// Every task of these tests was submitted some time before this.
fn now() -> Timestamp {
    "2026-04-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() - seconds).unwrap()
}

fn task_id(number: u8) -> TaskId {
    format!("task_019200000000700080000000000000{number:02x}").parse().unwrap()
}

fn summary(number: u8, goal: &str, status: TaskStatus, progress: u8) -> TaskSummary {
    TaskSummary {
        id: task_id(number),
        goal: goal.into(),
        template: None,
        status,
        progress,
        waiting: (status == TaskStatus::Waiting).then(|| Waiting {
            wait_for: WaitFor::Approval,
            since: ago(30),
            until: None,
            limit: None,
            of: BudgetOf::Task,
            id: None,
        }),
        usage: Usage { input_tokens: 1_200, output_tokens: 34, model_calls: 2, ..Usage::default() },
        error: (status == TaskStatus::Failed).then(|| error("tool_failed", "it exited with 3")),
        created_at: ago(i64::from(number) * 100),
        ended_at: status.is_terminal().then(|| ago(10)),
    }
}

fn error(code: &str, detail: &str) -> ninja_sdk::api::ApiError {
    serde_json::from_value(json!({ "code": code, "detail": detail })).unwrap()
}

fn step(id: &str, status: StepStatus) -> Step {
    Step {
        id: id.parse().unwrap(),
        kind: StepKind::Agent,
        title: None,
        actor: Some("analyst".into()),
        parent: None,
        attempt: 1,
        after: Vec::new(),
        status,
        started_at: (status != StepStatus::Pending).then(|| ago(60)),
        ended_at: status.is_terminal().then(|| ago(20)),
        output: Value::Null,
        error: None,
        usage: Usage { input_tokens: 600, output_tokens: 20, model_calls: 1, ..Usage::default() },
    }
}

/// A task with three steps, the first of which has ended.
fn task(status: TaskStatus) -> Task {
    let summary = summary(1, "Which species has the highest average body mass?", status, 33);
    let mut profile = step("profile", StepStatus::Succeeded);
    profile.output = json!({ "rows": 344, "columns": "species, mass" });
    Task {
        id: summary.id,
        goal: summary.goal,
        template: Some("data-analysis".into()),
        model: Some(ModelRef { provider: "local".into(), model: "smollm2".into() }),
        forked_from: None,
        status,
        progress: 33,
        waiting: summary.waiting,
        steps: vec![profile, step("choose", StepStatus::Running), step("write", StepStatus::Pending)],
        approvals: Vec::new(),
        artifacts: Vec::new(),
        usage: summary.usage,
        budget: Default::default(),
        error: None,
        cancel_receipt: None,
        created_at: ago(100),
        ended_at: None,
        last_seq: 5,
    }
}

fn artifact(path: &str, bytes: u64) -> Artifact {
    Artifact { path: path.into(), step: "write".parse().unwrap(), bytes, sha256: BlobHash::from_bytes([7; 32]) }
}

fn approval(kind: ApprovalKind, prompt: &str, call: Option<Value>) -> Approval {
    Approval {
        id: "appr_01920000000070008000000000000001".parse().unwrap(),
        task: task_id(1),
        step: "choose".parse().unwrap(),
        kind,
        prompt: prompt.into(),
        call: call.map(|args| ProposedCall { tool: "pay".into(), args, hash: "ab".repeat(32) }),
        plan: None,
        since: ago(30),
    }
}

/// The events before a running task's sixth.
fn history() -> Vec<EventBody> {
    let step = || "profile".parse().unwrap();
    vec![
        EventBody::TaskSubmitted { goal: "Which species?".into(), template: None, model: None },
        EventBody::PlanMade { steps: vec![step(), "choose".parse().unwrap(), "write".parse().unwrap()] },
        EventBody::StepStarted { step: step(), actor: Some("python".into()) },
        EventBody::ToolCallStarted {
            step: step(),
            call: 1,
            tool: "shell".into(),
            args: json!({ "command": "wc -l table.csv" }),
        },
        EventBody::ToolCallEnded {
            step: step(),
            call: 1,
            ok: true,
            output: json!({ "exit_code": 0, "stdout": "344 table.csv\n" }),
            changed: vec!["profile.json".into()],
        },
    ]
}

/// A console and the screen it is drawn on.
struct Console {
    app: App,
    screen: Screen<TestBackend>,
    follow: u64,
}

impl Console {
    /// A console that has heard of the feed, with these tasks in the list.
    fn with(columns: u16, rows: u16, tasks: Vec<TaskSummary>) -> Self {
        let (app, _) = App::new(now(), false);
        let mut console = Self { app, screen: Screen::new(TestBackend::new(columns, rows)).unwrap(), follow: 0 };
        console.app.update(Message::News { source: Source::Feed, news: News::Up });
        console.app.update(Message::Listed(Ok(Listing { tasks, more: false })));
        console.feed(7);
        console
    }

    /// A console that follows this task, shown after its five first events.
    fn following(columns: u16, rows: u16, task: Task) -> Self {
        let row = summary(1, &task.goal, task.status, task.progress);
        let mut console = Self::with(columns, rows, vec![row, summary(2, "Another", TaskStatus::Succeeded, 100)]);
        let commands = console.press(KeyCode::Enter);
        let [Command::Follow { follow, .. }] = commands.as_slice() else { panic!("{commands:?}") };
        console.follow = *follow;
        console.app.update(Message::Snapshot { follow: *follow, task: Box::new(task) });
        console.news(News::Up);
        for (seq, event) in (1..).zip(history()) {
            console.event(seq, event);
        }
        console
    }

    fn news(&mut self, news: News) -> Vec<Command> {
        self.app.update(Message::News { source: Source::Task(self.follow), news })
    }

    fn event(&mut self, seq: u64, event: EventBody) -> Vec<Command> {
        let event = Event { task: task_id(1), seq, at: ago(20), event };
        self.news(News::Frame(StreamFrame::Event { event }))
    }

    fn delta(&mut self, step: &str, text: &str) {
        let delta = StreamFrame::Delta { task: task_id(1), step: step.parse().unwrap(), text: text.into() };
        self.news(News::Frame(delta));
    }

    fn feed(&mut self, seq: u64) -> Vec<Command> {
        let body = FeedBody::TaskStatus { task: task_id(1), status: TaskStatus::Running, progress: 0 };
        self.hear(FeedEntry { seq, at: now(), body })
    }

    fn hear(&mut self, entry: FeedEntry) -> Vec<Command> {
        let news = News::Frame(StreamFrame::Feed { entry });
        self.app.update(Message::News { source: Source::Feed, news })
    }

    fn press(&mut self, code: KeyCode) -> Vec<Command> {
        self.app.update(Message::Terminal(Terminal::Key(KeyEvent::new(code, KeyModifiers::NONE))))
    }

    fn type_text(&mut self, text: &str) -> Vec<Command> {
        text.chars().flat_map(|character| self.press(KeyCode::Char(character))).collect()
    }

    /// Draws, and lets the state know of it as the loop does.
    fn draw(&mut self) -> String {
        let mut extent = Default::default();
        self.screen.draw(|frame| extent = view::draw(frame, &self.app, Theme { colour: true })).unwrap();
        self.app.drawn(extent);
        self.screen.backend().to_string()
    }
}
