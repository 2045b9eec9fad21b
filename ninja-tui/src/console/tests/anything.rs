//! Whatever happens, in whatever order, at whatever size: it is drawn without a panic.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Something that can happen to a console that follows a task.
#[derive(Debug, Clone)]
enum Anything {
    Key(KeyCode),
    Paste(String),
    Event(u64, u8, String),
    Delta(String),
    Snapshot(u64, Vec<u8>, String),
    Listed(Vec<String>),
    Down,
    Up,
    End,
    Tick(i64),
    Size(u16, u16),
}

fn key() -> impl Strategy<Value = KeyCode> {
    const NAMED: &[KeyCode] = &[
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Tab,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Backspace,
        KeyCode::Delete,
    ];
    prop_oneof![prop::sample::select(NAMED), "[jkgGhl/?c1234oadinhyx 語]".prop_map(letter)]
}

fn letter(text: String) -> KeyCode {
    KeyCode::Char(text.chars().next().unwrap_or('x'))
}

/// Texts with what makes columns differ from characters, and what steers.
fn text() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![Just('a'), Just(' '), Just('\n'), Just('語'), Just('\u{301}'), Just('\u{1b}'), any::<char>()],
        0..80,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

fn anything() -> impl Strategy<Value = Anything> {
    prop_oneof![
        6 => key().prop_map(Anything::Key),
        1 => text().prop_map(Anything::Paste),
        4 => (0_u64..12, any::<u8>(), text()).prop_map(|(seq, kind, text)| Anything::Event(seq, kind, text)),
        2 => text().prop_map(Anything::Delta),
        2 => (0_u64..12, vec(any::<u8>(), 0..5), text()).prop_map(|(seq, steps, text)| Anything::Snapshot(seq, steps, text)),
        1 => vec(text(), 0..6).prop_map(Anything::Listed),
        1 => Just(Anything::Down),
        1 => Just(Anything::Up),
        1 => Just(Anything::End),
        1 => any::<i32>().prop_map(|seconds| Anything::Tick(seconds.into())),
        2 => (1_u16..170, 1_u16..50).prop_map(|(columns, rows)| Anything::Size(columns, rows)),
        1 => (1_u16..6, 1_u16..6).prop_map(|(columns, rows)| Anything::Size(columns, rows)),
    ]
}

fn body(kind: u8, text: String) -> EventBody {
    let step = || ["profile", "choose", "other"][usize::from(kind) % 3].parse().unwrap();
    match kind % 8 {
        0 => EventBody::StepStarted { step: step(), actor: Some(text) },
        1 => EventBody::ModelCallStarted {
            step: step(),
            call: 1,
            model: None,
            reserved_tokens: 1,
            reserved_micro_usd: None,
            feedback: None,
        },
        2 => EventBody::ModelCallEnded { step: step(), call: 1, text, tools: vec![], usage: Usage::default() },
        3 => EventBody::ToolCallEnded { step: step(), call: 1, ok: kind > 99, output: json!(text), changed: vec![] },
        4 => EventBody::ApprovalRequested { approval: approval(ApprovalKind::Question, &text, None) },
        5 => EventBody::ActorFailed { actor: text.clone(), reason: text, failures: 1 },
        6 => EventBody::PlanMade { steps: vec![step()] },
        _ => EventBody::TaskEnded {
            status: TaskStatus::Failed,
            error: Some(error("internal", &text)),
            cancel_receipt: None,
            usage: Usage::default(),
        },
    }
}

fn snapshot(seq: u64, steps: &[u8], text: &str) -> Task {
    let mut task = task(TaskStatus::Waiting);
    task.steps = steps.iter().map(|number| step(&format!("s{number}"), StepStatus::Running)).collect();
    (task.last_seq, task.goal) = (seq, text.to_owned());
    let kinds = [ApprovalKind::Approval, ApprovalKind::Ambiguous, ApprovalKind::Question];
    if steps.len() > 1 {
        task.approvals = vec![approval(kinds[steps.len() % 3], text, Some(json!(text)))];
    }
    task
}

impl Console {
    fn happen(&mut self, what: Anything) {
        match what {
            Anything::Key(code) => _ = self.press(code),
            Anything::Paste(text) => _ = self.app.update(Message::Terminal(Terminal::Paste(text))),
            Anything::Event(seq, kind, text) => _ = self.event(seq, body(kind, text)),
            Anything::Delta(text) => self.delta("choose", &text),
            Anything::Snapshot(seq, steps, text) => {
                let task = Box::new(snapshot(seq, &steps, &text));
                let follow = self.app.followed.as_ref().map_or(0, |followed| followed.follow);
                self.app.update(Message::Snapshot { follow, task });
            }
            Anything::Listed(goals) => {
                let row = |(number, goal): (u8, String)| summary(number, &goal, TaskStatus::Running, number);
                let tasks = (1..).zip(goals).map(row).collect();
                self.app.update(Message::Listed(Ok(Listing { tasks, more: true })));
            }
            Anything::Down => _ = self.news(News::Down("gone".into())),
            Anything::Up => _ = self.news(News::Up),
            Anything::End => _ = self.news(News::Frame(StreamFrame::End { task: task_id(1) })),
            Anything::Tick(seconds) => _ = self.app.update(Message::Tick(ago(seconds))),
            Anything::Size(columns, rows) => self.screen.backend_mut().resize(columns, rows),
        }
    }
}

proptest! {
    #[test]
    fn anything_is_drawn(all in vec(anything(), 0..40)) {
        let mut console = Console::following(80, 24, task(TaskStatus::Running));
        for what in all {
            console.happen(what);
            console.draw();
        }
    }
}
