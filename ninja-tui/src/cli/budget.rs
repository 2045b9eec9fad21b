//! `ninja budget TASK`: other limits for a task, which lets one that waits for more go on. `ninja budget`: how the limits stand
//! that all tasks share.

use ninja_sdk::{
    Ninja,
    api::{Budget, BudgetItem, BudgetOf, Timestamp},
};

use super::{Exit, Failure, Output, worker::pass_on};
use crate::{
    Connector, Need,
    format::{columns, duration, since},
};

/// The arguments of `ninja budget`.
#[derive(Debug, clap::Args)]
pub struct ChangeOrShow {
    /// The task's id, or four or more characters of its beginning or end; without it the limits are shown that tasks share
    task: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// Print the task, or the limits, as JSON
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

impl ChangeOrShow {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let hint = "such as `ninja budget TASK --budget 5` or `--budget-tokens 200000`";
        match (self.task, self.limits.given()) {
            (None, None) => show(connector, output).await,
            (None, Some(_)) => {
                let why = "say of which task; limits that tasks share are set in the configuration";
                Err(Failure::new(Exit::Usage, why, hint))
            }
            (Some(_), None) => Err(Failure::new(Exit::Usage, "say which limit", hint)),
            (Some(task), Some(budget)) => {
                let word = async |ninja: &Ninja, id| Ok(ninja.change_budget(id, &budget).await?);
                pass_on(connector, output, &task, "budget changed", word).await
            }
        }
    }
}

async fn show(connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
    let session = connector.connect(Need::Store).await?;
    let report = session.ninja().budgets().await;
    session.close().await;
    let report = report?;
    if output.json {
        output.json(&report);
        return Ok(Exit::Done);
    }
    if report.items.is_empty() {
        output.note("no limits are set that tasks share; config/ninja.toml shows how, under [budgets.user]");
        return Ok(Exit::Done);
    }
    for line in table(&report.items, Timestamp::now()) {
        output.say(&line);
    }
    Ok(Exit::Done)
}

/// Writes limits below each other.
fn table(items: &[BudgetItem], now: Timestamp) -> Vec<String> {
    let mut rows = vec![["budget", "limit", "used", "set aside", "begins anew in"].map(str::to_owned)];
    rows.extend(items.iter().map(|item| {
        let [most, used, reserved] = [item.most, item.used, item.reserved].map(|amount| item.limit.amount(amount));
        let anew = item.until.map_or_else(String::new, |until| duration(since(now, until)));
        [whose(item.of).to_owned(), most, used, reserved, anew]
    }));
    columns(1, &rows)
}

fn whose(of: BudgetOf) -> &'static str {
    match of {
        BudgetOf::Task => "the task's",
        BudgetOf::UserDay => "yours, today",
        BudgetOf::UserMonth => "yours, this month",
        BudgetOf::InstallationDay => "everybody's, today",
        BudgetOf::InstallationMonth => "everybody's, this month",
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
    use ninja_sdk::api::BudgetLimit;

    use super::*;

    #[test]
    fn limits_stand_below_each_other() {
        let until = Some("2026-11-24T00:00:00Z".parse().unwrap());
        let item = |of, limit, most, used, reserved| BudgetItem { of, limit, most, used, reserved, until };
        let items = [
            item(BudgetOf::UserDay, BudgetLimit::Cost, 5_000_000, 3_250_000, 400_000),
            item(BudgetOf::InstallationMonth, BudgetLimit::Tokens, 2_000_000, 0, 0),
        ];
        let wanted = [
            "budget                            limit      used  set aside  begins anew in",
            "yours, today                      $5.00     $3.25      $0.40      2 h 30 min",
            "everybody's, this month  2000000 tokens  0 tokens   0 tokens      2 h 30 min",
        ];
        assert_eq!(table(&items, "2026-11-23T21:30:00Z".parse().unwrap()), wanted);
    }

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
