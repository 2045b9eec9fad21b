//! What users, and all of them together, may use in a day and in a month.

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::api::{BudgetLimit, BudgetOf, Quotas, Role, RoleQuotas, Timestamp};

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

/// All limits that count at a time: the configured ones, and those of each role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    shared: SharedBudgets,
    roles: [(Role, Periods); 3],
}

impl Bounds {
    /// Puts together what is configured and what the roles may have.
    pub(super) fn new(shared: SharedBudgets, quotas: &RoleQuotas) -> Self {
        let roles = [Role::User, Role::Premium, Role::Admin].map(|role| (role, periods_of(quotas.of(role))));
        Self { shared, roles }
    }

    /// Returns what is configured.
    pub(super) fn shared(&self) -> SharedBudgets {
        self.shared
    }

    /// Returns whether anything is limited for anybody.
    pub(super) fn is_bounded(&self) -> bool {
        self.shared != SharedBudgets::default() || self.differ_by_role()
    }

    /// Returns whether it matters what role a user has.
    pub(super) fn differ_by_role(&self) -> bool {
        self.roles.iter().any(|(_, periods)| *periods != Periods::default())
    }

    /// Returns the limits that are set for users of a role, the narrower ones first.
    pub(super) fn limits(&self, role: Role) -> Vec<Limit> {
        let of_role = self.roles.iter().find(|(of, _)| *of == role).map(|(_, periods)| *periods).unwrap_or_default();
        let (user, installation) = (self.shared.user, self.shared.installation);
        let periods = [
            (BudgetOf::UserDay, user.day.least(of_role.day)),
            (BudgetOf::UserMonth, user.month.least(of_role.month)),
            (BudgetOf::InstallationDay, installation.day),
            (BudgetOf::InstallationMonth, installation.month),
        ];
        let limits = periods.into_iter().flat_map(|(of, allowance)| {
            let amounts = [(BudgetLimit::Cost, allowance.micro_usd), (BudgetLimit::Tokens, allowance.tokens)];
            amounts.into_iter().filter_map(move |(limit, most)| Some(Limit { of, limit, most: most? }))
        });
        limits.collect()
    }
}

impl Allowance {
    fn least(self, other: Self) -> Self {
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Self { micro_usd: least(self.micro_usd, other.micro_usd), tokens: least(self.tokens, other.tokens) }
    }
}

fn periods_of(quotas: &Quotas) -> Periods {
    Periods {
        day: Allowance { micro_usd: quotas.cost_micro_usd_per_day, tokens: quotas.tokens_per_day },
        month: Allowance { micro_usd: quotas.cost_micro_usd_per_month, tokens: quotas.tokens_per_month },
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
