//! What a task may come to, before it is submitted.

use serde::{Deserialize, Serialize};

use super::{ApiError, ModelRef, StepId, StepKind, model::is_zero};

/// What `POST /tasks/forecast` answers: the plan, and what its model calls may come to. Nothing of it was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forecast {
    /// The steps, in plan order. Those that a model would add are not among them.
    pub steps: Vec<ForecastStep>,
    /// All together, with what a check of the contract may add.
    pub total: Outlook,
    /// What was taken for granted, in words.
    pub assumed: Vec<String>,
}

/// What a step may come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForecastStep {
    /// Its name.
    pub id: StepId,
    /// What it does.
    pub kind: StepKind,
    /// A few words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The agent or tool at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The steps before it.
    pub after: Vec<StepId>,
    /// The model that answers while it does not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// Its model calls.
    pub outlook: Outlook,
    /// Why it would fail as it stands: its prompt is too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
}

/// What model calls may come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outlook {
    /// How many there are.
    pub calls: Span,
    /// Tokens, in and out.
    pub tokens: Span,
    /// Money, in millionths of a US dollar; without the calls whose price is not known.
    pub cost_micro_usd: Span,
    /// How many of the likely calls have no known price.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpriced_calls: u64,
}

/// A number that is not known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Span {
    /// It is not less, if the task succeeds. Where it is above the most, the budget is not enough for that.
    pub least: u64,
    /// It is about that.
    pub likely: u64,
    /// It is not more; absent where nothing but a budget limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
}

impl Span {
    /// A number that is known.
    pub const ZERO: Self = Self { least: 0, likely: 0, most: Some(0) };

    /// Returns both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let most = self.most.zip(other.most).map(|(one, other)| one.saturating_add(other));
        Self { least: self.least.saturating_add(other.least), likely: self.likely.saturating_add(other.likely), most }
    }

    /// Returns it with a limit on it, which may be less than what is likely.
    #[must_use]
    pub fn at_most(self, limit: u64) -> Self {
        Self { most: Some(self.most.map_or(limit, |most| most.min(limit))), ..self }
    }
}

impl Outlook {
    /// No calls.
    pub const NOTHING: Self =
        Self { calls: Span::ZERO, tokens: Span::ZERO, cost_micro_usd: Span::ZERO, unpriced_calls: 0 };

    /// Returns both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.plus(other.calls),
            tokens: self.tokens.plus(other.tokens),
            cost_micro_usd: self.cost_micro_usd.plus(other.cost_micro_usd),
            unpriced_calls: self.unpriced_calls + other.unpriced_calls,
        }
    }

    /// Returns it with other bounds: each of its numbers as `change` makes it.
    #[must_use]
    pub fn map(self, change: impl Fn(Span) -> Span) -> Self {
        let Self { calls, tokens, cost_micro_usd, unpriced_calls } = self;
        let [calls, tokens, cost_micro_usd] = [calls, tokens, cost_micro_usd].map(change);
        Self { calls, tokens, cost_micro_usd, unpriced_calls }
    }
}
