//! A workspace's folder, held open: the only way the host reads and writes what sandboxed code may have arranged.
//!
//! Paths are resolved by the kernel beneath the handle without following any link (`openat2` with `RESOLVE_BENEATH` and
//! `RESOLVE_NO_SYMLINKS`), so neither `..` nor a link that is swapped in at the right moment leads out. Opening never
//! waits for the other end of a FIFO. Everything here blocks on the disk.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fchmod, fstat, mkdirat, open, openat2, renameat,
        statat, unlinkat,
    },
    io::Errno,
};

use super::WorkPath;
use crate::api::{StepId, TaskId};

/// The folder of one step of a task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkspaceDir {
    task: TaskId,
    step: StepId,
    path: PathBuf,
    handle: Arc<OwnedFd>,
}

/// A regular file that was opened.
#[derive(Debug)]
pub struct FileInfo {
    /// The file, at its start.
    pub file: File,
    /// Its size when it was opened.
    pub bytes: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

impl WorkspaceDir {
    pub(super) fn open(task: TaskId, step: StepId, path: PathBuf) -> io::Result<Self> {
        let handle = Arc::new(open_root(&path)?);
        Ok(Self { task, step, path, handle })
    }

    /// Returns the task it belongs to.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Returns the step it belongs to.
    pub fn step(&self) -> &StepId {
        &self.step
    }

    /// Returns where it is on the host, to bind it into a sandbox. Nothing else should resolve paths below it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn handle(&self) -> &Arc<OwnedFd> {
        &self.handle
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` and a sentence where the path leads over a link or to something that is not a regular
    /// file.
    pub fn open_file(&self, path: &WorkPath) -> io::Result<FileInfo> {
        open_beneath(&*self.handle, path.as_str())
    }

    /// Writes a file whole, making the folders it lies in. What stood at the path before is replaced, never written
    /// through, so a reader sees either the old or the new content. An executable file stays executable.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` and a sentence where the path leads over a link or ends at a folder.
    pub fn write_file(&self, path: &WorkPath, content: &[u8]) -> io::Result<()> {
        let executable = self.open_file(path).is_ok_and(|found| found.executable);
        self.write_with(path, executable, &mut |file| file.write_all(content)).map(drop)
    }

    /// Puts what `fill` writes at the path, and returns what is there then.
    pub(super) fn write_with(
        &self,
        path: &WorkPath,
        executable: bool,
        fill: &mut dyn FnMut(&mut File) -> io::Result<()>,
    ) -> io::Result<Stat> {
        let folder = match path.parent() {
            Some(parent) => self.make_folders(&parent)?,
            None => open_folder(&*self.handle, ".")?,
        };
        // Named after nothing that code could guess: what stands at the name would otherwise have to be trusted.
        let draft = format!(".ninja-{}", uuid::Uuid::now_v7().simple());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat2(&folder, draft.as_str(), flags, file_mode(executable), beneath())?);
        // The mode given to `openat2` passes through the umask.
        let filled = fchmod(&file, file_mode(executable)).map_err(io::Error::from).and_then(|()| fill(&mut file));
        let placed =
            filled.and_then(|()| renameat(&folder, draft.as_str(), &folder, path.name()).map_err(io::Error::from));
        let placed = placed.and_then(|()| Ok(statat(&folder, path.name(), AtFlags::SYMLINK_NOFOLLOW)?));
        placed.map_err(|error| {
            // The first error says more than one about the draft would.
            let _left = unlinkat(&folder, draft.as_str(), AtFlags::empty());
            explain(error)
        })
    }

    fn make_folders(&self, path: &WorkPath) -> io::Result<OwnedFd> {
        path.names().try_fold(open_folder(&*self.handle, ".")?, |folder, name| {
            match mkdirat(&folder, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => open_folder(&folder, name),
                Err(error) => Err(error.into()),
            }
        })
    }
}

fn file_mode(executable: bool) -> Mode {
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    if executable { mode | Mode::XUSR | Mode::XGRP | Mode::XOTH } else { mode }
}

/// How every path in a workspace is resolved.
pub(crate) fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// Opens a folder that is ours, by a path that is trusted.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a folder beneath another.
pub(crate) fn open_folder(folder: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    // Without `NOFOLLOW`, which would call a link "not a folder"; the resolution refuses links by their name.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(folder, path, flags, Mode::empty(), beneath()).map_err(|error| explain(error.into()))
}

/// Opens a regular file beneath a folder.
pub(crate) fn open_beneath(folder: impl AsFd, path: &str) -> io::Result<FileInfo> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat2(folder, path, flags, Mode::empty(), beneath());
    let file = File::from(opened.map_err(|error| explain(error.into()))?);
    let stat = fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(FileInfo { bytes: size_of(&stat), executable: is_executable(&stat), file }),
        FileType::Directory => Err(refused("it is a folder, not a file")),
        _ => Err(refused("it is not a regular file")),
    }
}

impl FileInfo {
    /// Reads at most `limit` bytes from `offset` on.
    pub fn read_at(&mut self, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(offset))?;
        (&self.file).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

pub(super) fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

pub(super) fn is_executable(stat: &Stat) -> bool {
    stat.st_mode & 0o100 != 0
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// Says in words what the kernel's numbers mean here.
fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP | Errno::XDEV) => refused("a part of the path is a symbolic link; links are not followed"),
        Some(Errno::NOTDIR) => refused("a part of the path is a file, not a folder"),
        Some(Errno::NXIO) => refused("it is not a regular file"),
        Some(Errno::ISDIR) => refused("it is a folder, not a file"),
        _ => error,
    }
}

/// Makes sure that the handle of a folder by its trusted path exists.
pub(super) fn make_root(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    let owner_only = Mode::RWXU;
    Ok(rustix::fs::chmodat(CWD, path, owner_only, AtFlags::empty())?)
}
