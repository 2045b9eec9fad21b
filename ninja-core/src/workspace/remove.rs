//! Removes folders that hostile code filled: of any depth, without recursion, and without following links.
//!
//! A recursive removal holds a handle and a stack frame for each level, and code in a sandbox can make a hundred
//! thousand levels in a second. Here a level's subfolders are moved up to the top before it is removed.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, Mode, chmodat, renameat, unlinkat},
    io::Errno,
};

use super::{WorkPath, dir::open_folder, walk::names};

/// Removes what is at a name in a folder, whatever it is. What is not there is removed already.
pub(super) fn remove_at(folder: &OwnedFd, name: &[u8]) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    clear(&open_writable(folder, name)?)?;
    Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// Removes what is at a path, whatever it is.
pub(super) fn remove_path(root: &OwnedFd, path: &WorkPath) -> io::Result<()> {
    let folder = path.parent();
    match open_folder(root, folder.as_ref().map_or(".", WorkPath::as_str)) {
        Ok(folder) => remove_at(&folder, path.name().as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Empties a folder.
pub(super) fn clear(root: &OwnedFd) -> io::Result<()> {
    let mut raised = 0_u64;
    loop {
        let names = names(root)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            match unlinkat(root, name.as_slice(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
            raise(root, &open_writable(root, &name)?, &mut raised)?;
            unlinkat(root, name.as_slice(), AtFlags::REMOVEDIR)?;
        }
    }
}

/// Removes the files of a folder and moves its subfolders to the top.
fn raise(root: &OwnedFd, folder: &OwnedFd, raised: &mut u64) -> io::Result<()> {
    for name in names(folder)? {
        match unlinkat(folder, name.as_slice(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        make_writable(folder, &name)?;
        loop {
            let target = format!(".ninja-removed-{raised}");
            *raised += 1;
            match renameat(folder, name.as_slice(), root, target.as_str()) {
                // Code may have made a folder of that name.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                other => break other?,
            }
        }
    }
    Ok(())
}

fn open_writable(folder: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    make_writable(folder, name)?;
    open_folder(folder, name)
}

/// Makes a folder one that may be emptied. It is a folder, not a link: `unlinkat` said so, and nothing runs in here
/// now.
fn make_writable(folder: &OwnedFd, name: &[u8]) -> io::Result<()> {
    match chmodat(folder, name, Mode::RWXU, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
