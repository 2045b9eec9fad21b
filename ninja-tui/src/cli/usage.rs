//! `ninja usage`: what your tasks used, by day, model, agent or task.

use ninja_sdk::api::{Usage, UsageBy, UsageItem, UsageQuery, UsageReport, dollars};

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{columns, number, one_line},
};

/// The arguments of `ninja usage`.
#[derive(Debug, clap::Args)]
pub struct ShowUsage {
    /// What to sum up: day, model, agent or task
    #[arg(long, default_value = "day", value_parser = parse_by)]
    by: UsageBy,
    /// The first day, such as 2026-11-01, in UTC
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    from: Option<Date>,
    /// The last day
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    to: Option<Date>,
    /// Print the sums as JSON
    #[arg(long)]
    pub(super) json: bool,
}

type Date = ninja_sdk::api::Date;

impl ShowUsage {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let query = UsageQuery { by: self.by, from: self.from, to: self.to };
        let report = session.ninja().usage(&query).await;
        session.close().await;
        let report = report?;
        if output.json {
            output.json(&report);
            return Ok(Exit::Done);
        }
        for line in table(&report) {
            output.say(&line);
        }
        if report.items.is_empty() {
            output.note("nothing was used in this time");
        }
        if report.is_cut {
            output.note("older tasks are left out; --to goes further back");
        }
        if report.total.unpriced_calls > 0 {
            let calls = number(report.total.unpriced_calls);
            output.note(&format!("the price of {calls} calls is not known, so the cost is without them"));
        }
        Ok(Exit::Done)
    }
}

/// Writes the sums below each other, with their sum at the end where there are several.
fn table(report: &UsageReport) -> Vec<String> {
    let heading = match report.by {
        UsageBy::Day => "day",
        UsageBy::Model => "model",
        UsageBy::Agent => "agent",
        UsageBy::Task => "task",
    };
    let mut rows = vec![[heading, "calls", "in", "cached", "out", "cost"].map(str::to_owned)];
    rows.extend(report.items.iter().map(|UsageItem { of, usage }| row(&one_line(of), usage)));
    if report.items.len() > 1 {
        rows.push(row("", &report.total));
    }
    columns(1, &rows)
}

fn row(of: &str, usage: &Usage) -> [String; 6] {
    let [calls, input, cached, output] =
        [usage.model_calls, usage.input_tokens, usage.cached_input_tokens, usage.output_tokens].map(number);
    let is_unknown = usage.cost_micro_usd == 0 && usage.unpriced_calls > 0;
    let cost = if is_unknown { "unknown".to_owned() } else { dollars(usage.cost_micro_usd) };
    [of.to_owned(), calls, input, cached, output, cost]
}

fn parse_by(text: &str) -> Result<UsageBy, String> {
    match text {
        "day" => Ok(UsageBy::Day),
        "model" => Ok(UsageBy::Model),
        "agent" => Ok(UsageBy::Agent),
        "task" => Ok(UsageBy::Task),
        _ => Err("one of day, model, agent, task".to_owned()),
    }
}

fn parse_date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "a day such as 2026-11-01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stand_below_each_other() {
        let usage = |input_tokens, cost_micro_usd, unpriced_calls| Usage {
            input_tokens,
            output_tokens: 7,
            model_calls: 1,
            cost_micro_usd,
            unpriced_calls,
            ..Usage::default()
        };
        let item = |of: &str, usage| UsageItem { of: of.to_owned(), usage };
        let items = vec![item("openai/gpt-5.4-mini", usage(12_345, 1_250_000, 0)), item("mine/m", usage(9, 0, 1))];
        let report = UsageReport { by: UsageBy::Model, items, total: usage(12_354, 1_250_000, 1), is_cut: false };
        let wanted = [
            "model                calls      in  cached  out     cost",
            "openai/gpt-5.4-mini      1  12,345       0    7    $1.25",
            "mine/m                   1       9       0    7  unknown",
            "                         1  12,354       0    7    $1.25",
        ];
        assert_eq!(table(&report), wanted);
    }
}
