//! What keys do to the state.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ninja_sdk::api::{ApprovalKind, Decision};
use tui_input::{Input, InputRequest};

use super::{App, Confirm, Focus, Mode, Tab};
use crate::console::{
    answer::{Reply, reply},
    keys::{self, Action, Scope},
    message::Command,
};

/// The longest answer that can be typed: more is better written into a file.
const TYPED_CHARACTERS: usize = 10_000;

impl App {
    /// Returns the scopes whose keys count now, the nearest first.
    pub(in crate::console) fn scopes(&self) -> Vec<Scope> {
        let mut scopes = match self.mode {
            Mode::Filter(_) | Mode::Answer(..) => return vec![Scope::Typing, Scope::Always],
            Mode::Confirm(_) => return vec![Scope::Confirm, Scope::Always],
            Mode::Help(_) => return vec![Scope::Help, Scope::Everywhere, Scope::Always],
            Mode::Normal => Vec::new(),
        };
        match self.question().map(|question| question.kind) {
            Some(ApprovalKind::Ambiguous) => scopes.extend([Scope::Ambiguous, Scope::Question]),
            Some(ApprovalKind::Approval | ApprovalKind::Question | ApprovalKind::Plan) => scopes.push(Scope::Question),
            // The keys that answer are known before the question is shown; then they show it.
            None if !self.questions().is_empty() && self.focus != Focus::List => scopes.push(Scope::Question),
            None => {}
        }
        scopes.push(if self.focus == Focus::List { Scope::List } else { Scope::Task });
        scopes.extend([Scope::Everywhere, Scope::Always]);
        scopes
    }

    pub(super) fn press(&mut self, key: &KeyEvent) -> Vec<Command> {
        match keys::action(&self.scopes(), key) {
            Some(Action::Interrupt | Action::Quit) => {
                self.over = true;
                Vec::new()
            }
            Some(action) => match &self.mode {
                Mode::Normal => self.act(action),
                Mode::Help(_) => self.act_in_help(action),
                Mode::Filter(_) | Mode::Answer(..) => self.finish_typing(action),
                Mode::Confirm(_) => self.finish_confirming(action),
            },
            None => {
                self.edit(key);
                Vec::new()
            }
        }
    }

    pub(super) fn paste(&mut self, text: &str) -> Vec<Command> {
        // Elsewhere a paste is dropped: its letters are not keys.
        if let Mode::Filter(input) | Mode::Answer(input, _) = &mut self.mode {
            for character in text.chars() {
                insert(input, if character.is_control() { ' ' } else { character });
            }
        }
        self.apply_filter();
        Vec::new()
    }

    fn edit(&mut self, key: &KeyEvent) {
        let (Mode::Filter(input) | Mode::Answer(input, _)) = &mut self.mode else { return };
        if key.kind != KeyEventKind::Press {
            return;
        }
        let is_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let request = match (key.code, is_ctrl) {
            (KeyCode::Char(character), false) => {
                insert(input, character);
                None
            }
            (KeyCode::Backspace, _) => Some(InputRequest::DeletePrevChar),
            (KeyCode::Delete, _) => Some(InputRequest::DeleteNextChar),
            (KeyCode::Left, _) => Some(InputRequest::GoToPrevChar),
            (KeyCode::Right, _) => Some(InputRequest::GoToNextChar),
            (KeyCode::Home, _) | (KeyCode::Char('a'), true) => Some(InputRequest::GoToStart),
            (KeyCode::End, _) | (KeyCode::Char('e'), true) => Some(InputRequest::GoToEnd),
            (KeyCode::Char('w'), true) => Some(InputRequest::DeletePrevWord),
            (KeyCode::Char('u'), true) => Some(InputRequest::DeleteLine),
            _ => None,
        };
        if let Some(request) = request {
            input.handle(request);
        }
        self.apply_filter();
    }

    /// A filter works while it is typed.
    fn apply_filter(&mut self) {
        if let Mode::Filter(input) = &self.mode {
            self.list.filter = input.value().to_owned();
        }
    }

    fn act(&mut self, action: Action) -> Vec<Command> {
        match action {
            Action::Up => self.go(|at, _| at.saturating_sub(1), 1, false),
            Action::Down => self.go(|at, _| at + 1, 1, true),
            Action::PageUp => self.go(|at, page| at.saturating_sub(page), self.page, false),
            Action::PageDown => self.go(|at, page| at.saturating_add(page), self.page, true),
            Action::Top => self.go(|_, _| 0, usize::MAX / 2, false),
            Action::Bottom => self.go(|_, _| usize::MAX, usize::MAX / 2, true),
            Action::Open | Action::Right if self.focus == Focus::List => self.open(),
            Action::Right => self.focus_on(Focus::Detail),
            Action::Left if self.focus == Focus::Detail => self.focus_on(Focus::Steps),
            Action::Left => self.focus_on(Focus::List),
            Action::NextPane => self.next_pane(),
            Action::Back => self.back(),
            Action::Help => self.enter(Mode::Help(0)),
            Action::Filter => self.enter(Mode::Filter(Input::new(self.list.filter.clone()))),
            Action::Activity => self.turn_to(Tab::Activity),
            Action::Details => self.turn_to(Tab::Details),
            Action::Files => self.turn_to(Tab::Files),
            Action::Questions => self.next_question(),
            Action::Approve | Action::Deny | Action::Answer | Action::Happened | Action::DidNotHappen => {
                self.answer(action)
            }
            Action::Cancel => self.ask_to_cancel(),
            Action::Open
            | Action::Quit
            | Action::Interrupt
            | Action::Yes
            | Action::No
            | Action::Submit
            | Action::Leave => Vec::new(),
        }
    }

    fn act_in_help(&mut self, action: Action) -> Vec<Command> {
        let (Mode::Help(scroll), page) = (&mut self.mode, self.page) else { return Vec::new() };
        match action {
            Action::Up => *scroll = scroll.saturating_sub(1),
            Action::Down => *scroll += 1,
            Action::PageUp => *scroll = scroll.saturating_sub(page),
            Action::PageDown => *scroll += page,
            Action::Top => *scroll = 0,
            Action::Bottom => *scroll = usize::MAX / 2,
            Action::Help | Action::Back => self.mode = Mode::Normal,
            _ => {}
        }
        Vec::new()
    }

    fn finish_typing(&mut self, action: Action) -> Vec<Command> {
        let is_done = action == Action::Submit;
        match std::mem::replace(&mut self.mode, Mode::Normal) {
            Mode::Filter(_) if !is_done => self.list.filter.clear(),
            Mode::Answer(input, approval) if is_done => {
                return self.decide(approval, Decision::Answer { text: input.value().to_owned() });
            }
            _ => {}
        }
        Vec::new()
    }

    fn finish_confirming(&mut self, action: Action) -> Vec<Command> {
        match std::mem::replace(&mut self.mode, Mode::Normal) {
            Mode::Confirm(Confirm::Cancel(task)) if action == Action::Yes => {
                self.say("cancelling…".into());
                vec![Command::Cancel(task)]
            }
            Mode::Confirm(Confirm::Decide(approval, decision)) if action == Action::Yes => {
                self.decide(approval, decision)
            }
            _ => Vec::new(),
        }
    }

    /// Moves in the pane that has the focus: a selection to a place, a text by lines.
    fn go(&mut self, to: impl FnOnce(usize, usize) -> usize, lines: usize, is_down: bool) -> Vec<Command> {
        match self.focus {
            Focus::List => {
                let page = self.page;
                let wants_more = self.list.select(|at, _| to(at, page));
                if wants_more { vec![Command::List(self.list.wanted)] } else { Vec::new() }
            }
            Focus::Steps => {
                self.select_step(to);
                Vec::new()
            }
            Focus::Detail => {
                // The activity is scrolled from its end, everything else from its beginning.
                let is_away = is_down != (self.tab == Tab::Activity);
                self.scroll = match is_away {
                    true => self.scroll.saturating_add(lines),
                    false => self.scroll.saturating_sub(lines),
                };
                Vec::new()
            }
        }
    }

    /// Selects among the steps; above the first is the whole task.
    fn select_step(&mut self, to: impl FnOnce(usize, usize) -> usize) {
        let Some(followed) = &self.followed else { return };
        let Some(task) = &followed.task else { return };
        let step_at = |place: usize| followed.lines.get(place).and_then(|line| task.steps.get(line.index));
        let at = match &self.step {
            None => 0,
            Some(id) => {
                1 + (0..followed.lines.len())
                    .position(|place| step_at(place).is_some_and(|step| step.id == *id))
                    .unwrap_or(0)
            }
        };
        let place = to(at, self.page).min(followed.lines.len());
        self.step = place.checked_sub(1).and_then(step_at).map(|step| step.id.clone());
        self.scroll = 0;
        if self.tab == Tab::Questions {
            self.tab = Tab::Activity;
        }
    }

    fn open(&mut self) -> Vec<Command> {
        let selected = self.list.selection().map(|task| task.id);
        selected.map(|task| self.follow(task)).unwrap_or_default()
    }

    fn back(&mut self) -> Vec<Command> {
        if self.focus == Focus::List && self.followed.is_none() {
            self.list.filter.clear();
        }
        self.leave_task()
    }

    fn focus_on(&mut self, focus: Focus) -> Vec<Command> {
        if self.followed.is_some() {
            self.focus = focus;
        }
        Vec::new()
    }

    fn next_pane(&mut self) -> Vec<Command> {
        self.focus_on(match self.focus {
            Focus::List => Focus::Steps,
            Focus::Steps => Focus::Detail,
            Focus::Detail if self.is_wide => Focus::List,
            // Where the list is not on the screen, a key that walks around it would leave the task.
            Focus::Detail => Focus::Steps,
        })
    }

    fn enter(&mut self, mode: Mode) -> Vec<Command> {
        self.mode = mode;
        Vec::new()
    }

    fn turn_to(&mut self, tab: Tab) -> Vec<Command> {
        self.show(tab);
        Vec::new()
    }

    /// Shows the open question after the one that is shown, or the first.
    fn next_question(&mut self) -> Vec<Command> {
        let open = self.questions();
        let next = match self.question().and_then(|shown| open.iter().position(|one| one.id == shown.id)) {
            Some(at) => (at + 1) % open.len().max(1),
            None => 0,
        };
        self.asked = open.get(next).map(|approval| approval.id);
        self.show(Tab::Questions);
        if self.focus == Focus::Steps {
            self.focus = Focus::Detail;
        }
        Vec::new()
    }

    fn answer(&mut self, action: Action) -> Vec<Command> {
        let Some((id, kind)) = self.question().map(|question| (question.id, question.kind)) else {
            if !self.questions().is_empty() {
                self.say("read the question, then press the key again".into());
            }
            return self.next_question();
        };
        if self.sent.contains(&id) {
            self.say("the answer is on its way".into());
            return Vec::new();
        }
        match reply(kind, action) {
            Reply::Give(decision) => self.decide(id, decision),
            Reply::Confirm(decision) => self.enter(Mode::Confirm(Confirm::Decide(id, decision))),
            Reply::Type => self.enter(Mode::Answer(Input::default(), id)),
            Reply::No(how) => {
                self.say(how.into());
                Vec::new()
            }
        }
    }

    fn decide(&mut self, approval: ninja_sdk::api::ApprovalId, decision: Decision) -> Vec<Command> {
        let Some(task) = self.questions().iter().find(|open| open.id == approval).map(|open| open.task) else {
            self.say("the question was answered meanwhile".into());
            return Vec::new();
        };
        self.sent.push(approval);
        self.say("the answer is on its way".into());
        vec![Command::Decide { task, approval, decision }]
    }

    fn ask_to_cancel(&mut self) -> Vec<Command> {
        let task = match (self.focus, &self.followed) {
            (Focus::Steps | Focus::Detail, Some(followed)) => followed.task.as_ref().map(|task| (task.id, task.status)),
            _ => self.list.selection().map(|task| (task.id, task.status)),
        };
        match task {
            Some((_, status)) if status.is_terminal() => {
                self.say(format!("the task has ended: it is {}", status.as_str()));
                Vec::new()
            }
            Some((task, _)) => self.enter(Mode::Confirm(Confirm::Cancel(task))),
            None => Vec::new(),
        }
    }
}

fn insert(input: &mut Input, character: char) {
    if input.value().chars().count() < TYPED_CHARACTERS {
        input.handle(InputRequest::InsertChar(character));
    }
}
