//! Whatever is done to any entry of a log, or to its end, the verifier names the place.

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    api::{AuditAction, Origin, Timestamp},
    audit::sign,
    journal::{memory::MemoryStore, store::Commit},
};

const KEY: [u8; 32] = [3; 32];

struct Log {
    store: MemoryStore,
    key: ChainKey,
    _directory: TempDir,
}

fn entry(n: usize) -> Bytes {
    Audit::of_nobody(&Origin::default(), AuditAction::Login, Timestamp::UNIX_EPOCH).to(format!("somebody {n}")).encode()
}

impl Log {
    /// Writes so many entries, two to a commit.
    fn of(entries: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, key) = (MemoryStore::open(directory.path()).unwrap(), ChainKey::new(KEY));
        store.chain_audit(key.clone());
        let all: Vec<Bytes> = (1..=entries).map(entry).collect();
        for two in all.chunks(2) {
            futures::executor::block_on(store.commit(Commit { audit: two.to_vec(), ..Commit::default() })).unwrap();
        }
        Self { store, key, _directory: directory }
    }

    fn checkpoint(&self) -> AuditCheckpoint {
        sign(&self.key, &self.store.audit_end().unwrap().unwrap(), Timestamp::UNIX_EPOCH)
    }

    fn verify(&self, checkpoint: Option<&AuditCheckpoint>) -> AuditVerified {
        verify(&self.store, &[self.stretch(1, None)], checkpoint).unwrap()
    }

    fn stretch(&self, from: u64, closed_by: Option<Mac>) -> Stretch {
        Stretch { from, key: Ok(self.key.clone()), closed_by }
    }

    fn tamper(&self, with: impl FnOnce(&mut Vec<AuditRow>, &mut AuditEnd)) {
        self.store.tamper_audit(|rows, end| with(rows, end.as_mut().unwrap()));
    }
}

/// What somebody does to a log who can write the disk, and has no key.
#[derive(Debug, Clone)]
enum Deed {
    /// Changes one byte of an entry.
    Edit { at: usize, byte: usize },
    /// Puts another text in its place, well formed.
    Replace { at: usize },
    /// Changes the link of an entry.
    Unlink { at: usize },
    /// Takes an entry out.
    Delete { at: usize },
    /// Takes an entry out, and numbers what follows anew.
    DeleteAndRenumber { at: usize },
    /// Puts one entry where another one was, and that in its place, links and all.
    Swap { at: usize, with: usize },
    /// Puts an entry in that was there before, as the next.
    Repeat { at: usize },
    /// Cuts off what comes after an entry.
    Cut { after: usize },
    /// Cuts it off and sets the end to what is left, as well as that goes.
    CutClean { after: usize },
    /// Adds a forged one after the last.
    Add,
    /// Adds one, and sets the end to it.
    AddClean,
    /// Writes the log anew from an entry on, with another key.
    Forge { from: usize },
}

/// How the log that is tried is long at least, and at most.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=9;

fn deed(len: usize) -> impl Strategy<Value = Deed> {
    let at = || 1..=len;
    prop_oneof![
        (at(), 0..4_096_usize).prop_map(|(at, byte)| Deed::Edit { at, byte }),
        at().prop_map(|at| Deed::Replace { at }),
        at().prop_map(|at| Deed::Unlink { at }),
        at().prop_map(|at| Deed::Delete { at }),
        (1..len).prop_map(|at| Deed::DeleteAndRenumber { at }),
        (at(), 1..len).prop_map(move |(at, off)| Deed::Swap { at, with: (at - 1 + off) % len + 1 }),
        at().prop_map(|at| Deed::Repeat { at }),
        (0..len).prop_map(|after| Deed::Cut { after }),
        (0..len).prop_map(|after| Deed::CutClean { after }),
        Just(Deed::Add),
        Just(Deed::AddClean),
        at().prop_map(|from| Deed::Forge { from }),
    ]
}

impl Deed {
    /// Does it.
    fn to(&self, rows: &mut Vec<AuditRow>, end: &mut AuditEnd) {
        let forged = ChainKey::new([4; 32]);
        let renumber = |rows: &mut [AuditRow]| (1..).zip(rows).for_each(|(seq, row)| row.seq = seq);
        match *self {
            Self::Edit { at, byte } => {
                let mut text = rows[at - 1].entry.to_vec();
                let byte = byte % text.len();
                text[byte] ^= 1;
                rows[at - 1].entry = text.into();
            }
            Self::Replace { at } => rows[at - 1].entry = entry(99),
            Self::Unlink { at } => {
                let mut mac = *rows[at - 1].mac.as_bytes();
                mac[31] ^= 1;
                rows[at - 1].mac = Mac::from_bytes(mac);
            }
            Self::Delete { at } => drop(rows.remove(at - 1)),
            Self::DeleteAndRenumber { at } => {
                rows.remove(at - 1);
                renumber(rows);
                end.seq -= 1;
            }
            Self::Swap { at, with } => {
                rows.swap(at - 1, with - 1);
                renumber(rows);
            }
            Self::Repeat { at } => {
                rows.insert(at, rows[at - 1].clone());
                renumber(rows);
                end.seq += 1;
            }
            Self::Cut { after } => rows.truncate(after),
            Self::CutClean { after } => {
                rows.truncate(after);
                let mac = rows.last().map_or(Mac::NONE, |row| row.mac);
                *end = AuditEnd { seq: after as u64, mac, end_mac: end.end_mac };
            }
            Self::Add | Self::AddClean => {
                let (seq, text) = (end.seq + 1, entry(99));
                let mac = forged.link(&end.mac, seq, &text);
                rows.push(AuditRow { seq, mac, entry: text });
                if matches!(self, Self::AddClean) {
                    *end = AuditEnd { seq, mac, end_mac: forged.end(seq, &mac) };
                }
            }
            Self::Forge { from } => {
                let mut before = from.checked_sub(2).map_or(Mac::NONE, |last| rows[last].mac);
                for row in &mut rows[from - 1..] {
                    row.mac = forged.link(&before, row.seq, &row.entry);
                    before = row.mac;
                }
                *end = AuditEnd { mac: before, end_mac: forged.end(end.seq, &before), ..*end };
            }
        }
    }

    /// Returns what the verifier says first, and how many entries there is nothing against where it says nothing else.
    fn found(&self, len: usize) -> (String, Option<usize>) {
        let place = |at: usize| format!("entry {at} is not the one that was chained in its place");
        match *self {
            Self::Edit { at, .. } | Self::Replace { at } => {
                (format!("entry {at}: its text is not what was chained"), Some(len - 1))
            }
            Self::Unlink { at } => (format!("entry {at}: its link is not the one that was made"), Some(len - 1)),
            Self::Delete { at } if at == len => {
                (format!("entries end at {}, the chain's end says {len}", len - 1), Some(len - 1))
            }
            // Nor is there anything for the one after it.
            Self::Delete { at } => (format!("entry {at} is missing"), Some(len - 2)),
            Self::DeleteAndRenumber { at } => (place(at), None),
            Self::Swap { at, with } => (place(at.min(with)), None),
            Self::Repeat { at } => (place(at + 1), None),
            Self::Cut { after } => (format!("entries end at {after}, the chain's end says {len}"), Some(after)),
            Self::CutClean { after } => {
                (format!("the chain's end, at entry {after}, is not one that was written"), Some(after))
            }
            Self::Add => (format!("entry {} stands after the chain's end, which says {len}", len + 1), Some(len)),
            Self::AddClean => (place(len + 1), None),
            Self::Forge { from } => (place(from), None),
        }
    }
}

proptest! {
    #[test]
    fn the_place_is_named_whatever_is_done(
        (len, deed) in LENGTHS.prop_flat_map(|len| (Just(len), deed(len)))
    ) {
        let log = Log::of(len);
        prop_assert!(log.verify(Some(&log.checkpoint())).is_whole());
        log.tamper(|rows, end| deed.to(rows, end));
        let verified = log.verify(None);
        let (problem, passed) = deed.found(len);
        prop_assert_eq!(verified.problems.first(), Some(&problem));
        prop_assert!(verified.entries <= len as u64);
        if let Deed::Swap { at, with } = deed {
            let moved = [at, with].map(|at| format!("entry {at} is not the one that was chained in its place"));
            prop_assert!(moved.iter().all(|moved| verified.problems.contains(moved)), "{:?}", verified);
        }
        if let Some(passed) = passed {
            prop_assert_eq!((verified.problems.len(), verified.entries), (1, passed as u64), "{:?}", verified);
        }
    }
}

#[test]
fn a_log_that_is_as_it_was_written_is_whole() {
    for len in [0, 1, 2, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 3] {
        let log = Log::of(len);
        let stretches = if len == 0 { Vec::new() } else { vec![log.stretch(1, None)] };
        let verified = verify(&log.store, &stretches, None).unwrap();
        assert_eq!((verified.is_whole(), verified.entries), (true, len as u64), "{verified:?}");
        assert_eq!(verified.mac.is_some(), len > 0);
    }
}

#[test]
fn entries_without_an_end_or_without_a_key_are_told_of() {
    let log = Log::of(3);
    let verified = verify(&log.store, &[], None).unwrap();
    assert_eq!((verified.problems, verified.entries), (vec!["there is no key for entry 1".to_owned()], 0));
    log.store.tamper_audit(|_, end| *end = None);
    assert_eq!(log.verify(None).problems, ["entries end at 3, and the chain's end is missing"]);
    log.store.tamper_audit(|rows, _| rows.clear());
    assert_eq!(log.verify(None).problems, ["entries end at 0, and the chain's end is missing"]);
}

/// A state that was whole once cannot be told from one that is: what was kept elsewhere tells.
#[test]
fn a_log_that_was_set_back_is_told_by_a_checkpoint_alone() {
    let (log, older) = (Log::of(6), Log::of(4));
    let checkpoint = log.checkpoint();
    let end = older.store.audit_end().unwrap();
    log.store.tamper_audit(|rows, newest| {
        rows.truncate(4);
        *newest = end;
    });
    assert!(log.verify(None).is_whole());
    assert!(log.verify(Some(&older.checkpoint())).is_whole());
    let cut = "entries end at 4, the checkpoint of 1970-01-01T00:00:00Z says 6";
    assert_eq!(log.verify(Some(&checkpoint)).problems, [cut]);
    log.tamper(|rows, _| rows[1].entry = entry(9));
    assert_eq!(log.verify(Some(&checkpoint)).problems, ["entry 2: its text is not what was chained", cut]);
    assert_eq!(log.verify(Some(&older.checkpoint())).problems, ["entry 2: its text is not what was chained"]);
}

/// Whoever has the key can write the log anew, but not what was signed before.
#[test]
fn a_log_that_was_written_anew_with_its_own_key_is_told_by_a_checkpoint() {
    let log = Log::of(5);
    let checkpoint = log.checkpoint();
    let key = log.key.clone();
    log.tamper(|rows, end| {
        rows[2].entry = entry(9);
        let mut before = rows[1].mac;
        for row in &mut rows[2..] {
            row.mac = key.link(&before, row.seq, &row.entry);
            before = row.mac;
        }
        *end = AuditEnd { mac: before, end_mac: key.end(5, &before), ..*end };
    });
    assert!(log.verify(None).is_whole());
    let anew = "entry 5 is not the one of the checkpoint of 1970-01-01T00:00:00Z: what leads to it was written anew";
    assert_eq!(log.verify(Some(&checkpoint)).problems, [anew]);
    let forged = AuditCheckpoint { mac: Mac::NONE.to_string(), ..checkpoint };
    let foreign = "the checkpoint of 1970-01-01T00:00:00Z is not one that this log's key signed";
    assert_eq!(log.verify(Some(&forged)).problems, [foreign]);
}

/// One place that is wrong does not hide another, and what is written after it can be relied on again.
#[test]
fn every_place_is_named_up_to_a_score() {
    let log = Log::of(60);
    log.tamper(|rows, _| {
        rows[9].entry = entry(99);
        rows[19].mac = Mac::NONE;
        drop(rows.drain(29..32));
    });
    let named = [
        "entry 10: its text is not what was chained",
        "entry 20: its link is not the one that was made",
        "entries 30 to 32 are missing",
    ];
    let verified = log.verify(None);
    assert_eq!((verified.problems, verified.entries), (named.map(str::to_owned).to_vec(), 60 - 1 - 1 - 3 - 1));
    log.tamper(|rows, _| rows.iter_mut().for_each(|row| row.entry = entry(99)));
    let verified = log.verify(None);
    assert_eq!(verified.problems.len(), PROBLEMS_MAX + 1, "{verified:?}");
    assert_eq!(verified.problems.last().map(String::as_str), Some("the walk ends at entry 20: too much is wrong"));
}
