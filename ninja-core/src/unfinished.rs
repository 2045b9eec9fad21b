//! How many tasks of each user have not ended. Counted in memory, from the moment that somebody is limited in them.
//!
//! Until then nothing is counted and nothing is read: an engine of one person starts without looking at the heads of all tasks
//! for this. Places are taken before a task is committed, so that those who come together do not pass a limit together.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    api::{TaskId, UserId},
    journal::store::{Store, StoreError},
    machine::TaskHead,
};

/// Heads read at a time.
const PAGE: usize = 1_000;

/// The unfinished tasks of one engine's users.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether somebody is limited, so that changes are noted.
    is_noted: bool,
    /// Whether everything there was before that has been read.
    is_whole: bool,
    tasks: HashMap<UserId, HashSet<TaskId>>,
    /// Those that ended while the others were being read.
    ended: HashSet<TaskId>,
}

/// The account has as many unfinished tasks as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A place that a new task takes up; given back unless the task is [kept](Place::keep).
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Unfinished>,
    user: UserId,
    task: TaskId,
    is_kept: bool,
}

impl Place {
    /// Leaves the place to the task, which is committed.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept {
            self.of.note(self.user, self.task, false);
        }
    }
}

impl Unfinished {
    /// Takes a place for a new task where the user has fewer than `most`. Reads all heads the first time. Blocks.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be read; says [`Full`] inside where there is no place.
    pub(crate) fn take(
        self: &Arc<Self>,
        store: &dyn Store,
        user: UserId,
        task: TaskId,
        most: u64,
    ) -> Result<Result<Place, Full>, StoreError> {
        self.read(store)?;
        let mut state = self.state();
        let tasks = state.tasks.entry(user).or_default();
        if tasks.len() as u64 >= most {
            return Ok(Err(Full));
        }
        tasks.insert(task);
        Ok(Ok(Place { of: Arc::clone(self), user, task, is_kept: false }))
    }

    /// Takes note that a task has begun or gone on after its end, or that it has ended.
    pub(crate) fn note(&self, user: UserId, task: TaskId, is_unfinished: bool) {
        let mut state = self.state();
        if !state.is_noted {
            return;
        }
        if is_unfinished {
            state.ended.remove(&task);
            state.tasks.entry(user).or_default().insert(task);
            return;
        }
        if !state.is_whole {
            state.ended.insert(task);
        }
        if let Some(tasks) = state.tasks.get_mut(&user) {
            tasks.remove(&task);
            if tasks.is_empty() {
                state.tasks.remove(&user);
            }
        }
    }

    /// Reads what there was before anybody was limited. Two who come first both read; it comes to the same.
    fn read(&self, store: &dyn Store) -> Result<(), StoreError> {
        {
            let mut state = self.state();
            if state.is_whole {
                return Ok(());
            }
            state.is_noted = true;
        }
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store.list_unfinished(after, PAGE)?;
            for (task, head) in &page.heads {
                let head: TaskHead = serde_json::from_slice(head)
                    .map_err(|error| StoreError::Corrupt(format!("the head of {task}: {error}")))?;
                found.push((head.owner, *task));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut state = self.state();
        for (user, task) in found {
            if !state.ended.contains(&task) {
                state.tasks.entry(user).or_default().insert(task);
            }
        }
        state.is_whole = true;
        state.ended = HashSet::new();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::journal::memory::MemoryStore;

    fn user(n: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(n))
    }

    fn task(n: u128) -> TaskId {
        TaskId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn places_are_taken_kept_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::open(folder.path()).unwrap();
        let unfinished = Arc::new(Unfinished::default());
        let take = |of, n| unfinished.take(&store, user(of), task(n), 2).unwrap();
        take(1, 1).unwrap().keep();
        let second = take(1, 2).unwrap();
        assert_eq!(take(1, 3).unwrap_err(), Full);
        assert!(take(2, 4).is_ok(), "others have their own");
        drop(second);
        take(1, 3).unwrap().keep();
        assert_eq!(take(1, 5).unwrap_err(), Full);
        unfinished.note(user(1), task(1), false);
        take(1, 5).unwrap().keep();
        unfinished.note(user(1), task(1), true);
        unfinished.note(user(1), task(3), false);
        assert_eq!(take(1, 6).unwrap_err(), Full, "one that is tried again counts");
    }

    #[test]
    fn nothing_is_noted_until_somebody_is_limited() {
        let unfinished = Arc::new(Unfinished::default());
        unfinished.note(user(1), task(1), true);
        assert!(unfinished.state().tasks.is_empty());
    }

    #[test]
    fn however_many_come_together_the_limit_holds() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::open(folder.path()).unwrap();
        let unfinished = Arc::new(Unfinished::default());
        let got = std::thread::scope(|scope| {
            let all: Vec<_> = (0..20)
                .map(|n| {
                    let (unfinished, store) = (&unfinished, &store);
                    scope.spawn(move || match unfinished.take(store, user(1), task(n), 7).unwrap() {
                        Ok(place) => {
                            place.keep();
                            1
                        }
                        Err(Full) => 0,
                    })
                })
                .collect();
            all.into_iter().map(|taker| taker.join().unwrap()).sum::<u32>()
        });
        assert_eq!(got, 7);
    }
}
