//! A log goes on with its key as long as both are what they were; otherwise it begins anew, and says so for ever.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::{
    audit::verify,
    journal::{audit::AuditRow, memory::MemoryStore},
};

struct House {
    store: Arc<MemoryStore>,
    directory: TempDir,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { store: Arc::new(MemoryStore::open(&directory.path().join("store")).unwrap()), directory }
    }

    fn vault(&self) -> Vault {
        Vault::find(&BTreeMap::new(), None, self.directory.path()).unwrap()
    }

    /// What an engine does when it starts.
    fn start(&self) -> AuditKey {
        let store: Arc<dyn Store> = self.store.clone();
        let vault = self.vault();
        let started = ensure(&store, &vault, None, Timestamp::UNIX_EPOCH);
        futures::executor::block_on(started).unwrap()
    }

    fn add(&self, entries: usize) {
        for _ in 0..entries {
            let entry = Audit::of_nobody(&Origin::default(), AuditAction::Login, Timestamp::UNIX_EPOCH);
            let commit = Commit { audit: vec![entry.encode()], ..Commit::default() };
            futures::executor::block_on(self.store.commit(commit)).unwrap();
        }
    }

    fn problems(&self) -> Vec<String> {
        let stretches = StoredKeys::read(self.store.as_ref()).unwrap().stretches(&self.vault());
        verify(self.store.as_ref(), &stretches, None).unwrap().problems
    }

    fn rows(&self) -> Vec<AuditRow> {
        self.store.read_audit(0, 100).unwrap()
    }

    /// Returns what the newest entry says, where it began the log.
    fn began_for(&self) -> Option<String> {
        let row = self.rows().pop().unwrap();
        let entry = Audit::decode(row.seq, &row.entry).unwrap();
        assert_eq!(entry.action, AuditAction::BeginAudit);
        entry.detail
    }
}

fn is_known(key: &AuditKey) -> bool {
    matches!(key, AuditKey::Known(_))
}

#[test]
fn the_first_start_begins_the_log_and_later_ones_go_on_with_its_key() {
    let house = House::new();
    assert!(is_known(&house.start()));
    assert_eq!(house.began_for(), None);
    house.add(2);
    for _ in 0..2 {
        assert!(is_known(&house.start()));
        house.add(1);
    }
    assert_eq!((house.rows().len(), house.problems()), (5, vec![]));
    let (_, document) = StoredKeys::read(house.store.as_ref()).unwrap().document();
    let (AuditKey::Known(key), text) = (house.start(), String::from_utf8(document.to_vec()).unwrap()) else { panic!() };
    let hex: String = Mac::from_bytes([0; 32]).to_string();
    assert!(!text.contains(&hex[..16]) && format!("{key:?}").contains("redacted"), "{text}");
}

#[test]
fn a_log_whose_end_was_changed_begins_anew_and_both_are_told_of() {
    let cut = |rows: &mut Vec<AuditRow>| rows.truncate(3);
    let edit = |rows: &mut Vec<AuditRow>| rows[3].mac = Mac::NONE;
    type Deed = fn(&mut Vec<AuditRow>);
    for (deed, why) in [
        (cut as Deed, "entry 4, the last, is not the one that was written"),
        (edit as Deed, "entry 4, the last, is not the one that was written"),
    ] {
        let house = House::new();
        house.start();
        house.add(3);
        house.store.tamper_audit(|rows, _| deed(rows));
        assert!(is_known(&house.start()));
        assert_eq!(house.began_for().as_deref(), Some(why));
        house.add(1);
        let problems = house.problems();
        assert!(!problems.is_empty(), "a new beginning makes nothing whole");
        assert!(is_known(&house.start()), "and it goes on from there");
        assert_eq!(house.problems(), problems);
    }
}

#[test]
fn an_end_that_was_forged_begins_the_log_anew() {
    let house = House::new();
    house.start();
    house.add(3);
    house.store.tamper_audit(|rows, end| {
        rows.truncate(2);
        *end = Some(AuditEnd { seq: 2, mac: rows[1].mac, end_mac: Mac::NONE });
    });
    house.start();
    let why = "the end of the log, at entry 2, is not one that was written";
    assert_eq!(house.began_for().as_deref(), Some(why));
    let problem = format!("entry 3 begins the log anew, and what ended before it may be cut: {why}");
    assert_eq!(house.problems(), [problem]);
}

#[test]
fn a_key_that_is_gone_leaves_a_stretch_that_nobody_can_check_and_a_new_one() {
    let house = House::new();
    house.start();
    house.add(2);
    let keys = house.directory.path().join("vault.keys");
    let aside = house.directory.path().join("aside");
    std::fs::rename(&keys, &aside).unwrap();
    // Nothing else waits for the key that is gone, so the engine goes on with a new one.
    assert!(is_known(&house.start()));
    house.add(1);
    let problems = house.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("the entries from 1 on cannot be checked: its key cannot be used"), "{problems:?}");
    // It comes back, as a line before the newer one: the stretch was closed where it ended, so all is whole.
    let both = [std::fs::read(&aside).unwrap(), std::fs::read(&keys).unwrap()].concat();
    std::fs::write(&keys, both).unwrap();
    assert_eq!((house.problems(), house.rows().len()), (vec![], 5));
}

#[test]
fn where_the_document_is_gone_the_log_begins_anew_after_its_last_entry() {
    let house = House::new();
    house.start();
    house.add(2);
    let deletes = vec![address()];
    futures::executor::block_on(house.store.commit(Commit { deletes, ..Commit::default() })).unwrap();
    house.start();
    let why = "the key of the entries up to 3 is not there";
    assert_eq!(house.began_for().as_deref(), Some(why));
    let anew = format!("entry 4 begins the log anew, and what ended before it may be cut: {why}");
    assert_eq!(house.problems(), ["there is no key for entry 1".to_owned(), anew]);
}

#[test]
fn a_key_opens_for_the_stretch_that_it_was_made_for_alone() {
    let house = House::new();
    house.start();
    let mut stored = StoredKeys::read(house.store.as_ref()).unwrap();
    assert!(stored.keys[0].open(&house.vault()).is_ok());
    stored.keys[0].from = 2;
    assert_eq!(stored.keys[0].open(&house.vault()).unwrap_err(), VaultError::Altered);
}
