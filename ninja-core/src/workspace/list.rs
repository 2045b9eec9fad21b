//! Lists what lies in a workspace, for people and models.

use std::os::fd::OwnedFd;

use super::{
    WorkPath, WorkspaceDir, WorkspaceError,
    walk::{INPUTS, Other, walk},
};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// A regular file.
    File {
        /// Its size.
        bytes: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link, which nothing here follows.
    Link,
    /// A socket, FIFO or device.
    Special,
}

impl WorkspaceDir {
    /// Lists everything but `inputs` at the top, in the order of paths. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Fails where it holds more than a workspace may, or the disk says no.
    pub fn list(&self) -> Result<Vec<(WorkPath, Listed)>, WorkspaceError> {
        list(self.handle(), Some(INPUTS))
    }
}

/// Lists everything in a folder. Blocks on the disk.
pub(crate) fn list_folder(root: &OwnedFd) -> Result<Vec<(WorkPath, Listed)>, WorkspaceError> {
    list(root, None)
}

fn list(root: &OwnedFd, without: Option<&str>) -> Result<Vec<(WorkPath, Listed)>, WorkspaceError> {
    let found = walk(root, without)?;
    let files = found.files.into_iter().map(|(path, stamp)| (path, Listed::File { bytes: stamp.bytes }));
    let others = found.others.into_iter().map(|(path, (other, _))| {
        let kind = match other {
            Other::Folder => Listed::Folder,
            Other::Link => Listed::Link,
            Other::Special => Listed::Special,
        };
        (path, kind)
    });
    let mut all: Vec<(WorkPath, Listed)> = files.chain(others).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}
