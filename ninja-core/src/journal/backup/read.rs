//! Reading a backup: every line is held to the order, the counts and the hashes, and nothing counts before the last one.

use std::io::{BufRead, Read};

use sha2::{Digest, Sha256};

use super::{
    BackupError, FORMAT, OLDEST,
    line::{Line, Peek},
};
use crate::{
    api::BlobHash,
    journal::item::{Item, ItemCounts, Tally},
};

/// The largest line. The largest value is 16 MiB, and a byte of it takes six where it is escaped.
const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Reads a backup to its end and checks all of it.
///
/// # Errors
///
/// Fails where it is cut off, altered, unfinished, newer or no backup at all.
pub fn verify(input: &mut dyn BufRead) -> Result<ItemCounts, BackupError> {
    read(input, &mut |_| Ok(()))
}

/// Hands on every item, and returns how many there were. What was handed on counts for nothing where this fails.
pub(super) fn read(
    input: &mut dyn BufRead,
    each: &mut dyn FnMut(Item) -> Result<(), BackupError>,
) -> Result<ItemCounts, BackupError> {
    let mut lines = Lines { input, hasher: Sha256::new(), buffer: Vec::new(), number: 0 };
    lines.next()?;
    check_header(&lines.buffer)?;
    let mut tally = Tally::default();
    loop {
        lines.next()?;
        let number = lines.number;
        let damaged = |what: String| BackupError::Damaged { line: number, what };
        let line: Line<'_> = serde_json::from_slice(&lines.buffer).map_err(|error| damaged(error.to_string()))?;
        match line {
            Line::Trailer { counts, sha256 } => {
                let found = tally.finish().map_err(damaged)?;
                let so_far: [u8; 32] = lines.hasher.clone().finalize().into();
                if sha256 != BlobHash::from_bytes(so_far) {
                    return Err(damaged("the lines before it are not those that were written".to_owned()));
                }
                if counts != found {
                    return Err(damaged(format!("{counts:?} were written, {found:?} are here")));
                }
                lines.end()?;
                return Ok(counts);
            }
            Line::Failed { detail } => return Err(BackupError::Unfinished(detail.into_owned())),
            line => {
                let item = line.into_item().map_err(damaged)?;
                tally.see(&item).map_err(damaged)?;
                each(item)?;
            }
        }
    }
}

fn check_header(line: &[u8]) -> Result<(), BackupError> {
    let not_one = |error: serde_json::Error| BackupError::NotOne(error.to_string());
    let peek: Peek = serde_json::from_slice(line).map_err(not_one)?;
    if peek.kind != "header" {
        return Err(BackupError::NotOne(format!("it begins with a line of kind {:?}", peek.kind)));
    }
    if !(OLDEST..=FORMAT).contains(&peek.format) {
        return Err(BackupError::Version { found: peek.format });
    }
    serde_json::from_slice::<Line<'_>>(line).map(drop).map_err(not_one)
}

struct Lines<'a> {
    input: &'a mut dyn BufRead,
    /// Over every line but the one at hand.
    hasher: Sha256,
    buffer: Vec<u8>,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<(), BackupError> {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        let read = (&mut *self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer);
        read.map_err(|source| BackupError::File { doing: "read", source })?;
        if self.buffer.ends_with(b"\n") {
            self.number += 1;
            return Ok(());
        }
        match self.number {
            0 if !self.buffer.is_empty() => Err(BackupError::NotOne("its first line does not end".to_owned())),
            lines => Err(BackupError::Truncated { lines }),
        }
    }

    fn end(&mut self) -> Result<(), BackupError> {
        let rest = self.input.fill_buf().map_err(|source| BackupError::File { doing: "read", source })?;
        match rest.is_empty() {
            true => Ok(()),
            false => {
                Err(BackupError::Damaged { line: self.number + 1, what: "something follows the last line".into() })
            }
        }
    }
}
