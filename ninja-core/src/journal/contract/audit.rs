//! The audit log: numbered and chained with the commits that it tells of, or not at all.

use super::{
    backup::items,
    crash::{assert_holds, commit},
    *,
};
use crate::journal::{
    audit::{AuditRow, Links},
    change::Change,
    wal::Stamp,
};

fn audited(entries: &[&str]) -> Commit {
    Commit { audit: entries.iter().map(|entry| Bytes::from((*entry).to_owned())).collect(), ..Commit::default() }
}

#[test]
fn entries_are_numbered_and_chained_across_commits_and_what_is_refused_leaves_no_gap() {
    with_each(|store| {
        assert_eq!((store.audit_end().unwrap(), store.read_audit(0, 9).unwrap()), (None, Vec::new()));
        wait(store.commit(audited(&["one", "two"]))).unwrap();
        wait(store.commit(put("of nothing audited", bytes(1, 1)))).unwrap();
        let refused = Commit { audit: vec![Bytes::from("never")], ..append(1, 7, &[bytes(1, 1)]) };
        let large = Commit { audit: vec![Bytes::from("never")], ..put("large", bytes(0, COMMIT_BYTES_MAX as usize)) };
        let commits = [
            refused.clone(),
            audited(&["three"]),
            refused,
            large,
            Commit { audit: vec![bytes(1, 9_000)], ..append(1, 1, &[]) },
        ];
        let answers = wait(futures::future::join_all(commits.map(|commit| store.commit(commit))));
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false, false, true]);
        assert_eq!(assert_chained(store), ["one".into(), "two".into(), "three".into(), bytes(1, 9_000)]);
        let seqs = |rows: Vec<AuditRow>| rows.into_iter().map(|row| row.seq).collect::<Vec<_>>();
        assert_eq!(seqs(store.read_audit(2, 2).unwrap()), [2, 3]);
        assert_eq!(seqs(store.read_audit(5, 2).unwrap()), [0; 0]);
        // Nothing of what is told of in the same breath is missing.
        assert_eq!(store.read_head(task(1)).unwrap(), Some(Bytes::from("head at 1")));
    });
}

#[test]
fn without_a_key_what_is_audited_is_refused_and_all_else_goes_on() {
    let root = TempDir::new().unwrap();
    let disk = DiskStore::open(&root.path().join("disk"), log_only()).unwrap();
    let memory = MemoryStore::open(&root.path().join("memory")).unwrap();
    for store in [&disk as &dyn Store, &memory] {
        let both = Commit { audit: vec![Bytes::from("one")], ..put("a", bytes(1, 1)) };
        let refused = wait(store.commit(both.clone())).unwrap_err();
        assert!(matches!(refused, StoreError::NoAuditKey), "{refused}");
        assert_eq!(store.read_doc(&DocKey::new(DocKind::User, "a")).unwrap(), None);
        wait(store.commit(put("b", bytes(1, 1)))).unwrap();
        assert!(store.failure().is_none());
        store.chain_audit(ChainKey::new(CHAIN_KEY));
        wait(store.commit(both)).unwrap();
        assert_eq!(assert_chained(store), ["one"]);
    }
}

/// A replay finds the links in the frames: whoever opens the directory needs no key to read what it holds.
#[test]
fn a_replay_gives_the_same_links_without_the_key() {
    let root = TempDir::new().unwrap();
    let (live, left) = (root.path().join("live"), root.path().join("left"));
    let store = open_chained(&live, log_only()).unwrap();
    for n in 1..=5 {
        wait(store.commit(commit(1, n))).unwrap();
    }
    copy(&live, &left);
    let replayed = DiskStore::open(&left, log_only()).unwrap();
    assert_eq!(items(&replayed), items(&store));
    assert_holds(&replayed, 1, 5);
    assert!(matches!(wait(replayed.commit(commit(1, 6))), Err(StoreError::NoAuditKey)));
    replayed.chain_audit(ChainKey::new(CHAIN_KEY));
    wait(replayed.commit(commit(1, 6))).unwrap();
    drop(replayed);
    assert_holds(&DiskStore::open(&left, log_only()).unwrap(), 1, 6);
}

/// What format 3 wrote: frames without links, changes that end with the counts.
#[test]
fn a_directory_of_the_format_before_is_taken_over() {
    let root = TempDir::new().unwrap();
    let log = root.path().join("log");
    fs::create_dir_all(&log).unwrap();
    fs::write(root.path().join("format"), "3\n").unwrap();
    let mut change = Commit { audit: Vec::new(), ..commit(1, 1) };
    let header = [&b"NINJALOG"[..], &1_u32.to_be_bytes(), &7_u32.to_be_bytes(), &1_u64.to_be_bytes()].concat();
    let mut segment = [&header[..], &crc32c::crc32c(&header).to_be_bytes()].concat();
    for position in 1..=2_u64 {
        let body = Change::new(change).unwrap().encode();
        let payload = [
            &position.to_be_bytes()[..],
            &(position - 1).to_be_bytes(),
            &1_u32.to_be_bytes(),
            &position.to_be_bytes(),
            &body,
        ]
        .concat();
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(7, &len), &payload);
        segment.extend([&len[..], &crc.to_be_bytes(), &payload].concat());
        change = Commit { audit: Vec::new(), ..commit(1, 2) };
    }
    fs::write(log.join("00000000000000000001.log"), segment).unwrap();
    let store = open_chained(root.path(), log_only()).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("format")).unwrap(), "4\n");
    assert_eq!(store.read_log(task(1), 1, 9).unwrap().len(), 4);
    assert_eq!(store.read_feed(user(1), 0, 9).unwrap().len(), 2);
    assert!(assert_chained(&store).is_empty());
    wait(store.commit(commit(1, 3))).unwrap();
    drop(store);
    let store = open_chained(root.path(), log_only()).unwrap();
    assert_eq!((store.read_log(task(1), 1, 9).unwrap().len(), assert_chained(&store)), (6, vec!["1 did 3".into()]));
}

/// The cost of a link, beside that of the frame that it stands in. Printed, not asserted: `--nocapture` shows it.
#[test]
fn linking_an_entry_is_two_short_codes() {
    let key = ChainKey::new(CHAIN_KEY);
    let (entry, mut end) = (bytes(1, 350), AuditEnd::NONE);
    let began = std::time::Instant::now();
    for _ in 0..1_000 {
        let links = key.chain(&end, [&entry].into_iter());
        let stamp = Stamp { position: 1, synced: 0, feed_seqs: Vec::new(), links: Some(links) };
        end = stamp.links.as_ref().map_or(AuditEnd::NONE, Links::end);
    }
    println!("{:?} an entry", began.elapsed() / 1_000);
    assert_eq!(end.seq, 1_000);
}
