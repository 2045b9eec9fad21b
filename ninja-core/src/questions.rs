//! Where open questions stand: a document for each, kept in the commits that ask and answer, so that listing them reads no
//! task that asks nothing.
//!
//! Each stands in two lists, its owner's and everybody's. The id of a document begins with the list, then comes the id of the
//! question with its bits inverted: those are ordered by time, so the newest comes first. A fork shares questions with the task
//! that it came from, so the task ends the id. The document says which record of the task asked.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    api::{ApprovalId, TaskId, UserId},
    journal::{
        record::{Entry, Record},
        store::{Commit, DocKey, DocKind, Store, StoreError},
    },
    machine::TaskState,
    task_log::TaskLog,
};

/// Says that every question that was open before there were these documents has its own.
const INDEXED: &str = "questions";
/// Documents in one commit of those.
const PUTS_MAX: usize = 1_000;
/// Documents looked at together.
const PAGE: usize = 200;
/// Digits of an id.
const ID_DIGITS: usize = 32;

/// What a commit changes of the lists.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Questions that were asked.
    pub(crate) puts: Vec<(DocKey, Bytes)>,
    /// Questions that are open no more.
    pub(crate) deletes: Vec<DocKey>,
}

/// A question in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Where it stands in the list.
    pub(crate) place: String,
    /// The task that asks.
    pub(crate) task: TaskId,
    /// The record that asks.
    pub(crate) seq: u64,
}

/// Returns what changes from `before` (`None` for a new task) to `after`, with the records between them.
pub(crate) fn changes(before: Option<&TaskState>, after: &TaskState, first_seq: u64, entries: &[Entry]) -> Changes {
    let (owner, mut changes) = (after.submitted.owner, Changes::default());
    for id in after.approvals.keys().filter(|id| before.is_none_or(|before| !before.approvals.contains_key(id))) {
        let asks =
            |entry: &Entry| matches!(&entry.record, Record::ApprovalRequested { approval, .. } if approval == id);
        if let Some(seq) = (first_seq..).zip(entries).find_map(|(seq, entry)| asks(entry).then_some(seq)) {
            let keys = keys(owner, *id, after.id);
            changes.puts.extend(keys.map(|key| (key, Bytes::from(seq.to_string()))));
        }
    }
    for id in before.iter().flat_map(|before| before.approvals.keys()).filter(|id| !after.approvals.contains_key(id)) {
        changes.deletes.extend(keys(owner, *id, after.id));
    }
    changes
}

/// Returns a page of an owner's list, or of everybody's.
///
/// # Errors
///
/// Fails where the disk cannot be read, or a document is none.
pub(crate) fn page(
    store: &dyn Store,
    owner: Option<UserId>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Listed>, StoreError> {
    let list = list_of(owner);
    let after = after.map(|place| format!("{list}{place}")).unwrap_or_default();
    let damaged = |id: &str| StoreError::Corrupt(format!("the place of question {id} cannot be read"));
    let docs = store.page_docs(DocKind::Question, &list, &after, limit)?.into_iter();
    let read = docs.map(|(id, seq)| {
        let place = id.strip_prefix(&list).filter(|place| is_place(place)).ok_or_else(|| damaged(&id))?;
        let task = place.get(ID_DIGITS..).and_then(|digits| uuid::Uuid::try_parse(digits).ok());
        let seq = std::str::from_utf8(&seq).ok().and_then(|seq| seq.parse().ok());
        let (Some(task), Some(seq)) = (task, seq) else { return Err(damaged(&id)) };
        Ok(Listed { place: place.to_owned(), task: TaskId::from_uuid(task), seq })
    });
    read.collect()
}

/// Returns whether a text can be a place in a list.
pub(crate) fn is_place(text: &str) -> bool {
    text.len() == 2 * ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Finds all questions of a task whose state nobody can tell, in the lists alone.
///
/// # Errors
///
/// Those of [`page`].
pub(crate) fn keys_of(store: &dyn Store, owner: UserId, task: TaskId) -> Result<Vec<DocKey>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let listed = page(store, Some(owner), after.as_deref(), PAGE)?;
        let its = listed.iter().filter(|listed| listed.task == task);
        found.extend(its.flat_map(|listed| [Some(owner), None].map(|list| key(list, &listed.place))));
        match listed.into_iter().next_back() {
            Some(last) => after = Some(last.place),
            None => return Ok(found),
        }
    }
}

/// Lists what was open before there were these documents, once for a data directory. Where that fails the lists have gaps
/// until a later start succeeds; a task's own questions are seen in the task at any time.
pub(crate) async fn ensure_index(store: &Arc<dyn Store>) {
    if let Err(error) = index(store).await {
        tracing::warn!(%error, "open questions of an older version are not all listed; the next start tries again");
    }
}

async fn index(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    let done = DocKey::new(DocKind::Installation, INDEXED);
    if store.read_doc(&done)?.is_some() {
        return Ok(());
    }
    let (tasks, mut puts, mut after) = (TaskLog::new(Arc::clone(store)), Vec::new(), None);
    loop {
        let page = store.list_unfinished(after, PAGE)?;
        for (task, _) in &page.heads {
            match questions_of(&tasks, *task) {
                Ok(found) => puts.extend(found),
                // Whoever works on it finds out what is wrong with it.
                Err(error) => tracing::warn!(%task, %error, "a task cannot be read, so its questions are not listed"),
            }
            if puts.len() >= PUTS_MAX {
                let puts = std::mem::take(&mut puts);
                store.commit(Commit { puts, ..Commit::default() }).await?;
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    puts.push((done, Bytes::from_static(b"{}")));
    store.commit(Commit { puts, ..Commit::default() }).await.map(drop)
}

fn questions_of(tasks: &TaskLog, task: TaskId) -> Result<Vec<(DocKey, Bytes)>, StoreError> {
    match tasks.load(task)? {
        Some(state) if !state.approvals.is_empty() => Ok(changes(None, &state, 1, &tasks.read(task)?).puts),
        Some(_) | None => Ok(Vec::new()),
    }
}

fn keys(owner: UserId, question: ApprovalId, task: TaskId) -> [DocKey; 2] {
    let place = format!("{:032x}{}", !question.uuid().as_u128(), task.uuid().simple());
    [Some(owner), None].map(|list| key(list, &place))
}

fn key(owner: Option<UserId>, place: &str) -> DocKey {
    DocKey::new(DocKind::Question, format!("{}{place}", list_of(owner)))
}

fn list_of(owner: Option<UserId>) -> String {
    owner.map_or_else(|| "all/".to_owned(), |owner| format!("{owner}/"))
}
