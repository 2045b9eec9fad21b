//! What users, and all of them together, may use in a day and in a month.

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::api::{BudgetLimit, BudgetOf, Timestamp};

/// The most dollars that a limit takes: far more than anybody means.
const DOLLARS_MAX: f64 = 1e9;

/// The limits that tasks share. None is set unless the operator does so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedBudgets {
    /// Of each user.
    pub user: Periods,
    /// Of all users together.
    pub installation: Periods,
}

/// The limits for the periods of the calendar, in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Periods {
    /// For a day.
    pub day: Allowance,
    /// For a month.
    pub month: Allowance,
}

/// What may be used in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Allowance {
    /// Money, in millionths of a US dollar; written in dollars, as `usd`.
    #[serde(rename = "usd", deserialize_with = "dollars")]
    pub micro_usd: Option<u64>,
    /// Tokens, in and out.
    pub tokens: Option<u64>,
}

fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let dollars = f64::deserialize(deserializer)?;
    if !(0.0..=DOLLARS_MAX).contains(&dollars) {
        return Err(D::Error::custom(format!("{dollars} is no amount of dollars")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was checked")]
    let micro_usd = (dollars * 1e6).round() as u64;
    Ok(Some(micro_usd))
}

/// One limit for one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// Whose, and for which period.
    pub of: BudgetOf,
    /// Of what.
    pub limit: BudgetLimit,
    /// How much.
    pub most: u64,
}

impl SharedBudgets {
    /// Returns the limits that are set, the narrower ones first.
    pub(super) fn limits(&self) -> impl Iterator<Item = Limit> {
        let periods = [
            (BudgetOf::UserDay, self.user.day),
            (BudgetOf::UserMonth, self.user.month),
            (BudgetOf::InstallationDay, self.installation.day),
            (BudgetOf::InstallationMonth, self.installation.month),
        ];
        periods.into_iter().flat_map(|(of, allowance)| {
            let amounts = [(BudgetLimit::Cost, allowance.micro_usd), (BudgetLimit::Tokens, allowance.tokens)];
            amounts.into_iter().filter_map(move |(limit, most)| Some(Limit { of, limit, most: most? }))
        })
    }
}

/// A day or a month, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Period {
    /// Its first day.
    pub first: Date,
    /// Its last day.
    pub last: Date,
}

impl Period {
    /// Returns the period that a limit is for at a time.
    pub(super) fn of(of: BudgetOf, at: Timestamp) -> Self {
        let day = at.to_zoned(TimeZone::UTC).date();
        match of {
            BudgetOf::UserMonth | BudgetOf::InstallationMonth => {
                Self { first: day.first_of_month(), last: day.last_of_month() }
            }
            BudgetOf::UserDay | BudgetOf::InstallationDay | BudgetOf::Task => Self { first: day, last: day },
        }
    }

    /// Returns when it is over.
    pub(super) fn end(self) -> Option<Timestamp> {
        self.last.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
    }
}
