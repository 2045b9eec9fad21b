//! Looking for damage in a data directory at rest, and keeping what is whole.
//!
//! [`check`] reads everything and changes nothing; [`repair`] builds a new store of what is readable beside the damaged one, and
//! sets that aside as it is. Both read a copy of the tree, because opening a tree writes to it.

use std::{
    collections::HashSet,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    applier::TaskState,
    audit::{AuditEnd, Mac},
    blobs::{is_whole, make_directory},
    calls::io_error,
    directory::{DirectoryLock, check_not_newer},
    disk::{DiskOptions, DiskStore},
    export::{Sink, blob_parts},
    import::Import,
    installing::{self, Site},
    item::{BLOB_PART_BYTES, Item, ItemCounts, Tally},
    references::{Named, References},
    remains::Remains,
    store::StoreError,
    value::spilled_as,
    wal::{Survey, salvage},
};
use crate::api::{BlobHash, TaskId, UserId};

/// A part of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The write-ahead log.
    Log,
    /// The tree.
    Tree,
    /// A task: its head and records.
    Task,
    /// A user's feed.
    Feed,
    /// The audit log.
    Audit,
    /// A document.
    Document,
    /// A blob: a file or a large value.
    Blob,
}

/// Something that is damaged or missing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub part: Part,
    /// Which.
    pub name: String,
    /// What is wrong with it.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Log => "log",
            Part::Tree => "tree",
            Part::Task => "task",
            Part::Feed => "feed",
            Part::Audit => "audit log,",
            Part::Document => "document",
            Part::Blob => "blob",
        };
        write!(f, "{part} {}: {}", self.name, self.detail)
    }
}

/// What was found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Examined {
    /// What is damaged or missing, and what it takes with it.
    pub findings: Vec<Finding>,
    /// What no repair mends and a backup may: files that are named and not there, records that do not read.
    pub beyond_repair: Vec<Finding>,
    /// How much is whole.
    pub counts: ItemCounts,
}

impl Examined {
    /// Returns whether nothing is damaged or missing.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.beyond_repair.is_empty()
    }
}

/// Reads everything in a data directory at rest and says what is damaged. Blocks.
///
/// # Errors
///
/// [`StoreError::Locked`] where an engine holds it, [`StoreError::Version`] where a newer version wrote it, [`StoreError::Io`] where the
/// disk cannot be read at all.
pub fn check(directory: &Path, references: References) -> Result<Examined, StoreError> {
    check_there(directory)?;
    let _lock = DirectoryLock::take(directory)?;
    examine(directory, references, &mut |_| Ok(()))
}

/// Keeps what is readable and moves the damaged files to the folder `aside` of the data directory, as they are. Returns what was
/// lost, and that folder where anything was. Blocks.
///
/// # Errors
///
/// As [`check`]; nothing is moved before all that is readable has been written anew.
pub fn repair(
    directory: &Path,
    references: References,
    aside: &str,
) -> Result<(Examined, Option<PathBuf>), StoreError> {
    check_there(directory)?;
    let site = Site::begin(directory, installing::REPAIRING)?;
    if site.is_done() {
        let aside = site.aside();
        site.install(None)?;
        return Ok((Examined::default(), aside));
    }
    let built = build(directory, references, &site);
    match built {
        Ok(examined) if !examined.findings.is_empty() => {
            site.install(Some(aside))?;
            Ok((examined, Some(directory.join(aside))))
        }
        Ok(sound) => site.give_up().map(|()| (sound, None)),
        Err(error) => {
            site.give_up()?;
            Err(error)
        }
    }
}

fn build(directory: &Path, references: References, site: &Site) -> Result<Examined, StoreError> {
    let store = DiskStore::open(&site.workshop(), DiskOptions::default())?;
    let mut import = Import::into(&store)?;
    let mut examined = examine(directory, references, &mut |item| import.take(item))?;
    examined.counts = import.finish()?;
    installing::close(&store)?;
    Ok(examined)
}

pub(super) fn check_there(directory: &Path) -> Result<(), StoreError> {
    if !directory.join("tree").exists() && !directory.join("log").exists() && !directory.join("format").exists() {
        return Err(StoreError::Corrupt(format!("there is no data in {}", directory.display())));
    }
    check_not_newer(directory)
}

/// Hands on everything that is whole.
fn examine(directory: &Path, references: References, sink: Sink<'_>) -> Result<Examined, StoreError> {
    let copy = directory.join("checking");
    remove(&copy)?;
    let copied = copy_tree(&directory.join("tree"), &copy).map_err(|error| io_error("copy the tree", error));
    let examined = copied.and_then(|()| examine_copy(directory, &copy, references, sink));
    remove(&copy)?;
    examined
}

fn examine_copy(directory: &Path, tree: &Path, references: References, sink: Sink<'_>) -> Result<Examined, StoreError> {
    let log = directory.join("log");
    let mut salvaged = salvage(&log)?;
    let damage = std::mem::take(&mut salvaged.damage);
    let first = salvaged.changes.first().map(|(stamp, _)| stamp.position);
    let (remains, unopened) = Remains::open(directory, tree, salvaged);
    let mut tally = Tally::default();
    let mut examination = Examination {
        remains: &remains,
        sink: &mut |item| {
            tally.see(&item).map_err(StoreError::Corrupt)?;
            sink(item)
        },
        spilled: HashSet::new(),
        named: Named::by(references),
        findings: Vec::new(),
        beyond_repair: Vec::new(),
    };
    for (name, detail) in damage {
        examination.find(Part::Log, name, detail);
    }
    if let Some(error) = unopened {
        examination.find(Part::Tree, "tree", format!("it does not open: {error}"));
    } else {
        examination.log(&log, first);
    }
    examination.all()?;
    let Examination { findings, beyond_repair, .. } = examination;
    remains.close();
    Ok(Examined { findings, beyond_repair, counts: tally.finish().map_err(StoreError::Corrupt)? })
}

struct Examination<'a> {
    remains: &'a Remains,
    sink: Sink<'a>,
    /// Blobs that values have brought.
    spilled: HashSet<BlobHash>,
    named: Named,
    findings: Vec<Finding>,
    beyond_repair: Vec<Finding>,
}

impl Examination<'_> {
    fn find(&mut self, part: Part, name: impl Into<String>, detail: impl Into<String>) {
        self.findings.push(Finding { part, name: name.into(), detail: detail.into() });
    }

    fn log(&mut self, log: &Path, first: Option<u64>) {
        let applied = self.remains.applied;
        if self.findings.is_empty() && first.is_some_and(|first| first > applied + 1) {
            let lost = format!("positions {} to {} are lost", applied + 1, first.unwrap_or(1) - 1);
            self.find(Part::Log, "log", lost);
        }
        if self.findings.is_empty()
            && let Err(error) = Survey::take(log).and_then(|survey| survey.check_against(applied))
        {
            self.find(Part::Log, "log", error.to_string());
        }
    }

    fn all(&mut self) -> Result<(), StoreError> {
        self.docs()?;
        let (tasks, broken) = self.remains.tasks();
        for error in broken {
            self.find(Part::Tree, "tree", format!("a list of tasks breaks off: {error}"));
        }
        for task in tasks {
            self.task(task)?;
        }
        self.feeds()?;
        self.audit()?;
        self.blobs()
    }

    fn docs(&mut self) -> Result<(), StoreError> {
        let (docs, broken) = self.remains.docs();
        if let Some(error) = broken {
            self.find(Part::Tree, "tree", format!("the list of documents breaks off: {error}"));
        }
        for key in docs {
            match self.remains.doc(&key) {
                Ok(bytes) => {
                    self.hand_on(Item::Doc { key, bytes })?;
                }
                Err(error) => self.find(Part::Document, format!("{:?} {}", key.kind, key.id), error.to_string()),
            }
        }
        Ok(())
    }

    fn task(&mut self, task: TaskId) -> Result<(), StoreError> {
        self.index(task);
        let (state, head) = match self.remains.task(task) {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.find(Part::Task, task.to_string(), "its head is missing");
                return Ok(());
            }
            Err(error) => {
                self.find(Part::Task, task.to_string(), format!("its head: {error}"));
                return Ok(());
            }
        };
        let TaskState { last_seq, owner, unfinished } = state;
        let lost: Vec<u64> = (1..=last_seq).filter(|seq| self.remains.record(task, *seq).is_err()).collect();
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            let what =
                format!("{} of its {last_seq} records are lost, the first is {first}, the last {last}", lost.len());
            self.find(Part::Task, task.to_string(), what);
            return Ok(());
        }
        self.hand_on(Item::Task { task, owner, unfinished, last_seq, head })?;
        for seq in 1..=last_seq {
            let bytes = self.remains.record(task, seq)?;
            self.hand_on(Item::Record { task, seq, bytes })?;
        }
        Ok(())
    }

    fn index(&mut self, task: TaskId) {
        let listed = match self.remains.tree_state(task) {
            Ok(Some(state)) => self.remains.indexed(task, state),
            Ok(None) | Err(_) => return,
        };
        match listed {
            Ok(true) => {}
            Ok(false) => self.find(Part::Tree, task.to_string(), "a list does not show the task where it belongs"),
            Err(error) => self.find(Part::Tree, task.to_string(), format!("the lists that show it: {error}")),
        }
    }

    fn feeds(&mut self) -> Result<(), StoreError> {
        let (feeds, broken) = self.remains.feeds();
        if let Some(error) = broken {
            self.find(Part::Tree, "tree", format!("the list of feeds breaks off: {error}"));
        }
        for (user, last) in feeds {
            self.feed(user, last)?;
        }
        Ok(())
    }

    fn feed(&mut self, user: UserId, last: u64) -> Result<(), StoreError> {
        for seq in 1..=last {
            match self.remains.entry(user, seq) {
                Ok(bytes) => {
                    self.hand_on(Item::Feed { user, seq, bytes })?;
                }
                Err(error) => {
                    let what = format!("entries {seq} to {last} are lost: {error}");
                    self.find(Part::Feed, user.to_string(), what);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Looks whether the audit log reads. Whether it is the one that was written, only its key tells: that is for
    /// `ninja audit verify`.
    fn audit(&mut self) -> Result<(), StoreError> {
        let (last, broken) = self.remains.last_audit();
        if let Some(error) = broken {
            self.find(Part::Tree, "tree", format!("the audit log breaks off: {error}"));
        }
        let end = match self.remains.audit_end() {
            Ok(Some(end)) => end,
            Ok(None) if last == 0 => return Ok(()),
            Ok(None) => self.lost_end(last, "it is missing"),
            Err(error) => self.lost_end(last, &error.to_string()),
        };
        let lost = (1..=end.seq).find_map(|seq| Some((seq, self.remains.audit(seq).err()?)));
        let end = match lost {
            None => end,
            Some((seq, error)) => {
                let what = format!("entries {seq} to {} are lost: {error}", end.seq);
                self.find(Part::Audit, format!("entry {seq}"), what);
                let mac = self.remains.audit(seq - 1).map_or(Mac::NONE, |(mac, _)| mac);
                AuditEnd { seq: seq - 1, mac, end_mac: Mac::NONE }
            }
        };
        if end.seq == 0 {
            return Ok(());
        }
        self.hand_on(Item::AuditEnd(end))?;
        for seq in 1..=end.seq {
            let (mac, bytes) = self.remains.audit(seq)?;
            self.hand_on(Item::Audit { seq, mac, bytes })?;
        }
        Ok(())
    }

    /// Returns an end in the place of one that is lost. Nobody who has the key takes it for one.
    fn lost_end(&mut self, last: u64, why: &str) -> AuditEnd {
        self.find(Part::Audit, "end", why);
        let mac = self.remains.audit(last).map_or(Mac::NONE, |(mac, _)| mac);
        AuditEnd { seq: last, mac, end_mac: Mac::NONE }
    }

    fn blobs(&mut self) -> Result<(), StoreError> {
        let (mut whole, mut damaged) = (HashSet::new(), Vec::new());
        let (remains, spilled, sink) = (self.remains, &self.spilled, &mut *self.sink);
        remains.blobs.each(&mut |hash, mut file| {
            if !is_whole(hash, &mut file).map_err(|error| io_error("read a blob", error))? {
                damaged.push(hash);
                return Ok(());
            }
            whole.insert(hash);
            match spilled.contains(&hash) {
                true => Ok(()),
                false => blob_parts(hash, file, sink),
            }
        })?;
        // What the log carries is written at the next start, whatever became of the file.
        for (hash, bytes) in
            remains.carried.iter().filter(|(hash, _)| !whole.contains(*hash) && !spilled.contains(*hash))
        {
            parts_of(*hash, bytes, sink)?;
        }
        damaged.retain(|hash| !remains.carried.contains_key(hash));
        self.missing(&whole, &damaged);
        for hash in damaged {
            self.find(Part::Blob, hash.to_string(), "its bytes are not what was written");
        }
        Ok(())
    }

    fn hand_on(&mut self, item: Item) -> Result<(), StoreError> {
        let (part, value) = match &item {
            Item::Doc { bytes, .. } => (Part::Document, bytes),
            Item::Task { head: bytes, .. } | Item::Record { bytes, .. } => (Part::Task, bytes),
            Item::Feed { bytes, .. } => (Part::Feed, bytes),
            Item::Audit { bytes, .. } => (Part::Audit, bytes),
            Item::AuditEnd(_) | Item::BlobPart { .. } => return (self.sink)(item),
        };
        self.spilled.extend(spilled_as(value));
        if let Err(error) = self.named.see(&item) {
            self.beyond_repair.push(Finding { part, name: item.to_string(), detail: error.to_string() });
        }
        (self.sink)(item)
    }

    /// Looks whether what is named is there. What is there and damaged has been found.
    fn missing(&mut self, whole: &HashSet<BlobHash>, damaged: &[BlobHash]) {
        let remains = self.remains;
        let is_there = |hash: BlobHash| whole.contains(&hash) || remains.carried.contains_key(&hash);
        let read = self.named.read_lists(&|list| match remains.carried.get(&list) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => Ok(remains.blobs.read_all(list).ok()),
        });
        if let Err(error) = read {
            self.beyond_repair.push(Finding { part: Part::Blob, name: "a list".to_owned(), detail: error.to_string() });
        }
        for (hash, by) in self.named.blobs().iter().filter(|(hash, _)| !is_there(**hash) && !damaged.contains(hash)) {
            let detail = format!("missing, and {by} names it");
            self.beyond_repair.push(Finding { part: Part::Blob, name: hash.to_string(), detail });
        }
    }
}

fn parts_of(hash: BlobHash, bytes: &Bytes, sink: Sink<'_>) -> Result<(), StoreError> {
    let mut rest = bytes.clone();
    loop {
        let part = rest.split_to(rest.len().min(BLOB_PART_BYTES));
        let last = rest.is_empty();
        sink(Item::BlobPart { hash, bytes: part, last })?;
        if last {
            return Ok(());
        }
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    make_directory(to)?;
    if !from.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove the copy of the tree", error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
