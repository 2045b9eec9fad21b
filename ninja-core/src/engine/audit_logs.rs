//! The audit log's verbs: list, export, verify, checkpoint; and what is noted of those who were refused at the door.

mod denials;

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    Engine,
    list::{limit_of, no_cursor},
    store_error,
    stored_providers::{self, administrators_only},
};
use crate::{
    api::{
        ApiError, AuditAction, AuditCheckpoint, AuditEntry, AuditFilter, AuditFormat, AuditVerified, ErrorCode,
        ListAudit, Page, Principal, Timestamp,
    },
    audit::{self, Audit, AuditKey, StoredKeys},
    journal::{
        audit::ChainKey,
        store::{Commit, Store, StoreError},
    },
    vault::Vault,
};

use denials::Denials;

/// How many entries are looked at for one page: some ten milliseconds of work. Where that is not enough, the page ends there and its
/// cursor goes on.
const SCAN_MAX: u64 = 10_000;
/// How many entries are read at a time.
const READ: u64 = 500;

/// What an engine keeps for its audit log.
pub(super) struct AuditLog {
    pub(super) key: AuditKey,
    denials: Denials,
}

impl AuditLog {
    /// Finds the key of the log, or begins one, and gives it to the store. Before this nothing can be written that is audited.
    pub(super) async fn open(store: &Arc<dyn Store>, vault: &Vault, now: Timestamp) -> Result<Self, StoreError> {
        let waits = stored_providers::waits(store.as_ref(), vault)?;
        Ok(Self { key: audit::ensure(store, vault, waits, now).await?, denials: Denials::default() })
    }
}

impl Engine {
    /// Lists the audit log, newest first. A page looks at ten thousand entries at most: one may hold fewer than were asked for, even
    /// none, and still have a cursor.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator, `invalid_request` where the cursor is not one or the limit cannot
    /// be, `corrupt` where an entry does not read.
    pub async fn list_audit(&self, by: &Principal, query: ListAudit) -> Result<Page<AuditEntry>, ApiError> {
        administrators_only(by)?;
        let limit = limit_of(query.limit)?;
        let mut below = match query.cursor {
            Some(cursor) => read_cursor(&cursor)?,
            None => self.last_audit()? + 1,
        };
        let last_looked_at = below.saturating_sub(SCAN_MAX).max(1);
        let mut items = Vec::new();
        while below > last_looked_at {
            let from = below.saturating_sub(READ).max(last_looked_at);
            for entry in read(self.store().as_ref(), from, below)?.into_iter().rev() {
                below = entry.seq;
                if query.filter.wants(&entry) {
                    items.push(entry);
                }
                if items.len() == limit {
                    return Ok(page(items, below));
                }
            }
            below = from;
        }
        Ok(page(items, below))
    }

    /// Writes the audit log as text, oldest first. That it was exported is an entry of its own, and stands in what is exported.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator. The stream breaks off where an entry does not read.
    pub async fn export_audit(
        &self,
        by: &Principal,
        filter: AuditFilter,
        format: AuditFormat,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, ApiError> {
        administrators_only(by)?;
        let what = serde_json::to_string(&filter).expect("a filter has string keys only");
        let entry = Audit::of(by, AuditAction::ExportAudit, self.0.services.clock.now()).saying(what);
        self.commit_audit(&entry).await.map_err(store_error)?;
        let (store, last) = (Arc::clone(self.store()), self.last_audit()?);
        let heading = Bytes::from(audit::heading(format));
        let entries = stream::try_unfold(1, move |from| {
            let (store, filter) = (Arc::clone(&store), filter.clone());
            async move {
                if from > last {
                    return Ok(None);
                }
                let below = (from + READ).min(last + 1);
                let entries = read(store.as_ref(), from, below).map_err(io::Error::other)?;
                let wanted = entries.iter().filter(|entry| filter.wants(entry));
                let lines: Vec<u8> = wanted.flat_map(|entry| audit::line(format, entry)).collect();
                Ok(Some((Bytes::from(lines), below)))
            }
        });
        Ok(stream::iter([Ok(heading)]).chain(entries).boxed())
    }

    /// Verifies the audit log from its first entry to its end, and that it goes on from a checkpoint, where one is given.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator. What is wrong with the log is no error but the answer.
    pub async fn verify_audit(
        &self,
        by: &Principal,
        checkpoint: Option<AuditCheckpoint>,
    ) -> Result<AuditVerified, ApiError> {
        administrators_only(by)?;
        let engine = self.clone();
        let verified = tokio::task::spawn_blocking(move || {
            let store = engine.store().as_ref();
            let stretches = StoredKeys::read(store)?.stretches(&engine.0.vault);
            let verified = audit::verify(store, &stretches, checkpoint.as_ref())?;
            Ok(match &engine.0.audit.key {
                AuditKey::Known(_) => verified,
                AuditKey::Missing(why) => {
                    let problems = [vec![format!("nothing can be written to it: {why}")], verified.problems].concat();
                    AuditVerified { problems, ..verified }
                }
            })
        });
        let broke_off = |error| ApiError::new(ErrorCode::Internal, format!("it broke off: {error}"));
        verified.await.map_err(broke_off)?.map_err(store_error)
    }

    /// Returns where the audit log ends, signed, to be kept elsewhere.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator, `conflict` where the key is not here, `corrupt` where the end of
    /// the log is not one that was written.
    pub async fn checkpoint_audit(&self, by: &Principal) -> Result<AuditCheckpoint, ApiError> {
        administrators_only(by)?;
        let key = self.check_audit_key()?;
        let end = self.store().audit_end().map_err(store_error)?;
        let end = end.filter(|end| end.end_mac == key.end(end.seq, &end.mac)).ok_or_else(|| {
            let what = "the end of the audit log is not one that was written; `ninja audit verify` tells more";
            ApiError::new(ErrorCode::Corrupt, what)
        })?;
        Ok(audit::sign(key, &end, self.0.services.clock.now()))
    }

    /// Returns the key with which the log is written, where it is here.
    pub(super) fn check_audit_key(&self) -> Result<&ChainKey, ApiError> {
        match &self.0.audit.key {
            AuditKey::Known(key) => Ok(key),
            AuditKey::Missing(_) => Err(store_error(StoreError::NoAuditKey)),
        }
    }

    /// Commits an entry of what changes nothing that is kept.
    pub(super) async fn commit_audit(&self, entry: &Audit) -> Result<(), StoreError> {
        self.store().commit(Commit { audit: vec![entry.encode()], ..Commit::default() }).await.map(drop)
    }

    fn last_audit(&self) -> Result<u64, ApiError> {
        Ok(self.store().audit_end().map_err(store_error)?.map_or(0, |end| end.seq))
    }
}

/// Reads the entries from one up to another, without that.
fn read(store: &dyn Store, from: u64, below: u64) -> Result<Vec<AuditEntry>, ApiError> {
    let wanted = usize::try_from(below - from).unwrap_or(usize::MAX);
    let rows = store.read_audit(from, wanted).map_err(store_error)?;
    let entries = rows.into_iter().take_while(|row| row.seq < below).map(|row| {
        Audit::decode(row.seq, &row.entry).map_err(|error| {
            let what =
                format!("entry {} of the audit log does not read ({error}); `ninja audit verify` tells more", row.seq);
            ApiError::new(ErrorCode::Corrupt, what)
        })
    });
    entries.collect()
}

fn page(items: Vec<AuditEntry>, below: u64) -> Page<AuditEntry> {
    Page { items, next_cursor: (below > 1).then(|| format!("below_{below}")) }
}

fn read_cursor(cursor: &str) -> Result<u64, ApiError> {
    let below = cursor.strip_prefix("below_").and_then(|below| below.parse().ok()).filter(|below| *below > 1);
    below.ok_or_else(|| no_cursor("the audit log"))
}

#[cfg(test)]
mod tests;
