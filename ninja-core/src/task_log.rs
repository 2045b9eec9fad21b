//! Reading a task from its log: the one place where stored bytes become a state.

use std::{
    collections::HashMap,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    api::{BlobHash, TaskId},
    journal::{
        record::{Entry, Pins, Record},
        store::{Store, StoreError},
    },
    machine::TaskState,
};

/// Records read at a time.
const PAGE_RECORDS: usize = 1_024;

/// Distinct pins kept in memory. An installation has as many as its agents, tools and templates were edited since start.
const PINS_KEPT: usize = 64;

/// Reads tasks; keeps pins that many tasks share.
#[derive(Clone)]
pub(crate) struct TaskLog {
    store: Arc<dyn Store>,
    pins: Arc<Mutex<HashMap<BlobHash, Arc<Pins>>>>,
}

impl TaskLog {
    /// Makes a reader of `store`.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, pins: Arc::default() }
    }

    /// Reads and folds a task; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read, or the log is not one that a machine of ours has written.
    pub(crate) fn load(&self, task: TaskId) -> Result<Option<TaskState>, StoreError> {
        let mut state: Option<TaskState> = None;
        self.for_each(task, |seq, entry| {
            match &mut state {
                None => state = Some(self.begin(task, &entry)?),
                Some(state) => state.apply(&entry).map_err(|error| damaged(task, seq, &error))?,
            }
            Ok(())
        })?;
        Ok(state)
    }

    /// Reads the records of a task; none where there is no such task.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read, or a record is none.
    pub(crate) fn read(&self, task: TaskId) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        self.for_each(task, |_, entry| {
            entries.push(entry);
            Ok(())
        })?;
        Ok(entries)
    }

    fn for_each(
        &self,
        task: TaskId,
        mut take: impl FnMut(u64, Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = 1;
        loop {
            let page = self.store.read_log(task, from, PAGE_RECORDS)?;
            let complete = page.len() < PAGE_RECORDS;
            from += page.len() as u64;
            for (seq, bytes) in page {
                take(seq, Entry::decode(&bytes).map_err(|error| damaged(task, seq, &error))?)?;
            }
            if complete {
                return Ok(());
            }
        }
    }

    fn begin(&self, task: TaskId, entry: &Entry) -> Result<TaskState, StoreError> {
        let Record::TaskSubmitted(submitted) = &entry.record else {
            return Err(damaged(task, 1, &"it does not begin with a submission"));
        };
        let pins = self.pins(submitted.pins)?;
        TaskState::begin(task, entry, pins).map_err(|error| damaged(task, 1, &error))
    }

    /// Reads pins by their address.
    ///
    /// # Errors
    ///
    /// Fails where the blob is missing or is none.
    pub(crate) fn pins(&self, hash: BlobHash) -> Result<Arc<Pins>, StoreError> {
        if let Some(pins) = self.pins.lock().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(Arc::clone(pins));
        }
        let missing = || StoreError::Corrupt(format!("blob {hash} is missing"));
        let mut bytes = Vec::new();
        let mut file = self.store.open_blob(hash)?.ok_or_else(missing)?;
        file.read_to_end(&mut bytes)
            .map_err(|error| StoreError::Io { doing: "read a blob", error: Arc::new(error) })?;
        let pins = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Corrupt(format!("blob {hash} holds no pins: {error}")))?;
        let pins = Arc::new(pins);
        self.remember(hash, &pins);
        Ok(pins)
    }

    /// Keeps pins that are about to be committed.
    pub(crate) fn remember(&self, hash: BlobHash, pins: &Arc<Pins>) {
        let mut kept = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= PINS_KEPT && !kept.contains_key(&hash) {
            kept.clear();
        }
        kept.entry(hash).or_insert_with(|| Arc::clone(pins));
    }
}

fn damaged(task: TaskId, seq: u64, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("record {seq} of {task}: {why}"))
}
