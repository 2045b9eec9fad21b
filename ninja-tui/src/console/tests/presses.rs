//! Keys and messages, and what they make the console do.

use super::*;
use crate::console::{
    app::{Focus, Mode, Tab},
    followed::Followed,
};
use ninja_sdk::api::{BudgetLimit, Decision};

fn asking(kind: ApprovalKind) -> Console {
    let mut waiting = task(TaskStatus::Waiting);
    waiting.approvals = vec![approval(kind, "Shall I?", None)];
    Console::following(80, 24, waiting)
}

/// Returns the answer that a sequence of keys gives.
fn answer(kind: ApprovalKind, keys: &[KeyCode]) -> Option<Decision> {
    let mut console = asking(kind);
    let commands: Vec<_> = keys.iter().flat_map(|key| console.press(*key)).collect();
    match commands.as_slice() {
        [] => None,
        [Command::Decide { task, decision, .. }] if *task == task_id(1) => Some(decision.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_question_takes_its_own_answers_and_asks_before_what_cannot_be_taken_back() {
    use ApprovalKind::{Ambiguous, Approval, Question};
    use KeyCode::{Char, Enter, Esc};
    let typed = || Some(Decision::Answer { text: "y n".into() });
    for (kind, keys, expected) in [
        (Approval, &[Char('a')][..], Some(Decision::Approve)),
        (Approval, &[Char('d')], None),
        (Approval, &[Char('d'), Char('y')], Some(Decision::Deny)),
        (Approval, &[Char('d'), Char('n')], None),
        (Approval, &[Char('d'), Esc, Char('y')], None),
        (Approval, &[Char('i'), Char('y')], None),
        (Ambiguous, &[Char('a'), Char('y')], None),
        (Ambiguous, &[Char('h'), Char('y')], Some(Decision::Happened)),
        (Ambiguous, &[Char('n'), Char('n')], None),
        (Ambiguous, &[Char('n'), Char('y')], Some(Decision::DidNotHappen)),
        (Ambiguous, &[Char('d'), Char('y')], Some(Decision::Abort)),
        (Question, &[Char('a')], None),
        (Question, &[Char('i'), Char('y'), Char(' '), Char('n'), Enter], typed()),
        (Question, &[Char('i'), Char('y'), Esc], None),
        (Question, &[Char('d'), Char('y')], Some(Decision::Deny)),
        // The second stroke finds the answer on its way.
        (Approval, &[Char('a'), Char('a')], Some(Decision::Approve)),
    ] {
        assert_eq!(answer(kind, keys), expected, "{kind:?} {keys:?}");
    }
}

#[test]
fn a_question_that_was_not_seen_is_shown_rather_than_answered() {
    let mut console = asking(ApprovalKind::Approval);
    console.press(KeyCode::Char('1'));
    assert_eq!(console.press(KeyCode::Char('a')), []);
    assert_eq!(console.app.tab, Tab::Questions);
    assert_eq!(console.press(KeyCode::Char('a')).len(), 1);
}

#[test]
fn an_answered_question_goes_away_and_the_next_is_not_answered_by_the_same_stroke() {
    let mut console = asking(ApprovalKind::Approval);
    let mut after = task(TaskStatus::Waiting);
    let mut next = approval(ApprovalKind::Approval, "And this?", None);
    next.id = "appr_01920000000070008000000000000002".parse().unwrap();
    (after.approvals, after.last_seq) = (vec![next], 9);
    assert_eq!(console.press(KeyCode::Char('a')).len(), 1);
    console.app.update(Message::Snapshot { follow: console.follow, task: Box::new(after) });
    assert_eq!(console.press(KeyCode::Char('a')), [], "it was not shown before");
    assert_eq!(console.press(KeyCode::Char('a')).len(), 1);
}

#[test]
fn cancelling_is_confirmed_and_what_has_ended_is_not_cancelled() {
    let mut console = Console::following(80, 24, task(TaskStatus::Running));
    assert_eq!(console.press(KeyCode::Char('c')), []);
    assert_eq!(console.press(KeyCode::Enter), [], "enter confirms nothing");
    assert_eq!(console.press(KeyCode::Char('y')), [Command::Cancel(task_id(1))]);
    let mut ended = Console::following(80, 24, task(TaskStatus::Succeeded));
    ended.press(KeyCode::Char('c'));
    assert!(matches!(ended.app.mode, Mode::Normal));
    assert_eq!(ended.press(KeyCode::Char('y')), []);
}

#[test]
fn the_panes_are_walked_through_and_left() {
    let mut console = Console::following(80, 24, task(TaskStatus::Running));
    console.press(KeyCode::Tab);
    assert_eq!(console.app.focus, Focus::Detail);
    console.press(KeyCode::Tab);
    assert_eq!(console.app.focus, Focus::Steps, "the list is not on a narrow screen");
    console.screen.backend_mut().resize(160, 30);
    console.draw();
    let mut walk = |keys: &[KeyCode]| {
        keys.iter().for_each(|key| _ = console.press(*key));
        console.app.focus
    };
    assert_eq!(walk(&[]), Focus::Steps);
    assert_eq!(walk(&[KeyCode::Tab]), Focus::Detail);
    assert_eq!(walk(&[KeyCode::Tab]), Focus::List);
    assert_eq!(walk(&[KeyCode::Char('l'), KeyCode::Char('l')]), Focus::Detail);
    assert_eq!(walk(&[KeyCode::Char('h'), KeyCode::Left]), Focus::List);
    assert_eq!(console.press(KeyCode::Enter), [], "it is followed already");
    assert_eq!(console.press(KeyCode::Esc), [Command::Unfollow]);
    assert!(console.app.followed.is_none());
}

#[test]
fn the_filter_works_while_it_is_typed_and_keys_are_letters_then() {
    let tasks = vec![
        summary(1, "Quick question", TaskStatus::Running, 1),
        summary(2, "Other", TaskStatus::Failed, 1),
        summary(3, "Quiet", TaskStatus::Failed, 1),
    ];
    let mut console = Console::with(80, 24, tasks);
    console.type_text("/QUI");
    assert_eq!(console.app.list.shown().len(), 2);
    console.press(KeyCode::Enter);
    assert!(!console.app.is_over(), "q was a letter");
    console.press(KeyCode::Char('G'));
    assert_eq!(console.app.list.selection().unwrap().id, task_id(3));
    console.press(KeyCode::Esc);
    console.type_text("/failed");
    assert_eq!(console.app.list.shown().len(), 2);
    console.press(KeyCode::Esc);
    assert_eq!(console.app.list.shown().len(), 3);
    console.press(KeyCode::Char('q'));
    assert!(console.app.is_over());
}

#[test]
fn the_end_of_the_list_reads_more_and_the_selection_stays_on_its_task() {
    let tasks: Vec<_> = (1..=100).map(|number| summary(number, "x", TaskStatus::Succeeded, 100)).collect();
    let mut console = Console::with(80, 24, Vec::new());
    console.app.update(Message::Listed(Ok(Listing { tasks: tasks.clone(), more: true })));
    assert_eq!(console.press(KeyCode::Char('j')), []);
    let selected = console.app.list.selection().unwrap().id;
    assert_eq!(console.press(KeyCode::Char('G')), [Command::List(200)]);
    console.press(KeyCode::Char('g'));
    console.press(KeyCode::Down);
    let newer = std::iter::once(summary(0, "newer", TaskStatus::Queued, 0)).chain(tasks).collect();
    console.app.update(Message::Listed(Ok(Listing { tasks: newer, more: true })));
    assert_eq!(console.app.list.selection().unwrap().id, selected);
}

#[test]
fn news_of_the_feed_and_a_task_at_work_make_the_list_be_read_again() {
    let mut console = Console::with(80, 24, vec![summary(1, "x", TaskStatus::Running, 1)]);
    assert_eq!(console.feed(8), [Command::List(100)]);
    assert_eq!(console.app.feed.last, 8);
    let ticks: Vec<_> = (0..4).flat_map(|_| console.app.update(Message::Tick(now()))).collect();
    assert_eq!(ticks, [Command::List(100), Command::List(100)]);
    console
        .app
        .update(Message::Listed(Ok(Listing { tasks: vec![summary(1, "x", TaskStatus::Waiting, 1)], more: false })));
    let idle: Vec<_> = (0..4).flat_map(|_| console.app.update(Message::Tick(now()))).collect();
    assert_eq!(idle, [], "nothing of it moves by itself");
}

#[test]
fn an_event_counts_once_and_one_that_is_missing_is_told() {
    let mut console = Console::following(80, 24, task(TaskStatus::Running));
    let started = || EventBody::StepStarted { step: "write".parse().unwrap(), actor: None };
    let state = |console: &Console| {
        let Followed { seen, missing, log, .. } = console.app.followed.as_ref().unwrap();
        (*seen, *missing, log.newest_first(None).count())
    };
    console.event(6, started());
    console.event(6, started());
    assert_eq!(state(&console), (Some(6), 0, 6));
    console.event(8, started());
    assert_eq!(state(&console), (Some(8), 1, 7));
    assert!(console.draw().contains("1 events are missing"));
}

#[test]
fn an_old_reading_of_a_task_or_news_of_one_that_was_left_changes_nothing() {
    let mut console = Console::following(80, 24, task(TaskStatus::Running));
    let ended = EventBody::StepEnded {
        step: "choose".parse().unwrap(),
        status: StepStatus::Succeeded,
        output: Value::Null,
        error: None,
        progress: 66,
    };
    assert_eq!(console.event(6, ended), [Command::Look]);
    console.app.update(Message::Snapshot { follow: console.follow, task: Box::new(task(TaskStatus::Running)) });
    let followed = console.app.followed.as_ref().unwrap();
    assert_eq!(followed.task.as_ref().unwrap().progress, 66, "the reading was from before the event");
    console.follow += 1;
    console.event(7, EventBody::CancelRequested);
    assert_eq!(console.app.followed.as_ref().unwrap().seen, Some(6));
}

#[test]
fn memory_is_bounded() {
    let mut console = Console::following(80, 24, task(TaskStatus::Running));
    for seq in 6..5_000 {
        console.event(seq, EventBody::CancelRequested);
    }
    for _ in 0..50 {
        console.delta("choose", &"long ".repeat(1_000));
    }
    let followed = console.app.followed.as_ref().unwrap();
    assert_eq!(followed.log.newest_first(None).count(), 2_000);
    assert_eq!(followed.log.older, 2_999);
    assert!(followed.live.values().next().unwrap().text.len() <= 5_000);
    console.press(KeyCode::Tab);
    console.press(KeyCode::Char('g'));
    assert!(console.draw().contains("2,999 older events are not shown"));
}

#[test]
fn a_feed_that_is_refused_is_not_called_live() {
    let mut console = Console::with(80, 24, Vec::new());
    let news = News::Gone("the key may not do this (forbidden)".into());
    console.app.update(Message::News { source: Source::Feed, news });
    let screen = console.draw();
    assert!(screen.contains("○ away") && screen.contains("(forbidden)"), "{screen}");
}

#[test]
fn a_long_result_leaves_room_for_the_rest() {
    let mut console = Console::following(80, 24, task(TaskStatus::Running));
    let output = json!((1..=400).map(|number| number.to_string()).collect::<Vec<_>>().join("\n"));
    let step = || "choose".parse().unwrap();
    console.event(6, EventBody::ToolCallEnded { step: step(), call: 1, ok: true, output, changed: vec![] });
    console.event(7, EventBody::StepStarted { step: step(), actor: None });
    let screen = console.draw();
    assert!(screen.contains("… 388 more lines") && screen.contains("#6 choose") && screen.contains("#7"), "{screen}");
}

#[test]
fn a_paste_is_never_keys() {
    let mut console = asking(ApprovalKind::Approval);
    let paste = |text: &str| Message::Terminal(Terminal::Paste(text.into()));
    assert_eq!(console.app.update(paste("aqdy")), []);
    assert!(!console.app.is_over());
    let mut console = asking(ApprovalKind::Question);
    console.press(KeyCode::Char('i'));
    assert_eq!(console.app.update(paste("one\ntwo")), []);
    let [Command::Decide { decision: Decision::Answer { text }, .. }] = &console.press(KeyCode::Enter)[..] else {
        panic!("it was not sent");
    };
    assert_eq!(text, "one two");
}

#[test]
fn a_warning_of_the_feed_is_shown_while_it_is_news() {
    let mut console = Console::with(80, 24, vec![summary(1, "one", TaskStatus::Running, 10)]);
    let warned = |seq, at| FeedEntry {
        seq,
        at,
        body: FeedBody::BudgetWarned {
            of: BudgetOf::UserDay,
            limit: BudgetLimit::Cost,
            used: 4_000_000,
            most: 5_000_000,
        },
    };
    console.hear(warned(8, ago(3_600)));
    assert_eq!(console.app.notice, None);
    console.hear(warned(9, now()));
    let notice = "most of the user's budget for the day is used: $4.00 of $5.00";
    assert_eq!(console.app.notice.as_deref(), Some(notice));
}
