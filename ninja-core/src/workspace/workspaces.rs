//! Makes folders hold what manifests say, and remembers what it saw so that the next call in a step costs a stat walk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    FileEntry, Manifest, Scan, WorkPath, WorkspaceDir,
    dir::{make_root, open_folder, open_root},
    remove::{clear, remove_at, remove_path},
    scan,
    walk::{INPUTS, Other, Stamp, Walk, names, walk},
};
use crate::{
    api::{BlobHash, ErrorCode, StepId, TaskId},
    journal::store::{Store, StoreError},
};

/// A failure to prepare or scan a workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// It holds too many files.
    #[error("the workspace holds more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// It holds too many bytes.
    #[error("the workspace holds more than {limit_mib} MiB")]
    TooLarge {
        /// The limit.
        limit_mib: u64,
    },
    /// A manifest mentions bytes that the store does not have.
    #[error("the store has no blob {blob} for {path}")]
    MissingBlob {
        /// The file.
        path: WorkPath,
        /// The address of its bytes.
        blob: BlobHash,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk said no.
    #[error("failed to {doing} in a workspace")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

impl WorkspaceError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooManyFiles { .. } | Self::TooLarge { .. } => ErrorCode::LimitReached,
            Self::MissingBlob { .. } => ErrorCode::Corrupt,
            Self::Store(error) => error.code(),
            Self::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            Self::Io { .. } => ErrorCode::ToolFailed,
        }
    }

    pub(super) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { doing, error }
    }
}

/// What a folder held when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) files: BTreeMap<WorkPath, (FileEntry, Stamp)>,
    pub(super) others: BTreeMap<WorkPath, (Other, u64)>,
}

/// The folders of all steps, at `<root>/<task>/<step>/`. Cheap to clone.
///
/// A folder must not be prepared or scanned while something runs in it.
#[derive(Clone)]
pub struct Workspaces {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    store: Arc<dyn Store>,
    known: Mutex<HashMap<(TaskId, StepId), Known>>,
}

impl std::fmt::Debug for Workspaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspaces").field("root", &self.inner.root).finish_non_exhaustive()
    }
}

impl Workspaces {
    /// Uses a folder, which it makes when the first workspace is prepared.
    pub fn new(root: impl Into<PathBuf>, store: Arc<dyn Store>) -> Self {
        Self { inner: Arc::new(Inner { root: root.into(), store, known: Mutex::default() }) }
    }

    /// Makes a step's folder hold exactly the manifest. Files that are known to be as they should are left alone; all
    /// others are copied from the store, never linked, and whatever else lies there is removed. Folders and links that
    /// the last [`Workspaces::scan`] saw stay until a restart.
    ///
    /// Dropping the future does not stop the work; preparing again completes it.
    ///
    /// # Errors
    ///
    /// Fails where the store lacks a blob, or the disk says no. A folder that holds too much is emptied and filled
    /// anew.
    pub async fn prepare(
        &self,
        task: TaskId,
        step: &StepId,
        manifest: &Manifest,
    ) -> Result<WorkspaceDir, WorkspaceError> {
        let (inner, step, manifest) = (self.inner.clone(), step.clone(), manifest.clone());
        off_thread(move || inner.prepare(task, step, &manifest)).await
    }

    /// Finds out what changed in a folder since a manifest. Small changed files are returned to travel in the commit;
    /// larger ones are in the store when this returns.
    ///
    /// # Errors
    ///
    /// Fails where the folder holds more than 10,000 files or 512 MiB, or the disk says no.
    pub async fn scan(&self, workspace: &WorkspaceDir, base: &Manifest) -> Result<Scan, WorkspaceError> {
        let (inner, workspace, base) = (self.inner.clone(), workspace.clone(), base.clone());
        off_thread(move || inner.scan(&workspace, &base)).await
    }

    /// Removes all folders of a task.
    ///
    /// # Errors
    ///
    /// Fails where the disk says no.
    pub async fn remove(&self, task: TaskId) -> Result<(), WorkspaceError> {
        let inner = self.inner.clone();
        off_thread(move || {
            inner.known().retain(|(known, _), _| *known != task);
            inner.remove_others(|name| name != inner.task_name(task).as_bytes())
        })
        .await
    }

    /// Removes all folders but those of the given tasks; for the start.
    ///
    /// # Errors
    ///
    /// Fails where the disk says no.
    pub async fn reap(&self, keep: HashSet<TaskId>) -> Result<(), WorkspaceError> {
        let inner = self.inner.clone();
        off_thread(move || {
            inner.known().retain(|(task, _), _| keep.contains(task));
            let keep: HashSet<String> = keep.iter().map(|task| inner.task_name(*task)).collect();
            inner.remove_others(|name| std::str::from_utf8(name).is_ok_and(|name| keep.contains(name)))
        })
        .await
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<T, WorkspaceError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| WorkspaceError::Io { doing: "finish work", error: error.into() })?
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, HashMap<(TaskId, StepId), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task_name(&self, task: TaskId) -> String {
        task.uuid().simple().to_string()
    }

    fn remove_others(&self, keep: impl Fn(&[u8]) -> bool) -> Result<(), WorkspaceError> {
        let root = match open_root(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            root => root.map_err(WorkspaceError::io("open the root"))?,
        };
        let names = names(&root).map_err(WorkspaceError::io("list the root"))?;
        let mut gone = names.iter().filter(|name| !keep(name));
        gone.try_for_each(|name| remove_at(&root, name).map_err(WorkspaceError::io("remove a folder")))
    }

    fn prepare(&self, task: TaskId, step: StepId, manifest: &Manifest) -> Result<WorkspaceDir, WorkspaceError> {
        // Taken out while the folder changes: whoever fails half way leaves nothing believed.
        let known = self.known().remove(&(task, step.clone())).unwrap_or_default();
        let path = self.root.join(self.task_name(task)).join(step.as_str());
        let open = || {
            make_root(&path)?;
            WorkspaceDir::open(task, step.clone(), path.clone())
        };
        let workspace = open().map_err(WorkspaceError::io("make a folder"))?;
        let root = workspace.handle();
        let found = match walk(root, Some(INPUTS)) {
            Err(WorkspaceError::TooManyFiles { .. } | WorkspaceError::TooLarge { .. }) => {
                clear(root).map_err(WorkspaceError::io("empty a folder"))?;
                Walk::default()
            }
            found => found?,
        };
        let files = match self.fill(&workspace, &found, &known, manifest) {
            // Code may have taken away the right to write to a folder; emptying gives it back.
            Err(WorkspaceError::Io { .. }) => {
                clear(root).map_err(WorkspaceError::io("empty a folder"))?;
                self.fill(&workspace, &Walk::default(), &known, manifest)?
            }
            files => files?,
        };
        self.known().insert((task, step), Known { files, others: known.others });
        Ok(workspace)
    }

    fn fill(
        &self,
        workspace: &WorkspaceDir,
        found: &Walk,
        known: &Known,
        manifest: &Manifest,
    ) -> Result<BTreeMap<WorkPath, (FileEntry, Stamp)>, WorkspaceError> {
        let kept = keep(workspace.handle(), found, known, manifest)?;
        let stamped = manifest.iter().map(|(path, entry)| {
            let stamp = kept.get(path).map_or_else(|| self.restore(workspace, path, entry), |stamp| Ok(*stamp));
            Ok((path.clone(), (*entry, stamp?)))
        });
        stamped.collect()
    }

    fn restore(&self, workspace: &WorkspaceDir, path: &WorkPath, entry: &FileEntry) -> Result<Stamp, WorkspaceError> {
        let blob = self.store.open_blob(entry.blob)?;
        let mut blob = blob.ok_or_else(|| WorkspaceError::MissingBlob { path: path.clone(), blob: entry.blob })?;
        let copied = workspace.write_with(path, entry.executable, &mut |file| io::copy(&mut blob, file).map(drop));
        copied.map(|stat| Stamp::of(&stat)).map_err(WorkspaceError::io("restore a file"))
    }

    fn scan(&self, workspace: &WorkspaceDir, base: &Manifest) -> Result<Scan, WorkspaceError> {
        let key = (workspace.task(), workspace.step().clone());
        let known = self.known().remove(&key);
        let (scan, now) = scan::scan(workspace.handle(), base, known.as_ref(), self.store.as_ref())?;
        self.known().insert(key, now);
        Ok(scan)
    }
}

/// Removes what should not be there. Returns the files that are known to be as the manifest says.
fn keep(
    root: &OwnedFd,
    found: &Walk,
    known: &Known,
    manifest: &Manifest,
) -> Result<BTreeMap<WorkPath, Stamp>, WorkspaceError> {
    let mut kept = BTreeMap::new();
    let mut gone: BTreeSet<&WorkPath> = BTreeSet::new();
    for (path, stamp) in &found.files {
        let wanted = manifest.get(path);
        let seen = known.files.get(path).filter(|(_, seen)| seen == stamp).map(|(entry, _)| entry);
        if wanted.is_none() {
            gone.insert(path);
        } else if wanted == seen {
            kept.insert(path.clone(), *stamp);
        }
    }
    let implied: BTreeSet<WorkPath> = manifest.iter().flat_map(|(path, _)| folders_of(path)).collect();
    for (path, other) in &found.others {
        let stays = match (implied.contains(path), other.0) {
            (true, Other::Folder) => true,
            (true, Other::Link | Other::Special) => false,
            (false, _) => known.others.get(path) == Some(other) && manifest.get(path).is_none(),
        };
        if !stays {
            gone.insert(path);
        }
    }
    // Backwards, so that what lies in a folder goes before it.
    for path in gone.into_iter().rev() {
        remove_path(root, path).map_err(WorkspaceError::io("remove a file"))?;
    }
    for (folder, name) in &found.nameless {
        let folder = open_folder(root, folder.as_ref().map_or(".", WorkPath::as_str));
        let removed = folder.and_then(|folder| remove_at(&folder, name));
        removed.map_err(WorkspaceError::io("remove a file"))?;
    }
    Ok(kept)
}

/// Returns the folders that a path lies in.
fn folders_of(path: &WorkPath) -> impl Iterator<Item = WorkPath> {
    std::iter::successors(path.parent(), WorkPath::parent)
}
