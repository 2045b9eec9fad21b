//! Whether the audit log is the one that was written: every link anew, from the first entry to the end.
//!
//! Knows the store and the keys, not the engine: it works on a directory at rest as on one that is written to. What is wrong at one
//! place does not keep the rest from being looked at.

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
/// More is wrong than anybody reads one by one: the walk ends there.
const PROBLEMS_MAX: usize = 20;

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
    let (end, unread) = match store.audit_end() {
        Ok(end) => (end, None),
        Err(StoreError::Corrupt(what)) => (None, Some(what)),
        Err(error) => return Err(error),
    };
    let mut walk = Walk { stretches, end, checkpoint, is_sure: true, ..Walk::default() };
    if let Some(what) = unread {
        walk.problems.push(what);
        return Ok(walk.finish(false));
    }
    let came_through = walk.entries(store)?;
    if came_through {
        let problem = walk.end(store)?;
        walk.problems.extend(problem);
    }
    Ok(walk.finish(came_through))
}

/// A walk along the chain.
#[derive(Default)]
struct Walk<'a> {
    stretches: &'a [Stretch],
    end: Option<AuditEnd>,
    checkpoint: Option<&'a AuditCheckpoint>,
    /// The number of the last entry that was looked at, and its link.
    seq: u64,
    mac: Mac,
    /// Whether that link is known to be the one that was made.
    is_sure: bool,
    /// How many there is nothing against.
    passed: u64,
    /// The link of the entry that the checkpoint is of.
    at_checkpoint: Option<Mac>,
    problems: Vec<String>,
}

impl Walk<'_> {
    /// Walks to the end. `false` where it does not come there.
    fn entries(&mut self, store: &dyn Store) -> Result<bool, StoreError> {
        let mut rows = Rows { store, from: 1, waiting: VecDeque::new(), unread: None, is_over: false };
        while let Some(row) = rows.next()? {
            let row = match row {
                Ok(row) => row,
                Err(what) => {
                    self.problems.push(what);
                    return Ok(false);
                }
            };
            if self.end.is_some_and(|end| row.seq > end.seq) {
                break;
            }
            self.pass(&row, rows.waiting.front());
            if self.problems.len() >= PROBLEMS_MAX {
                self.problems.push(format!("the walk ends at entry {}: too much is wrong", self.seq));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Passes one entry.
    fn pass(&mut self, row: &AuditRow, next: Option<&AuditRow>) {
        let expected = self.seq + 1;
        let is_next = row.seq == expected;
        if !is_next {
            let missing = match row.seq - 1 {
                last if last == expected => format!("entry {last} is missing"),
                last => format!("entries {expected} to {last} are missing"),
            };
            self.problems.push(missing);
        }
        let stretches = self.stretches;
        let stretch = stretches.iter().rev().find(|stretch| stretch.from <= row.seq);
        if let Some(stretch) = stretch.filter(|stretch| is_next && stretch.from == row.seq) {
            self.enter(stretch, row);
        }
        let mac = match stretch {
            // The one before it is not there, so nobody knows what it was linked to.
            _ if !is_next => {
                self.is_sure = false;
                row.mac
            }
            None if self.seq == 0 => {
                self.problems.push(format!("there is no key for entry {expected}"));
                row.mac
            }
            // It was told of.
            None => row.mac,
            Some(Stretch { key: Ok(key), .. }) => self.check_link(key, row, next),
            Some(Stretch { key: Err(_), .. }) => {
                self.passed += 1;
                row.mac
            }
        };
        (self.seq, self.mac) = (row.seq, mac);
        if self.checkpoint.is_some_and(|checkpoint| checkpoint.seq == row.seq) {
            self.at_checkpoint = Some(row.mac);
        }
    }

    /// Checks an entry's link, and returns what the next one was linked to.
    fn check_link(&mut self, key: &ChainKey, row: &AuditRow, next: Option<&AuditRow>) -> Mac {
        let (seq, made) = (row.seq, key.link(&self.mac, row.seq, &row.entry));
        let was_sure = std::mem::replace(&mut self.is_sure, true);
        if made == row.mac {
            self.passed += 1;
            return made;
        }
        let (what, mac) = match self.witnesses(key, row, &made, next) {
            // It may be what it was: the link before it, which was told of, is not.
            (true, _) if !was_sure => return row.mac,
            (true, _) => (format!("entry {seq}: its text is not what was chained"), row.mac),
            (_, true) => (format!("entry {seq}: its link is not the one that was made"), made),
            (false, false) => {
                self.is_sure = false;
                (format!("entry {seq} is not the one that was chained in its place"), row.mac)
            }
        };
        self.problems.push(what);
        mac
    }

    /// Returns whether what comes after an entry was linked to the link that stands there, and to the one that its text makes.
    fn witnesses(&self, key: &ChainKey, row: &AuditRow, made: &Mac, next: Option<&AuditRow>) -> (bool, bool) {
        match (next, self.end) {
            (Some(next), _) if next.seq == row.seq + 1 => {
                let links_to = |mac: &Mac| key.link(mac, next.seq, &next.entry) == next.mac;
                (links_to(&row.mac), links_to(made))
            }
            // An end that was forged as well is no witness.
            (None, Some(end)) if end.seq == row.seq && end.end_mac == key.end(end.seq, &end.mac) => {
                (end.mac == row.mac, end.mac == *made)
            }
            (Some(_) | None, _) => (false, false),
        }
    }

    /// Looks at how the stretch before was closed. One that was closed where it ended, and was left for its key alone, is whole.
    fn enter(&mut self, stretch: &Stretch, row: &AuditRow) {
        let seq = row.seq;
        if let Err(why) = &stretch.key {
            self.problems.push(format!("the entries from {seq} on cannot be checked: {why}"));
        }
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

    fn finish(mut self, came_through: bool) -> AuditVerified {
        // Where the walk broke off, a log that ends before the checkpoint was cut all the same.
        let is_cut = |checkpoint: &AuditCheckpoint| self.end.map_or(0, |end| end.seq) < checkpoint.seq;
        let checkpoint = self.checkpoint.filter(|checkpoint| came_through || is_cut(checkpoint));
        let problem = checkpoint.and_then(|checkpoint| self.check(checkpoint));
        self.problems.extend(problem);
        let mac = (self.seq > 0).then(|| self.mac.to_string());
        AuditVerified { entries: self.passed, mac, problems: self.problems }
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
            None => {
                let last = self.end.map_or(self.seq, |end| end.seq);
                Some(format!("entries end at {last}, the checkpoint of {at} says {seq}"))
            }
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

#[cfg(test)]
mod tests;
