//! Putting a store that was built beside a data directory's own into its place, so that a crash on the way leaves nothing that
//! an engine would mistake for data.
//!
//! From the first moment to the last the file `format` holds a word instead of a number, which every start refuses. The parts are
//! built in a folder of the data directory, because that may be a mount of its own, and then moved one by one.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{
    blobs::make_directory,
    calls::io_error,
    directory::{DirectoryLock, read_mark, write_format, write_mark},
    store::{Store, StoreError},
};

/// What `format` says while a backup is restored, and the folder in which that is done.
pub(super) const RESTORING: &str = "restoring";
/// The same for a repair.
pub(super) const REPAIRING: &str = "repairing";

/// What a store consists of. `format` comes last of all.
const PARTS: [&str; 4] = ["log", "tree", "blobs", "snapshots"];
/// Says in the workshop that it is finished, and where the old parts go.
const DONE: &str = "done";

/// A data directory that is being worked on.
pub(super) struct Site {
    directory: PathBuf,
    work: &'static str,
    /// What is put back where the work is given up.
    format_before: Option<String>,
    /// Whether there was no such directory.
    is_new: bool,
    _lock: DirectoryLock,
}

/// Returns whether a backup may be restored here: there is nothing, or only what an earlier attempt left behind.
pub(super) fn is_vacant(directory: &Path) -> Result<bool, StoreError> {
    if read_mark(directory)?.as_deref() == Some(RESTORING) {
        return Ok(true);
    }
    match fs::read_dir(directory) {
        // A new file system of its own has this folder.
        Ok(mut entries) => Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lost+found"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(io_error("list the data directory", error)),
    }
}

impl Site {
    /// Takes the directory's lock, closes it to every start and empties the workshop.
    pub(super) fn begin(directory: &Path, work: &'static str) -> Result<Self, StoreError> {
        let is_new = !directory.exists();
        make_directory(directory).map_err(|error| io_error("make the data directory", error))?;
        let lock = DirectoryLock::take(directory)?;
        let found = read_mark(directory)?;
        // What a restore was making when it was interrupted is nobody's data yet.
        if work == RESTORING && found.as_deref() == Some(RESTORING) {
            PARTS.iter().chain([&work]).try_for_each(|part| remove(&directory.join(part)))?;
        }
        let format_before = found.filter(|mark| mark != work);
        write_mark(directory, work).map_err(|error| io_error("write the format file", error))?;
        let site = Self { directory: directory.to_owned(), work, format_before, is_new, _lock: lock };
        if !site.is_done() {
            remove(&site.workshop())?;
        }
        make_directory(&site.workshop()).map_err(|error| io_error("make a directory", error))?;
        Ok(site)
    }

    /// Returns the folder in which the new store is built.
    pub(super) fn workshop(&self) -> PathBuf {
        self.directory.join(self.work)
    }

    /// Returns whether an earlier attempt has finished building, so that only the moving is left.
    pub(super) fn is_done(&self) -> bool {
        self.workshop().join(DONE).exists()
    }

    /// Returns the folder that an earlier attempt began to move the old parts to.
    pub(super) fn aside(&self) -> Option<PathBuf> {
        let name = fs::read_to_string(self.workshop().join(DONE)).ok()?;
        (!name.is_empty()).then(|| self.directory.join(name))
    }

    /// Moves the old parts aside and the new ones in, then opens the directory to starts. Begun anew after a crash it goes on.
    pub(super) fn install(self, aside: Option<&str>) -> Result<(), StoreError> {
        let failed = |error| io_error("put the new store into its place", error);
        if !self.is_done() {
            // Every part is there, so that one that is gone has been moved.
            PARTS.iter().try_for_each(|part| make_directory(&self.workshop().join(part))).map_err(failed)?;
            fs::write(self.workshop().join(DONE), aside.unwrap_or_default()).map_err(failed)?;
            sync(&self.workshop().join(DONE)).and_then(|()| sync(&self.workshop())).map_err(failed)?;
        }
        let aside = self.aside();
        if let Some(aside) = &aside {
            make_directory(aside).map_err(failed)?;
        }
        for part in PARTS {
            self.swap(part, aside.as_deref()).map_err(failed)?;
        }
        if let Some(aside) = &aside {
            sync(aside).map_err(failed)?;
        }
        sync(&self.directory).map_err(failed)?;
        let format = fs::read_to_string(self.workshop().join("format")).map_err(failed)?;
        write_mark(&self.directory, format.trim_end()).map_err(failed)?;
        remove(&self.workshop())
    }

    /// Leaves the directory as it was found.
    pub(super) fn give_up(self) -> Result<(), StoreError> {
        remove(&self.workshop())?;
        let failed = |error| io_error("put the format file back", error);
        match &self.format_before {
            Some(mark) => write_mark(&self.directory, mark).map_err(failed),
            // An earlier repair was interrupted before it moved anything.
            None if self.work == REPAIRING => write_format(&self.directory).map_err(failed),
            None => {
                fs::remove_file(self.directory.join("format")).map_err(failed)?;
                fs::remove_file(self.directory.join("lock")).map_err(failed)?;
                match self.is_new {
                    true => fs::remove_dir(&self.directory).map_err(failed),
                    false => Ok(()),
                }
            }
        }
    }

    /// As long as the new part is in the workshop, what stands in its place is the old one.
    fn swap(&self, part: &str, aside: Option<&Path>) -> io::Result<()> {
        let (new, place) = (self.workshop().join(part), self.directory.join(part));
        if !new.exists() {
            return Ok(());
        }
        if let Some(aside) = aside.filter(|_| place.exists()) {
            fs::rename(&place, aside.join(part))?;
        }
        fs::rename(new, place)
    }
}

/// Closes a store that was built.
pub(super) fn close(store: &dyn Store) -> Result<(), StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.map_err(|error| io_error("wait for the store", error))?.block_on(store.close())
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("empty the workshop", error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}
