//! Live events: replay from disk, then tail. A slow reader loses liveness, never data.
//!
//! The writer's commit comes first; only then is anything published here. Numbered frames that a reader misses because it
//! lags are read again from disk; unnumbered ones (text deltas) are gone.

use std::{
    cmp::Ordering,
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering as Memory},
    },
    time::Duration,
};

use tokio::{sync::broadcast, time::Instant};

use super::{
    record::Entry,
    store::{Store, StoreError},
};
use crate::{
    api::{ApiError, ErrorCode, Event, EventBody, FeedBody, FeedEntry, StepId, StreamFrame, TaskId, Timestamp, UserId},
    machine::project,
};

/// Commits, and pieces of text, that a reader may fall behind before it is sent back to the disk. Few: each costs memory
/// for every slow reader, and the disk has them all.
const TAIL_COMMITS: usize = 64;
/// After this long without a frame a reader looks at the disk: an actor that ends between its commit and its publishing
/// leaves a record that nobody is told of.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Progress that comes within this time after what was last read waits for its end, so that what comes meanwhile goes out
/// together: too short to be seen, long enough that quick steps and a model's words are sent with few writes. What comes
/// after a pause does not wait, nor does what a person did, is asked or waits for.
const REST: Duration = Duration::from_millis(60);
/// When so many frames wait, no more are waited for.
const REST_FRAMES: usize = 64;
/// Records read from disk at a time.
const PAGE_RECORDS: usize = 256;

/// One frame, serialised once for all readers.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number; `None` for what may be dropped.
    pub seq: Option<u64>,
    /// The [`StreamFrame`] as JSON.
    pub json: Arc<str>,
    kind: Kind,
}

/// What a frame is to the one who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The engine goes on by itself, and nobody but it had a part in this: it may wait for what follows it.
    Progress,
    /// Somebody did this, is asked or waits for it.
    Notice,
    /// Nothing follows, as long as the record of this number is the last.
    End { after: u64 },
}

impl Frame {
    fn event(event: Event) -> Self {
        let kind = if is_progress(&event.event) { Kind::Progress } else { Kind::Notice };
        Self::new(Some(event.seq), kind, &StreamFrame::Event { event })
    }

    fn delta(task: TaskId, step: &StepId, text: &str) -> Self {
        let frame = StreamFrame::Delta { task, step: step.clone(), text: text.to_owned() };
        Self::new(None, Kind::Progress, &frame)
    }

    fn feed(entry: FeedEntry) -> Self {
        Self::new(Some(entry.seq), Kind::Notice, &StreamFrame::Feed { entry })
    }

    fn lagged(source: Source, seq: u64) -> Self {
        let task = match source {
            Source::Task(task) => Some(task),
            Source::User(_) => None,
        };
        Self::new(None, Kind::Notice, &StreamFrame::Lagged { task, seq })
    }

    fn end(task: TaskId, after: u64) -> Self {
        Self::new(None, Kind::End { after }, &StreamFrame::End { task })
    }

    fn gone(task: TaskId, after: u64) -> Self {
        let error = ApiError::new(ErrorCode::NotFound, format!("{task} was deleted"));
        Self::new(None, Kind::End { after }, &StreamFrame::Error { error })
    }

    fn new(seq: Option<u64>, kind: Kind, frame: &StreamFrame) -> Self {
        let json = serde_json::to_string(frame).expect("a frame has string keys only");
        Self { seq, json: json.into(), kind }
    }
}

fn is_progress(event: &EventBody) -> bool {
    matches!(
        event,
        EventBody::PlanMade { .. }
            | EventBody::StepsAdded { .. }
            | EventBody::StepRetried { .. }
            | EventBody::StepStarted { .. }
            | EventBody::StepEnded { .. }
            | EventBody::ModelCallStarted { .. }
            | EventBody::ModelCallEnded { .. }
            | EventBody::ToolCallStarted { .. }
            | EventBody::ToolCallEnded { .. }
            | EventBody::CallEnded { .. }
            | EventBody::StepResumed { .. }
    )
}

/// What becomes known in one moment: the frames of a commit, or a piece of text. A reader wakes once for all of it.
type Frames = Arc<[Frame]>;

/// Where commits are published.
#[derive(Debug, Clone, Default)]
pub struct FeedHub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tasks: Mutex<HashMap<TaskId, broadcast::Sender<Frames>>>,
    users: Mutex<HashMap<UserId, broadcast::Sender<Frames>>>,
    /// How often a reader fell behind what was published.
    lagged: AtomicU64,
}

impl FeedHub {
    /// Returns how often a reader fell behind what was published and read on from the disk.
    pub fn lagged(&self) -> u64 {
        self.0.lagged.load(Memory::Relaxed)
    }

    /// Publishes records that were committed, the first of them numbered `first_seq`.
    pub fn publish_task(&self, task: TaskId, first_seq: u64, entries: &[Entry]) {
        let Some(sender) = live(&self.0.tasks, &task) else { return };
        let mut frames = Vec::with_capacity(entries.len() + 1);
        for (seq, entry) in (first_seq..).zip(entries) {
            let event = project(task, seq, entry);
            let ended = matches!(event.event, EventBody::TaskEnded { .. });
            frames.push(Frame::event(event));
            if ended {
                frames.push(Frame::end(task, seq));
            }
        }
        // Nobody listening is no failure: readers come from disk.
        sender.send(frames.into()).ok();
    }

    /// Publishes that a task was deleted whose last record had the number `last_seq`.
    pub fn publish_gone(&self, task: TaskId, last_seq: u64) {
        let Some(sender) = live(&self.0.tasks, &task) else { return };
        sender.send([Frame::gone(task, last_seq)].into()).ok();
    }

    /// Publishes feed entries that were committed.
    pub fn publish_user(&self, user: UserId, entries: Vec<FeedEntry>) {
        let Some(sender) = live(&self.0.users, &user) else { return };
        sender.send(entries.into_iter().map(Frame::feed).collect()).ok();
    }

    /// Publishes text that a model is producing. May be lost.
    pub fn publish_delta(&self, task: TaskId, step: &StepId, text: &str) {
        let Some(sender) = live(&self.0.tasks, &task) else { return };
        sender.send([Frame::delta(task, step, text)].into()).ok();
    }
}

/// Returns the sender if anybody listens, and forgets it if nobody does any more.
fn live<K: std::hash::Hash + Eq>(
    senders: &Mutex<HashMap<K, broadcast::Sender<Frames>>>,
    key: &K,
) -> Option<broadcast::Sender<Frames>> {
    let mut senders = senders.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = senders.get(key)?;
    if sender.receiver_count() > 0 {
        return Some(sender.clone());
    }
    senders.remove(key);
    None
}

fn subscribe<K: std::hash::Hash + Eq>(
    senders: &Mutex<HashMap<K, broadcast::Sender<Frames>>>,
    key: K,
) -> broadcast::Receiver<Frames> {
    let mut senders = senders.lock().unwrap_or_else(PoisonError::into_inner);
    senders.entry(key).or_insert_with(|| broadcast::channel(TAIL_COMMITS).0).subscribe()
}

/// What a reader follows.
#[derive(Debug, Clone, Copy)]
enum Source {
    Task(TaskId),
    User(UserId),
}

/// A reader's end of a source's frames. The last one to leave takes the sender with it: an ended task publishes nothing
/// more, so nobody else would.
struct Tail {
    hub: FeedHub,
    source: Source,
    frames: Option<broadcast::Receiver<Frames>>,
}

impl Tail {
    fn new(hub: &FeedHub, source: Source) -> Self {
        let frames = match source {
            Source::Task(task) => subscribe(&hub.0.tasks, task),
            Source::User(user) => subscribe(&hub.0.users, user),
        };
        Self { hub: hub.clone(), source, frames: Some(frames) }
    }

    async fn recv(&mut self) -> Result<Frames, broadcast::error::RecvError> {
        match &mut self.frames {
            Some(frames) => frames.recv().await,
            None => Err(broadcast::error::RecvError::Closed),
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let frames = self.frames.take();
        match self.source {
            Source::Task(task) => leave(&self.hub.0.tasks, &task, frames),
            Source::User(user) => leave(&self.hub.0.users, &user, frames),
        }
    }
}

/// Drops a receiver under the lock that receivers are made under, so that exactly one of those who leave is the last.
fn leave<K: std::hash::Hash + Eq>(
    senders: &Mutex<HashMap<K, broadcast::Sender<Frames>>>,
    key: &K,
    frames: Option<broadcast::Receiver<Frames>>,
) {
    let mut senders = senders.lock().unwrap_or_else(PoisonError::into_inner);
    drop(frames);
    if senders.get(key).is_some_and(|sender| sender.receiver_count() == 0) {
        senders.remove(key);
    }
}

/// What came from the tail.
enum Received {
    /// What may wait for what follows it, or nothing new.
    Progress,
    /// Anything else, or word that something was missed.
    Other,
    /// Nothing comes any more.
    Closed,
}

/// A reader's place in a task's events or a user's feed. Every numbered frame comes exactly once, in order.
pub struct Follow {
    source: Source,
    store: Arc<dyn Store>,
    tail: Tail,
    seen: u64,
    page: VecDeque<Frame>,
    rests_until: Instant,
    behind: bool,
    ended: bool,
}

impl Follow {
    /// Follows a task's events after number `seen`.
    pub fn task(hub: &FeedHub, store: Arc<dyn Store>, task: TaskId, seen: u64) -> Self {
        Self::new(hub, Source::Task(task), store, seen)
    }

    /// Follows a user's feed after number `seen`.
    pub fn user(hub: &FeedHub, store: Arc<dyn Store>, user: UserId, seen: u64) -> Self {
        Self::new(hub, Source::User(user), store, seen)
    }

    fn new(hub: &FeedHub, source: Source, store: Arc<dyn Store>, seen: u64) -> Self {
        let tail = Tail::new(hub, source);
        let (page, rests_until) = (VecDeque::new(), Instant::now());
        Self { source, store, tail, seen, page, rests_until, behind: true, ended: false }
    }

    /// Returns the next frame; `None` after a task's last. Cancellation safe: a dropped call loses nothing.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read.
    pub async fn next(&mut self) -> Result<Option<Frame>, StoreError> {
        loop {
            if let Some(frame) = self.page.pop_front() {
                self.seen = frame.seq.unwrap_or(self.seen);
                self.ended |= matches!(frame.kind, Kind::End { .. });
                self.rests_until = Instant::now() + REST;
                return Ok(Some(frame));
            }
            if self.ended {
                return Ok(None);
            }
            if self.behind {
                self.read_page()?;
                continue;
            }
            let Ok(received) = tokio::time::timeout(SILENCE_MAX, self.tail.recv()).await else {
                self.behind = true;
                continue;
            };
            match self.take(received) {
                Received::Progress => self.rest().await,
                Received::Other => {}
                Received::Closed => return Ok(None),
            }
        }
    }

    /// Gathers progress until the rest is over, or something else came.
    async fn rest(&mut self) {
        let rests_until = self.rests_until;
        let gather = async {
            while self.page.len() < REST_FRAMES {
                let received = self.tail.recv().await;
                if !matches!(self.take(received), Received::Progress) {
                    return;
                }
            }
        };
        // What came meanwhile stands in the page, whether the time is up or not.
        tokio::time::timeout_at(rests_until, gather).await.ok();
    }

    fn take(&mut self, received: Result<Frames, broadcast::error::RecvError>) -> Received {
        match received {
            // All of it is taken, whatever there is among it.
            Ok(frames) => frames.iter().fold(Received::Progress, |so_far, frame| match self.take_frame(frame) {
                Received::Progress => so_far,
                other => other,
            }),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.tail.hub.0.lagged.fetch_add(1, Memory::Relaxed);
                self.page.push_back(Frame::lagged(self.source, self.queued()));
                self.missed()
            }
            Err(broadcast::error::RecvError::Closed) => Received::Closed,
        }
    }

    fn take_frame(&mut self, frame: &Frame) -> Received {
        let place = match (frame.seq, frame.kind) {
            (Some(seq), _) => seq.cmp(&(self.queued() + 1)),
            (None, Kind::End { after }) => after.cmp(&self.queued()),
            (None, Kind::Progress | Kind::Notice) => Ordering::Equal,
        };
        match place {
            // The disk had it already. An end that a retry followed before it came is none.
            Ordering::Less => Received::Progress,
            Ordering::Equal => {
                let is_progress = frame.kind == Kind::Progress;
                self.page.push_back(frame.clone());
                if is_progress { Received::Progress } else { Received::Other }
            }
            Ordering::Greater => self.missed(),
        }
    }

    fn missed(&mut self) -> Received {
        self.behind = true;
        Received::Other
    }

    /// Returns the number of the last record that is on its way to the reader.
    fn queued(&self) -> u64 {
        self.page.iter().rev().find_map(|frame| frame.seq).unwrap_or(self.seen)
    }

    /// Reads on from disk. What was published before is there; text that was is of calls that may be over by now.
    fn read_page(&mut self) -> Result<(), StoreError> {
        if let Some(frames) = &mut self.tail.frames {
            *frames = frames.resubscribe();
        }
        let frames = match self.source {
            Source::Task(task) => self.read_task(task)?,
            Source::User(user) => self.read_user(user)?,
        };
        self.behind = frames.len() >= PAGE_RECORDS;
        self.page.extend(frames);
        Ok(())
    }

    /// Reads from the record that was seen last: where that one ended the task, its end frame is still owed to a reader
    /// who broke off between the two, or lagged. An end that a retry followed was not the end.
    fn read_task(&self, task: TaskId) -> Result<Vec<Frame>, StoreError> {
        let (mut frames, mut ended, mut newest) = (Vec::new(), false, self.seen);
        let records = self.store.read_log(task, self.seen.max(1), PAGE_RECORDS + 1)?;
        if records.is_empty() && self.store.read_head(task)?.is_none() {
            return Ok(vec![Frame::gone(task, self.seen)]);
        }
        let is_all = records.len() <= PAGE_RECORDS;
        for (seq, bytes) in records {
            let entry = Entry::decode(&bytes).map_err(|error| StoreError::Corrupt(error.to_string()))?;
            let event = project(task, seq, &entry);
            ended = matches!(event.event, EventBody::TaskEnded { .. });
            if seq > self.seen {
                frames.push(Frame::event(event));
            }
            newest = seq;
        }
        if ended && is_all {
            frames.push(Frame::end(task, newest));
        }
        Ok(frames)
    }

    fn read_user(&self, user: UserId) -> Result<Vec<Frame>, StoreError> {
        let entries = self.store.read_feed(user, self.seen, PAGE_RECORDS)?;
        let decoded = entries.into_iter().map(|(seq, bytes)| decode_feed(seq, &bytes));
        decoded.map(|entry| entry.map(Frame::feed)).collect()
    }
}

/// Returns the stored form of a feed entry, which gets its number from the store.
pub fn encode_feed(at: Timestamp, body: &FeedBody) -> Vec<u8> {
    serde_json::to_vec(&(at, body)).expect("a feed entry has string keys only")
}

/// Puts the numbers that the store gave to feed entries on them.
pub fn number(seqs: Vec<u64>, at: Timestamp, told: Vec<FeedBody>) -> Vec<FeedEntry> {
    seqs.into_iter().zip(told).map(|(seq, body)| FeedEntry { seq, at, body }).collect()
}

fn decode_feed(seq: u64, bytes: &[u8]) -> Result<FeedEntry, StoreError> {
    let (at, body) = serde_json::from_slice(bytes).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(FeedEntry { seq, at, body })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::FutureExt;

    use super::*;
    use crate::{
        api::{TaskStatus, Usage},
        journal::{
            memory::MemoryStore,
            record::Record,
            store::{Append, Commit, Forget, HeadUpdate},
        },
    };

    fn ended() -> Record {
        Record::TaskEnded { status: TaskStatus::Succeeded, error: None, cancel_receipt: None, usage: Usage::default() }
    }

    fn started() -> Record {
        Record::StepStarted { step: "a".parse().unwrap(), actor: None }
    }

    fn retried() -> Record {
        Record::TaskRetried { by: UserId::from_uuid(uuid::Uuid::nil()), steps: Vec::new() }
    }

    fn entry(record: Record) -> Entry {
        Entry { at: Timestamp::from_second(1).unwrap(), record }
    }

    async fn append(store: &Arc<dyn Store>, task: TaskId, first_seq: u64, records: Vec<Record>) {
        let owner = UserId::from_uuid(uuid::Uuid::nil());
        let head = HeadUpdate { owner, unfinished: false, bytes: Bytes::new() };
        let records = records.into_iter().map(|record| Bytes::from(entry(record).encode())).collect();
        let append = Append { task, first_seq, records, head };
        store.commit(Commit { append: Some(append), ..Commit::default() }).await.unwrap();
    }

    fn publish(hub: &FeedHub, task: TaskId, seq: u64, record: Record) {
        hub.publish_task(task, seq, &[entry(record)]);
    }

    /// A task of `records` records, the last of which ends it.
    async fn ended_task(folder: &std::path::Path, records: usize) -> (Arc<dyn Store>, TaskId) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(folder).unwrap());
        let task = TaskId::from_uuid(uuid::Uuid::nil());
        let mut log = vec![started(); records - 1];
        log.push(ended());
        append(&store, task, 1, log).await;
        (store, task)
    }

    #[tokio::test]
    async fn a_reader_of_an_ended_task_gets_what_is_left_and_the_end_from_wherever_it_broke_off() {
        let folder = tempfile::tempdir().unwrap();
        let last = PAGE_RECORDS * 2;
        let (store, task) = ended_task(folder.path(), last).await;
        let (last, hub) = (last as u64, FeedHub::default());
        for seen in [0, 1, last / 2 - 1, last / 2, last / 2 + 1, last - 1, last] {
            let mut follow = Follow::task(&hub, Arc::clone(&store), task, seen);
            let mut seqs = Vec::new();
            let all = async {
                while let Some(frame) = follow.next().await.unwrap() {
                    seqs.push((frame.seq, matches!(frame.kind, Kind::End { .. })));
                }
            };
            tokio::time::timeout(Duration::from_secs(20), all).await.expect("it ends");
            let wanted = (seen + 1..=last).map(|seq| (Some(seq), false)).chain([(None, true)]);
            assert_eq!(seqs, wanted.collect::<Vec<_>>(), "after {seen}");
        }
        assert!(hub.0.tasks.lock().unwrap().is_empty(), "nobody reads any more");
    }

    async fn forget(store: &Arc<dyn Store>, task: TaskId, last_seq: u64) {
        let forget = vec![Forget { task, last_seq }];
        store.commit(Commit { forget, ..Commit::default() }).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_of_a_task_that_is_deleted_is_told_so_and_waits_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (last, hub) = (PAGE_RECORDS * 2, FeedHub::default());
        let (store, task) = ended_task(folder.path(), last).await;
        let mut halfway = Follow::task(&hub, Arc::clone(&store), task, 0);
        for seq in 1..=PAGE_RECORDS as u64 {
            assert_eq!(halfway.next().await.unwrap().unwrap().seq, Some(seq));
        }
        forget(&store, task, last as u64).await;
        // What it has read already comes, then the word; one who only begins gets that alone.
        let from_the_start = Follow::task(&hub, Arc::clone(&store), task, 0);
        for mut follow in [halfway, from_the_start] {
            let left = async {
                let mut left = Vec::new();
                while let Some(frame) = follow.next().await.unwrap() {
                    left.push(frame);
                }
                left
            };
            let left = tokio::time::timeout(SILENCE_MAX / 2, left).await.expect("it ends");
            let frame: StreamFrame = serde_json::from_str(&left.last().unwrap().json).unwrap();
            assert!(matches!(frame, StreamFrame::Error { error } if error.code == ErrorCode::NotFound));
            assert!(left.iter().rev().skip(1).all(|frame| frame.seq.is_some()));
        }

        // One who waits for what comes next is woken.
        append(&store, task, 1, vec![started()]).await;
        let mut waiting = Follow::task(&hub, Arc::clone(&store), task, 0);
        assert_eq!(waiting.next().await.unwrap().unwrap().seq, Some(1));
        let delete = async {
            tokio::task::yield_now().await;
            forget(&store, task, 1).await;
            hub.publish_gone(task, 1);
        };
        let read = async { [waiting.next().await.unwrap().is_some(), waiting.next().await.unwrap().is_some()] };
        let both = async { tokio::join!(read, delete).0 };
        assert_eq!(tokio::time::timeout(SILENCE_MAX / 2, both).await.expect("it is told"), [true, false]);
    }

    /// A reader of a task that has no record yet: what comes can only come from the tail.
    fn reader(folder: &std::path::Path) -> (FeedHub, TaskId, Follow) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(folder).unwrap());
        let (task, hub) = (TaskId::from_uuid(uuid::Uuid::nil()), FeedHub::default());
        append(&store, task, 1, Vec::new()).now_or_never().expect("memory needs no time");
        let follow = Follow::task(&hub, store, task, 0);
        (hub, task, follow)
    }

    /// Returns how many frames a reader finds at once when it has just read one and `records` are committed one by one.
    async fn found_together(records: &[Record]) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let (hub, task, mut follow) = reader(folder.path());
        let publish_all = async {
            for (seq, record) in (1..).zip(records) {
                tokio::task::yield_now().await;
                publish(&hub, task, seq, record.clone());
            }
        };
        let read = async {
            follow.next().await.unwrap().unwrap();
            follow.next().await.unwrap().unwrap();
            1 + follow.page.len()
        };
        let both = async { tokio::join!(read, publish_all).0 };
        tokio::time::timeout(SILENCE_MAX / 2, both).await.expect("nothing waits for ever")
    }

    #[tokio::test(start_paused = true)]
    async fn quick_progress_is_found_together_and_a_person_never_waits() {
        let paused = || Record::TaskPaused { by: UserId::from_uuid(uuid::Uuid::nil()) };
        assert_eq!(found_together(&[started(), started(), started()]).await, 2);
        assert_eq!(found_together(&[started(), paused(), started()]).await, 1);
        assert_eq!(found_together(&[started(), started(), paused(), started()]).await, 2);
        assert_eq!(found_together(&vec![started(); REST_FRAMES + 9]).await, REST_FRAMES, "memory is bounded");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_commit_is_found_whole_and_not_read_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (hub, task, mut follow) = reader(folder.path());
        let last = TAIL_COMMITS as u64 * 3;
        let mut records = vec![entry(started()); TAIL_COMMITS * 3];
        // A notice in the middle ends no commit.
        records[9] = entry(Record::TaskPaused { by: UserId::from_uuid(uuid::Uuid::nil()) });
        let publish = async { hub.publish_task(task, 1, &records) };
        let read = async {
            for seq in 1..=last {
                assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(seq));
            }
        };
        let both = async { tokio::join!(read, publish) };
        tokio::time::timeout(SILENCE_MAX / 2, both).await.expect("nothing is on disk");
    }

    #[tokio::test(start_paused = true)]
    async fn what_rests_survives_a_dropped_call_and_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let (hub, task, mut follow) = reader(folder.path());
        publish(&hub, task, 1, started());
        assert!(tokio::time::timeout(Duration::ZERO, follow.next()).await.is_err(), "nothing is on disk");
        publish(&hub, task, 1, started());
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(1));
        // The first two rest when the call is dropped; the one before the last never came.
        publish(&hub, task, 2, started());
        publish(&hub, task, 2, started());
        publish(&hub, task, 3, started());
        assert!(tokio::time::timeout(REST / 2, follow.next()).await.is_err());
        publish(&hub, task, 5, started());
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(2));
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(3));
        let more = tokio::time::timeout(SILENCE_MAX / 2, follow.next()).await;
        assert!(more.is_err(), "the one before is looked for on disk, where it is not");
    }

    #[tokio::test]
    async fn what_a_reader_that_fell_behind_read_from_disk_does_not_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let (store, task) = ended_task(folder.path(), 3).await;
        let hub = FeedHub::default();
        let mut follow = Follow::task(&hub, Arc::clone(&store), task, 1);
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(2));
        // The task's actor publishes its end while the task is tried again and its text flows: all of it late.
        publish(&hub, task, 3, ended());
        append(&store, task, 4, vec![retried()]).await;
        hub.publish_delta(task, &"a".parse().unwrap(), "of a call that is over");
        follow.page.clear();
        follow.behind = true;
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(3));
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(4));
        publish(&hub, task, 5, started());
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(5), "neither the text nor the end");
    }

    #[tokio::test]
    async fn an_end_that_comes_after_the_disk_told_of_a_retry_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (hub, task, mut follow) = reader(folder.path());
        (follow.seen, follow.behind) = (4, false);
        let end = Frame::end(task, 3);
        follow.take(Ok([end].into()));
        publish(&hub, task, 5, started());
        assert_eq!(follow.next().await.unwrap().unwrap().seq, Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_after_a_pause_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let (hub, task, mut follow) = reader(folder.path());
        let begun = Instant::now();
        for words in ["one", "two", "three"] {
            let publish = async { hub.publish_delta(task, &"a".parse().unwrap(), words) };
            let (frame, ()) = tokio::join!(follow.next(), publish);
            assert!(frame.unwrap().unwrap().seq.is_none());
            tokio::time::sleep(REST).await;
        }
        assert_eq!(begun.elapsed(), REST * 3, "no time but that of the pauses");
    }

    #[tokio::test]
    async fn an_end_that_a_retry_followed_is_not_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (store, task) = ended_task(folder.path(), 3).await;
        append(&store, task, 4, vec![retried(), ended()]).await;
        let mut follow = Follow::task(&FeedHub::default(), store, task, 0);
        let mut seqs = Vec::new();
        while let Some(frame) = follow.next().await.unwrap() {
            seqs.push(frame.seq);
        }
        assert_eq!(seqs, [Some(1), Some(2), Some(3), Some(4), Some(5), None]);
    }

    #[tokio::test]
    async fn the_sender_stays_until_its_last_reader_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let (store, task) = ended_task(folder.path(), 1).await;
        let hub = FeedHub::default();
        let [one, two] = [(); 2].map(|()| Follow::task(&hub, Arc::clone(&store), task, 0));
        drop(one);
        assert_eq!(hub.0.tasks.lock().unwrap().len(), 1);
        drop(two);
        assert!(hub.0.tasks.lock().unwrap().is_empty());
    }
}
