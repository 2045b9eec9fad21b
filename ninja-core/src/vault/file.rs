//! The file of master keys: read with suspicion, written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use zeroize::Zeroizing;

use super::{VaultError, key::MasterKey, ring::KeyRing};

/// Whoever else may read or write it.
const OTHERS: u32 = 0o077;

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

/// Makes the file with one new key, unless somebody else does so first, and returns what is in it then.
pub(super) fn ensure(path: &Path) -> Result<KeyRing, VaultError> {
    let mut ring = KeyRing::default();
    ring.push(MasterKey::generate()?);
    let folder = lock_folder(path)?;
    let unfinished = write_beside(path, &ring)?;
    // A link fails where there is a file already, which a rename would replace.
    let made = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished).map_err(failed("finish", path))?;
    match made {
        Ok(()) => folder.sync_all().map_err(failed("sync", path))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("make", path)(error)),
    }
    read(path)
}

/// Changes what the file holds now, which another process may have changed, and returns what it holds then. Synced when this
/// returns; a crash leaves it as it was before or as it is after.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut KeyRing) -> Result<(), VaultError>,
) -> Result<KeyRing, VaultError> {
    let folder = lock_folder(path)?;
    let mut ring = read(path)?;
    change(&mut ring)?;
    let unfinished = write_beside(path, &ring)?;
    fs::rename(&unfinished, path).map_err(failed("replace", path))?;
    folder.sync_all().map_err(failed("sync", path))?;
    Ok(ring)
}

/// Keeps other processes from writing the file until what is returned is dropped.
fn lock_folder(path: &Path) -> Result<File, VaultError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder).map_err(failed("open the folder of", path))?;
    folder.lock().map_err(failed("lock the folder of", path))?;
    Ok(folder)
}

/// Writes a ring into a file beside another one, synced; what a crash left there goes.
fn write_beside(path: &Path, ring: &KeyRing) -> Result<std::path::PathBuf, VaultError> {
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

fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> VaultError {
    let place = path.display().to_string();
    move |error| VaultError::Io { doing, place: place.clone(), what: error.to_string() }
}
