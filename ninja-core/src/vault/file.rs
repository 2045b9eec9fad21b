//! The file of master keys: read with suspicion, written whole or not at all.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use zeroize::Zeroizing;

use super::{VaultError, key::MasterKey, ring::KeyRing};

/// Whoever else may read or write it.
const OTHERS: u32 = 0o077;
/// How often a lock is tried. Whoever holds it writes some hundred bytes: five seconds are enough for a disk that is busy.
pub(super) const LOCK_TRIES: u32 = 250;
/// The pause between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Reads a file that is its owner's alone.
pub(super) fn read(path: &Path) -> Result<KeyRing, VaultError> {
    let mode = fs::metadata(path).map_err(failed("read", path))?.permissions().mode();
    match mode & OTHERS {
        0 => read_any(path),
        _ => Err(VaultError::Exposed { place: path.display().to_string() }),
    }
}

/// Reads a file that somebody else looks after.
pub(super) fn read_any(path: &Path) -> Result<KeyRing, VaultError> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed("read", path))?);
    KeyRing::parse(&text).map_err(|(line, problem)| {
        let place = format!("{}, line {line}", path.display());
        VaultError::Unusable { place, problem }
    })
}

/// Makes the file with one new key, unless there is one. Returns what is in it then, and whether that is new. Synced when this
/// returns, whoever made it.
pub(super) fn ensure(path: &Path) -> Result<(KeyRing, bool), VaultError> {
    let mut ring = KeyRing::default();
    ring.push(MasterKey::generate()?);
    let _lock = lock(path, LOCK_TRIES)?;
    let unfinished = write_beside(path, &ring)?;
    // A link fails where there is a file already, which a rename would replace.
    let made = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished).map_err(failed("finish", path))?;
    let is_new = match made {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed("make", path)(error)),
    };
    sync(path)?;
    Ok((read(path)?, is_new))
}

/// Changes what the file holds now, which another process may have changed, and returns what it holds then. Synced when this
/// returns; a crash leaves it as it was before or as it is after. A link stays one: the file that it leads to is changed.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut KeyRing) -> Result<(), VaultError>,
) -> Result<KeyRing, VaultError> {
    let path = &fs::canonicalize(path).map_err(failed("find", path))?;
    let _lock = lock(path, LOCK_TRIES)?;
    let mut ring = read(path)?;
    let owner = fs::metadata(path).map_err(failed("read", path))?.uid();
    check_owner(path, owner, rustix::process::geteuid().as_raw())?;
    change(&mut ring)?;
    let unfinished = write_beside(path, &ring)?;
    fs::rename(&unfinished, path).map_err(failed("replace", path))?;
    sync_folder(path)?;
    Ok(ring)
}

/// Sees to it that a crash takes nothing away of what the file holds.
pub(super) fn sync(path: &Path) -> Result<(), VaultError> {
    let file = fs::canonicalize(path).map_err(failed("find", path))?;
    File::open(&file).and_then(|file| file.sync_all()).map_err(failed("sync", &file))?;
    sync_folder(&file)?;
    sync_folder(path)
}

/// A file that takes the place of another one belongs to whoever writes it. Its owner could then read the keys no more.
pub(super) fn check_owner(path: &Path, owner: u32, us: u32) -> Result<(), VaultError> {
    match owner == us {
        true => Ok(()),
        false => Err(VaultError::NotOurs(format!(
            "{} belongs to the user {owner} and this process to {us}, so it is not changed: run this as the user {owner}",
            path.display()
        ))),
    }
}

/// Keeps other processes from writing the file until what is returned is dropped.
pub(super) fn lock(path: &Path, tries: u32) -> Result<File, VaultError> {
    // The file itself is replaced, so the lock is on one that stays.
    let place = path.with_added_extension("lock");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&place);
    let file = file.map_err(failed("open", &place))?;
    for _ in 0..tries {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &place)(error)),
        }
    }
    Err(VaultError::Busy { place: path.display().to_string() })
}

fn sync_folder(path: &Path) -> Result<(), VaultError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder of", path))
}

/// Writes a ring into a file beside another one, synced; what a crash left there goes.
fn write_beside(path: &Path, ring: &KeyRing) -> Result<PathBuf, VaultError> {
    let unfinished = path.with_added_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("write", &unfinished)(error)),
        Ok(()) | Err(_) => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(ring.reveal().as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed("write", &unfinished))?;
    Ok(unfinished)
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> VaultError {
    let place = path.display().to_string();
    move |error| VaultError::Io { doing, place: place.clone(), what: error.to_string() }
}
