//! Requests with a key: what one made is noted in the commit that made it, and answers whoever repeats it.
//!
//! Requests with the same key take turns, so the second finds what the first has made. That holds because one engine holds the
//! data directory, and because a request that has begun goes on to its end whoever waits for it. Notes are forgotten after a
//! day: where one is met, and by a sweep.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::{Engine, Inner, store_error, submit::hash};
use crate::{
    api::{ApiError, BlobHash, ErrorCode, IdempotencyKey, Made, Principal, TaskId, Timestamp},
    journal::store::{Commit, DocKey, DocKind},
};

/// How long a key holds.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// The wait before the first sweep, which is not to be in the way of a start.
const FIRST_SWEEP: Duration = Duration::from_secs(60);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Notes looked at, and removed, at a time.
const SWEEP_PAGE: usize = 1_000;

/// What is noted of a request, under the hash of whose it was, what it asked for and its key.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    at: Timestamp,
    /// The hash of what was asked.
    fingerprint: BlobHash,
    /// The id of what it made.
    made: String,
}

impl Note {
    fn holds(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < KEPT
    }
}

/// What a key stands for.
pub(super) enum Claim {
    /// What the same request has made.
    Made(String),
    /// Nothing yet, and nobody else with this key comes before the turn is over.
    Free(Turn),
}

/// Returns the hash of what is asked, the same for each way to write it.
pub(super) fn fingerprint(request: &impl Serialize) -> Result<BlobHash, ApiError> {
    let canonical = serde_json_canonicalizer::to_vec(request);
    let canonical = canonical.map_err(|error| ApiError::new(ErrorCode::InvalidRequest, error.to_string()))?;
    Ok(hash(&canonical))
}

impl Engine {
    /// Finds out what a key of the caller's stands for. `what` names the verb and what it is done to.
    pub(super) async fn claim(
        &self,
        by: &Principal,
        what: &str,
        key: &IdempotencyKey,
        fingerprint: BlobHash,
    ) -> Result<Claim, ApiError> {
        let id = hash(format!("{}\n{what}\n{}", by.user, key.as_str()).as_bytes()).to_string();
        let turn = self.0.keys.turns.take(id, fingerprint).await;
        match self.note(&turn.id)?.filter(|note| note.holds(self.0.services.clock.now())) {
            None => Ok(Claim::Free(turn)),
            Some(note) if note.fingerprint == fingerprint => Ok(Claim::Made(note.made)),
            Some(_) => {
                let detail =
                    "the Idempotency-Key came with another request before; a new request needs a key of its own";
                Err(ApiError::new(ErrorCode::IdempotencyMismatch, detail))
            }
        }
    }

    /// Returns the task that an earlier request made.
    pub(super) fn made_before(&self, by: &Principal, made: &str) -> Result<Made, ApiError> {
        let damaged = |_| ApiError::new(ErrorCode::Corrupt, "what a key stands for cannot be read");
        let id: TaskId = made.parse().map_err(damaged)?;
        match self.load(by, id) {
            Ok(task) => Ok(Made { task: task.view(), replayed: true }),
            Err(error) if error.code == ErrorCode::NotFound => {
                let detail = format!("this request made {id}, which has been deleted since");
                Err(ApiError::new(ErrorCode::NotFound, detail))
            }
            Err(error) => Err(error),
        }
    }

    fn note(&self, id: &str) -> Result<Option<Note>, ApiError> {
        let bytes = self.store().read_doc(&DocKey::new(DocKind::Idempotency, id)).map_err(store_error)?;
        let damaged = |error| ApiError::new(ErrorCode::Corrupt, format!("what a key stands for: {error}"));
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(damaged)).transpose()
    }

    /// Forgets the notes that hold no more, a page at a time. Returns how many there were.
    async fn sweep_keys(&self) -> Result<usize, ApiError> {
        let (mut after, mut swept) = (String::new(), 0);
        loop {
            let page = self.store().page_docs(DocKind::Idempotency, "", &after, SWEEP_PAGE).map_err(store_error)?;
            let is_last = page.len() < SWEEP_PAGE;
            let (now, mut turns) = (self.0.services.clock.now(), Vec::new());
            for (id, _) in &page {
                // One whose key is being used right now is seen to by whoever uses it.
                let Some(turn) = self.0.keys.turns.try_take(id) else { continue };
                // Only now: it may have been used anew since the page was read.
                if self.note(id)?.is_some_and(|note| !note.holds(now)) {
                    turns.push(turn);
                }
            }
            if !turns.is_empty() {
                let deletes = turns.iter().map(|turn| DocKey::new(DocKind::Idempotency, &turn.id)).collect();
                self.store().commit(Commit { deletes, ..Commit::default() }).await.map_err(store_error)?;
                swept += turns.len();
            }
            match page.into_iter().next_back() {
                Some((last, _)) if !is_last => after = last,
                Some(_) | None => return Ok(swept),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// What an engine has of keys beside their notes.
pub(super) struct Keys {
    turns: Turns,
    sweeper: tokio::task::AbortHandle,
}

impl Keys {
    /// Begins to sweep now and then, as long as there is the engine.
    pub(super) fn of(engine: Weak<Inner>) -> Self {
        let sweep = async move {
            let mut wait = FIRST_SWEEP;
            loop {
                tokio::time::sleep(wait).await;
                wait = SWEEP_EVERY;
                let Some(inner) = engine.upgrade() else { return };
                if let Err(error) = Engine(inner).sweep_keys().await {
                    tracing::warn!(%error, "failed to forget old idempotency keys; tried again in an hour");
                }
            }
        };
        Self { turns: Turns::default(), sweeper: tokio::spawn(sweep).abort_handle() }
    }

    /// Ends that.
    pub(super) fn stop(&self) {
        self.sweeper.abort();
    }
}

type Waiting = Arc<tokio::sync::Mutex<()>>;

/// The turns that are taken, and who waits for them.
#[derive(Debug, Clone, Default)]
struct Turns(Arc<Mutex<HashMap<String, Waiting>>>);

impl Turns {
    async fn take(&self, id: String, fingerprint: BlobHash) -> Turn {
        let waiting = Arc::clone(self.waiting().entry(id.clone()).or_default());
        let guard = Some(waiting.lock_owned().await);
        Turn { turns: self.clone(), id, fingerprint, guard }
    }

    /// Takes a turn that nobody has or waits for.
    fn try_take(&self, id: &str) -> Option<Turn> {
        let waiting = Arc::clone(self.waiting().entry(id.to_owned()).or_default());
        let guard = Some(waiting.try_lock_owned().ok()?);
        Some(Turn { turns: self.clone(), id: id.to_owned(), fingerprint: hash(b""), guard })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to do what a key asks for.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    /// Where the note stands.
    id: String,
    fingerprint: BlobHash,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    /// Returns the note of what was made, for the commit that makes it.
    pub(super) fn made(&self, id: &impl ToString, at: Timestamp) -> (DocKey, Bytes) {
        let note = Note { at, fingerprint: self.fingerprint, made: id.to_string() };
        let bytes = serde_json::to_vec(&note).expect("a note has string keys only");
        (DocKey::new(DocKind::Idempotency, &self.id), bytes.into())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.turns.waiting();
        self.guard = None;
        // One for the map; whoever waits has one too.
        if waiting.get(&self.id).is_some_and(|last| Arc::strong_count(last) == 1) {
            waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use uuid::Uuid;

    use super::*;
    use crate::{
        api::SubmitTask,
        clock::{Clock, SystemClock},
        engine::EngineOptions,
        providers::{Providers, Scripted},
    };

    /// The system's clock, so many seconds ahead.
    struct Ahead(Arc<AtomicI64>);

    impl Clock for Ahead {
        fn now(&self) -> Timestamp {
            SystemClock.now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
        }

        fn new_uuid(&self) -> Uuid {
            SystemClock.new_uuid()
        }
    }

    #[tokio::test]
    async fn a_key_holds_for_a_day_and_is_swept_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let mut providers = Providers::new(|| 0.5);
        providers.add("scripted", Arc::new(Scripted::answering("fine")), "script");
        let mut options = EngineOptions::new(folder.path());
        options.providers = Some(providers);
        options.clock = Arc::new(Ahead(Arc::clone(&ahead)));
        let engine = Engine::start(options).await.unwrap();
        let by = engine.local_owner();
        let request = || SubmitTask { goal: "go".to_owned(), ..SubmitTask::default() };
        let submit = async |key: &str| engine.submit_task_once(&by, &key.parse().unwrap(), request()).await.unwrap();
        let notes = || engine.store().list_docs(DocKind::Idempotency, "").unwrap().len();

        let (first, other) = (submit("a").await, submit("b").await);
        assert!(!first.replayed && !other.replayed && first.task.id != other.task.id);
        ahead.store(23 * 3600 + 3590, Ordering::SeqCst);
        let again = submit("a").await;
        assert_eq!((again.task.id, again.replayed), (first.task.id, true));
        assert_eq!((engine.sweep_keys().await.unwrap(), notes()), (0, 2));
        ahead.store(24 * 3600 + 10, Ordering::SeqCst);
        let anew = submit("a").await;
        assert!(anew.task.id != first.task.id && !anew.replayed);
        let busy = engine.0.keys.turns.try_take(&engine.store().list_docs(DocKind::Idempotency, "").unwrap()[0].0);
        let swept = engine.sweep_keys().await.unwrap();
        drop(busy);
        assert_eq!((swept + engine.sweep_keys().await.unwrap(), notes()), (1, 1), "the one that was used anew stays");
        assert_eq!(submit("a").await.task.id, anew.task.id);
        assert!(engine.0.keys.turns.waiting().is_empty(), "nobody is left waiting");
        engine.stop().await;
    }
}
