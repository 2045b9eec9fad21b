//! Workspaces on a real disk, with a store that keeps blobs in a folder.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Arc,
};

use super::*;
use crate::{
    api::{StepId, TaskId},
    workspace::blob_folder::BlobFolder,
};

struct Bench {
    workspaces: Workspaces,
    store: Arc<BlobFolder>,
    root: tempfile::TempDir,
    task: TaskId,
    step: StepId,
    manifest: Manifest,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(BlobFolder::new());
        let workspaces = Workspaces::new(root.path().join("work"), store.clone());
        let task = TaskId::from_uuid(uuid::Uuid::from_u128(7));
        Self { workspaces, store, root, task, step: "one".parse().unwrap(), manifest: Manifest::default() }
    }

    async fn prepare(&self) -> WorkspaceDir {
        self.workspaces.prepare(self.task, &self.step, &self.manifest).await.unwrap()
    }

    /// Scans as the engine does: the blobs go into the store, the delta into the manifest.
    async fn scan(&mut self, dir: &WorkspaceDir) -> Scan {
        let scan = self.workspaces.scan(dir, &self.manifest).await.unwrap();
        scan.blobs.iter().for_each(|blob| self.store.put(blob));
        self.manifest.apply(&scan.delta);
        scan
    }

    /// Forgets everything, as a restart does.
    fn restart(&mut self) {
        self.workspaces = Workspaces::new(self.root.path().join("work"), self.store.clone());
    }
}

fn path(text: &str) -> WorkPath {
    text.parse().unwrap()
}

/// Lists all there is, with content; `link` and the like for what is no file.
fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                pending.push(entry.path());
                found.push(format!("{name}/"));
            } else if kind.is_file() {
                found.push(format!("{name}={}", fs::read_to_string(entry.path()).unwrap_or_default().len()));
            } else {
                found.push(format!("{name}!"));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn what_was_written_comes_back_after_a_restart_and_nothing_else() {
    let mut bench = Bench::new();
    let dir = bench.prepare().await;
    fs::create_dir_all(dir.path().join("a/ü")).unwrap();
    fs::write(dir.path().join("a/ü/small"), "small").unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("large"), vec![b'x'; 200_000]).unwrap();
    fs::write(dir.path().join("run.sh"), "#!/bin/sh").unwrap();
    fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let scan = bench.scan(&dir).await;
    assert_eq!((scan.delta.changed.len(), scan.blobs.len(), scan.skipped.len()), (4, 3, 0));
    assert!(bench.scan(&dir).await.delta.is_empty());

    bench.restart();
    fs::write(dir.path().join("junk"), "junk").unwrap();
    fs::write(dir.path().join("large"), vec![b'y'; 200_000]).unwrap();
    fs::create_dir_all(dir.path().join("junk folder/x")).unwrap();
    symlink("/etc", dir.path().join("junk link")).unwrap();
    fs::remove_file(dir.path().join("run.sh")).unwrap();
    let dir = bench.prepare().await;
    assert_eq!(tree(dir.path()), ["a/", "a/ü/", "a/ü/small=5", "empty=0", "large=200000", "run.sh=9"]);
    assert_eq!(fs::read(dir.path().join("large")).unwrap(), vec![b'x'; 200_000]);
    assert_eq!(fs::metadata(dir.path().join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(bench.scan(&dir).await.delta.is_empty());
}

#[tokio::test]
async fn a_delta_says_what_changed_and_what_is_gone() {
    let mut bench = Bench::new();
    let dir = bench.prepare().await;
    for name in ["keep", "change", "remove", "mode", "same"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    bench.scan(&dir).await;
    fs::write(dir.path().join("change"), "CHANGE").unwrap();
    fs::write(dir.path().join("same"), "same").unwrap();
    fs::remove_file(dir.path().join("remove")).unwrap();
    fs::set_permissions(dir.path().join("mode"), fs::Permissions::from_mode(0o700)).unwrap();
    let scan = bench.scan(&dir).await;
    assert_eq!(scan.delta.changed.keys().map(WorkPath::as_str).collect::<Vec<_>>(), ["change", "mode"]);
    assert_eq!(scan.delta.removed.iter().map(WorkPath::as_str).collect::<Vec<_>>(), ["remove"]);
    assert_eq!(scan.blobs, ["CHANGE"]);
}

#[tokio::test]
async fn known_files_are_left_alone_and_changed_ones_restored() {
    let mut bench = Bench::new();
    let dir = bench.prepare().await;
    fs::create_dir(dir.path().join("empty folder")).unwrap();
    symlink("keep", dir.path().join("link")).unwrap();
    fs::write(dir.path().join("keep"), "keep").unwrap();
    fs::write(dir.path().join("change"), "right").unwrap();
    bench.scan(&dir).await;
    let opened = bench.store.opened();
    // A call that was cancelled leaves changes that no scan saw.
    fs::write(dir.path().join("change"), "wrong").unwrap();
    fs::write(dir.path().join("half"), "half").unwrap();
    let dir = bench.prepare().await;
    assert_eq!(tree(dir.path()), ["change=5", "empty folder/", "keep=4", "link!"]);
    assert_eq!(fs::read_to_string(dir.path().join("change")).unwrap(), "right");
    assert_eq!(bench.store.opened() - opened, 1, "only what changed is copied");
    bench.prepare().await;
    assert_eq!(bench.store.opened() - opened, 1);
    bench.restart();
    assert_eq!(tree(bench.prepare().await.path()), ["change=5", "keep=4"]);
}

#[tokio::test]
async fn files_and_folders_change_places() {
    let mut bench = Bench::new();
    let dir = bench.prepare().await;
    fs::create_dir(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("a/b"), "b").unwrap();
    fs::write(dir.path().join("c"), "c").unwrap();
    bench.scan(&dir).await;
    for restart in [false, true] {
        fs::remove_dir_all(dir.path().join("a")).unwrap();
        fs::remove_file(dir.path().join("c")).unwrap();
        match restart {
            false => fs::write(dir.path().join("a"), "file").unwrap(),
            true => symlink("/tmp", dir.path().join("a")).unwrap(),
        }
        fs::create_dir_all(dir.path().join("c/d")).unwrap();
        if restart {
            bench.restart();
        }
        bench.prepare().await;
        assert_eq!(tree(dir.path()), ["a/", "a/b=1", "c=1"]);
    }
}

#[tokio::test]
async fn what_is_not_a_file_is_skipped_and_told() {
    let mut bench = Bench::new();
    let dir = bench.prepare().await;
    symlink("/etc/passwd", dir.path().join("link")).unwrap();
    rustix::fs::mkfifoat(&**dir.handle(), "fifo", rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    fs::create_dir(dir.path().join("inputs")).unwrap();
    fs::write(dir.path().join("inputs/mounted"), "").unwrap();
    let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    fs::write(dir.path().join(odd), "odd").unwrap();
    let scan = bench.scan(&dir).await;
    assert!(scan.delta.is_empty(), "{scan:?}");
    assert_eq!(scan.skipped.len(), 4, "{scan:?}");
    assert!(scan.skipped.iter().any(|line| line.starts_with("link: ")), "{scan:?}");
    bench.restart();
    assert_eq!(tree(bench.prepare().await.path()), ["inputs/", "inputs/mounted=0"]);
}

#[tokio::test]
async fn too_much_is_a_typed_error_and_is_cleared_by_the_next_prepare() {
    let mut bench = Bench::new();
    let dir = bench.prepare().await;
    let big = fs::File::create(dir.path().join("sparse")).unwrap();
    big.set_len(WORKSPACE_BYTES_MAX + 1).unwrap();
    let error = bench.workspaces.scan(&dir, &bench.manifest).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::TooLarge { limit_mib: 512 }), "{error}");
    bench.prepare().await;
    assert!(tree(dir.path()).is_empty());
    (0..=WORKSPACE_FILES_MAX).for_each(|number| fs::write(dir.path().join(number.to_string()), "").unwrap());
    let error = bench.workspaces.scan(&dir, &bench.manifest).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::TooManyFiles { limit: WORKSPACE_FILES_MAX }), "{error}");
    bench.restart();
    bench.prepare().await;
    assert!(tree(dir.path()).is_empty());
}

#[tokio::test]
async fn hostile_depth_and_rights_are_removed() {
    let bench = Bench::new();
    let dir = bench.prepare().await;
    fs::write(dir.path().join(".ninja-removed-0"), "in the way").unwrap();
    let mut folder = rustix::fs::open(dir.path(), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    for _ in 0..1_500 {
        rustix::fs::mkdirat(&folder, "deeper", rustix::fs::Mode::RWXU).unwrap();
        folder =
            rustix::fs::openat(&folder, "deeper", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    }
    fs::create_dir(dir.path().join("locked")).unwrap();
    fs::write(dir.path().join("locked/file"), "").unwrap();
    fs::set_permissions(dir.path().join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    bench.prepare().await;
    assert!(tree(dir.path()).is_empty());
    bench.workspaces.remove(bench.task).await.unwrap();
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn removing_and_reaping_leave_other_tasks_alone() {
    let bench = Bench::new();
    let other = TaskId::from_uuid(uuid::Uuid::from_u128(8));
    let mine = bench.prepare().await;
    let theirs = bench.workspaces.prepare(other, &bench.step, &bench.manifest).await.unwrap();
    fs::write(bench.root.path().join("work/stray"), "").unwrap();
    bench.workspaces.reap([other].into()).await.unwrap();
    assert!(!mine.path().exists() && theirs.path().exists());
    assert_eq!(fs::read_dir(bench.root.path().join("work")).unwrap().count(), 1);
    bench.workspaces.remove(other).await.unwrap();
    bench.workspaces.remove(other).await.unwrap();
    assert!(!theirs.path().exists());
}

#[tokio::test]
async fn a_missing_blob_is_said() {
    let mut bench = Bench::new();
    let entry = FileEntry { blob: crate::api::BlobHash::from_bytes([9; 32]), bytes: 1, executable: false };
    bench.manifest = [(path("lost"), entry)].into_iter().collect();
    let error = bench.workspaces.prepare(bench.task, &bench.step, &bench.manifest).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::MissingBlob { .. }), "{error}");
}

#[tokio::test]
async fn writing_in_the_workspace_never_changes_a_blob() {
    let mut bench = Bench::new();
    let dir = bench.prepare().await;
    fs::write(dir.path().join("data"), vec![b'x'; 100_000]).unwrap();
    bench.scan(&dir).await;
    bench.restart();
    let dir = bench.prepare().await;
    let mut file = fs::OpenOptions::new().write(true).open(dir.path().join("data")).unwrap();
    std::io::Write::write_all(&mut file, b"overwritten in place").unwrap();
    bench.restart();
    let dir = bench.prepare().await;
    assert_eq!(fs::read(dir.path().join("data")).unwrap(), vec![b'x'; 100_000]);
}

#[tokio::test]
async fn the_handle_leads_nowhere_else() {
    let bench = Bench::new();
    let dir = bench.prepare().await;
    let outside = bench.root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, dir.path().join("absolute")).unwrap();
    symlink("../../../outside", dir.path().join("relative")).unwrap();
    symlink(outside.join("secret"), dir.path().join("file")).unwrap();
    fs::write(dir.path().join("inside"), "inside").unwrap();
    symlink("inside", dir.path().join("harmless")).unwrap();
    for name in ["absolute/secret", "relative/secret", "file", "harmless"] {
        let error = dir.open_file(&path(name)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}: {error}");
    }
    for name in ["absolute/new", "relative/new/deep"] {
        assert!(dir.write_file(&path(name), b"x").is_err(), "{name}");
    }
    dir.write_file(&path("file"), b"replaces the link").unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn links_swapped_at_every_moment_lead_nowhere() {
    let bench = Bench::new();
    let dir = bench.prepare().await;
    let outside = bench.root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "secret").unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/x"), "mine").unwrap();
    symlink(&outside, dir.path().join("link")).unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stop, root) = (done.clone(), dir.path().to_owned());
    let swapper = std::thread::spawn(move || {
        let at = |name: &str| root.join(name);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            for name in ["real", "link"] {
                let _ = fs::rename(at(name), at("d"));
                let _ = fs::rename(at("d"), at(name));
            }
        }
    });
    for round in 0..10_000 {
        if let Ok(mut found) = dir.open_file(&path("d/x")) {
            assert_eq!(found.read_at(0, 100).unwrap(), b"mine");
        }
        if round % 10 == 0 {
            let _ = dir.write_file(&path("d/x"), b"mine");
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().unwrap();
    assert_eq!(fs::read_to_string(outside.join("x")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}
