//! The data directory: who holds it, and which format it has.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::Duration,
};

use super::{
    calls::io_error,
    installing::{REPAIRING, RESTORING},
    store::StoreError,
};

/// The version of the data directory's format that this code writes. It reads older ones too; version 1 had no rows of counters,
/// version 2 no settings of providers, version 3 no audit log.
const FORMAT: u32 = 4;
const OLDEST: u32 = 1;

/// A killed engine's lock can outlive it by a moment, so taking it is tried again for 900 ms.
const LOCK_TRIES: u32 = 18;
const LOCK_TRY_INTERVAL: Duration = Duration::from_millis(50);

/// The lock on a data directory, given back when dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock, or names who holds it. Waits up to 900 ms.
    pub(super) fn take(directory: &Path) -> Result<Self, StoreError> {
        let io = |error| io_error("open the lock file", error);
        let mut options = OpenOptions::new();
        let path = directory.join("lock");
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
        for tried in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tried < LOCK_TRIES => thread::sleep(LOCK_TRY_INTERVAL),
                Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { holder: holder(&mut file) }),
                Err(TryLockError::Error(error)) => return Err(io_error("lock the data directory", error)),
            }
        }
        file.set_len(0).map_err(io)?;
        file.write_all(describe_self().as_bytes()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Checks the format of a directory, or marks a new one. `used` says whether it holds data.
pub(super) fn check_format(directory: &Path, used: bool) -> Result<(), StoreError> {
    let path = directory.join("format");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if used {
                tracing::warn!(path = %path.display(), "restored a missing format file");
            }
            return write_format(directory).map_err(|error| io_error("write the format file", error));
        }
        Err(error) => return Err(io_error("read the format file", error)),
    };
    let found = text.trim_end();
    match found.parse() {
        Ok(FORMAT) => Ok(()),
        // From now on it may hold what the older version does not read.
        Ok(OLDEST..FORMAT) => write_format(directory).map_err(|error| io_error("write the format file", error)),
        Ok(found) => Err(StoreError::Version { found, supported: FORMAT }),
        Err(_) if [RESTORING, REPAIRING].contains(&found) => {
            let what = format!("{found} it was interrupted; run `ninja restore` or `ninja db repair` again");
            Err(StoreError::Corrupt(what))
        }
        Err(_) => Err(StoreError::Corrupt(format!("{} holds no version", path.display()))),
    }
}

/// Returns whether a newer version wrote a directory. What is no number at all is damage.
pub(super) fn check_not_newer(directory: &Path) -> Result<(), StoreError> {
    match read_mark(directory)?.and_then(|mark| mark.parse().ok()) {
        Some(found) if !(OLDEST..=FORMAT).contains(&found) => Err(StoreError::Version { found, supported: FORMAT }),
        Some(_) | None => Ok(()),
    }
}

/// Returns what stands in the format file, whatever it is. `None` where there is none.
pub(super) fn read_mark(directory: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(directory.join("format")) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read the format file", error)),
    }
}

/// Marks a directory with the version that this code writes.
pub(super) fn write_format(directory: &Path) -> std::io::Result<()> {
    write_mark(directory, &FORMAT.to_string())
}

/// Replaces what stands in the format file.
pub(super) fn write_mark(directory: &Path, mark: &str) -> std::io::Result<()> {
    let temporary = directory.join("format.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(format!("{mark}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join("format"))?;
    File::open(directory)?.sync_all()
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(1024).read_to_string(&mut text));
    match read {
        Ok(count) if count > 0 => text.trim_end().to_owned(),
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}

fn describe_self() -> String {
    let command: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let command: String = command.join(" ").chars().take(200).collect();
    format!("process {} ({command})\n", std::process::id())
}
