//! What is used and set aside: of each user, and of all together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;

use super::limits::{Limit, Period};
use crate::{
    api::{BudgetLimit, BudgetOf, TaskId, Timestamp, UserId},
    machine::{Amounts, Spent, is_nearly_used},
};

/// Tasks that are looked at each time that something comes back. Those behind wait until the ones before have gone on.
const LOOKED_AT_MAX: usize = 1_000;
/// Days that are kept: a month, and what began before it.
const DAYS_KEPT: usize = 64;

/// One book: of a user, or of all.
#[derive(Debug, Default)]
struct Book {
    spent: BTreeMap<Date, Amounts>,
    /// Set aside in the journal.
    reserved: Amounts,
    /// Set aside for what is about to be journaled.
    held: Amounts,
}

impl Book {
    fn spent_in(&self, period: Period) -> Amounts {
        let days = self.spent.range(period.first..=period.last);
        days.fold(Amounts::default(), |sum, (_, amounts)| sum.plus(*amounts))
    }

    fn set_aside(&self) -> Amounts {
        self.reserved.plus(self.held)
    }

    fn spend(&mut self, on: Date, amounts: Amounts) {
        let day = self.spent.entry(on).or_default();
        *day = day.plus(amounts);
        while self.spent.len() > DAYS_KEPT {
            self.spent.pop_first();
        }
    }
}

/// How a limit stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The limit.
    pub limit: Limit,
    /// What is used in its period.
    pub used: Amounts,
    /// What is set aside.
    pub set_aside: Amounts,
    /// Its period.
    pub period: Period,
}

impl Standing {
    /// Returns whether there is room for something; nothing fits always.
    pub(super) fn has_room_for(&self, wanted: Amounts) -> bool {
        let Limit { limit, most, .. } = self.limit;
        wanted.get(limit) == 0 || self.used.plus(self.set_aside).plus(wanted).get(limit) <= most
    }
}

/// A limit that is nearly used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Warning {
    /// Whose.
    pub of: BudgetOf,
    /// Of what.
    pub limit: BudgetLimit,
    /// How much is used.
    pub used: u64,
    /// The limit.
    pub most: u64,
}

/// A task that waits for room.
#[derive(Debug)]
struct Waiter {
    user: UserId,
    task: TaskId,
    /// Its calls, any of which would do.
    wanted: Vec<Amounts>,
}

/// All books, and who waits for room in them.
#[derive(Debug, Default)]
pub(super) struct Books {
    users: HashMap<UserId, Book>,
    all: Book,
    /// Tasks that wait, in the order in which they came.
    waiting: BTreeMap<u64, Waiter>,
    tickets: HashMap<TaskId, u64>,
    next_ticket: u64,
    /// Tasks that were told that there is room, and have not decided since.
    woken: HashSet<TaskId>,
    /// Whether something came back since those that wait were looked at.
    has_given_back: bool,
    warned: BTreeSet<(Option<UserId>, BudgetOf, BudgetLimit, Date)>,
    /// Counts changes.
    pub(super) version: u64,
}

impl Books {
    /// Returns whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.tickets.is_empty() && self.woken.is_empty()
    }

    /// Returns how the limits of a user stand.
    pub(super) fn stand(&self, limits: &[Limit], user: UserId, at: Timestamp) -> Vec<Standing> {
        let none = Book::default();
        let of_user = self.users.get(&user).unwrap_or(&none);
        let stands = |limit: &Limit| {
            let book = if is_of_user(limit.of) { of_user } else { &self.all };
            let period = Period::of(limit.of, at);
            Standing { limit: *limit, used: book.spent_in(period), set_aside: book.set_aside(), period }
        };
        limits.iter().map(stands).collect()
    }

    /// Has those that wait looked at once more: something else has changed than what was given back.
    pub(super) fn look_again(&mut self) {
        self.has_given_back = true;
        self.version += 1;
    }

    /// Forgets what the journal tells.
    pub(super) fn forget_journaled(&mut self) {
        self.version += 1;
        for book in self.users.values_mut().chain([&mut self.all]) {
            (book.spent, book.reserved) = (BTreeMap::new(), Amounts::default());
        }
    }

    /// Holds something for a change that is about to be journaled.
    pub(super) fn hold(&mut self, user: UserId, amounts: Amounts) {
        self.each(user, |book| book.held = book.held.plus(amounts));
    }

    /// Gives back what was held and is not taken.
    pub(super) fn drop_held(&mut self, user: UserId, amounts: Amounts) {
        self.has_given_back |= !amounts.is_nothing();
        self.release(user, amounts);
    }

    /// Holds no longer what is journaled now.
    pub(super) fn release(&mut self, user: UserId, amounts: Amounts) {
        self.each(user, |book| book.held = book.held.minus(amounts));
    }

    /// Sets aside what the journal says.
    pub(super) fn reserve(&mut self, user: UserId, amounts: Amounts) {
        self.each(user, |book| book.reserved = book.reserved.plus(amounts));
    }

    /// Gives back what had been set aside.
    pub(super) fn unreserve(&mut self, user: UserId, amounts: Amounts) {
        self.has_given_back |= !amounts.is_nothing();
        self.each(user, |book| book.reserved = book.reserved.minus(amounts));
    }

    /// Counts what a call used.
    pub(super) fn spend(&mut self, user: UserId, spent: &Spent) {
        self.each(user, |book| book.spend(spent.on, Amounts::of(&spent.usage)));
    }

    fn each(&mut self, user: UserId, change: impl Fn(&mut Book)) {
        self.version += 1;
        change(self.users.entry(user).or_default());
        change(&mut self.all);
    }

    /// Lets a task wait until there is room for any of what it wants. It keeps its place where it waits already. There may be room
    /// since it looked: then it need not wait for another one to give back.
    pub(super) fn wait(&mut self, limits: &[Limit], user: UserId, task: TaskId, wanted: Vec<Amounts>, at: Timestamp) {
        let standings = self.stand(limits, user, at);
        self.has_given_back |= wanted.iter().any(|call| standings.iter().all(|standing| standing.has_room_for(*call)));
        let next = &mut self.next_ticket;
        let ticket = *self.tickets.entry(task).or_insert_with(|| {
            *next += 1;
            *next
        });
        self.waiting.insert(ticket, Waiter { user, task, wanted });
    }

    /// Lets a task wait no longer: it has gone on, stopped, or wants nothing any more.
    pub(super) fn leave(&mut self, task: TaskId) {
        if let Some(ticket) = self.tickets.remove(&task) {
            self.waiting.remove(&ticket);
        }
        // Those behind it may take what was meant for it.
        self.has_given_back |= self.woken.remove(&task);
    }

    /// Takes the tasks out for which there is room now, in the order in which they came, each counted against those behind it.
    /// Nothing is looked at unless something came back.
    pub(super) fn take_ready(&mut self, limits_of: &dyn Fn(UserId) -> Vec<Limit>, at: Timestamp) -> Vec<TaskId> {
        if !std::mem::take(&mut self.has_given_back) || self.waiting.is_empty() {
            return Vec::new();
        }
        let (mut ready, mut of_all) = (Vec::new(), Amounts::default());
        let mut of_users: HashMap<UserId, (Vec<Standing>, Amounts)> = HashMap::new();
        for (ticket, Waiter { user, task, wanted }) in self.waiting.iter().take(LOOKED_AT_MAX) {
            let (standings, of_user) =
                of_users.entry(*user).or_insert_with(|| (self.stand(&limits_of(*user), *user, at), Amounts::default()));
            let fits = |wanted: &&Amounts| {
                standings.iter().all(|standing| {
                    let others = if is_of_user(standing.limit.of) { *of_user } else { of_all };
                    let with_them = Standing { set_aside: standing.set_aside.plus(others), ..*standing };
                    with_them.has_room_for(**wanted)
                })
            };
            if let Some(wanted) = wanted.iter().find(fits).copied() {
                (*of_user, of_all) = (of_user.plus(wanted), of_all.plus(wanted));
                ready.push((*ticket, *task));
            }
        }
        for (ticket, task) in &ready {
            self.waiting.remove(ticket);
            self.tickets.remove(task);
            self.woken.insert(*task);
        }
        ready.into_iter().map(|(_, task)| task).collect()
    }

    /// Returns the limits of which so much is used that it is to be told, each once in its period.
    pub(super) fn take_warnings(&mut self, limits: &[Limit], user: UserId, at: Timestamp) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for Standing { limit: Limit { of, limit, most }, used, period, .. } in self.stand(limits, user, at) {
            let used = used.get(limit);
            let whose = is_of_user(of).then_some(user);
            if is_nearly_used(used, most) && self.warned.insert((whose, of, limit, period.first)) {
                warnings.push(Warning { of, limit, used, most });
            }
        }
        warnings
    }
}

fn is_of_user(of: BudgetOf) -> bool {
    matches!(of, BudgetOf::UserDay | BudgetOf::UserMonth)
}
