//! The files a call can see from the host: its workspace and the mounts in it. Everything here blocks on the disk.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{ToolOutput, ToolRun};
use crate::{
    sandbox::Mount,
    workspace::{FileInfo, Listed, WorkPath, WorkspaceDir, WorkspaceError, list_folder, open_beneath, open_root},
};

/// Where the workspace is for code in the sandbox; models write such paths, too.
const INSIDE: &str = "/workspace";

/// A call's files, for a blocking thread.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) workspace: WorkspaceDir,
    mounts: Vec<Mount>,
}

impl Files {
    pub(super) fn of(run: &ToolRun<'_>) -> Self {
        Self { workspace: run.workspace.clone(), mounts: run.mounts.to_vec() }
    }

    /// Opens a file of the workspace or of a mount.
    pub(super) fn open(&self, path: &WorkPath) -> io::Result<FileInfo> {
        match self.mount_of(path) {
            None => self.workspace.open_file(path),
            Some((host, None)) => open_trusted(&host),
            Some((host, Some(rest))) => open_beneath(open_root(&host)?, rest.as_str()),
        }
    }

    /// Returns whether a path lies in a read-only mount, or in a folder that mounts cover.
    pub(super) fn is_read_only(&self, path: &WorkPath) -> bool {
        path.names().next() == Some("inputs") || self.mount_of(path).is_some()
    }

    /// Lists all files, folders and links, mounts included, in the order of their paths.
    pub(super) fn list(&self) -> Result<Vec<(WorkPath, Listed)>, WorkspaceError> {
        let mut listed = self.workspace.list()?;
        for mount in &self.mounts {
            let Some(inside) = inside_workspace(&mount.inside) else { continue };
            let Ok(metadata) = std::fs::metadata(&mount.host) else { continue };
            if metadata.is_file() {
                listed.push((inside, Listed::File { bytes: metadata.len() }));
                continue;
            }
            let Ok(handle) = open_root(&mount.host) else { continue };
            let below = list_folder(&handle)?;
            let joined = below.into_iter().filter_map(|(path, kind)| Some((inside.join_path(&path)?, kind)));
            listed.extend(joined);
        }
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(listed)
    }

    /// Finds the mount that a path lies in, and the rest of the path.
    fn mount_of(&self, path: &WorkPath) -> Option<(PathBuf, Option<WorkPath>)> {
        self.mounts.iter().find_map(|mount| {
            let inside = inside_workspace(&mount.inside)?;
            let rest = path.as_str().strip_prefix(inside.as_str())?;
            match rest.strip_prefix('/') {
                Some(rest) => Some((mount.host.clone(), Some(rest.parse().ok()?))),
                None => rest.is_empty().then(|| (mount.host.clone(), None)),
            }
        })
    }
}

fn inside_workspace(inside: &Path) -> Option<WorkPath> {
    inside.strip_prefix(INSIDE).ok()?.to_str()?.parse().ok()
}

/// Opens a host file that the engine chose.
fn open_trusted(host: &Path) -> io::Result<FileInfo> {
    let file = File::open(host)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok(FileInfo { bytes: metadata.len(), executable: false, file }),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a folder, not a file")),
    }
}

/// Reads a path as models write it: relative, or as code in the sandbox sees it.
pub(super) fn parse_path(text: &str) -> Result<WorkPath, ToolOutput> {
    let relative = text.strip_prefix("/workspace/").or_else(|| text.strip_prefix("./")).unwrap_or(text);
    relative.parse().map_err(|error: crate::workspace::WorkPathError| ToolOutput::refused(error.to_string()))
}

/// Reads the path of a folder; `None` means the whole workspace.
pub(super) fn parse_folder(text: Option<&str>) -> Result<Option<WorkPath>, ToolOutput> {
    match text.map(|text| text.trim_end_matches('/')) {
        None | Some("" | "." | INSIDE) => Ok(None),
        Some(text) => parse_path(text).map(Some),
    }
}

/// Says why a file could not be read or written.
pub(super) fn refused(path: &WorkPath, error: &io::Error) -> ToolOutput {
    ToolOutput::refused(match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file `{path}`; list_files shows what there is"),
        _ => format!("`{path}`: {error}"),
    })
}
