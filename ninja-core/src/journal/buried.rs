//! The records of forgotten tasks, until they are gone.
//!
//! A task can have many thousands of records, and a batch that removes all of them would hold up every other commit. So a
//! task is forgotten with its head, and how many records are left stands in the tree until the last has gone. A note says
//! how many, from the first on; it changes in the batch that removes them, so it is true whatever a crash leaves of either.

use std::collections::BTreeMap;

use super::{
    applier::number,
    calls::Calls,
    keys,
    store::StoreError,
    tree::{self, Batch, Entry, Tree},
};
use crate::api::TaskId;

/// Records that are removed at a time: a commit that comes meanwhile waits a few milliseconds.
const REMOVED_AT_ONCE: u64 = 1_000;

/// How many records of which forgotten tasks are in the tree, or will be once the batch in the making is applied.
#[derive(Debug, Default)]
pub(super) struct Buried {
    /// `None` until the tree was looked at.
    tasks: Option<BTreeMap<TaskId, u64>>,
}

impl Buried {
    /// Looks at the tree, where that has not been done.
    pub(super) fn know(&mut self, tree: &Tree) -> Result<(), StoreError> {
        if self.tasks.is_some() {
            return Ok(());
        }
        let prefix = keys::all_buried();
        let found: Vec<Entry> = tree.read(|db| tree::scan(db, prefix.clone(), &prefix).collect())?;
        let damaged = || StoreError::Corrupt("tree: the key of a forgotten task does not read".to_owned());
        let read = |(key, left): Entry| Ok((keys::task_of_buried_key(&key).ok_or_else(damaged)?, number(&left)?));
        self.tasks = Some(found.into_iter().map(read).collect::<Result<_, StoreError>>()?);
        Ok(())
    }

    /// Returns whether nothing is known to be left.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Notes that a task has been forgotten whose last record has this number.
    pub(super) fn bury(&mut self, task: TaskId, last_seq: u64, batch: &mut Batch) {
        if last_seq > 0 {
            batch.insert(keys::buried(task), last_seq.to_be_bytes().to_vec());
            self.tasks.get_or_insert_default().insert(task, last_seq);
        }
    }

    /// Removes what is left of a task at once, because it begins anew.
    pub(super) fn dig_up(&mut self, task: TaskId, batch: &mut Batch) {
        let Some(left) = self.tasks.as_mut().and_then(|tasks| tasks.remove(&task)) else { return };
        for seq in 1..=left {
            batch.remove(keys::record(task, seq));
        }
        batch.remove(keys::buried(task));
    }

    /// Removes some records. Tasks of which none is left are handed to `gone` before that is noted.
    pub(super) fn clear_some(&mut self, tree: &Tree, calls: &Calls, gone: impl Fn(TaskId)) -> Result<(), StoreError> {
        let tasks = self.tasks.get_or_insert_default();
        let (mut batch, mut cleared, mut room) = (Batch::default(), Vec::new(), REMOVED_AT_ONCE);
        for (task, left) in &*tasks {
            // From the last down, so that what is left is counted from the first.
            let kept = left.saturating_sub(room);
            room -= left - kept;
            for seq in kept + 1..=*left {
                batch.remove(keys::record(*task, seq));
            }
            match kept {
                0 => {
                    gone(*task);
                    batch.remove(keys::buried(*task));
                }
                kept => batch.insert(keys::buried(*task), kept.to_be_bytes().to_vec()),
            }
            cleared.push((*task, kept));
            if room == 0 {
                break;
            }
        }
        tree.apply(batch, calls)?;
        for (task, kept) in cleared {
            match kept {
                0 => tasks.remove(&task),
                kept => tasks.insert(task, kept),
            };
        }
        Ok(())
    }
}
