//! What all workers share: the client, what was acknowledged, what went wrong.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ninja_sdk::{
    Client, ListTasks, SdkError,
    api::{ApiError, ErrorCode, TaskId, TaskStatus, TaskSummary},
};
use tokio::sync::watch;

use crate::model::Model;

/// Not a figure: only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(300);
/// How often something that cannot be waited for is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(30);
/// Violations that are told in full; more are counted.
const TOLD_MAX: usize = 200;
/// Tasks on one page of a list.
const PAGE: u32 = 200;

/// The shared part.
pub(crate) struct Soak {
    /// Speaks to the daemon, whichever process it is.
    pub(crate) client: Client,
    /// The key that it shows.
    pub(crate) key: String,
    /// The model.
    pub(crate) model: Model,
    /// The process that serves now.
    pub(crate) serving: watch::Receiver<Option<u32>>,
    /// Whether new work may begin.
    pub(crate) open: watch::Sender<bool>,
    /// Workers that have something in hand.
    pub(crate) busy: watch::Sender<usize>,
    /// Tasks that came to their end and were checked.
    pub(crate) ended: watch::Sender<u64>,
    /// How often the daemon was ended.
    pub(crate) ends: AtomicU64,
    /// Whether this daemon deletes tasks.
    pub(crate) deletes: bool,
    /// Files that the first run of each template made.
    firsts: Mutex<HashMap<&'static str, BTreeMap<String, Vec<u8>>>>,
    known: Mutex<BTreeMap<TaskId, Option<TaskStatus>>>,
    tally: Mutex<Tally>,
}

/// What is counted, and what went wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Tasks by kind and by how they ended.
    pub(crate) ended: BTreeMap<(&'static str, &'static str), u64>,
    /// What else was done, and how often.
    pub(crate) done: BTreeMap<&'static str, u64>,
    /// What must not be.
    pub(crate) violations: Vec<String>,
    /// How many there were beyond those.
    pub(crate) more_violations: u64,
}

impl Soak {
    /// Begins with nothing acknowledged.
    pub(crate) fn new(
        client: Client,
        key: String,
        model: Model,
        serving: watch::Receiver<Option<u32>>,
        deletes: bool,
    ) -> Self {
        Self {
            client,
            key,
            model,
            serving,
            open: watch::channel(true).0,
            busy: watch::channel(0).0,
            ended: watch::channel(0).0,
            ends: AtomicU64::new(0),
            deletes,
            firsts: Mutex::default(),
            known: Mutex::default(),
            tally: Mutex::default(),
        }
    }

    /// Takes note of something that must not be.
    pub(crate) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("soak: VIOLATION: {what}");
        let mut tally = lock(&self.tally);
        match tally.violations.len() < TOLD_MAX {
            true => tally.violations.push(what),
            false => tally.more_violations += 1,
        }
    }

    /// Counts something that was done.
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.tally).done.entry(what).or_default() += 1;
    }

    /// Takes note of the end of a task.
    pub(crate) fn note_end(&self, kind: &'static str, id: TaskId, status: TaskStatus) {
        *lock(&self.tally).ended.entry((kind, status.as_str())).or_default() += 1;
        lock(&self.known).insert(id, Some(status));
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Takes note of a task that the daemon has acknowledged, or of one that works again.
    pub(crate) fn note_alive(&self, id: TaskId) {
        lock(&self.known).insert(id, None);
    }

    /// Takes note of a task that is deleted.
    pub(crate) fn note_deleted(&self, id: TaskId) {
        lock(&self.known).remove(&id);
    }

    /// Returns whether a task was acknowledged to us.
    pub(crate) fn knows(&self, id: TaskId) -> bool {
        lock(&self.known).contains_key(&id)
    }

    /// Returns how many acknowledged tasks there are, and how many of them have not ended.
    pub(crate) fn tasks(&self) -> (u64, u64) {
        let known = lock(&self.known);
        (known.len() as u64, known.values().filter(|status| status.is_none()).count() as u64)
    }

    /// Returns the ids of all acknowledged tasks.
    pub(crate) fn known(&self) -> BTreeMap<TaskId, Option<TaskStatus>> {
        lock(&self.known).clone()
    }

    /// Returns what the first run of a template made; these files, if it is the first.
    pub(crate) fn first_of(
        &self,
        template: &'static str,
        made: &BTreeMap<String, Vec<u8>>,
    ) -> BTreeMap<String, Vec<u8>> {
        lock(&self.firsts).entry(template).or_insert_with(|| made.clone()).clone()
    }

    /// Returns what was counted so far.
    pub(crate) fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Returns how often the daemon was ended so far.
    pub(crate) fn ends(&self) -> u64 {
        self.ends.load(Ordering::SeqCst)
    }

    /// Asks until there is an answer, over as many restarts as it takes.
    pub(crate) async fn again<T>(
        &self,
        what: &str,
        call: impl AsyncFn() -> Result<T, SdkError>,
    ) -> Result<T, ApiError> {
        let until = Instant::now() + HANG;
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Some(ErrorCode::Internal | ErrorCode::Corrupt | ErrorCode::ReadOnly) = error.code() {
                self.violation(format!("{what} was answered: {}", error.chain()));
            }
            match error {
                SdkError::Api(error) if !SdkError::from(error.clone()).is_transient() => return Err(error),
                error if error.is_transient() && Instant::now() < until => self.until_serving().await,
                error => {
                    self.violation(format!("{what} does not come to an answer: {}", error.chain()));
                    return Err(ApiError::new(ErrorCode::Internal, error.chain()));
                }
            }
        }
    }

    /// Waits until the daemon serves; a moment in any case, since it may not know yet that it is going away.
    pub(crate) async fn until_serving(&self) {
        tokio::time::sleep(LOOK).await;
        // The sender lives as long as the run.
        self.serving.clone().wait_for(Option::is_some).await.ok();
    }

    /// Lists every task that the daemon has.
    pub(crate) async fn all_tasks(&self) -> Result<Vec<TaskSummary>, ApiError> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let query = ListTasks { cursor, limit: Some(PAGE), ..ListTasks::default() };
            let page = self.again("a list", async || self.client.list_tasks(&query).await).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Finds a task that we were not told of, by the tag in its goal. It is one of the newest, if there is one.
    pub(crate) async fn find_unknown(&self, tag: &str) -> Result<Option<TaskId>, ApiError> {
        let query = ListTasks { limit: Some(PAGE), ..ListTasks::default() };
        let page = self.again("a list", async || self.client.list_tasks(&query).await).await?;
        Ok(page.items.into_iter().find(|task| task.goal.contains(tag) && !self.knows(task.id)).map(|task| task.id))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
