//! What others leave of the limits that tasks share: known outside of the machine, asked for before each model call.

use serde::{Deserialize, Serialize};

use super::state::{HoldFor, TaskState};
use crate::{
    api::{BudgetLimit, BudgetOf, StepId, Timestamp, Usage},
    journal::record::{Entry, Intent, Record},
};

/// What is used or set aside of what tasks share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Tokens in and out.
    pub tokens: u64,
    /// Money, in millionths of a US dollar.
    pub micro_usd: u64,
}

impl Amounts {
    /// Returns what calls used.
    pub fn of(usage: &Usage) -> Self {
        Self { tokens: usage.tokens(), micro_usd: usage.cost_micro_usd }
    }

    /// Returns whether it is nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Returns both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
        }
    }

    /// Returns what is left without the other; nothing where that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            micro_usd: self.micro_usd.saturating_sub(other.micro_usd),
        }
    }

    /// Returns how much it is of a limit.
    pub fn get(self, limit: BudgetLimit) -> u64 {
        match limit {
            BudgetLimit::Tokens => self.tokens,
            BudgetLimit::Cost => self.micro_usd,
            BudgetLimit::Seconds | BudgetLimit::Steps => 0,
        }
    }
}

impl TaskState {
    /// Returns what is set aside for calls that run. Nothing runs of a task that has ended.
    pub fn reserved(&self) -> Amounts {
        match self.end {
            None => Amounts { tokens: self.reserved_tokens, micro_usd: self.reserved_micro_usd },
            Some(_) => Amounts::default(),
        }
    }

    /// Returns what it has used and set aside.
    pub fn taken(&self) -> Amounts {
        Amounts::of(&self.usage).plus(self.reserved())
    }
}

/// A model call that is about to be intended.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The most that it comes to.
    pub call: Amounts,
    /// Whether its price is known.
    pub is_priced: bool,
    /// What the task had taken before this decision.
    pub before: Amounts,
    /// What it has taken in this decision, without the call.
    pub now: Amounts,
}

/// Why something must wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    /// The limit that stands against it.
    pub limit: BudgetLimit,
    /// Whose.
    pub of: BudgetOf,
    /// In words.
    pub detail: String,
    /// When the time is over that the limit is for.
    pub until: Option<Timestamp>,
}

/// What others leave.
pub trait Room {
    /// Returns whether a call of a step fits.
    ///
    /// # Errors
    ///
    /// Fails with the limit that stands against it.
    fn check(&self, step: &StepId, wanted: Wanted) -> Result<(), Short>;
}

/// Nothing is shared.
pub struct Boundless;

impl Room for Boundless {
    fn check(&self, _: &StepId, _: Wanted) -> Result<(), Short> {
        Ok(())
    }
}

/// The room that there was when a decision was made, as its records tell: those of its time, which follow in the log.
pub(super) struct RoomThen<'a> {
    /// The state that was decided on.
    pub before: &'a TaskState,
    /// The log from there on.
    pub rest: &'a [Entry],
}

impl Room for RoomThen<'_> {
    fn check(&self, wanting: &StepId, wanted: Wanted) -> Result<(), Short> {
        let at = self.rest.first().map(|entry| entry.at);
        let decided = || self.rest.iter().take_while(|entry| Some(entry.at) == at).map(|entry| &entry.record);
        let granted = decided().any(|record| match record {
            Record::CallIntended {
                step, intent: Intent::Model { reserved_tokens, reserved_micro_usd, .. }, ..
            } => {
                let call = Amounts { tokens: *reserved_tokens, micro_usd: reserved_micro_usd.unwrap_or(0) };
                step == wanting && call == wanted.call
            }
            _ => false,
        });
        if granted {
            return Ok(());
        }
        let told = decided().find_map(|record| match record {
            Record::BudgetPaused { step, limit, of, detail, until, feedback: _ } if step == wanting => {
                Some(Short { limit: *limit, of: *of, detail: detail.clone(), until: *until })
            }
            _ => None,
        });
        Err(told.unwrap_or_else(|| self.untold(wanting)))
    }
}

impl RoomThen<'_> {
    /// Returns the refusal that left no record: the step waits for what it waited for, or nobody asked why.
    fn untold(&self, wanting: &StepId) -> Short {
        let (limit, of, until) = match self.before.step(wanting).and_then(|step| step.hold).map(|hold| hold.what) {
            Some(HoldFor::Budget { limit, of, until }) => (limit, of, until),
            Some(HoldFor::Provider { .. }) | None => (BudgetLimit::Cost, BudgetOf::UserDay, None),
        };
        Short { limit, of, detail: String::new(), until }
    }
}
