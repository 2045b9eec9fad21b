//! The lives of the process on a data directory: what tells a task that ends the whole process from one that was there.
//!
//! An actor that fails is seen by its supervisor, and the third failure of a task's actor sets the task aside. A task that
//! ends the process (a stack that overflows, memory that runs out, a fault in native code) is seen by nobody, and the next
//! start takes it up again, for ever. So a process keeps a note until it has lived for a while or stops in order; one that
//! finds a note had a predecessor that did neither. After some such lives in a row tasks are taken up one at a time, each
//! named in the note while it is alone, and one that was named when the process ended, again, is not taken up any more.
//!
//! The note is a help and no promise: it is not synced, and where it cannot be written, tasks are taken up as usual.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::api::TaskId;

/// A process that has lived for so long has not been ended by what it took up.
pub(crate) const SHORT_LIFE: Duration = Duration::from_secs(15);
/// How often the process may end while a task is alone.
const ENDS_MAX: u32 = 2;

/// The note of the process that works on a data directory.
pub(crate) struct Lives {
    /// `None` where no note is kept.
    file: Option<PathBuf>,
    short_lives_max: u32,
    note: Mutex<Note>,
}

/// What the next process is to know if this one ends soon and without a word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Note {
    /// Lives in a row that ended so, before this one.
    short_lives: u32,
    /// The one task that is at work.
    alone: Option<TaskId>,
    /// How often the process ended while a task was alone.
    ends: BTreeMap<TaskId, u32>,
}

impl Note {
    /// Returns what a process starts from that finds this note of another.
    fn after_its_end(mut self) -> Self {
        self.short_lives += 1;
        if let Some(task) = self.alone.take() {
            *self.ends.entry(task).or_default() += 1;
        }
        self
    }
}

impl Lives {
    /// Reads the note of the process before, and writes this one's. After `short_lives_max` short lives in a row there is
    /// a suspicion; 0 never has one.
    pub(crate) fn begin(data_dir: &Path, short_lives_max: u32) -> Self {
        let file = data_dir.join("lives.json");
        let before = fs::read(&file).ok();
        // One that does not read was cut off in the middle, which is an end like any other.
        let note = before.map(|bytes| serde_json::from_slice(&bytes).unwrap_or_default()).map(Note::after_its_end);
        let lives = Self { file: Some(file), short_lives_max, note: Mutex::new(note.unwrap_or_default()) };
        lives.change(|_| {});
        lives
    }

    /// Is what a process has that is no daemon: it keeps no note, and leaves the daemon's as it is.
    pub(crate) fn unnoted() -> Self {
        Self { file: None, short_lives_max: 0, note: Mutex::default() }
    }

    /// Returns how many lives in a row ended soon and without a word, if that is reason to suspect a task.
    pub(crate) fn suspicious(&self) -> Option<u32> {
        let short_lives = self.note().short_lives;
        (self.short_lives_max > 0 && short_lives >= self.short_lives_max).then_some(short_lives)
    }

    /// Returns the tasks during which, alone, the process ended too often, and forgets them.
    pub(crate) fn take_convicted(&self) -> Vec<(TaskId, u32)> {
        let mut convicted = BTreeMap::new();
        self.change(|note| {
            (convicted, note.ends) =
                std::mem::take(&mut note.ends).into_iter().partition(|(_, ends)| *ends >= ENDS_MAX);
        });
        convicted.into_iter().collect()
    }

    /// Notes that one task alone is at work, or none.
    pub(crate) fn note_alone(&self, task: Option<TaskId>) {
        self.change(|note| note.alone = task);
    }

    /// Withdraws the note: the process has lived long enough, or stops in order.
    pub(crate) fn settle(&self) {
        let mut note = self.note();
        *note = Note::default();
        let Some(file) = &self.file else { return };
        if let Err(error) = remove_if_there(file) {
            tracing::warn!(%error, file = %file.display(), "failed to remove a note");
        }
    }

    fn change(&self, change: impl FnOnce(&mut Note)) {
        let mut note = self.note();
        change(&mut note);
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec(&*note).map_err(io::Error::other).and_then(|bytes| {
            let new = file.with_extension("new");
            // One that a crash left behind has the mode that it was made with.
            remove_if_there(&new)?;
            let mut note_file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            note_file.write_all(&bytes)?;
            fs::rename(&new, file)
        });
        if let Err(error) = written {
            tracing::warn!(%error, file = %file.display(), "failed to write a note");
        }
    }

    fn note(&self) -> MutexGuard<'_, Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;

    fn task(n: u128) -> TaskId {
        TaskId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn only_short_lives_in_a_row_are_suspicious() {
        let folder = TempDir::new().unwrap();
        let begin = || Lives::begin(folder.path(), 3);
        assert_eq!([begin(), begin(), begin()].map(|lives| lives.suspicious()), [None, None, None]);
        assert_eq!(begin().suspicious(), Some(3));
        assert_eq!(Lives::begin(folder.path(), 0).suspicious(), None);
        begin().settle();
        assert_eq!(begin().suspicious(), None);
    }

    #[test]
    fn the_task_that_was_alone_twice_is_convicted_once() {
        let folder = TempDir::new().unwrap();
        let begin = || Lives::begin(folder.path(), 3);
        let life = |alone: &[Option<TaskId>]| {
            let lives = begin();
            alone.iter().for_each(|task| lives.note_alone(*task));
            lives.take_convicted()
        };
        assert_eq!(life(&[Some(task(1)), None, Some(task(2))]), []);
        assert_eq!(life(&[Some(task(1)), None]), []);
        assert_eq!(life(&[Some(task(2))]), []);
        assert_eq!(life(&[]), [(task(2), 2)]);
        assert_eq!(life(&[]), []);
    }

    #[test]
    fn a_note_that_does_not_read_is_one() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("lives.json"), "{").unwrap();
        assert_eq!(Lives::begin(folder.path(), 1).suspicious(), Some(1));
        fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(Lives::begin(folder.path(), 1).suspicious(), None, "where nothing can be written");
    }
}
