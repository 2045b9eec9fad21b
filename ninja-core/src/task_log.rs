//! Reading a task from its log: the one place where stored bytes become a state.

use std::{
    collections::HashMap,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use crc32c::crc32c;

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

/// Whoever has folded so many records keeps a snapshot: few enough that folding less takes a millisecond or two.
const FOLDED_MAX: u64 = 256;

/// A task at work keeps a snapshot after so many records. More than [`FOLDED_MAX`], because only a crash makes anyone read
/// it meanwhile, and most tasks end before.
const AT_WORK_MAX: u64 = 1_024;

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
        let mut state = self.snapshot(task)?;
        let from = state.as_ref().map_or(0, |state| state.last_seq);
        let mut newest = Bytes::new();
        self.for_each(task, from + 1, |seq, bytes| {
            let entry = decode(task, seq, &bytes)?;
            match &mut state {
                None => state = Some(self.begin(task, &entry)?),
                Some(state) => state.apply(&entry).map_err(|error| damaged(task, seq, &error))?,
            }
            newest = bytes;
            Ok(())
        })?;
        if !self.is_there(task)? {
            return Ok(None);
        }
        if let Some(state) = state.as_ref().filter(|state| state.last_seq - from >= FOLDED_MAX) {
            self.keep_snapshot(state, &newest);
        }
        Ok(state)
    }

    /// Returns the state that a snapshot holds, if it is one of this log: the record that it ends with is the one there.
    fn snapshot(&self, task: TaskId) -> Result<Option<TaskState>, StoreError> {
        let Some((seq, bytes)) = self.store.read_snapshot(task) else { return Ok(None) };
        let Some((sum, bytes)) = bytes.split_first_chunk() else { return Ok(None) };
        let newest = self.store.read_log(task, seq, 1)?;
        let is_ours =
            newest.first().is_some_and(|(at, record)| *at == seq && crc32c(record) == u32::from_be_bytes(*sum));
        let Some(state) = TaskState::from_snapshot(bytes).filter(|state| is_ours && state.last_seq == seq) else {
            return Ok(None);
        };
        let pins = self.pins(state.submitted.pins)?;
        Ok(Some(TaskState { pins, ..state }))
    }

    /// Keeps a snapshot of a task whose newest record is `newest`, as it is stored.
    fn keep_snapshot(&self, state: &TaskState, newest: &[u8]) {
        let mut bytes = crc32c(newest).to_be_bytes().to_vec();
        bytes.extend(state.to_snapshot());
        self.store.keep_snapshot(state.id, state.last_seq, bytes.into());
    }

    /// Keeps a snapshot, off the async threads, where a commit that began after record `before` has made one due. It is
    /// derived and may be lost: nobody waits for it.
    pub(crate) fn keep_snapshot_if_due(&self, before: u64, state: &TaskState, newest: Option<Bytes>) {
        let Some(newest) = newest.filter(|_| before / AT_WORK_MAX != state.last_seq / AT_WORK_MAX) else { return };
        let (log, state) = (self.clone(), state.clone());
        tokio::task::spawn_blocking(move || log.keep_snapshot(&state, &newest));
    }

    /// Reads the records of a task; none where there is no such task.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read, or a record is none.
    pub(crate) fn read(&self, task: TaskId) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        self.for_each(task, 1, |seq, bytes| {
            entries.push(decode(task, seq, &bytes)?);
            Ok(())
        })?;
        if !self.is_there(task)? {
            entries.clear();
        }
        Ok(entries)
    }

    /// Returns whether there is such a task. Whoever has read a log in pages asks this afterwards: one that was deleted
    /// meanwhile looks like a shorter one.
    fn is_there(&self, task: TaskId) -> Result<bool, StoreError> {
        Ok(self.store.read_head(task)?.is_some())
    }

    fn for_each(
        &self,
        task: TaskId,
        mut from: u64,
        mut take: impl FnMut(u64, Bytes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        loop {
            let page = self.store.read_log(task, from, PAGE_RECORDS)?;
            let complete = page.len() < PAGE_RECORDS;
            from += page.len() as u64;
            for (seq, bytes) in page {
                take(seq, bytes)?;
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

fn decode(task: TaskId, seq: u64, bytes: &[u8]) -> Result<Entry, StoreError> {
    Entry::decode(bytes).map_err(|error| damaged(task, seq, &error))
}

fn damaged(task: TaskId, seq: u64, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("record {seq} of {task}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{Budget, StepStatus, UserId},
        journal::{
            memory::MemoryStore,
            record::{Action, Intent, ManifestDelta, Outcome, PlannedStep, TaskSubmitted},
            store::{Append, Commit, HeadUpdate},
        },
    };

    fn step() -> PlannedStep {
        serde_json::from_value(serde_json::json!({
            "id": "a", "title": null, "after": [], "when": null, "optional": false,
            "action": { "tool": { "tool": "look", "args": {} } },
        }))
        .unwrap()
    }

    fn records(calls: u32) -> Vec<Record> {
        let submitted = TaskSubmitted {
            owner: UserId::from_uuid(uuid::Uuid::nil()),
            goal: "g".to_owned(),
            template: None,
            params: serde_json::Map::new(),
            inputs: Vec::new(),
            model: None,
            lineup: Default::default(),
            budget: Budget::default(),
            autonomy: Default::default(),
            contract: None,
            forked_from: None,
            traceparent: None,
            pins: BlobHash::from_bytes([0; 32]),
        };
        let step = step();
        let Action::Tool { tool, args } = step.action.clone() else { panic!("a tool step") };
        let id = step.id.clone();
        let mut records = vec![Record::TaskSubmitted(Box::new(submitted)), Record::PlanMade { steps: vec![step] }];
        records.push(Record::StepStarted { step: id.clone(), actor: None });
        for call in 0..calls {
            let class = crate::api::EffectClass::Pure;
            let intent = Intent::Tool { tool: tool.clone(), args: args.clone(), class, answers: None };
            records.push(Record::CallIntended { step: id.clone(), call, intent });
            let outcome = Outcome::Returned {
                ok: true,
                output: call.into(),
                delta: ManifestDelta::default(),
                images: Vec::new(),
            };
            records.push(Record::CallEnded { step: id.clone(), call, outcome });
        }
        records
    }

    async fn append(store: &Arc<dyn Store>, task: TaskId, first_seq: u64, records: &[Record]) {
        let at = crate::api::Timestamp::UNIX_EPOCH;
        let encoded = records.iter().map(|record| Entry { at, record: record.clone() }.encode().into());
        let head = HeadUpdate { owner: UserId::from_uuid(uuid::Uuid::nil()), unfinished: true, bytes: Bytes::new() };
        let append = Append { task, first_seq, records: encoded.collect(), head };
        store.commit(Commit { append: Some(append), ..Commit::default() }).await.unwrap();
    }

    #[tokio::test]
    async fn a_long_log_is_read_from_its_snapshot_and_one_of_another_log_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(folder.path()).unwrap());
        let log = TaskLog::new(Arc::clone(&store));
        log.remember(BlobHash::from_bytes([0; 32]), &Arc::default());
        let (task, other) = (TaskId::from_uuid(uuid::Uuid::nil()), TaskId::from_uuid(uuid::Uuid::max()));
        let all = records(300);
        append(&store, task, 1, &all[..600]).await;
        let whole = log.load(task).unwrap().unwrap();
        let (seq, bytes) = store.read_snapshot(task).expect("a snapshot was due");
        assert_eq!((seq, whole.last_seq), (600, 600));
        append(&store, task, 601, &all[600..]).await;
        let state = log.load(task).unwrap().unwrap();
        assert_eq!((state.last_seq, state.steps[0].calls.len()), (603, 300));
        assert_eq!(state.steps[0].status, StepStatus::Running);

        append(&store, other, 1, &records(400)[..700]).await;
        // It folds as many records, but ends with another one.
        let mut foreign = bytes.to_vec();
        foreign[0] ^= 1;
        store.keep_snapshot(other, 600, foreign.into());
        assert_eq!(log.load(other).unwrap().unwrap().last_seq, 700);
        store.keep_snapshot(other, 9_999, bytes);
        assert_eq!(log.load(other).unwrap().unwrap().last_seq, 700, "one that is ahead of its log is not used");
    }
}
