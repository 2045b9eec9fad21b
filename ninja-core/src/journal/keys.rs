//! The keys of the one tree: a stable tag, then ids and big-endian numbers, so that byte order is the order we list in.
//!
//! Owners see their newest task first: the listing key inverts the bits of the task's UUIDv7, so the tree is only
//! ever walked forwards. Tags are stored and never reused.

use crate::api::{TaskId, UserId};

use super::store::{DocKey, DocKind};

/// What a key addresses. The number is its first byte on disk.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Tag {
    Position = 1,
    Head = 2,
    Record = 3,
    Owner = 4,
    Unfinished = 5,
    Feed = 6,
    FeedLast = 7,
    Doc = 8,
    Audit = 9,
    AuditEnd = 10,
    Buried = 12,
}

const ID_BYTES: usize = 16;

const DOC_KINDS: [DocKind; 13] = [
    DocKind::Installation,
    DocKind::User,
    DocKind::ApiKey,
    DocKind::File,
    DocKind::Count,
    DocKind::Provider,
    DocKind::Session,
    DocKind::Token,
    DocKind::Idempotency,
    DocKind::Setting,
    DocKind::Email,
    DocKind::Question,
    DocKind::UserFile,
];

/// Returns the key under which the position of the last applied frame stands.
pub(super) fn position() -> Vec<u8> {
    vec![Tag::Position as u8]
}

/// Returns the key of a task's head.
pub(super) fn head(task: TaskId) -> Vec<u8> {
    key(Tag::Head, &[task.uuid().as_bytes()])
}

/// Returns what the keys of all heads begin with.
pub(super) fn all_heads() -> Vec<u8> {
    key(Tag::Head, &[])
}

/// Reads the task out of the key of a head.
pub(super) fn task_of_head_key(key: &[u8]) -> Option<TaskId> {
    tagged_id(Tag::Head, key).map(|id| TaskId::from_uuid(uuid::Uuid::from_u128(id)))
}

/// Returns the key of a record of a task's log.
pub(super) fn record(task: TaskId, seq: u64) -> Vec<u8> {
    key(Tag::Record, &[task.uuid().as_bytes(), &seq.to_be_bytes()])
}

/// Returns what the keys of all records of a task begin with.
pub(super) fn log(task: TaskId) -> Vec<u8> {
    key(Tag::Record, &[task.uuid().as_bytes()])
}

/// Returns the key that lists a task under its owner.
pub(super) fn owner_task(owner: UserId, task: TaskId) -> Vec<u8> {
    key(Tag::Owner, &[owner.uuid().as_bytes(), &(!task.uuid().as_u128()).to_be_bytes()])
}

/// Returns what all listing keys of all owners begin with.
pub(super) fn all_owners() -> Vec<u8> {
    key(Tag::Owner, &[])
}

/// Returns what all listing keys of an owner begin with.
pub(super) fn owner(owner: UserId) -> Vec<u8> {
    key(Tag::Owner, &[owner.uuid().as_bytes()])
}

/// Reads the task out of a listing key.
pub(super) fn task_of_owner_key(key: &[u8]) -> Option<TaskId> {
    let inverted = u128::from_be_bytes(key.get(1 + ID_BYTES..)?.try_into().ok()?);
    Some(TaskId::from_uuid(uuid::Uuid::from_u128(!inverted)))
}

/// Returns the key that says that a task is unfinished.
pub(super) fn unfinished(task: TaskId) -> Vec<u8> {
    key(Tag::Unfinished, &[task.uuid().as_bytes()])
}

/// Returns what the keys of all unfinished tasks begin with.
pub(super) fn all_unfinished() -> Vec<u8> {
    key(Tag::Unfinished, &[])
}

/// Reads the task out of the key of an unfinished task.
pub(super) fn task_of_unfinished_key(key: &[u8]) -> Option<TaskId> {
    let id = u128::from_be_bytes(key.get(1..)?.try_into().ok()?);
    Some(TaskId::from_uuid(uuid::Uuid::from_u128(id)))
}

/// Returns the key under which it stands how many records of a forgotten task are still to be removed.
pub(super) fn buried(task: TaskId) -> Vec<u8> {
    key(Tag::Buried, &[task.uuid().as_bytes()])
}

/// Returns what these keys begin with.
pub(super) fn all_buried() -> Vec<u8> {
    key(Tag::Buried, &[])
}

/// Reads the task out of such a key.
pub(super) fn task_of_buried_key(key: &[u8]) -> Option<TaskId> {
    tagged_id(Tag::Buried, key).map(|id| TaskId::from_uuid(uuid::Uuid::from_u128(id)))
}

/// Returns the key of an entry of a user's feed.
pub(super) fn feed(user: UserId, seq: u64) -> Vec<u8> {
    key(Tag::Feed, &[user.uuid().as_bytes(), &seq.to_be_bytes()])
}

/// Returns what the keys of all entries of a user's feed begin with.
pub(super) fn feed_of(user: UserId) -> Vec<u8> {
    key(Tag::Feed, &[user.uuid().as_bytes()])
}

/// Returns the key of the number of the last entry of a user's feed.
pub(super) fn feed_last(user: UserId) -> Vec<u8> {
    key(Tag::FeedLast, &[user.uuid().as_bytes()])
}

/// Returns what the keys of the last entries of all feeds begin with.
pub(super) fn all_feed_ends() -> Vec<u8> {
    key(Tag::FeedLast, &[])
}

/// Reads the user out of the key of the last entry of a feed.
pub(super) fn user_of_feed_end_key(key: &[u8]) -> Option<UserId> {
    tagged_id(Tag::FeedLast, key).map(|id| UserId::from_uuid(uuid::Uuid::from_u128(id)))
}

/// Returns what the keys of all documents begin with.
pub(super) fn all_docs() -> Vec<u8> {
    key(Tag::Doc, &[])
}

/// Reads a document's address out of its key.
pub(super) fn doc_of_key(key: &[u8]) -> Option<DocKey> {
    let (tag, kind) = (*key.first()?, doc_kind(*key.get(1)?)?);
    (tag == Tag::Doc as u8).then(|| id_of_doc_key(key)).flatten().map(|id| DocKey { kind, id })
}

/// Returns the key of a document.
pub(super) fn doc(doc: &DocKey) -> Vec<u8> {
    key(Tag::Doc, &[&[doc.kind as u8], doc.id.as_bytes()])
}

/// Returns what the keys of all documents of a kind begin with whose ids begin with `prefix`.
pub(super) fn docs(kind: DocKind, prefix: &str) -> Vec<u8> {
    key(Tag::Doc, &[&[kind as u8], prefix.as_bytes()])
}

/// Reads the id out of a document's key.
pub(super) fn id_of_doc_key(key: &[u8]) -> Option<String> {
    String::from_utf8(key.get(2..)?.to_vec()).ok()
}

/// Returns the kind that a stored tag stands for.
pub(super) fn doc_kind(tag: u8) -> Option<DocKind> {
    DOC_KINDS.into_iter().find(|kind| *kind as u8 == tag)
}

/// Returns the key of an entry of the audit log.
pub(super) fn audit(seq: u64) -> Vec<u8> {
    key(Tag::Audit, &[&seq.to_be_bytes()])
}

/// Returns what the keys of all entries of the audit log begin with.
pub(super) fn all_audit() -> Vec<u8> {
    key(Tag::Audit, &[])
}

/// Reads the number out of the key of an entry of the audit log.
pub(super) fn seq_of_audit_key(key: &[u8]) -> Option<u64> {
    let (tag, seq) = key.split_first()?;
    (*tag == Tag::Audit as u8).then(|| seq.try_into().ok().map(u64::from_be_bytes)).flatten()
}

/// Returns the key of the end of the audit log.
pub(super) fn audit_end() -> Vec<u8> {
    key(Tag::AuditEnd, &[])
}

fn tagged_id(tag: Tag, key: &[u8]) -> Option<u128> {
    let (found, id) = key.split_first()?;
    (*found == tag as u8).then(|| id.try_into().ok().map(u128::from_be_bytes)).flatten()
}

fn key(tag: Tag, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(tag as u8);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn task(id: u128) -> TaskId {
        TaskId::from_uuid(Uuid::from_u128(id))
    }

    fn user(id: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(id))
    }

    #[test]
    fn keys_on_disk_keep_their_bytes() {
        let key = record(task(1), 0x0203);
        assert_eq!(key, [&[3][..], &[0; 15], &[1], &[0; 6], &[2, 3]].concat());
        assert_eq!(doc(&DocKey::new(DocKind::ApiKey, "ab")), [8, 3, b'a', b'b']);
        assert_eq!(doc(&DocKey::new(DocKind::Provider, "ab")), [8, 6, b'a', b'b']);
        assert_eq!((audit(0x0203), audit_end()), ([&[9][..], &[0; 6], &[2, 3]].concat(), vec![10]));
        assert_eq!((position(), all_unfinished(), docs(DocKind::File, "x")), (vec![1], vec![5], vec![8, 4, b'x']));
        assert_eq!((all_buried(), docs(DocKind::Question, "")), (vec![12], vec![8, 12]));
    }

    #[test]
    fn every_document_kind_reads_back() {
        for kind in DOC_KINDS {
            assert_eq!(doc_kind(kind as u8), Some(kind));
        }
        assert_eq!(doc_kind(0), None);
    }

    proptest! {
        #[test]
        fn records_and_entries_sort_by_id_then_number(a: (u128, u64), b: (u128, u64)) {
            prop_assert_eq!(record(task(a.0), a.1).cmp(&record(task(b.0), b.1)), a.cmp(&b));
            prop_assert_eq!(feed(user(a.0), a.1).cmp(&feed(user(b.0), b.1)), a.cmp(&b));
        }

        #[test]
        fn an_owner_lists_the_newest_first(owner_id: u128, a: u128, b: u128) {
            let (left, right) = (owner_task(user(owner_id), task(a)), owner_task(user(owner_id), task(b)));
            prop_assert_eq!(left.cmp(&right), b.cmp(&a));
            prop_assert!(left.starts_with(&owner(user(owner_id))));
        }

        #[test]
        fn ids_read_back(id: u128, other: u128, number: u64, name in ".*") {
            prop_assert_eq!(task_of_owner_key(&owner_task(user(other), task(id))), Some(task(id)));
            prop_assert_eq!(task_of_unfinished_key(&unfinished(task(id))), Some(task(id)));
            prop_assert_eq!(task_of_head_key(&head(task(id))), Some(task(id)));
            prop_assert_eq!(task_of_buried_key(&buried(task(id))), Some(task(id)));
            prop_assert_eq!(user_of_feed_end_key(&feed_last(user(id))), Some(user(id)));
            prop_assert_eq!(seq_of_audit_key(&audit(number)), Some(number));
            prop_assert_eq!(user_of_feed_end_key(&head(task(id))), None);
            let address = DocKey::new(DocKind::File, &name);
            prop_assert_eq!(doc_of_key(&doc(&address)), Some(address));
            prop_assert_eq!(id_of_doc_key(&doc(&DocKey::new(DocKind::User, &name))), Some(name));
        }
    }
}
