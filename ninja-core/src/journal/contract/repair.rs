//! Looking for damage and mending it: what is whole is kept as it was, what is not is named, nothing is thrown away.

use std::path::PathBuf;

use super::{
    backup::items as items_of,
    crash::{assert_holds, assert_kept, commit},
    *,
};
use crate::api::BlobHash;
use crate::journal::{
    compact::compact,
    examine::{self, Examined, Part},
    item::{Item, Tally},
    references::{Reference, References},
};

/// Makes a directory of three writers' commits, the last of them in the log alone.
fn recorded(root: &Path) -> PathBuf {
    let (live, left) = (root.join("live"), root.join("left"));
    let store = open_chained(&live, DiskOptions::default()).unwrap();
    for n in 1..=20 {
        for writer in 0..3 {
            wait(store.commit(commit(writer, n))).unwrap();
        }
    }
    wait(store.close()).unwrap();
    let store = open_chained(&live, log_only()).unwrap();
    // The segment that the last store left is checkpointed when this one opens; until that is over it could take what
    // follows with it.
    while segments(&live).len() > 1 {
        std::thread::yield_now();
    }
    for n in 21..=24 {
        for writer in 0..3 {
            wait(store.commit(commit(writer, n))).unwrap();
        }
    }
    copy(&live, &left);
    left
}

/// A document names the blobs whose hashes are its words.
fn of_item(item: &Item) -> Result<Vec<Reference>, StoreError> {
    match item {
        Item::Doc { bytes, .. } => Ok(words(bytes).into_iter().map(Reference::List).collect()),
        Item::Task { .. }
        | Item::Record { .. }
        | Item::Feed { .. }
        | Item::AuditEnd(_)
        | Item::Audit { .. }
        | Item::BlobPart { .. } => Ok(Vec::new()),
    }
}

fn words(bytes: &[u8]) -> Vec<BlobHash> {
    String::from_utf8_lossy(bytes).split(' ').filter_map(|word| word.parse().ok()).collect()
}

const WORDS: References = References { of_item, of_list: |bytes| Ok(words(bytes)) };

fn check(directory: &Path) -> Result<Examined, StoreError> {
    examine::check(directory, WORDS)
}

fn repair(directory: &Path, aside: &str) -> Result<(Examined, Option<PathBuf>), StoreError> {
    examine::repair(directory, WORDS, aside)
}

fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut files, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false if path.file_name().unwrap() == "lock" => {}
                false => files.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

fn parts(examined: &Examined) -> Vec<Part> {
    examined.findings.iter().map(|finding| finding.part).collect()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn newest_segment(directory: &Path) -> PathBuf {
    segments(directory).into_iter().max().unwrap()
}

/// As [`recorded`], with a flipped bit in the first frame of the newest segment.
fn with_bad_frame(root: &Path) -> PathBuf {
    let directory = recorded(root);
    let segment = newest_segment(&directory);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    directory
}

#[test]
fn a_sound_directory_is_sound_and_stays_as_it_is() {
    let root = TempDir::new().unwrap();
    let directory = recorded(root.path());
    let before = files(&directory);
    let examined = check(&directory).unwrap();
    assert_eq!(examined.findings, []);
    assert_eq!((examined.counts.tasks, examined.counts.records, examined.counts.entries), (3, 144, 72));
    let (repaired, aside) = repair(&directory, "damaged").unwrap();
    assert!(repaired.findings.is_empty() && aside.is_none());
    assert_eq!(files(&directory), before);
    let held = open_chained(&directory, log_only()).unwrap();
    assert!(matches!(check(&directory), Err(StoreError::Locked { .. })));
    (0..3).for_each(|writer| assert_holds(&held, writer, 24));
    assert!(check(&root.path().join("none")).is_err());
}

#[test]
fn a_damaged_blob_is_named_and_taken_out_with_the_task_that_needs_it() {
    let root = TempDir::new().unwrap();
    let directory = recorded(root.path());
    // Writer 1's seventh commit has a record of 30,000 bytes; the log no longer carries it.
    let large = commit(1, 7).append.unwrap().records[1].clone();
    let hash = hash_of(&large).to_string();
    fs::write(directory.join("blobs").join(&hash[..2]).join(&hash[2..]), b"other").unwrap();
    let examined = check(&directory).unwrap();
    // The writers' seventh commits hold the same bytes.
    assert_eq!(parts(&examined), [Part::Task, Part::Task, Part::Task, Part::Blob]);
    assert!(examined.findings[3].name.contains(&hash), "{:?}", examined.findings);
    let before = files(&directory.join("tree"));
    let (lost, aside) = repair(&directory, "damaged-1").unwrap();
    assert_eq!(lost.findings, examined.findings);
    let kept: Vec<_> = files(&aside.unwrap().join("tree")).into_iter().map(|file| file.1).collect();
    assert_eq!(kept, before.into_iter().map(|file| file.1).collect::<Vec<_>>(), "set aside as it was");
    assert_eq!(check(&directory).unwrap().findings, []);
    let store = open_chained(&directory, log_only()).unwrap();
    assert_eq!(store.read_feed(user(1), 0, 99).unwrap().len(), 24);
    assert!(store.read_head(task(1)).unwrap().is_none());
    wait(store.commit(append(5, 1, &[bytes(1, 9)]))).unwrap();
}

#[test]
fn a_bad_frame_in_the_middle_of_the_log_costs_what_was_in_it() {
    let root = TempDir::new().unwrap();
    let directory = with_bad_frame(root.path());
    assert!(matches!(open_chained(&directory, log_only()), Err(StoreError::Corrupt(_))));
    let examined = check(&directory).unwrap();
    // The first frame was writer 0's twenty-first commit: its task, its feed and the audit log have a gap, the others
    // do not.
    assert_eq!(parts(&examined), [Part::Log, Part::Task, Part::Feed, Part::Audit], "{:?}", examined.findings);
    let (_, aside) = repair(&directory, "damaged-1").unwrap();
    assert!(aside.unwrap().join("log").exists());
    let store = open_chained(&directory, log_only()).unwrap();
    assert_eq!((assert_kept(&store, 1, 24), assert_kept(&store, 2, 24)), (24, 24));
    assert_eq!(store.read_log(task(0), 1, 99).unwrap(), []);
    // Nobody who has the key takes what is left of the audit log for all of it.
    let (rows, end) = (store.read_audit(1, 99).unwrap(), store.audit_end().unwrap().unwrap());
    assert_eq!((rows.len(), end.seq, end.mac, end.end_mac), (60, 60, rows[59].mac, Mac::NONE));
}

#[test]
fn compacting_removes_what_nothing_names_and_nothing_else() {
    let root = TempDir::new().unwrap();
    let directory = recorded(root.path());
    // The writers' files are named by nothing; their large values are needed all the same.
    let values = |directory: &Path| -> Vec<Item> {
        let items = items_of(&open_chained(directory, log_only()).unwrap());
        items.into_iter().filter(|item| !matches!(item, Item::BlobPart { .. })).collect()
    };
    let before = values(&directory);
    assert!(compact(&directory, WORDS).unwrap().blobs > 0);
    assert_eq!(values(&directory), before);
    let whole = {
        let store = open_chained(&directory, log_only()).unwrap();
        let named = Bytes::from("named by a list");
        let list = Bytes::from(format!("a list of {}", hash_of(&named)));
        let document = put("names", Bytes::from(hash_of(&list).to_string()));
        let lost = Bytes::from("named by nothing");
        wait(store.commit(Commit { blobs: vec![named, list], ..document })).unwrap();
        let whole = items_of(&store);
        wait(store.commit(Commit { blobs: vec![lost], ..Commit::default() })).unwrap();
        whole
    };
    let compacted = compact(&directory, WORDS).unwrap();
    assert_eq!((compacted.blobs, compacted.bytes), (1, "named by nothing".len() as u64));
    assert_eq!(compact(&directory, WORDS).unwrap().blobs, 0);
    assert!(check(&directory).unwrap().is_sound());
    let store = open_chained(&directory, log_only()).unwrap();
    assert_eq!(items_of(&store), whole);
    assert!(matches!(compact(&directory, WORDS), Err(StoreError::Locked { .. })));
}

#[test]
fn a_named_file_that_is_missing_is_found_and_stops_a_compaction() {
    let root = TempDir::new().unwrap();
    let directory = recorded(root.path());
    let list = Bytes::from("a list that goes missing");
    {
        let store = open_chained(&directory, DiskOptions::default()).unwrap();
        let document = put("names", Bytes::from(hash_of(&list).to_string()));
        wait(store.commit(Commit { blobs: vec![list.clone(), Bytes::from("named by nothing")], ..document })).unwrap();
        wait(store.close()).unwrap();
    }
    let hash = hash_of(&list).to_string();
    fs::remove_file(directory.join("blobs").join(&hash[..2]).join(&hash[2..])).unwrap();
    let examined = check(&directory).unwrap();
    assert!(examined.findings.is_empty() && !examined.is_sound());
    assert_eq!((examined.beyond_repair.len(), &examined.beyond_repair[0].name), (1, &hash));
    let before = files(&directory.join("blobs"));
    assert!(matches!(compact(&directory, WORDS), Err(StoreError::Corrupt(_))));
    assert_eq!(files(&directory.join("blobs")), before);
    let (repaired, aside) = repair(&directory, "damaged").unwrap();
    assert_eq!((repaired.beyond_repair.len(), aside), (1, None));
}

#[test]
fn a_repair_that_was_killed_goes_on_where_it_was() {
    let root = TempDir::new().unwrap();
    let directory = with_bad_frame(root.path());
    // As a kill leaves it: built, the log moved, the rest not.
    let (whole, cut) = (root.path().join("whole"), &directory);
    copy(cut, &whole);
    repair(&whole, "damaged-1").unwrap();
    fs::write(cut.join("format"), "repairing\n").unwrap();
    fs::create_dir_all(cut.join("damaged-1")).unwrap();
    fs::create_dir_all(cut.join("repairing")).unwrap();
    fs::rename(cut.join("log"), cut.join("damaged-1/log")).unwrap();
    for part in ["tree", "blobs", "snapshots", "format"] {
        let from = whole.join(part);
        match from.is_dir() {
            true => copy(&from, &cut.join("repairing").join(part)),
            false => drop(fs::copy(from, cut.join("repairing").join(part)).unwrap()),
        }
    }
    copy(&whole.join("log"), &cut.join("log"));
    fs::write(cut.join("repairing/done"), "damaged-1").unwrap();
    assert!(matches!(open_chained(cut, log_only()), Err(StoreError::Corrupt(_))));
    let (_, aside) = repair(cut, "damaged-2").unwrap();
    assert_eq!(aside, Some(cut.join("damaged-1")));
    let store = open_chained(cut, log_only()).unwrap();
    assert_kept(&store, 1, 24);
    assert!(cut.join("damaged-1/tree").exists() && !cut.join("repairing").exists());
}

/// Returns what a directory's store holds, or the typed error that it does not open or read with. Blobs are handed on as they
/// are, so it is the tally that refuses the damaged ones.
fn items(directory: &Path) -> Result<Vec<Item>, StoreError> {
    let store = open_chained(directory, log_only())?;
    let (mut items, mut tally) = (Vec::new(), Tally::default());
    store.export(&mut |item| {
        tally.see(&item).map_err(StoreError::Corrupt)?;
        items.push(item);
        Ok(())
    })?;
    tally.finish().map_err(StoreError::Corrupt)?;
    Ok(items)
}

/// Checks that an item is one of those that were written. A task's head and length, a count and the end of the
/// audit log may be earlier ones, and a blob whose
/// value is lost stands for itself.
fn assert_known(item: &Item, known: &HashSet<String>, context: &str) {
    match item {
        Item::Task { .. } | Item::AuditEnd(_) => {}
        Item::Doc { key, bytes } if key.kind == DocKind::Count => {
            let numbers = counts::read(bytes).unwrap();
            assert!(numbers.iter().zip([24, 300]).all(|(number, most)| (0..=most).contains(number)), "{context}");
        }
        Item::BlobPart { hash, bytes, .. } => assert_eq!(hash_of(bytes), *hash, "{context}"),
        Item::Doc { .. } | Item::Record { .. } | Item::Feed { .. } | Item::Audit { .. } => {
            let is_known = known.contains(&format!("{item:?}"));
            assert!(is_known, "{context}: {}", format!("{item:?}").chars().take(300).collect::<String>());
        }
    }
}

/// Damages a file in one of three ways.
fn damage(bytes: &mut Vec<u8>, random: u64) {
    let at = (random >> 8) as usize % bytes.len().max(1);
    match random % 3 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << (random >> 40 & 7),
        1 => bytes.truncate(at),
        _ => bytes.iter_mut().skip(at / 512 * 512).take(512).for_each(|byte| *byte = 0),
    }
}

#[test]
fn two_hundred_mutations_give_an_error_or_the_data_and_can_all_be_repaired() {
    let root = in_memory();
    let directory = recorded(root.path());
    let whole = {
        let copied = root.path().join("whole");
        copy(&directory, &copied);
        items(&copied).unwrap()
    };
    let known: HashSet<String> = whole.iter().map(|item| format!("{item:?}")).collect();
    let targets: Vec<PathBuf> = files(&directory).into_iter().map(|file| file.0).collect();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let (mut refused, mut repaired) = (0, 0);
    for n in 0..200 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Log and tree as often as blobs, though there are more of those.
        let of = |part: &str| -> Vec<&PathBuf> {
            targets.iter().filter(|path| path.starts_with(directory.join(part))).collect()
        };
        let group = of(["log", "tree", "blobs"][n % 3]);
        let target = group[(random >> 20) as usize % group.len()];
        let copied = root.path().join("copy");
        copy(&directory, &copied);
        let victim = copied.join(target.strip_prefix(&directory).unwrap());
        let mut bytes = fs::read(&victim).unwrap();
        damage(&mut bytes, random);
        fs::write(&victim, bytes).unwrap();
        let opened = root.path().join("opened");
        copy(&copied, &opened);
        let context = format!("mutation {n} of {}", target.display());
        match items(&opened) {
            // The tail of the log cannot be told from a write that a power cut tore, so the last group may be gone.
            Ok(found) => found.iter().for_each(|item| assert_known(item, &known, &context)),
            Err(StoreError::Corrupt(_) | StoreError::Io { .. }) => refused += 1,
            Err(error) => panic!("{context}: {error}"),
        }
        let (examined, _) = repair(&copied, "damaged").unwrap_or_else(|error| panic!("{context}: {error}"));
        repaired += usize::from(!examined.findings.is_empty());
        for item in items(&copied).unwrap_or_else(|error| panic!("{context} repaired: {error}")) {
            assert_known(&item, &known, &context);
        }
        fs::remove_dir_all(&copied).unwrap();
        fs::remove_dir_all(&opened).unwrap();
    }
    assert!(refused > 20 && repaired >= refused, "{refused} refused, {repaired} repaired");
}
