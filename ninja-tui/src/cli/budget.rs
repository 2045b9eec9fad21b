//! `ninja budget TASK`: other limits for a task, which lets one that waits for more go on.

use ninja_sdk::{Ninja, api::Budget};

use super::{Exit, Failure, Output, worker::pass_on};
use crate::Connector;

/// The arguments of `ninja budget`.
#[derive(Debug, clap::Args)]
pub struct ChangeBudget {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    #[command(flatten)]
    limits: Limits,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Limits on what a task may use, as they are typed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Limits {
    /// The most money that its model calls may cost, in US dollars
    #[arg(long, value_name = "DOLLARS", value_parser = parse_dollars)]
    budget: Option<u64>,
    /// The most tokens it may use, in and out
    #[arg(long, value_name = "N")]
    budget_tokens: Option<u64>,
    /// The most seconds from its submission on, waiting included
    #[arg(long, value_name = "N")]
    budget_seconds: Option<u64>,
    /// The most steps that may begin
    #[arg(long, value_name = "N")]
    budget_steps: Option<u64>,
}

impl Limits {
    /// Returns the limits that were given, if any were.
    pub(super) fn given(self) -> Option<Budget> {
        let budget = Budget {
            tokens: self.budget_tokens,
            cost_micro_usd: self.budget,
            seconds: self.budget_seconds,
            steps: self.budget_steps,
        };
        (budget != Budget::default()).then_some(budget)
    }
}

impl ChangeBudget {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let Some(budget) = self.limits.given() else {
            let hint = "such as `ninja budget TASK --budget 5` or `--budget-tokens 200000`";
            return Err(Failure::new(Exit::Usage, "say which limit", hint));
        };
        let word = async |ninja: &Ninja, id| Ok(ninja.change_budget(id, &budget).await?);
        pass_on(connector, output, &self.task, "budget changed", word).await
    }
}

/// Reads dollars as millionths of one: `5`, `0.25`, `$1.50`.
fn parse_dollars(text: &str) -> Result<u64, String> {
    let wrong = || "an amount in dollars, such as 2.50, with at most six decimals".to_owned();
    let (whole, fraction) = text.strip_prefix('$').unwrap_or(text).split_once('.').unwrap_or((text, ""));
    let whole = whole.strip_prefix('$').unwrap_or(whole);
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 || whole.len() + fraction.len() == 0 {
        return Err(wrong());
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
    whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(fraction)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly_or_not_at_all() {
        for (text, micro_usd) in [("5", 5_000_000), ("$1.50", 1_500_000), ("0.000001", 1), (".25", 250_000), ("0", 0)] {
            assert_eq!(parse_dollars(text), Ok(micro_usd), "{text}");
        }
        for text in ["", "$", ".", "-1", "1,5", "1.0000001", "1e3", "five", "99999999999999999999", "1.5.5", "$$1"] {
            assert!(parse_dollars(text).is_err(), "{text}");
        }
    }
}
