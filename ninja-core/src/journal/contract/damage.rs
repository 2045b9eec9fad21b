//! Damaged and unusual directories: a typed error or all of the data, never a panic, never other data.

use std::{io::Read, path::PathBuf};

use super::*;

/// Makes a directory with some commits that are in the log alone, and returns it with the segment's path.
fn with_log(root: &Path, commits: u64) -> (PathBuf, PathBuf) {
    let (live, left) = (root.join("live"), root.join("left"));
    let store = open_chained(&live, log_only()).unwrap();
    for n in 1..=commits {
        wait(store.commit(append(1, n, &[bytes(n, 30)]))).unwrap();
    }
    copy(&live, &left);
    let segment = fs::read_dir(left.join("log")).unwrap().next().unwrap().unwrap().path();
    (left, segment)
}

/// Opens a copy and returns how many records it holds, after checking that they are the right ones.
fn records_in(directory: &Path) -> Result<u64, StoreError> {
    let root = TempDir::new().unwrap();
    let copied = root.path().join("copy");
    copy(directory, &copied);
    let store = open_chained(&copied, log_only())?;
    let log = store.read_log(task(1), 1, usize::MAX)?;
    for (seq, record) in &log {
        assert_eq!(record, &bytes(*seq, 30));
    }
    let next = log.len() as u64 + 1;
    wait(store.commit(append(1, next, &[bytes(next, 30)]))).unwrap();
    assert_eq!(store.read_log(task(1), next, 1)?.len(), 1);
    Ok(next - 1)
}

/// Returns where each frame of a segment ends, the header's end first.
fn frame_ends(segment: &[u8]) -> Vec<usize> {
    let mut ends = vec![28];
    while let Some(len) = segment.get(*ends.last().unwrap()..).and_then(|rest| rest.first_chunk::<4>()) {
        ends.push(ends.last().unwrap() + 8 + u32::from_be_bytes(*len) as usize);
    }
    ends
}

#[test]
fn a_log_cut_at_any_byte_keeps_every_whole_commit() {
    let root = in_memory();
    let (left, segment) = with_log(root.path(), 4);
    let whole = fs::read(&segment).unwrap();
    let ends = frame_ends(&whole);
    assert_eq!((ends.len(), ends.last()), (5, Some(&whole.len())));
    for len in ends[2]..=whole.len() {
        fs::write(&segment, &whole[..len]).unwrap();
        let expected = ends.iter().filter(|end| **end <= len).count() as u64 - 1;
        assert_eq!(records_in(&left).unwrap(), expected, "cut at {len}");
    }
    for len in [0, 1, 27, 28] {
        fs::write(&segment, &whole[..len]).unwrap();
        assert_eq!(records_in(&left).unwrap(), 0, "cut at {len}");
    }
}

#[test]
fn a_flipped_bit_in_the_log_is_found_and_the_directory_stays_as_it_is() {
    let root = TempDir::new().unwrap();
    let (left, segment) = with_log(root.path(), 3);
    let whole = fs::read(&segment).unwrap();
    let last = frame_ends(&whole)[2];
    for at in (0..whole.len()).step_by(3) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&segment, &flipped).unwrap();
        match records_in(&left) {
            // The last commit's bytes cannot be told from a write that a power cut tore.
            Ok(held) => assert!(at >= last && held == 2, "byte {at}: {held} records"),
            Err(StoreError::Corrupt(_)) => {
                assert!(at < last, "byte {at}");
                assert_eq!(fs::read(&segment).unwrap(), flipped);
            }
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn a_segment_that_is_missing_is_noticed() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join("0");
    let store = open_chained(&directory, DiskOptions::default()).unwrap();
    wait(store.commit(append(1, 1, &[bytes(1, 30)]))).unwrap();
    wait(store.close()).unwrap();
    fs::remove_dir_all(directory.join("log")).unwrap();
    assert!(matches!(open_chained(&directory, log_only()), Err(StoreError::Corrupt(_))), "the log");
    let (left, _) = with_log(root.path(), 3);
    drop(open_chained(&left, log_only()).unwrap());
    fs::remove_dir_all(left.join("tree")).unwrap();
    assert!(matches!(open_chained(&left, log_only()), Err(StoreError::Corrupt(_))), "the tree");
}

#[test]
fn a_damaged_blob_is_not_served() {
    let root = TempDir::new().unwrap();
    let store = open_chained(root.path(), DiskOptions::default()).unwrap();
    wait(store.commit(put("large", bytes(1, 20_000)))).unwrap();
    let path = store.blob_path(hash_of(&bytes(1, 20_000))).unwrap();
    let key = DocKey::new(DocKind::User, "large");
    for damage in [&bytes(1, 20_000)[1..], &bytes(2, 20_000), &bytes(1, 20_001), b""] {
        fs::write(&path, damage).unwrap();
        assert!(matches!(store.read_doc(&key), Err(StoreError::Corrupt(_))));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(store.read_doc(&key), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_file_is_served_only_while_it_is_what_was_written() {
    let root = TempDir::new().unwrap();
    let whole = bytes(1, 20_000);
    let hash = hash_of(&whole);
    let store = open_chained(root.path(), DiskOptions::default()).unwrap();
    wait(store.commit(Commit { blobs: vec![whole.clone()], ..Commit::default() })).unwrap();
    let path = store.blob_path(hash).unwrap();
    wait(store.close()).unwrap();
    let read = |store: &DiskStore| {
        let mut read = Vec::new();
        let mut file = store.open_blob(hash)?.unwrap();
        file.read_to_end(&mut read).unwrap();
        Ok::<_, StoreError>(read)
    };
    let mut damaged = whole.to_vec();
    damaged[9_999] ^= 1;
    for held in [&damaged[..], &whole[1..], b""] {
        fs::write(&path, held).unwrap();
        let store = open_chained(root.path(), DiskOptions::default()).unwrap();
        assert!(matches!(read(&store), Err(StoreError::Corrupt(_))));
        assert!(matches!(store.blob_path(hash), Err(StoreError::Corrupt(_))));
        fs::write(&path, &whole).unwrap();
        assert_eq!(read(&store).unwrap(), whole);
        assert_eq!(read(&store).unwrap(), whole, "from its start, also when it was known to be good");
    }
}

#[test]
fn a_damaged_tree_gives_an_error_or_the_data() {
    let root = in_memory();
    let live = root.path().join("live");
    let store = open_chained(&live, DiskOptions::default()).unwrap();
    for n in 1..=300 {
        wait(store.commit(append(1, n, &[bytes(n, 30)]))).unwrap();
    }
    wait(store.close()).unwrap();
    let (mut files, mut directories) = (Vec::new(), vec![live.join("tree")]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    for path in files.iter().filter(|path| fs::metadata(path).unwrap().len() > 0) {
        let whole = fs::read(path).unwrap();
        for n in 0..8 {
            let mut damaged = whole.clone();
            let at = whole.len() * n / 8;
            damaged[at] ^= 1 << n;
            if n == 7 {
                damaged.truncate(at);
            }
            fs::write(path, &damaged).unwrap();
            match records_in(&live) {
                Ok(held) => assert_eq!(held, 300, "{} at {at}", path.display()),
                Err(StoreError::Corrupt(_) | StoreError::Io { .. }) => {}
                Err(error) => panic!("{} at {at}: {error}", path.display()),
            }
        }
        fs::write(path, &whole).unwrap();
    }
    assert_eq!(records_in(&live).unwrap(), 300);
}

#[test]
fn a_directory_is_held_by_one_engine_alone() {
    let root = TempDir::new().unwrap();
    let store = open_chained(root.path(), log_only()).unwrap();
    let Err(StoreError::Locked { holder }) = open_chained(root.path(), log_only()) else { panic!("not locked") };
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    wait(store.close()).unwrap();
    open_chained(root.path(), log_only()).unwrap();
}

#[test]
fn what_a_crash_or_a_person_left_lying_does_not_block_a_start() {
    let root = TempDir::new().unwrap();
    drop(open_chained(root.path(), log_only()).unwrap());
    for name in ["lock", "format"] {
        fs::remove_file(root.path().join(name)).unwrap();
    }
    for name in ["scratch/old", "incoming/0", "log/00.generating", "tree/snap.00.generating", "format.new"] {
        fs::write(root.path().join(name), "left").unwrap();
    }
    let store = open_chained(root.path(), log_only()).unwrap();
    assert_eq!(fs::read_dir(store.scratch_dir()).unwrap().count(), 0);
    wait(store.commit(put("a", bytes(1, 5000)))).unwrap();
}

#[test]
fn a_directory_of_another_version_is_refused() {
    let root = TempDir::new().unwrap();
    drop(open_chained(root.path(), log_only()).unwrap());
    fs::write(root.path().join("format"), "7\n").unwrap();
    let refused = open_chained(root.path(), log_only());
    assert!(matches!(refused, Err(StoreError::Version { found: 7, supported: 4 })));
    // One that an older version wrote is taken over, and then refused by that version.
    for older in ["1\n", "2\n", "3\n"] {
        fs::write(root.path().join("format"), older).unwrap();
        drop(open_chained(root.path(), log_only()).unwrap());
        assert_eq!(fs::read_to_string(root.path().join("format")).unwrap(), "4\n");
    }
    fs::write(root.path().join("format"), "seven").unwrap();
    assert!(matches!(open_chained(root.path(), log_only()), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_directory_that_cannot_be_made_is_said_so() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let error = open_chained(&root.path().join("file/data"), log_only()).unwrap_err();
    assert!(error.to_string().starts_with("failed to make the data directory"), "{error}");
}

#[test]
fn the_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let root = TempDir::new().unwrap();
    let directory = root.path().join("data");
    let store = open_chained(&directory, log_only()).unwrap();
    wait(store.commit(put("a", bytes(1, 5000)))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&store.blob_path(hash_of(&bytes(1, 5000))).unwrap()), 0o600);
}
