//! Whether the audit log is the one that was written: every link anew, from the first entry to the end.
//!
//! Knows the store and the keys, not the engine: it works on a directory at rest as on one that is written to.

use std::collections::VecDeque;

use super::{Audit, checkpoint, keys::Stretch};
use crate::{
    api::{AuditCheckpoint, AuditVerified},
    journal::{
        audit::{AuditEnd, AuditRow, ChainKey, Mac},
        store::{Store, StoreError},
    },
};

/// How many entries are read at a time.
const PAGE: usize = 256;

/// Verifies the log, and that it goes on from a checkpoint, where there is one.
///
/// # Errors
///
/// Fails where the disk cannot be read. What is wrong with the log is no error but the answer.
pub(crate) fn verify(
    store: &dyn Store,
    stretches: &[Stretch],
    checkpoint: Option<&AuditCheckpoint>,
) -> Result<AuditVerified, StoreError> {
    let end = match store.audit_end() {
        Ok(end) => end,
        Err(StoreError::Corrupt(what)) => return Ok(Walk::new(stretches, None, checkpoint).broken(what)),
        Err(error) => return Err(error),
    };
    let mut walk = Walk::new(stretches, end, checkpoint);
    if let Some(problem) = walk.entries(store)? {
        return Ok(walk.broken(problem));
    }
    if let Some(problem) = walk.end(store)? {
        return Ok(walk.broken(problem));
    }
    Ok(walk.finish())
}

/// A walk along the chain.
struct Walk<'a> {
    stretches: &'a [Stretch],
    end: Option<AuditEnd>,
    checkpoint: Option<&'a AuditCheckpoint>,
    /// The number of the last entry that was passed, and its link.
    seq: u64,
    mac: Mac,
    /// The link of the entry that the checkpoint is of.
    at_checkpoint: Option<Mac>,
    problems: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(stretches: &'a [Stretch], end: Option<AuditEnd>, checkpoint: Option<&'a AuditCheckpoint>) -> Self {
        Self { stretches, end, checkpoint, seq: 0, mac: Mac::NONE, at_checkpoint: None, problems: Vec::new() }
    }

    /// Walks to the end, or to the first thing that is wrong.
    fn entries(&mut self, store: &dyn Store) -> Result<Option<String>, StoreError> {
        let mut rows = Rows { store, from: 1, waiting: VecDeque::new(), unread: None, is_over: false };
        while let Some(row) = rows.next()? {
            let row = match row {
                Ok(row) => row,
                Err(what) => return Ok(Some(what)),
            };
            if self.end.is_some_and(|end| row.seq > end.seq) {
                return Ok(None);
            }
            if let Some(problem) = self.pass(&row, rows.waiting.front()) {
                return Ok(Some(problem));
            }
        }
        Ok(None)
    }

    /// Passes one entry.
    fn pass(&mut self, row: &AuditRow, next: Option<&AuditRow>) -> Option<String> {
        let seq = self.seq + 1;
        if row.seq != seq {
            return Some(format!("entry {seq} is missing"));
        }
        let Some(stretch) = self.stretches.iter().rev().find(|stretch| stretch.from <= seq) else {
            return Some(format!("there is no key for entry {seq}"));
        };
        if stretch.from == seq {
            self.enter(stretch, row);
        }
        match &stretch.key {
            Err(why) if stretch.from == seq => {
                self.problems.push(format!("the entries from {seq} on cannot be checked: {why}"));
            }
            Err(_) => {}
            Ok(key) => {
                let made = key.link(&self.mac, seq, &row.entry);
                if made != row.mac {
                    return Some(self.blame(key, row, &made, next));
                }
            }
        }
        (self.seq, self.mac) = (seq, row.mac);
        if self.checkpoint.is_some_and(|checkpoint| checkpoint.seq == seq) {
            self.at_checkpoint = Some(row.mac);
        }
        None
    }

    /// Looks at how the stretch before was closed. One that was closed where it ended, and was left for its key alone, is whole.
    fn enter(&mut self, stretch: &Stretch, row: &AuditRow) {
        let seq = row.seq;
        if seq == 1 {
            return;
        }
        let before = self.stretches.iter().rev().find(|before| before.from < seq);
        let is_whole = match before.map(|before| &before.key) {
            Some(Ok(key)) => stretch.closed_by == Some(key.end(seq - 1, &self.mac)),
            // It was told of already that nobody can check it.
            Some(Err(_)) => return,
            None => false,
        };
        if !is_whole {
            let entry = Audit::decode(seq, &row.entry).ok();
            let why = entry.and_then(|entry| entry.detail).unwrap_or_else(|| "it does not say why".to_owned());
            self.problems.push(format!("entry {seq} begins the log anew, and what ended before it may be cut: {why}"));
        }
    }

    /// Says what is wrong with an entry whose link is not the one that its text makes.
    fn blame(&self, key: &ChainKey, row: &AuditRow, made: &Mac, next: Option<&AuditRow>) -> String {
        let seq = row.seq;
        // Who comes after was linked to what stood here when it was written.
        let (to_stored, to_made) = match (next, self.end) {
            (Some(next), _) if next.seq == seq + 1 => {
                let links_to = |mac: &Mac| key.link(mac, next.seq, &next.entry) == next.mac;
                (links_to(&row.mac), links_to(made))
            }
            (None, Some(end)) if end.seq == seq => (end.mac == row.mac, end.mac == *made),
            (Some(_) | None, _) => (false, false),
        };
        match (to_stored, to_made) {
            (true, _) => format!("entry {seq}: its text is not what was chained"),
            (_, true) => format!("entry {seq}: its link is not the one that was made"),
            (false, false) => format!("entry {seq} is not the one that was chained in its place"),
        }
    }

    /// Looks at the end of the chain.
    fn end(&self, store: &dyn Store) -> Result<Option<String>, StoreError> {
        let Some(end) = self.end else {
            return Ok(match (self.seq, self.stretches.is_empty()) {
                (0, true) => None,
                _ => Some(format!("entries end at {}, and the chain's end is missing", self.seq)),
            });
        };
        if end.seq > self.seq {
            return Ok(Some(format!("entries end at {}, the chain's end says {}", self.seq, end.seq)));
        }
        if end.mac != self.mac {
            return Ok(Some(format!("the chain's end names another link than entry {} has", end.seq)));
        }
        if let Some(Stretch { key: Ok(key), .. }) = self.stretches.last()
            && end.end_mac != key.end(end.seq, &end.mac)
        {
            return Ok(Some(format!("the chain's end, at entry {}, is not one that was written", end.seq)));
        }
        // What was written meanwhile is not at fault for it.
        let Some(beyond) = read(store, end.seq + 1)?.unwrap_or_default().into_iter().next() else { return Ok(None) };
        let now = store.audit_end()?.map_or(0, |end| end.seq);
        Ok((beyond.seq > now)
            .then(|| format!("entry {} stands after the chain's end, which says {}", beyond.seq, end.seq)))
    }

    fn finish(mut self) -> AuditVerified {
        self.problems.extend(self.checkpoint.and_then(|checkpoint| self.check(checkpoint)));
        self.verified()
    }

    fn broken(mut self, problem: String) -> AuditVerified {
        self.problems.push(problem);
        // A log that ends before a checkpoint was cut, whatever else is wrong with it.
        let is_cut = |checkpoint: &&AuditCheckpoint| self.end.map_or(0, |end| end.seq) < checkpoint.seq;
        self.problems.extend(self.checkpoint.filter(is_cut).and_then(|checkpoint| self.check(checkpoint)));
        self.verified()
    }

    fn verified(self) -> AuditVerified {
        let mac = (self.seq > 0).then(|| self.mac.to_string());
        AuditVerified { entries: self.seq, mac, problems: self.problems }
    }

    /// Says what is wrong, given a checkpoint that was kept elsewhere.
    fn check(&self, checkpoint: &AuditCheckpoint) -> Option<String> {
        let AuditCheckpoint { seq, at, mac, .. } = checkpoint;
        let stretch = self.stretches.iter().rev().find(|stretch| stretch.from <= *seq);
        let is_ours = match stretch.map(|stretch| &stretch.key) {
            Some(Ok(key)) => checkpoint::is_signed(key, checkpoint),
            // It was told of already that the key is not to be had. The link can be compared without.
            Some(Err(_)) => true,
            None => false,
        };
        if !is_ours {
            return Some(format!("the checkpoint of {at} is not one that this log's key signed"));
        }
        match self.at_checkpoint {
            None => Some(format!("entries end at {}, the checkpoint of {at} says {seq}", self.seq)),
            Some(found) if found.to_string() == *mac => None,
            Some(_) => {
                Some(format!("entry {seq} is not the one of the checkpoint of {at}: what leads to it was written anew"))
            }
        }
    }
}

/// The entries one after another, with the one that follows at hand.
struct Rows<'a> {
    store: &'a dyn Store,
    from: u64,
    waiting: VecDeque<AuditRow>,
    /// The first that does not read.
    unread: Option<String>,
    is_over: bool,
}

impl Rows<'_> {
    fn next(&mut self) -> Result<Option<Result<AuditRow, String>>, StoreError> {
        while self.waiting.len() < 2 && !self.is_over && self.unread.is_none() {
            match read(self.store, self.from)? {
                Err(what) => self.unread = Some(what),
                Ok(page) => {
                    self.is_over = page.is_empty();
                    self.from = page.last().map_or(self.from, |row| row.seq + 1);
                    self.waiting.extend(page);
                }
            }
        }
        Ok(self.waiting.pop_front().map(Ok).or_else(|| self.unread.take().map(Err)))
    }
}

/// Reads a page. Where one of its entries does not read, those before it, or what is wrong with it where it is the first.
fn read(store: &dyn Store, from: u64) -> Result<Result<Vec<AuditRow>, String>, StoreError> {
    match store.read_audit(from, PAGE) {
        Err(StoreError::Corrupt(_)) => {}
        read => return read.map(Ok),
    }
    let mut rows: Vec<AuditRow> = Vec::new();
    loop {
        let next = rows.last().map_or(from, |row| row.seq + 1);
        match store.read_audit(next, 1) {
            Ok(row) if row.is_empty() => return Ok(Ok(rows)),
            Ok(row) => rows.extend(row),
            Err(StoreError::Corrupt(what)) if rows.is_empty() => {
                return Ok(Err(format!("entry {next} does not read: {what}")));
            }
            Err(StoreError::Corrupt(_)) => return Ok(Ok(rows)),
            Err(error) => return Err(error),
        }
    }
}
