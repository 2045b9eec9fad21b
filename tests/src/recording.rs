//! A task's log as it was written, and data directories in which it was cut: what a process leaves that died right after
//! a record was durable.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use ninja_core::{
    api::{BlobHash, TaskId, Timestamp},
    clock::{Clock, SystemClock},
    journal::{
        disk::{DiskOptions, DiskStore},
        feed::encode_feed,
        item::Item,
        record::{Entry, Pins, Record},
        store::{Append, Commit, DocKey, HeadUpdate, Store},
    },
    machine::{TaskState, feed_of},
};

/// A clock that never shows the same time twice. What is decided at once bears one time and is one commit, so the times of
/// records tell which of them were committed together.
pub struct StepClock(AtomicI64);

impl Default for StepClock {
    fn default() -> Self {
        Self(AtomicI64::new(SystemClock.now().as_millisecond()))
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        let step = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Timestamp::from_millisecond(step.max(SystemClock.now().as_millisecond())).expect("it is near the present")
    }

    fn new_uuid(&self) -> uuid::Uuid {
        SystemClock.new_uuid()
    }
}

/// Where a log is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How many of its records are left.
    pub after: usize,
    /// Whether a commit ended there: a cut in the middle of one cannot come about by a crash.
    pub ends_commit: bool,
}

/// A directory with one task in it, read.
pub struct Recording {
    task: TaskId,
    docs: Vec<(DocKey, Bytes)>,
    entries: Vec<Entry>,
    blobs: HashMap<BlobHash, Bytes>,
    owner_key: Vec<u8>,
}

impl Recording {
    /// Reads a directory at rest.
    ///
    /// # Panics
    ///
    /// Where it does not hold exactly one task.
    pub fn read(directory: &Path) -> Self {
        let store = DiskStore::open(directory, DiskOptions::default()).expect("the directory opens");
        let (mut docs, mut entries, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        let mut blobs: HashMap<BlobHash, Vec<u8>> = HashMap::new();
        let exported = store.export(&mut |item| {
            match item {
                // Sealed with a master key that stays where it is. A directory without it gets a key of its own.
                Item::Doc { key, .. } if key.id == "audit_key" => {}
                Item::Doc { key, bytes } => docs.push((key, bytes)),
                Item::Task { task, .. } => tasks.push(task),
                Item::Record { bytes, .. } => entries.push(Entry::decode(&bytes).expect("a record")),
                Item::Feed { .. } | Item::AuditEnd(_) | Item::Audit { .. } => {}
                Item::BlobPart { hash, bytes, .. } => blobs.entry(hash).or_default().extend_from_slice(&bytes),
            }
            Ok(())
        });
        exported.expect("the directory is sound");
        let [task] = tasks.as_slice() else { panic!("{} tasks", tasks.len()) };
        let owner_key = std::fs::read(ninja_core::key_file(directory)).expect("the owner has a key");
        let blobs = blobs.into_iter().map(|(hash, bytes)| (hash, bytes.into())).collect();
        Self { task: *task, docs, entries, blobs, owner_key }
    }

    /// Returns the task.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Returns the records up to a cut.
    pub fn records(&self, after: usize) -> &[Entry] {
        self.entries.get(..after).unwrap_or(&self.entries)
    }

    /// Returns every place where the log can be cut, from its first record on.
    pub fn cuts(&self) -> Vec<Cut> {
        let next = self.entries.iter().skip(1).map(Some).chain([None]);
        let ends = self.entries.iter().zip(next).map(|(entry, next)| next.is_none_or(|next| next.at != entry.at));
        (1..).zip(ends).map(|(after, ends_commit)| Cut { after, ends_commit }).collect()
    }

    /// Makes a directory as it was after so many records: these, the head, word of them in the feed, and the blobs that they
    /// name.
    ///
    /// # Panics
    ///
    /// Where it cannot be made.
    pub async fn lay_down(&self, directory: &Path, after: usize) {
        let records = self.records(after);
        let (mut state, mut told) = (None, Vec::new());
        for commit in records.chunk_by(|a, b| a.at == b.at) {
            let folded = self.fold(state.clone(), commit);
            let at = commit.last().expect("no chunk is empty").at;
            told.extend(feed_of(state.as_ref(), &folded).iter().map(|body| Bytes::from(encode_feed(at, body))));
            state = Some(folded);
        }
        let state = state.expect("a cut leaves at least one record");
        let owner = state.submitted.owner;
        let head = serde_json::to_vec(&state.head()).expect("a head has string keys only").into();
        let append = Append {
            task: self.task,
            first_seq: 1,
            records: records.iter().map(|entry| entry.encode().into()).collect(),
            head: HeadUpdate { owner, unfinished: state.end.is_none(), bytes: head },
        };
        let commit = Commit {
            append: Some(append),
            feed: told.into_iter().map(|entry| (owner, entry)).collect(),
            puts: self.docs.clone(),
            blobs: self.named(records),
            ..Commit::default()
        };
        let store = DiskStore::open(directory, DiskOptions::default()).expect("an empty directory opens");
        store.commit(commit).await.expect("the records are taken");
        store.close().await.expect("the store closes");
        std::fs::write(ninja_core::key_file(directory), &self.owner_key).expect("the key is written");
    }

    fn fold(&self, state: Option<TaskState>, commit: &[Entry]) -> TaskState {
        let (mut state, rest) = match state {
            Some(state) => (state, commit),
            None => {
                let first = commit.first().expect("no chunk is empty");
                let begun =
                    TaskState::begin(self.task, first, Arc::new(self.pins())).expect("a submission comes first");
                (begun, commit.get(1..).unwrap_or_default())
            }
        };
        for entry in rest {
            state.apply(entry).expect("the log was written by a machine");
        }
        state
    }

    fn pins(&self) -> Pins {
        let Some(Record::TaskSubmitted(submitted)) = self.entries.first().map(|entry| &entry.record) else {
            panic!("a submission comes first");
        };
        serde_json::from_slice(self.blobs.get(&submitted.pins).expect("pins are a blob")).expect("pins read")
    }

    /// Returns the blobs that records name, and documents, and these in turn: pins name the files of a template.
    fn named(&self, records: &[Entry]) -> Vec<Bytes> {
        let texts = records.iter().map(Entry::encode).chain(self.docs.iter().map(|(_, bytes)| bytes.to_vec()));
        let mut open: Vec<BlobHash> = texts.flat_map(|text| addresses(&text)).collect();
        let (mut seen, mut named) = (HashSet::new(), Vec::new());
        while let Some(hash) = open.pop() {
            if let Some(bytes) = self.blobs.get(&hash).filter(|_| seen.insert(hash)) {
                open.extend(addresses(bytes));
                named.push(bytes.clone());
            }
        }
        named
    }
}

/// Finds whatever reads as the address of a blob.
pub fn addresses(text: &[u8]) -> Vec<BlobHash> {
    let words = text.split(|byte| !byte.is_ascii_hexdigit()).filter(|word| word.len() == 64);
    words.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok()).collect()
}
