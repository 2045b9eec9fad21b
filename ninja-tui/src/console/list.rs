//! The list of tasks: what was read of it, what of that is shown, which task is selected.
//!
//! The feed says that something changed, the listing says how things stand: a listing replaces what was there.

use ninja_sdk::api::{Task, TaskId, TaskSummary};

use super::message::Listing;
use crate::format::{cut, one_line, short};

/// Tasks read at a time.
const PAGE: usize = 100;
/// The most that are held: a few megabytes. Older tasks are found with `ninja tasks`.
pub(super) const TASKS_MAX: usize = 2_000;
/// The next page is read when the selection is this near to the end.
const NEAR: usize = 20;
const DETAIL_CHARACTERS: usize = 300;

/// The list.
#[derive(Debug)]
pub(super) struct List {
    /// Newest first, texts cleaned.
    tasks: Vec<TaskSummary>,
    /// Whether there are older ones.
    pub(super) more: bool,
    /// Whether a listing has come.
    pub(super) loaded: bool,
    selected: Option<TaskId>,
    /// What the goal, status or id must contain.
    pub(super) filter: String,
    /// How many tasks are wanted.
    pub(super) wanted: usize,
}

impl List {
    pub(super) fn new() -> Self {
        Self { tasks: Vec::new(), more: false, loaded: false, selected: None, filter: String::new(), wanted: PAGE }
    }

    /// Takes a listing.
    pub(super) fn replace(&mut self, listing: Listing) {
        self.tasks = listing.tasks;
        self.tasks.truncate(TASKS_MAX);
        for task in &mut self.tasks {
            task.goal = one_line(&task.goal);
            if let Some(error) = &mut task.error {
                error.detail = cut(&one_line(&error.detail), DETAIL_CHARACTERS);
            }
        }
        (self.more, self.loaded) = (listing.more, true);
        if self.selected.is_none() {
            self.selected = self.tasks.first().map(|task| task.id);
        }
    }

    /// Takes what is known better from a task that was read whole.
    pub(super) fn update(&mut self, task: &Task) {
        if let Some(row) = self.tasks.iter_mut().find(|row| row.id == task.id) {
            (row.status, row.progress, row.usage, row.ended_at) =
                (task.status, task.progress, task.usage, task.ended_at);
            row.waiting.clone_from(&task.waiting);
        }
    }

    /// Returns every task that was read.
    pub(super) fn all(&self) -> &[TaskSummary] {
        &self.tasks
    }

    /// Returns the tasks that fit the filter.
    pub(super) fn shown(&self) -> Vec<&TaskSummary> {
        let wanted = self.filter.to_lowercase();
        self.tasks.iter().filter(|task| fits(task, &wanted)).collect()
    }

    /// Returns the position of the selection among the tasks shown.
    pub(super) fn position(&self, shown: &[&TaskSummary]) -> usize {
        shown.iter().position(|task| Some(task.id) == self.selected).unwrap_or(0)
    }

    /// Returns the selected task.
    pub(super) fn selection(&self) -> Option<&TaskSummary> {
        let shown = self.shown();
        shown.get(self.position(&shown)).copied()
    }

    /// Moves the selection; returns whether more tasks are wanted than before.
    pub(super) fn select(&mut self, to: impl FnOnce(usize, usize) -> usize) -> bool {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let position = to(self.position(&shown), last).min(last);
        let selected = shown.get(position).map(|task| task.id);
        let is_near_end = position + NEAR > last;
        self.selected = selected.or(self.selected);
        if !is_near_end || !self.more || self.wanted >= TASKS_MAX {
            return false;
        }
        self.wanted = (self.tasks.len() + PAGE).clamp(self.wanted, TASKS_MAX);
        true
    }
}

fn fits(task: &TaskSummary, wanted: &str) -> bool {
    wanted.is_empty()
        || task.status.as_str().contains(wanted)
        || short(task.id).contains(wanted)
        || task.goal.to_lowercase().contains(wanted)
}
