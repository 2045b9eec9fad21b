//! The state of the console and how it changes: a message comes in, commands go out. Draws nothing, reads no clock, and
//! speaks to nobody.

mod input;

use std::time::Duration;

use crossterm::event::Event;
use ninja_sdk::api::{Approval, ApprovalId, Decision, FeedBody, StepId, StreamFrame, TaskId, TaskStatus, Timestamp};
use tui_input::Input;

use super::{
    followed::Followed,
    list::List,
    message::{Command, Message, News, Source},
};
use crate::format::{one_line, since};

/// The list is read again after so many ticks while a task is at work: the feed tells of statuses, not of progress.
const REREAD_TICKS: u32 = 2;
/// Ticks after which a notice goes away.
const NOTICE_TICKS: u32 = 8;

/// What the feed tells of is news for so long.
const NEWS_MAX: Duration = Duration::from_secs(60);

/// The state.
#[derive(Debug)]
pub(super) struct App {
    pub(super) now: Timestamp,
    pub(super) list: List,
    pub(super) followed: Option<Followed>,
    pub(super) focus: Focus,
    pub(super) mode: Mode,
    pub(super) tab: Tab,
    /// The selected step; nothing for all of them.
    pub(super) step: Option<StepId>,
    /// Lines between what is shown and where the pane rests: the end of the activity, the beginning of all else.
    pub(super) scroll: usize,
    /// The question that is shown.
    pub(super) asked: Option<ApprovalId>,
    /// Answers that are on their way.
    pub(super) sent: Vec<ApprovalId>,
    pub(super) feed: Link,
    pub(super) events: Link,
    pub(super) notice: Option<String>,
    /// Whether tasks are worked on in this process, because there is no daemon.
    pub(super) is_in_process: bool,
    /// How many lines a page has.
    page: usize,
    is_wide: bool,
    notice_ticks: u32,
    ticks: u32,
    follows: u64,
    over: bool,
}

/// Which pane the keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Steps,
    Detail,
}

/// What the keys do besides.
#[derive(Debug)]
pub(super) enum Mode {
    Normal,
    /// The help, scrolled by so many lines.
    Help(usize),
    /// A filter is typed.
    Filter(Input),
    /// An answer is typed.
    Answer(Input, ApprovalId),
    /// Something is to be confirmed.
    Confirm(Confirm),
}

/// What is to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Confirm {
    /// Cancel this task.
    Cancel(TaskId),
    /// Answer this question so.
    Decide(ApprovalId, Decision),
}

/// What the detail pane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Activity,
    Details,
    Files,
    Questions,
}

/// A stream's connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: LinkState,
    /// When something was last heard.
    pub(super) heard: Timestamp,
    /// The number of the last frame.
    pub(super) last: u64,
}

/// How a connection is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    Connecting,
    Live,
    Away(String),
}

/// What the view found out while drawing: how far the panes can be scrolled, how long a page is, what is beside
/// what.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    pub(super) scroll_max: usize,
    pub(super) page: usize,
    pub(super) help_max: usize,
    /// Whether the list is beside the task.
    pub(super) is_wide: bool,
}

impl Link {
    fn new(now: Timestamp) -> Self {
        Self { state: LinkState::Connecting, heard: now, last: 0 }
    }
}

impl App {
    /// Makes the state of a console that has just been opened, and what it wants first.
    pub(super) fn new(now: Timestamp, is_in_process: bool) -> (Self, Vec<Command>) {
        let app = Self {
            now,
            list: List::new(),
            followed: None,
            focus: Focus::List,
            mode: Mode::Normal,
            tab: Tab::Activity,
            step: None,
            scroll: 0,
            asked: None,
            sent: Vec::new(),
            feed: Link::new(now),
            events: Link::new(now),
            notice: None,
            is_in_process,
            page: 1,
            is_wide: false,
            notice_ticks: 0,
            ticks: 0,
            follows: 0,
            over: false,
        };
        let first = vec![Command::List(app.list.wanted)];
        (app, first)
    }

    /// Returns whether the person has left.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes a message and returns what is to be done.
    pub(super) fn update(&mut self, message: Message) -> Vec<Command> {
        match message {
            Message::Terminal(Event::Key(key)) => self.press(&key),
            Message::Terminal(Event::Paste(text)) => self.paste(&text),
            Message::Terminal(_) => Vec::new(),
            Message::Tick(now) => self.tick(now),
            Message::Listed(Ok(listing)) => {
                self.list.replace(listing);
                Vec::new()
            }
            Message::Listed(Err(why)) => {
                self.say(format!("the tasks could not be read: {why}"));
                Vec::new()
            }
            Message::News { source: Source::Feed, news } => self.hear_feed(news),
            Message::News { source: Source::Task(follow), news } => self.hear_task(follow, news),
            Message::Snapshot { follow, task } => {
                if let Some(followed) = self.followed.as_mut().filter(|followed| followed.follow == follow) {
                    self.list.update(&task);
                    let is_first = followed.task.is_none();
                    followed.replace(task);
                    self.look_at_questions(is_first);
                }
                Vec::new()
            }
            Message::Done { task, approval, result } => self.done(task, approval, result),
            Message::Trouble(what) => {
                self.say(what);
                Vec::new()
            }
        }
    }

    /// Takes what the view found out.
    pub(super) fn drawn(&mut self, extent: Extent) {
        self.scroll = self.scroll.min(extent.scroll_max);
        if let Mode::Help(scroll) = &mut self.mode {
            *scroll = (*scroll).min(extent.help_max);
        }
        (self.page, self.is_wide) = (extent.page.max(1), extent.is_wide);
    }

    /// Returns the open questions of the followed task.
    pub(super) fn questions(&self) -> &[Approval] {
        let task = self.followed.as_ref().and_then(|followed| followed.task.as_ref());
        task.map_or(&[], |task| &task.approvals)
    }

    /// Returns the question that is shown, while it is.
    pub(super) fn question(&self) -> Option<&Approval> {
        let is_shown = self.tab == Tab::Questions && self.focus != Focus::List;
        self.questions().iter().find(|open| is_shown && Some(open.id) == self.asked)
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Command> {
        self.now = now;
        self.ticks = self.ticks.wrapping_add(1);
        self.notice_ticks = self.notice_ticks.saturating_sub(1);
        if self.notice_ticks == 0 {
            self.notice = None;
        }
        let moves = |status| matches!(status, TaskStatus::Queued | TaskStatus::Planning | TaskStatus::Running);
        let is_live = self.feed.state == LinkState::Live;
        match is_live
            && self.ticks.is_multiple_of(REREAD_TICKS)
            && self.list.all().iter().any(|task| moves(task.status))
        {
            true => vec![Command::List(self.list.wanted)],
            false => Vec::new(),
        }
    }

    fn hear_feed(&mut self, news: News) -> Vec<Command> {
        let is_up = matches!(news, News::Up);
        let frame = hear(&mut self.feed, news, self.now);
        if let Some(StreamFrame::Feed { entry }) = frame {
            self.feed.last = entry.seq;
            if let FeedBody::BudgetWarned { of, limit, used, most } = entry.body
                && since(entry.at, self.now) < NEWS_MAX
            {
                let (used, most, whose) = (limit.amount(used), limit.amount(most), of.words());
                self.say(format!("most of {whose} is used: {used} of {most}"));
            }
            return vec![Command::List(self.list.wanted)];
        }
        // What happened while nobody listened is in the list.
        if is_up { vec![Command::List(self.list.wanted)] } else { Vec::new() }
    }

    fn hear_task(&mut self, follow: u64, news: News) -> Vec<Command> {
        let Some(followed) = self.followed.as_mut().filter(|followed| followed.follow == follow) else {
            return Vec::new();
        };
        match &news {
            News::Down(_) => followed.tear(),
            News::Gone(why) => followed.gone = Some(one_line(why)),
            News::Up | News::Alive | News::Frame(_) => {}
        }
        let is_up = matches!(news, News::Up);
        let Some(frame) = hear(&mut self.events, news, self.now) else {
            return if is_up { vec![Command::Look] } else { Vec::new() };
        };
        let must_look = followed.take(frame);
        self.events.last = followed.seen.unwrap_or(self.events.last);
        if let Some(task) = &followed.task {
            self.list.update(task);
        }
        if must_look { vec![Command::Look] } else { Vec::new() }
    }

    fn done(
        &mut self,
        task: TaskId,
        approval: Option<ApprovalId>,
        result: Result<Box<ninja_sdk::api::Task>, String>,
    ) -> Vec<Command> {
        self.sent.retain(|sent| Some(*sent) != approval);
        match result {
            Ok(_) if approval.is_some() => self.say("answered".into()),
            Ok(after) => self.say(format!("the task is {}", after.status.as_str())),
            Err(why) => self.say(why),
        }
        let mut commands = vec![Command::List(self.list.wanted)];
        if self.followed.as_ref().is_some_and(|followed| followed.id == task) {
            commands.push(Command::Look);
        }
        commands
    }

    /// Keeps a question that is not open any more from being shown. The first reading of a task that asks shows the question;
    /// later ones only say that there is one, so that no key meant for something else answers it.
    fn look_at_questions(&mut self, is_first: bool) {
        let open: Vec<ApprovalId> = self.questions().iter().map(|approval| approval.id).collect();
        if self.asked.is_some_and(|asked| !open.contains(&asked)) {
            self.asked = None;
            if self.tab == Tab::Questions {
                self.show(Tab::Activity);
            }
        }
        if let (true, Some(first)) = (is_first && self.focus != Focus::List, open.first()) {
            self.asked = Some(*first);
            self.show(Tab::Questions);
        }
    }

    fn show(&mut self, tab: Tab) {
        (self.tab, self.scroll) = (tab, 0);
    }

    fn say(&mut self, notice: String) {
        (self.notice, self.notice_ticks) = (Some(one_line(&notice)), NOTICE_TICKS);
    }

    fn follow(&mut self, task: TaskId) -> Vec<Command> {
        self.focus = Focus::Steps;
        if self.followed.as_ref().is_some_and(|followed| followed.id == task && followed.gone.is_none()) {
            return Vec::new();
        }
        self.follows += 1;
        self.followed = Some(Followed::new(self.follows, task));
        (self.step, self.asked, self.events) = (None, None, Link::new(self.now));
        self.show(Tab::Activity);
        vec![Command::Follow { follow: self.follows, task }]
    }

    fn leave_task(&mut self) -> Vec<Command> {
        self.focus = Focus::List;
        match self.followed.take() {
            Some(_) => vec![Command::Unfollow],
            None => Vec::new(),
        }
    }
}

/// Notes what news says of a connection; returns the frame in it.
fn hear(link: &mut Link, news: News, now: Timestamp) -> Option<StreamFrame> {
    let frame = match news {
        News::Down(why) | News::Gone(why) => {
            link.state = LinkState::Away(one_line(&why));
            return None;
        }
        News::Up | News::Alive => None,
        News::Frame(frame) => Some(frame),
    };
    (link.state, link.heard) = (LinkState::Live, now);
    frame
}
