//! Random commits, reads and reopenings: the store on disk must answer as the one in memory does.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{power::Power, *};
use crate::journal::{calls::Calls, store::HeadPage};

#[derive(Debug, Clone)]
enum Step {
    Append {
        task: u128,
        off_by: u64,
        records: Vec<usize>,
        owner: u128,
        unfinished: bool,
    },
    Feed {
        users: Vec<u128>,
        len: usize,
    },
    Docs {
        puts: Vec<(u8, usize)>,
        deletes: Vec<u8>,
    },
    Blob {
        len: usize,
    },
    Counts {
        rows: Vec<(u8, Vec<i64>)>,
    },
    Forget {
        task: u128,
        off_by: u64,
    },
    Audit {
        lens: Vec<usize>,
        /// Whether a record comes with them that does not follow, so that the commit is refused.
        refused: bool,
    },
    Reopen,
    /// Goes on with what a power cut leaves.
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![4 => 0..200_usize, 1 => (SPILL_BYTES - 1)..(SPILL_BYTES + 2), 1 => Just(20_000_usize)];
    prop_oneof![
        8 => (0..6_u128, prop_oneof![9 => Just(0_u64), 1 => 1..3_u64], proptest::collection::vec(len(), 0..4), 0..3_u128, any::<bool>())
            .prop_map(|(task, off_by, records, owner, unfinished)| Step::Append { task, off_by, records, owner, unfinished }),
        3 => (proptest::collection::vec(0..3_u128, 1..4), len()).prop_map(|(users, len)| Step::Feed { users, len }),
        3 => (proptest::collection::vec((0..5_u8, len()), 0..3), proptest::collection::vec(0..5_u8, 0..3))
            .prop_map(|(puts, deletes)| Step::Docs { puts, deletes }),
        1 => len().prop_map(|len| Step::Blob { len }),
        3 => proptest::collection::vec((0..4_u8, proptest::collection::vec(-9..9_i64, 0..3)), 1..4)
            .prop_map(|rows| Step::Counts { rows }),
        3 => (0..6_u128, prop_oneof![9 => Just(0_u64), 1 => 1..3_u64])
            .prop_map(|(task, off_by)| Step::Forget { task, off_by }),
        3 => (proptest::collection::vec(len(), 0..3), any::<bool>()).prop_map(|(lens, refused)| Step::Audit { lens, refused }),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerCut),
    ]
}

fn commit_of(step: &Step, n: u64, next_seq: impl Fn(u128) -> u64) -> Commit {
    let mut commit = Commit::default();
    match step {
        Step::Append { task: of, off_by, records, owner, unfinished } => {
            let records: Vec<Bytes> = records.iter().map(|len| bytes(n, *len)).collect();
            commit = append(*of, next_seq(*of) + off_by, &records);
            let head = &mut commit.append.as_mut().unwrap().head;
            (head.owner, head.unfinished) = (user(*owner), *unfinished);
        }
        Step::Feed { users, len } => commit.feed = users.iter().map(|of| (user(*of), bytes(n, *len))).collect(),
        Step::Docs { puts, deletes } => {
            let key = |id: &u8| DocKey::new(if id.is_multiple_of(2) { DocKind::User } else { DocKind::File }, id);
            commit.puts = puts.iter().map(|(id, len)| (key(id), bytes(n, *len))).collect();
            commit.deletes = deletes.iter().map(key).collect();
        }
        Step::Blob { len } => commit.blobs = vec![bytes(n, *len)],
        Step::Counts { rows } => {
            let count = |(row, add): &(u8, Vec<i64>)| Count { row: row.to_string(), add: add.clone() };
            commit.counts = rows.iter().map(count).collect();
        }
        Step::Forget { task: of, off_by } => {
            commit.forget = vec![Forget { task: task(*of), last_seq: next_seq(*of) - 1 + off_by }];
        }
        Step::Audit { lens, refused } => {
            if *refused {
                commit = append(0, 1_000_000, &[]);
            }
            commit.audit = lens.iter().map(|len| bytes(n, *len)).collect();
        }
        Step::Reopen | Step::PowerCut => {}
    }
    commit
}

fn options(power: &Arc<Power>) -> DiskOptions {
    // Small and hasty, so that a few dozen steps see many rotations and checkpoints.
    DiskOptions {
        checkpoint_interval: Duration::from_millis(1),
        segment_bytes: 2000,
        renew_bytes: 6000,
        calls: Calls::with(power.clone()),
        ..log_only()
    }
}

/// Compares all that can be read, in pages of different sizes.
fn assert_same(disk: &dyn Store, model: &dyn Store) {
    for n in 0..6 {
        for (from, limit) in [(0, 100), (2, 1), (3, 100)] {
            let read = |store: &dyn Store| store.read_log(task(n), from, limit).unwrap();
            assert_eq!(read(disk), read(model));
        }
        assert_eq!(disk.read_head(task(n)).unwrap(), model.read_head(task(n)).unwrap());
    }
    for n in 0..3 {
        let lists = |store: &dyn Store| pages(|after| store.list_heads(user(n), after, 2).unwrap());
        assert_eq!(lists(disk), lists(model));
        assert_eq!(disk.read_feed(user(n), 1, 5).unwrap(), model.read_feed(user(n), 1, 5).unwrap());
    }
    let lists = |store: &dyn Store| pages(|after| store.list_unfinished(after, 1).unwrap());
    assert_eq!(lists(disk), lists(model));
    let lists = |store: &dyn Store| pages(|after| store.list_tasks(after, 2).unwrap());
    assert_eq!(lists(disk), lists(model));
    for (from, limit) in [(0, 100), (2, 1), (3, 100)] {
        assert_eq!(disk.read_audit(from, limit).unwrap(), model.read_audit(from, limit).unwrap());
    }
    assert_eq!(disk.audit_end().unwrap(), model.audit_end().unwrap());
    for kind in [DocKind::User, DocKind::File, DocKind::Count] {
        assert_eq!(disk.list_docs(kind, "").unwrap(), model.list_docs(kind, "").unwrap());
        for (prefix, after, limit) in [("", "", 2), ("", "1", 2), ("2", "", 9), ("2", "1", 9), ("", "9", 1)] {
            let page = |store: &dyn Store| store.page_docs(kind, prefix, after, limit).unwrap();
            assert_eq!(page(disk), page(model));
        }
    }
}

fn pages(list: impl Fn(Option<TaskId>) -> HeadPage) -> Vec<(TaskId, Bytes)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = list(after);
        all.extend(page.heads);
        match page.next {
            None => return all,
            next => after = next,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_store_on_disk_answers_as_the_one_in_memory(steps in proptest::collection::vec(step(), 1..60)) {
        let (root, power) = (TempDir::new().unwrap(), Arc::<Power>::default());
        let model = memory_chained(&root.path().join("model")).unwrap();
        let mut directory = root.path().join("0");
        let mut disk = open_chained(&directory, options(&power)).unwrap();
        for (n, step) in (1..).zip(&steps) {
            match step {
                Step::Reopen => {
                    drop(disk);
                    disk = open_chained(&directory, options(&power)).unwrap();
                }
                Step::PowerCut => {
                    let left = root.path().join(n.to_string());
                    power.cut(&directory, &left, n);
                    drop(disk);
                    directory = left;
                    disk = open_chained(&directory, options(&power)).unwrap();
                }
                step => {
                    let next_seq = |of| model.read_log(task(of), 1, usize::MAX).unwrap().len() as u64 + 1;
                    let commit = commit_of(step, n, next_seq);
                    let expected = wait(model.commit(commit.clone())).map_err(|error| error.to_string());
                    let found = wait(disk.commit(commit)).map_err(|error| error.to_string());
                    prop_assert_eq!(found, expected);
                }
            }
            assert_same(&disk, &model);
        }
    }
}
