//! Goes through all of a workspace once, through handles, within bounds.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat, chmodat, statat};

use super::{
    WorkPath,
    dir::{is_executable, open_folder, size_of},
    workspaces::WorkspaceError,
};

/// The most files a workspace may hold.
pub const WORKSPACE_FILES_MAX: usize = 10_000;

/// The most bytes the files of a workspace may have together.
pub const WORKSPACE_BYTES_MAX: u64 = 512 << 20;

/// Folders, links and whatever else, beside the files. A walk ends here rather than go through a million of them.
const OTHERS_MAX: usize = 20_000;

/// The folder at the top in which mounts lie: not part of a workspace.
pub(super) const INPUTS: &str = "inputs";

/// What tells that a file is the one seen before. The change time cannot be set by code, unlike the modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    pub(super) bytes: u64,
    pub(super) executable: bool,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            bytes: size_of(stat),
            executable: is_executable(stat),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// What is not a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    Folder,
    Link,
    /// A socket, FIFO or device.
    Special,
}

/// What a workspace holds at the moment.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) files: BTreeMap<WorkPath, Stamp>,
    /// Everything else but `inputs`, with the inode that tells one from a later one of the same name.
    pub(super) others: BTreeMap<WorkPath, (Other, u64)>,
    /// Names that cannot be paths, in the folder they lie in: not UTF-8, or too long. Folders among them were not
    /// entered.
    pub(super) nameless: Vec<(Option<WorkPath>, Vec<u8>)>,
    pub(super) bytes: u64,
}

/// Goes through a workspace. One name at its top may be left out.
///
/// # Errors
///
/// Fails where it holds more than it may.
pub(super) fn walk(root: &OwnedFd, without: Option<&str>) -> Result<Walk, WorkspaceError> {
    let mut found = Walk::default();
    let mut pending: Vec<Option<WorkPath>> = vec![None];
    while let Some(folder) = pending.pop() {
        let handle = open_readable(root, folder.as_ref()).map_err(WorkspaceError::io("open a folder"))?;
        for name in names(&handle).map_err(WorkspaceError::io("list a folder"))? {
            let path = match (&folder, std::str::from_utf8(&name)) {
                (None, Ok(name)) if Some(name) == without => continue,
                (None, Ok(name)) => name.parse(),
                (Some(folder), Ok(name)) => folder.join(name),
                (_, Err(_)) => Err(super::WorkPathError { found: String::new(), reason: "it is not UTF-8" }),
            };
            let Ok(path) = path else {
                found.nameless.push((folder.clone(), name));
                continue;
            };
            let Ok(stat) = statat(&handle, path.name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if found.add(&path, &stat)? {
                pending.push(Some(path));
            }
        }
    }
    Ok(found)
}

/// Opens a folder, which code may have made unreadable for a daemon that is not root.
fn open_readable(root: &OwnedFd, folder: Option<&WorkPath>) -> io::Result<OwnedFd> {
    let path = folder.map_or(".", WorkPath::as_str);
    match open_folder(root, path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let parent = folder.and_then(WorkPath::parent);
            let parent = open_folder(root, parent.as_ref().map_or(".", WorkPath::as_str))?;
            let name = folder.map_or(".", WorkPath::name);
            chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
            open_folder(root, path)
        }
        opened => opened,
    }
}

impl Walk {
    /// Adds one, and returns whether it is a folder to enter.
    fn add(&mut self, path: &WorkPath, stat: &Stat) -> Result<bool, WorkspaceError> {
        let other = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let stamp = Stamp::of(stat);
                self.bytes += stamp.bytes;
                self.files.insert(path.clone(), stamp);
                return self.check().map(|()| false);
            }
            FileType::Directory => Other::Folder,
            FileType::Symlink => Other::Link,
            _ => Other::Special,
        };
        self.others.insert(path.clone(), (other, stat.st_ino));
        self.check().map(|()| other == Other::Folder)
    }

    fn check(&self) -> Result<(), WorkspaceError> {
        if self.files.len() > WORKSPACE_FILES_MAX || self.others.len() + self.nameless.len() > OTHERS_MAX {
            return Err(WorkspaceError::TooManyFiles { limit: WORKSPACE_FILES_MAX });
        }
        match self.bytes > WORKSPACE_BYTES_MAX {
            true => Err(WorkspaceError::TooLarge { limit_mib: WORKSPACE_BYTES_MAX >> 20 }),
            false => Ok(()),
        }
    }
}

/// Lists the names in a folder.
pub(super) fn names(folder: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}
