//! Measures a folder while code runs in it, to stop what fills the disk.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, statat};

use super::{
    dir::{open_folder, size_of},
    walk::{WORKSPACE_BYTES_MAX, WORKSPACE_FILES_MAX, names},
};

/// Names of all kinds in a folder that is not overfull: files, and as many folders and links for each as is usual.
const NAMES_MAX: usize = 3 * WORKSPACE_FILES_MAX;

/// The longest path that the kernel takes. Only what wants to hide makes longer ones.
const PATH_BYTES_MAX: usize = 4_000;

/// Returns whether a folder holds more than a workspace may. What disappears meanwhile does not count.
pub(crate) fn is_overfull(root: &OwnedFd) -> bool {
    let (mut bytes, mut count) = (0, 0);
    let mut pending: Vec<Vec<u8>> = vec![b".".to_vec()];
    while let Some(path) = pending.pop() {
        let Ok(folder) = open_folder(root, path.as_slice()) else { continue };
        for name in names(&folder).unwrap_or_default() {
            let Ok(stat) = statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            count += 1;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => pending.push([path.as_slice(), b"/", &name].concat()),
                _ => bytes += size_of(&stat),
            }
        }
        let too_deep = pending.last().is_some_and(|path| path.len() > PATH_BYTES_MAX);
        if too_deep || count > NAMES_MAX || bytes > WORKSPACE_BYTES_MAX {
            return true;
        }
    }
    false
}
