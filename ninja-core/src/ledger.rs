//! The limits that tasks share: of a user and of the whole installation, for a day and for a month.
//!
//! What a task takes stands in its own log; here it is summed up over tasks, in memory. What was used is read from the counted
//! rows at start, what is set aside from the heads of unfinished tasks, so a crash forgets nothing. A change that takes more is
//! held before it is journaled, and what one gives back counts only after it is: whichever way a crash falls, the sum is not
//! exceeded. Tasks for which there is no room wait here until there is.

mod books;
mod limits;

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

pub(crate) use self::books::Warning;
pub use self::limits::{Allowance, Periods, SharedBudgets};
use self::{
    books::{Books, Standing},
    limits::{Bounds, Limit},
};
use crate::{
    api::{BudgetItem, BudgetLimit, Role, RoleQuotas, StepId, TaskId, Timestamp, UserId},
    journal::store::{Store, StoreError},
    machine::{Amounts, Room, Short, Spent, TaskHead, Wanted},
    usage_rows,
};

/// Heads read at a time.
const HEADS_PAGE: usize = 1_000;

/// Says what role a user has.
pub(crate) type RoleOf = Arc<dyn Fn(UserId) -> Role + Send + Sync>;

/// The books of one engine.
pub(crate) struct Ledger {
    bounds: RwLock<Arc<Bounds>>,
    role_of: RoleOf,
    books: Mutex<Books>,
    /// Held by whoever journals something, until it is in the books too; closed while the books are read anew.
    gate: Arc<tokio::sync::RwLock<()>>,
}

/// The right to journal something that the books have to tell.
pub(crate) type Settling = tokio::sync::OwnedRwLockReadGuard<()>;

/// Others have taken what this change was to take: it is to be decided again.
#[derive(Debug)]
pub(crate) struct Stale;

impl Ledger {
    /// Opens the books: reads what was used and what is set aside. Nothing is read where nothing is limited.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read, or something on it is damaged.
    pub(crate) fn open(
        budgets: SharedBudgets,
        quotas: &RoleQuotas,
        role_of: RoleOf,
        store: &dyn Store,
    ) -> Result<Self, StoreError> {
        let ledger = Self::new(Bounds::new(budgets, quotas), role_of);
        if ledger.is_bounded() {
            read_books(store, &mut ledger.books())?;
        }
        Ok(ledger)
    }

    fn new(bounds: Bounds, role_of: RoleOf) -> Self {
        let (bounds, books) = (RwLock::new(Arc::new(bounds)), Mutex::default());
        Self { bounds, role_of, books, gate: Arc::default() }
    }

    /// Has other quotas of roles count from now on, and returns the tasks that there is room for with them. Where nothing was
    /// limited before, the books are read, and whoever would journal something waits for that.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read; then the quotas of before count.
    pub(crate) async fn change(
        self: &Arc<Self>,
        quotas: &RoleQuotas,
        store: &Arc<dyn Store>,
        at: Timestamp,
    ) -> Result<Vec<TaskId>, StoreError> {
        let before = self.bounds();
        let after = Bounds::new(before.shared(), quotas);
        if after.is_bounded() && !before.is_bounded() {
            let _closed = Arc::clone(&self.gate).write_owned().await;
            let (ledger, store) = (Arc::clone(self), Arc::clone(store));
            let read = tokio::task::spawn_blocking(move || read_books(store.as_ref(), &mut ledger.books())).await;
            read.map_err(|error| StoreError::ReadOnly(error.to_string()))??;
            self.set_bounds(after);
        } else {
            self.set_bounds(after);
        }
        Ok(self.look_again(at))
    }

    /// Returns the tasks that there is room for now, whatever has changed.
    pub(crate) fn look_again(&self, at: Timestamp) -> Vec<TaskId> {
        let mut books = self.books();
        books.look_again();
        books.take_ready(&|user| self.limits_of(user), at)
    }

    /// Waits for the right to journal something. It is held until the books tell it, too.
    pub(crate) async fn settling(&self) -> Settling {
        Arc::clone(&self.gate).read_owned().await
    }

    /// Returns whether anything is limited for anybody.
    pub(crate) fn is_bounded(&self) -> bool {
        self.bounds().is_bounded()
    }

    /// Returns whether money is, for a user.
    pub(crate) fn is_in_money(&self, user: UserId) -> bool {
        self.limits_of(user).iter().any(|limit| limit.limit == BudgetLimit::Cost)
    }

    fn bounds(&self) -> Arc<Bounds> {
        Arc::clone(&self.bounds.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_bounds(&self, bounds: Bounds) {
        *self.bounds.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(bounds);
    }

    /// Returns the limits of a user's tasks.
    fn limits_of(&self, user: UserId) -> Vec<Limit> {
        let bounds = self.bounds();
        let role = if bounds.differ_by_role() { (self.role_of)(user) } else { Role::default() };
        bounds.limits(role)
    }

    /// Returns what others leave for a user's tasks.
    pub(crate) fn room(&self, user: UserId, at: Timestamp) -> LiveRoom {
        let limits = self.limits_of(user);
        let books = self.books();
        let standings = books.stand(&limits, user, at);
        LiveRoom { user, at, standings, version: books.version, refused: RefCell::default() }
    }

    /// Holds what a change takes that was decided in this room, until [`Self::settle`] or until it is dropped.
    ///
    /// # Errors
    ///
    /// Fails where others were faster and there is not enough any more.
    pub(crate) fn hold(self: &Arc<Self>, room: &LiveRoom, more: Amounts) -> Result<Held, Stale> {
        let LiveRoom { user, at, .. } = *room;
        let limits: Vec<Limit> = room.standings.iter().map(|standing| standing.limit).collect();
        let mut books = self.books();
        let fits = |standing: &Standing| standing.has_room_for(more);
        if books.version != room.version && !books.stand(&limits, user, at).iter().all(fits) {
            return Err(Stale);
        }
        books.hold(user, more);
        Ok(Held { ledger: Arc::clone(self), user, amounts: more })
    }

    /// Takes note of what was journaled: what a task of the user had set aside before and has now, and what it spent. Returns
    /// the tasks that there is room for now, and the limits to be warned of.
    pub(crate) fn settle(
        &self,
        user: UserId,
        held: Vec<Held>,
        at: Timestamp,
        [before, now]: [Amounts; 2],
        spent: &[Spent],
    ) -> (Vec<TaskId>, Vec<Warning>) {
        let limits = self.limits_of(user);
        let mut books = self.books();
        books.reserve(user, now);
        books.unreserve(user, before);
        for spent in spent {
            books.spend(user, spent);
        }
        for held in held {
            held.release(&mut books);
        }
        let ready = books.take_ready(&|user| self.limits_of(user), at);
        (ready, books.take_warnings(&limits, user, at))
    }

    /// Counts what a new task has set aside from its beginning, such as one that was forked.
    pub(crate) fn take_over(&self, user: UserId, reserved: Amounts) {
        if self.is_bounded() {
            self.books().reserve(user, reserved);
        }
    }

    /// Gives back what a task had set aside that was ended from outside, and returns the tasks that there is room for now.
    pub(crate) fn give_back(&self, user: UserId, task: TaskId, reserved: Amounts, at: Timestamp) -> Vec<TaskId> {
        if !self.is_bounded() {
            return Vec::new();
        }
        let mut books = self.books();
        books.unreserve(user, reserved);
        books.leave(task);
        books.take_ready(&|user| self.limits_of(user), at)
    }

    /// Takes note of what a task waits for after a decision: room for any of these calls, or nothing. Returns the tasks that
    /// there is room for now.
    pub(crate) fn queue(&self, task: TaskId, user: UserId, wanted: Vec<Amounts>, at: Timestamp) -> Vec<TaskId> {
        let limits = self.limits_of(user);
        let mut books = self.books();
        match wanted.is_empty() {
            true => books.leave(task),
            false => books.wait(&limits, user, task, wanted, at),
        }
        books.take_ready(&|user| self.limits_of(user), at)
    }

    /// Returns how the limits of a user stand.
    pub(crate) fn describe(&self, user: UserId, at: Timestamp) -> Vec<BudgetItem> {
        let item = |standing: Standing| {
            let Limit { of, limit, most } = standing.limit;
            let (used, reserved) = (standing.used.get(limit), standing.set_aside.get(limit));
            BudgetItem { of, limit, most, used, reserved, until: standing.period.end() }
        };
        let limits = self.limits_of(user);
        self.books().stand(&limits, user, at).into_iter().map(item).collect()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what the journal says. What is held stays: it is not journaled.
fn read_books(store: &dyn Store, books: &mut Books) -> Result<(), StoreError> {
    books.forget_journaled();
    for (user, spent) in usage_rows::of_all(store)? {
        books.spend(user, &spent);
    }
    read_reserved(store, books)
}

fn read_reserved(store: &dyn Store, books: &mut Books) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = store.list_unfinished(after, HEADS_PAGE)?;
        for (task, head) in &page.heads {
            let head: TaskHead = serde_json::from_slice(head)
                .map_err(|error| StoreError::Corrupt(format!("the head of {task}: {error}")))?;
            books.reserve(head.owner, head.reserved);
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// What a change takes, held until it is journaled.
pub(crate) struct Held {
    ledger: Arc<Ledger>,
    user: UserId,
    amounts: Amounts,
}

impl Held {
    fn release(mut self, books: &mut Books) {
        books.release(self.user, std::mem::take(&mut self.amounts));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.amounts.is_nothing() {
            self.ledger.books().drop_held(self.user, self.amounts);
        }
    }
}

/// What others left at one moment.
pub(crate) struct LiveRoom {
    user: UserId,
    at: Timestamp,
    standings: Vec<Standing>,
    version: u64,
    refused: RefCell<Vec<Amounts>>,
}

impl LiveRoom {
    /// Returns the calls that there was no room for, of those that could have it at another time.
    pub(crate) fn into_refused(self) -> Vec<Amounts> {
        self.refused.into_inner()
    }
}

impl Room for LiveRoom {
    fn check(&self, _: &StepId, wanted: Wanted) -> Result<(), Short> {
        let Wanted { call, is_priced, before, now } = wanted;
        for standing in &self.standings {
            let Standing { limit: Limit { of, limit, most }, used, set_aside, period } = standing;
            let (whose, amount) = (of.words(), call.get(*limit));
            // What no time will bring waits for none.
            let never = |detail| Err(Short { limit: *limit, of: *of, detail, until: None });
            if *limit == BudgetLimit::Cost && !is_priced {
                return never(format!("the price of its model is not known, and {whose} is in money"));
            }
            let [wanted, at_most] = [amount, *most].map(|amount| limit.amount(amount));
            if amount > *most {
                return never(format!("the next call may use {wanted}, more than {whose} ({at_most})"));
            }
            let taken = used.plus(*set_aside).plus(now).minus(before);
            if !(Standing { used: taken, set_aside: Amounts::default(), ..*standing }).has_room_for(call) {
                let mut refused = self.refused.borrow_mut();
                if !refused.contains(&call) {
                    refused.push(call);
                }
                let [used, set_aside] = [used, set_aside].map(|amounts| limit.amount(amounts.get(*limit)));
                let detail = format!(
                    "the next call may use {wanted}; {used} of {whose} ({at_most}) are used and {set_aside} set aside"
                );
                return Err(Short { limit: *limit, of: *of, detail, until: period.end() });
            }
        }
        Ok(())
    }
}
