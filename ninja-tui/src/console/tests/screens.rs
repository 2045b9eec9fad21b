//! What a person sees.

use super::*;

#[test]
fn an_empty_list_says_how_to_begin() {
    insta::assert_snapshot!(Console::with(80, 24, Vec::new()).draw());
}

#[test]
fn the_list_shows_every_status() {
    let statuses = [
        TaskStatus::Queued,
        TaskStatus::Planning,
        TaskStatus::Running,
        TaskStatus::Waiting,
        TaskStatus::Succeeded,
        TaskStatus::Failed,
        TaskStatus::Cancelled,
    ];
    let tasks = (1..).zip(statuses).map(|(number, status)| summary(number, "Compare three files", status, 42));
    insta::assert_snapshot!(Console::with(80, 24, tasks.collect()).draw());
}

fn running(columns: u16, rows: u16) -> Console {
    let mut console = Console::following(columns, rows, task(TaskStatus::Running));
    console.event(
        6,
        EventBody::ModelCallStarted {
            step: "choose".parse().unwrap(),
            call: 1,
            model: None,
            reserved_tokens: 900,
            reserved_micro_usd: None,
            feedback: None,
        },
    );
    console.delta("choose", "The column `body_mass` ");
    console.delta("choose", "is what the question\nis about");
    console
}

#[test]
fn a_running_task_shows_its_steps_and_the_text_that_is_written() {
    insta::assert_snapshot!(running(80, 24).draw());
}

#[test]
fn a_wide_screen_shows_the_list_beside_the_task() {
    insta::assert_snapshot!(running(160, 30).draw());
}

#[test]
fn a_waiting_task_shows_its_question_and_the_answer_that_is_typed() {
    let mut waiting = task(TaskStatus::Waiting);
    waiting.approvals = vec![approval(ApprovalKind::Question, "Which year is meant:\n2007 or 2008?", None)];
    let mut console = Console::following(80, 24, waiting);
    console.press(KeyCode::Char('i'));
    console.type_text("the year 2008");
    insta::assert_snapshot!(console.draw());
}

#[test]
fn a_call_of_unknown_outcome_is_shown_exactly_and_its_answer_confirmed() {
    let mut waiting = task(TaskStatus::Waiting);
    let args = json!({ "amount": "120.00 EUR", "to": "ACME" });
    waiting.approvals = vec![approval(ApprovalKind::Ambiguous, "A crash took the outcome of `pay`.", Some(args))];
    let mut console = Console::following(80, 24, waiting);
    console.press(KeyCode::Char('n'));
    insta::assert_snapshot!(console.draw());
}

#[test]
fn a_question_that_comes_while_something_else_is_shown_is_announced() {
    let mut console = running(80, 24);
    let mut waiting = task(TaskStatus::Waiting);
    waiting.approvals = vec![approval(ApprovalKind::Approval, "Shall I go on?", None)];
    waiting.last_seq = 7;
    console.app.update(Message::Snapshot { follow: console.follow, task: Box::new(waiting) });
    insta::assert_snapshot!(console.draw());
}

#[test]
fn a_failed_task_says_why_and_what_to_do() {
    let mut failed = task(TaskStatus::Failed);
    failed.error = Some(error("no_sandbox", "no isolation is available on this machine"));
    failed.ended_at = Some(ago(10));
    failed.steps[1].status = StepStatus::Failed;
    let mut console = Console::following(80, 24, failed);
    console.press(KeyCode::Char('2'));
    insta::assert_snapshot!(console.draw());
}

#[test]
fn a_finished_task_lists_its_files() {
    let mut done = task(TaskStatus::Succeeded);
    (done.progress, done.ended_at) = (100, Some(ago(10)));
    done.steps.iter_mut().for_each(|step| step.status = StepStatus::Succeeded);
    done.artifacts = vec![artifact("report.md", 2_345), artifact("chart.svg", 12_345_678)];
    let mut console = Console::following(80, 24, done);
    console.press(KeyCode::Char('3'));
    insta::assert_snapshot!(console.draw());
}

#[test]
fn the_help_is_the_key_table() {
    let mut console = Console::with(80, 24, Vec::new());
    console.press(KeyCode::Char('?'));
    insta::assert_snapshot!(console.draw());
}

#[test]
fn a_lost_connection_is_seen_and_so_is_its_return() {
    let mut console = running(80, 24);
    let down = || News::Down("the daemon at /data/ninja.sock cannot be reached: No such file".into());
    console.app.update(Message::News { source: Source::Feed, news: down() });
    console.news(down());
    insta::assert_snapshot!(console.draw());
    console.app.update(Message::News { source: Source::Feed, news: News::Up });
    console.news(News::Up);
    let back = console.draw();
    assert!(back.contains("● live u:7 t:6") && !back.contains("reconnecting"), "{back}");
    assert!(back.contains("… The column"), "what was written meanwhile is missing:\n{back}");
}

#[test]
fn a_daemon_that_is_silent_is_not_called_live() {
    let mut console = Console::with(80, 24, Vec::new());
    console.app.update(Message::Tick(ago(-50)));
    assert!(console.draw().contains("◌ nothing heard for 50 s"));
}

#[test]
fn long_goals_and_wide_characters_stay_in_their_columns() {
    let long = "Compare every file in the folder with every other and ".repeat(9);
    let wide = "企鹅的体重按种类计算平均值并画出图表然后写一份报告 🐧🐧🐧 e\u{301}";
    let tasks = vec![summary(1, &long, TaskStatus::Running, 5), summary(2, wide, TaskStatus::Waiting, 50)];
    let mut console = Console::with(80, 24, tasks);
    insta::assert_snapshot!("long_and_wide_list", console.draw());
    let mut followed = task(TaskStatus::Running);
    followed.goal = wide.repeat(4);
    let mut console = Console::following(80, 24, followed);
    console.delta("choose", &wide.repeat(6));
    insta::assert_snapshot!("wide_task", console.draw());
}

#[test]
fn hostile_text_reaches_no_cell() {
    let hostile = "ok\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}evil\u{2066}\u{200b}\u{feff}\u{9b}31m\r\n\tdone";
    let mut waiting = task(TaskStatus::Waiting);
    waiting.goal = hostile.into();
    waiting.error = Some(error("internal", hostile));
    waiting.steps[0].title = Some(hostile.into());
    waiting.steps[0].output = json!({ hostile: hostile });
    waiting.artifacts = vec![artifact(hostile, 1)];
    waiting.approvals = vec![approval(ApprovalKind::Approval, hostile, Some(json!({ hostile: hostile })))];
    let mut console = Console::following(80, 24, waiting);
    console.delta("choose", hostile);
    console
        .app
        .update(Message::Listed(Ok(Listing { tasks: vec![summary(1, hostile, TaskStatus::Failed, 1)], more: false })));
    insta::assert_snapshot!(console.draw());
    for key in ['4', '1', '2', '3', 'h', 'h', '/'] {
        console.press(KeyCode::Char(key));
        console.app.update(Message::Terminal(Terminal::Paste(hostile.into())));
        console.draw();
        for cell in &console.screen.backend().buffer().content {
            let bad = |character: char| {
                character.is_control()
                    || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            };
            assert!(!cell.symbol().chars().any(bad), "{:?} after {key}", cell.symbol());
        }
    }
}

#[test]
fn without_colours_nothing_is_coloured() {
    let mut console = running(80, 24);
    console.screen.draw(|frame| _ = view::draw(frame, &console.app, Theme { colour: false })).unwrap();
    let coloured = |cell: &&ratatui::buffer::Cell| {
        (cell.fg, cell.bg) != (ratatui::style::Color::Reset, ratatui::style::Color::Reset)
    };
    assert_eq!(console.screen.backend().buffer().content.iter().filter(coloured).count(), 0);
}
