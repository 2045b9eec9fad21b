//! The lines of a backup.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    api::{BlobHash, TaskId, Timestamp, UserId},
    journal::{
        audit::{AuditEnd, Mac, NoMac},
        item::{Item, ItemCounts},
        store::{DocKey, DocKind},
    },
};

/// One line. `kind` says which.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line<'a> {
    /// The first.
    Header {
        format: u32,
        ninja: Cow<'a, str>,
        at: Timestamp,
    },
    Doc {
        of: DocKind,
        id: Cow<'a, str>,
        value: Payload<'a>,
    },
    Task {
        task: TaskId,
        owner: UserId,
        unfinished: bool,
        last_seq: u64,
        head: Payload<'a>,
    },
    Record {
        task: TaskId,
        seq: u64,
        value: Payload<'a>,
    },
    Feed {
        user: UserId,
        seq: u64,
        value: Payload<'a>,
    },
    AuditEnd {
        seq: u64,
        mac: Cow<'a, str>,
        end_mac: Cow<'a, str>,
    },
    Audit {
        seq: u64,
        mac: Cow<'a, str>,
        value: Payload<'a>,
    },
    Blob {
        sha256: BlobHash,
        last: bool,
        base64: Cow<'a, str>,
    },
    /// The last, where all went well. The hash is that of all lines before it, their ends included.
    Trailer {
        counts: ItemCounts,
        sha256: BlobHash,
    },
    /// The last, where it did not.
    Failed {
        detail: Cow<'a, str>,
    },
}

/// What is read of a first line before its version is known.
#[derive(Deserialize)]
pub(super) struct Peek {
    pub(super) kind: String,
    pub(super) format: u32,
}

/// Bytes: as they are where they are text, so that other tools can read them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Payload<'a> {
    Text(Cow<'a, str>),
    Base64(Cow<'a, str>),
}

impl<'a> Payload<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Base64(STANDARD.encode(bytes).into()),
        }
    }

    fn into_bytes(self) -> Result<Bytes, String> {
        match self {
            Self::Text(text) => Ok(text.into_owned().into()),
            Self::Base64(text) => decode(&text),
        }
    }
}

impl<'a> Line<'a> {
    /// Writes an item down.
    pub(super) fn of(item: &'a Item) -> Self {
        match item {
            Item::Doc { key, bytes } => {
                Self::Doc { of: key.kind, id: key.id.as_str().into(), value: Payload::of(bytes) }
            }
            Item::Task { task, owner, unfinished, last_seq, head } => Self::Task {
                task: *task,
                owner: *owner,
                unfinished: *unfinished,
                last_seq: *last_seq,
                head: Payload::of(head),
            },
            Item::Record { task, seq, bytes } => Self::Record { task: *task, seq: *seq, value: Payload::of(bytes) },
            Item::Feed { user, seq, bytes } => Self::Feed { user: *user, seq: *seq, value: Payload::of(bytes) },
            Item::AuditEnd(AuditEnd { seq, mac, end_mac }) => {
                Self::AuditEnd { seq: *seq, mac: mac.to_string().into(), end_mac: end_mac.to_string().into() }
            }
            Item::Audit { seq, mac, bytes } => {
                Self::Audit { seq: *seq, mac: mac.to_string().into(), value: Payload::of(bytes) }
            }
            Item::BlobPart { hash, bytes, last } => {
                Self::Blob { sha256: *hash, last: *last, base64: STANDARD.encode(bytes).into() }
            }
        }
    }

    /// Reads an item back. `Err` holds what is wrong, or which line stands where an item should.
    pub(super) fn into_item(self) -> Result<Item, String> {
        Ok(match self {
            Self::Doc { of, id, value } => Item::Doc { key: DocKey::new(of, id), bytes: value.into_bytes()? },
            Self::Task { task, owner, unfinished, last_seq, head } => {
                Item::Task { task, owner, unfinished, last_seq, head: head.into_bytes()? }
            }
            Self::Record { task, seq, value } => Item::Record { task, seq, bytes: value.into_bytes()? },
            Self::Feed { user, seq, value } => Item::Feed { user, seq, bytes: value.into_bytes()? },
            Self::AuditEnd { seq, mac, end_mac } => {
                Item::AuditEnd(AuditEnd { seq, mac: read_mac(&mac)?, end_mac: read_mac(&end_mac)? })
            }
            Self::Audit { seq, mac, value } => Item::Audit { seq, mac: read_mac(&mac)?, bytes: value.into_bytes()? },
            Self::Blob { sha256, last, base64 } => Item::BlobPart { hash: sha256, bytes: decode(&base64)?, last },
            Self::Header { .. } | Self::Trailer { .. } | Self::Failed { .. } => {
                return Err("a first or last line stands in the middle".to_owned());
            }
        })
    }
}

fn read_mac(text: &str) -> Result<Mac, String> {
    text.parse().map_err(|error: NoMac| error.to_string())
}

fn decode(text: &str) -> Result<Bytes, String> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| error.to_string())
}
