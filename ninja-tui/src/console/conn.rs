//! The world behind the console: carries commands out through the SDK and turns streams and answers into messages.
//!
//! Each worker sends into one bounded channel and waits where it is full, so a burst slows the streams down, which then
//! catch up from the daemon's disk; nothing is dropped here and nothing piles up.

use std::time::Duration;

use ninja_sdk::{
    EventStream, ListTasks, Ninja, SdkError, Signal,
    api::{ErrorCode, StreamFrame, Task, TaskId, TaskSummary},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::message::{Command, Listing, Message, News, Source};
use crate::format::one_line;

/// The most that the daemon gives at a time.
const PAGE: usize = 200;
/// Between two readings of the same thing: what is asked for meanwhile is one reading.
const READING_PAUSE: Duration = Duration::from_millis(250);
/// The SDK's streams come back by themselves; this is for one that gave up, and for plain requests.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// A cancellation takes at most two seconds.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// Events before the present one that are shown of a task.
const HISTORY_EVENTS: u64 = 500;

/// The connection, and what works on it. Everything ends when it is dropped; [`Conn::close`] is kinder.
pub(super) struct Conn {
    world: World,
    list: watch::Sender<usize>,
    look: watch::Sender<u64>,
    followed: JoinSet<()>,
    /// Answers and cancellations on their way.
    words: JoinSet<()>,
    _always: JoinSet<()>,
}

/// What every worker needs.
#[derive(Clone)]
struct World {
    ninja: Ninja,
    messages: mpsc::Sender<Message>,
}

/// The console was closed.
struct Closed;

impl Conn {
    /// Begins to follow the feed.
    pub(super) fn open(ninja: Ninja, messages: mpsc::Sender<Message>) -> Self {
        let world = World { ninja, messages };
        let (list, wanted) = watch::channel(0);
        let mut always = JoinSet::new();
        let (feed, lister) = (world.clone(), world.clone());
        always.spawn(async move { feed.pump(Source::Feed, None, 0).await });
        always.spawn(async move { lister.list(wanted).await });
        Self {
            world,
            list,
            look: watch::channel(0).0,
            followed: JoinSet::new(),
            words: JoinSet::new(),
            _always: always,
        }
    }

    /// Carries a command out; what comes of it comes as a message.
    pub(super) fn execute(&mut self, command: Command) {
        let world = self.world.clone();
        match command {
            Command::List(tasks) => _ = self.list.send_replace(tasks),
            Command::Look => self.look.send_modify(|looks| *looks += 1),
            Command::Unfollow => self.followed.abort_all(),
            Command::Follow { follow, task } => {
                let (look, looked) = watch::channel(0);
                (self.look, self.followed) = (look, JoinSet::new());
                self.followed.spawn(async move { world.follow(follow, task, looked).await });
            }
            Command::Decide { task, approval, decision } => {
                self.words.spawn(async move {
                    let result = world.ninja.decide_approval(task, approval, &decision).await;
                    world.done(task, Some(approval), result).await;
                });
            }
            Command::Cancel(task) => {
                self.words.spawn(async move {
                    let result = world.ninja.cancel_task(task).await;
                    world.done(task, None, result).await;
                });
            }
        }
        // What has ended is forgotten, or a console of many days would remember every answer.
        while self.words.try_join_next().is_some() {}
    }

    /// Lets what the person has said reach the daemon, for a moment.
    pub(super) async fn close(mut self) {
        self.followed.abort_all();
        let said = async { while self.words.join_next().await.is_some() {} };
        // Whoever leaves while the daemon is away does not wait for it.
        timeout(CLOSE_MAX, said).await.ok();
    }
}

impl World {
    /// Reads the newest tasks whenever that is wanted.
    async fn list(&self, mut wanted: watch::Receiver<usize>) {
        while wanted.changed().await.is_ok() {
            let tasks = *wanted.borrow_and_update();
            let listed = self.newest(tasks).await;
            let pause = if listed.is_ok() { READING_PAUSE } else { RETRY_PAUSE };
            if listed.is_err() {
                wanted.mark_changed();
            }
            if self.send(Message::Listed(listed.map_err(|error| words(&error)))).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
    }

    async fn newest(&self, tasks: usize) -> Result<Listing, SdkError> {
        let mut listing = Listing { tasks: Vec::<TaskSummary>::new(), more: true };
        let mut cursor = None;
        while listing.more && listing.tasks.len() < tasks {
            let limit = u32::try_from((tasks - listing.tasks.len()).min(PAGE)).ok();
            let page = self.ninja.list_tasks(&ListTasks { cursor, limit, ..ListTasks::default() }).await?;
            listing.tasks.extend(page.items);
            listing.more = page.next_cursor.is_some();
            cursor = page.next_cursor;
        }
        Ok(listing)
    }

    /// Reads a task, then its newest events, then what happens; and reads it again whenever that is wanted.
    async fn follow(self, follow: u64, id: TaskId, mut looked: watch::Receiver<u64>) {
        let source = Source::Task(follow);
        let Some(task) = self.read(source, id).await else { return };
        let first = task.last_seq.saturating_sub(HISTORY_EVENTS);
        if self.send(Message::Snapshot { follow, task }).await.is_err() {
            return;
        }
        let looks = async {
            while looked.changed().await.is_ok() {
                let Some(task) = self.read(source, id).await else { return };
                if self.send(Message::Snapshot { follow, task }).await.is_err() {
                    return;
                }
                sleep(READING_PAUSE).await;
            }
        };
        tokio::join!(looks, self.pump(source, Some(id), first));
    }

    /// Reads a task, however long that takes; nothing where there is none or nobody wants it any more.
    async fn read(&self, source: Source, id: TaskId) -> Option<Box<Task>> {
        loop {
            let news = match self.ninja.task(id).await {
                Ok(task) => return Some(Box::new(task)),
                Err(error) => trouble(&error),
            };
            let is_gone = matches!(news, News::Gone(_));
            if self.send(Message::News { source, news }).await.is_err() || is_gone {
                return None;
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// Passes a stream on from after `last`, and makes another where it gives up, until it has ended.
    async fn pump(&self, source: Source, task: Option<TaskId>, mut last: u64) {
        loop {
            let opened = match task {
                Some(task) => self.ninja.events(task, Some(last)).await,
                None => self.ninja.feed(Some(last)).await,
            };
            let news = match opened {
                Ok(stream) => match self.pass_on(source, stream, &mut last).await {
                    Ok(Some(news)) => news,
                    Ok(None) | Err(Closed) => return,
                },
                Err(error) => trouble(&error),
            };
            let is_gone = matches!(news, News::Gone(_)) && task.is_some();
            if self.send(Message::News { source, news }).await.is_err() || is_gone {
                return;
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// Passes a stream on until it breaks, and returns why; nothing where all of it has come.
    async fn pass_on(&self, source: Source, mut stream: EventStream, last: &mut u64) -> Result<Option<News>, Closed> {
        self.send(Message::News { source, news: News::Up }).await?;
        while let Some(signal) = stream.next_signal().await {
            let news = match signal {
                Ok(Signal::Frame(frame)) => {
                    *last = number(&frame).unwrap_or(*last);
                    News::Frame(frame)
                }
                Ok(Signal::Back) => News::Up,
                Ok(Signal::Away { reason, .. }) => News::Down(reason),
                Ok(_) => News::Alive,
                Err(error) => return Ok(Some(trouble(&error))),
            };
            let is_end = matches!(news, News::Frame(StreamFrame::End { .. }));
            self.send(Message::News { source, news }).await?;
            if is_end {
                return Ok(None);
            }
        }
        Ok(Some(News::Down("the stream has ended".into())))
    }

    async fn done(&self, task: TaskId, approval: Option<ninja_sdk::api::ApprovalId>, result: Result<Task, SdkError>) {
        let result = result.map(Box::new).map_err(|error| words(&error));
        // Whoever closed the console does not wait for this.
        self.send(Message::Done { task, approval, result }).await.ok();
    }

    async fn send(&self, message: Message) -> Result<(), Closed> {
        self.messages.send(message).await.map_err(|_| Closed)
    }
}

fn number(frame: &StreamFrame) -> Option<u64> {
    match frame {
        StreamFrame::Event { event } => Some(event.seq),
        StreamFrame::Feed { entry } => Some(entry.seq),
        StreamFrame::Delta { .. }
        | StreamFrame::Lagged { .. }
        | StreamFrame::End { .. }
        | StreamFrame::Error { .. } => None,
    }
}

fn trouble(error: &SdkError) -> News {
    match error.code() {
        Some(ErrorCode::NotFound | ErrorCode::Forbidden) => News::Gone(words(error)),
        _ => News::Down(words(error)),
    }
}

fn words(error: &SdkError) -> String {
    one_line(&error.chain())
}
