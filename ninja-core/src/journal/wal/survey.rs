//! Reads the log at start: first everything is checked and nothing touched, then the torn tail is cut, then the
//! changes are handed on.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    Stamp,
    frame::{Found, HEADER_BYTES, Header, is_torn, read_frame},
    segment::{file_name, id_of},
};
use crate::journal::{
    calls::{Calls, DiskCall, io_error},
    change::Change,
    reader::Malformed,
    store::StoreError,
};

/// What the log holds.
#[derive(Debug)]
pub(in crate::journal) struct Survey {
    directory: PathBuf,
    segments: Vec<Segment>,
    /// The newest segment, if the crash came before its header was whole.
    unborn: Option<PathBuf>,
    newest_id: u64,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    header: Header,
    /// The position of the last good frame, or of the one before the first.
    last: u64,
    /// Where the good frames end.
    end: u64,
    /// How long the file is.
    bytes: u64,
}

impl Survey {
    /// Checks every frame of every segment. Touches nothing.
    pub(in crate::journal) fn take(directory: &Path) -> Result<Self, StoreError> {
        let ids = list(directory)?;
        let newest_id = ids.last().copied().unwrap_or(0);
        let mut survey = Self { directory: directory.to_owned(), segments: Vec::new(), unborn: None, newest_id };
        for id in ids {
            let path = directory.join(file_name(id));
            let bytes = read(&path)?;
            match Header::read(&bytes)? {
                Some(header) => survey.segments.push(check_segment(path, &bytes, header, id == newest_id)?),
                None if id == newest_id && bytes.len() <= HEADER_BYTES => survey.unborn = Some(path),
                None => return Err(damaged(&path, "its header does not read")),
            }
        }
        survey.check_order()?;
        Ok(survey)
    }

    fn check_order(&self) -> Result<(), StoreError> {
        for (left, right) in self.segments.iter().zip(self.segments.iter().skip(1)) {
            if right.header.first != left.last + 1 {
                return Err(damaged(&right.path, "it does not follow the segment before it"));
            }
        }
        Ok(())
    }

    /// Checks that the log and a tree that has applied it through `applied` belong together.
    pub(in crate::journal) fn check_against(&self, applied: u64) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (self.segments.first(), self.segments.last()) else {
            return match applied {
                0 => Ok(()),
                _ => Err(damaged(&self.directory, "it holds no segment, though the tree has applied some")),
            };
        };
        if first.header.first > applied + 1 {
            return Err(damaged(&first.path, "the tree lacks what came before it"));
        }
        if last.last < applied {
            return Err(damaged(&last.path, "the tree has applied more than it holds"));
        }
        Ok(())
    }

    /// Returns the position of the last frame, given what the tree has applied.
    pub(in crate::journal) fn last_position(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.last)
    }

    /// Returns the id of the next segment to make.
    pub(in crate::journal) fn next_id(&self) -> u64 {
        self.newest_id + 1
    }

    /// Returns the segments that stand, with their lengths, to be removed after the next checkpoint.
    pub(in crate::journal) fn standing(&self) -> Vec<(PathBuf, u64)> {
        self.segments.iter().map(|segment| (segment.path.clone(), segment.end)).collect()
    }

    /// Cuts off what a crash left half written: the end of the newest segment, or that segment if it was just begun.
    pub(in crate::journal) fn repair(&self, calls: &Calls) -> Result<(), StoreError> {
        for segment in self.segments.iter().filter(|segment| segment.end < segment.bytes) {
            let (path, dropped) = (&segment.path, segment.bytes - segment.end);
            tracing::warn!(path = %path.display(), dropped, position = segment.last, "cut a torn log tail");
            calls.run(DiskCall::CutSegment, path, || {
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(segment.end)?;
                file.sync_all()
            })?;
        }
        if let Some(path) = &self.unborn {
            tracing::warn!(path = %path.display(), "removed a log segment that was never begun");
            calls.run(DiskCall::RemoveSegment, path, || fs::remove_file(path))?;
            calls.sync_directory(&self.directory)?;
        }
        Ok(())
    }

    /// Hands on every change that the log holds, in order.
    pub(in crate::journal) fn replay(
        &self,
        mut each: impl FnMut(Stamp, Change) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for segment in &self.segments {
            let bytes = read(&segment.path)?;
            let mut at = HEADER_BYTES;
            while (at as u64) < segment.end {
                let Found::Frame { stamp, body, end } = read_frame(&bytes, at, segment.header) else {
                    return Err(damaged(&segment.path, "a frame no longer reads"));
                };
                let change = Change::decode(body)
                    .map_err(|Malformed| damaged(&segment.path, "a frame holds no change that this version reads"))?;
                each(stamp, change)?;
                at = end;
            }
        }
        Ok(())
    }
}

fn check_segment(path: PathBuf, bytes: &Bytes, header: Header, newest: bool) -> Result<Segment, StoreError> {
    let (mut at, mut last) = (HEADER_BYTES, header.first.saturating_sub(1));
    loop {
        match read_frame(bytes, at, header) {
            Found::Frame { stamp, end, .. } if stamp.position == last + 1 => (at, last) = (end, stamp.position),
            Found::End => break,
            Found::Bad if newest && is_torn(bytes, at, last + 1, header) => break,
            Found::Bad => return Err(damaged(&path, &format!("the frame at byte {at} is bad"))),
            Found::Frame { .. } => return Err(damaged(&path, &format!("the frame at byte {at} is out of order"))),
        }
    }
    Ok(Segment { path, header, last, end: at as u64, bytes: bytes.len() as u64 })
}

/// Lists the ids of the segments, oldest first. Other files are none of the log's business.
pub(super) fn list(directory: &Path) -> Result<Vec<u64>, StoreError> {
    let error = |error| io_error("list the log", error);
    let mut ids = Vec::new();
    for entry in fs::read_dir(directory).map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        match name.to_str().and_then(id_of) {
            Some(id) => ids.push(id),
            None => tracing::warn!(?name, "ignored a file that is no log segment"),
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Reads a segment whole.
pub(super) fn read(path: &Path) -> Result<Bytes, StoreError> {
    fs::read(path).map(Bytes::from).map_err(|error| io_error("read the log", error))
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Corrupt(format!("log {}: {what}", path.display()))
}
