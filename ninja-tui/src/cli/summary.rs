//! `ninja summary`: tasks in numbers.

use std::time::Duration;

use ninja_sdk::api::{PeriodSummary, SummaryQuery, TasksSummary, dollars};

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{columns, duration, number},
};

/// The arguments of `ninja summary`.
#[derive(Debug, clap::Args)]
pub struct Summary {
    /// Everybody's tasks, for administrators
    #[arg(long)]
    all: bool,
    /// Print the numbers as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Summary {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let summary = session.ninja().tasks_summary(&SummaryQuery { all: self.all }).await;
        session.close().await;
        let summary = summary?;
        if output.json {
            output.json(&summary);
            return Ok(Exit::Done);
        }
        table(&summary).iter().for_each(|line| output.say(line));
        if summary.all.is_cut {
            output.note("there are more tasks than are counted at a time; columns with a + leave some out");
        }
        Ok(Exit::Done)
    }
}

/// Writes the times beside each other.
fn table(summary: &TasksSummary) -> Vec<String> {
    let TasksSummary { last_24h, last_7d, all } = summary;
    let periods = [last_24h, last_7d, all];
    let row = |name: &str, value: &dyn Fn(&PeriodSummary) -> String| -> [String; 4] {
        let [day, week, all] = periods.map(value);
        [name.to_owned(), day, week, all]
    };
    let heading = |name: &str, period: &PeriodSummary| format!("{name}{}", if period.is_cut { "+" } else { "" });
    let mut rows =
        vec![[String::new(), heading("24 hours", last_24h), heading("7 days", last_7d), heading("all", all)]];
    rows.push(row("tasks", &|period| number(period.tasks)));
    for status in all.by_status.keys() {
        let count = |period: &PeriodSummary| number(period.by_status.get(status).copied().unwrap_or(0));
        rows.push(row(&format!("  {}", status.as_str()), &count));
    }
    let rate = |rate: f64| format!("{:.1} %", rate * 100.0);
    let time = |took: Option<u64>| took.map_or_else(|| "-".to_owned(), |took| duration(Duration::from_millis(took)));
    rows.push(row("success", &|period| period.success_rate.map_or_else(|| "-".to_owned(), rate)));
    rows.push(row("mean time", &|period| time(period.mean_ms)));
    rows.push(row("median time", &|period| time(period.median_ms)));
    rows.push(row("tokens", &|period| number(period.usage.tokens())));
    rows.push(row("cost", &|period| dollars(period.usage.cost_micro_usd)));
    columns(1, &rows)
}

#[cfg(test)]
mod tests {
    use ninja_sdk::api::{TaskStatus, Usage};

    use super::*;

    #[test]
    fn the_times_stand_beside_each_other() {
        let all = PeriodSummary {
            tasks: 1_234,
            by_status: [(TaskStatus::Succeeded, 1_200), (TaskStatus::Failed, 34)].into(),
            success_rate: Some(0.972),
            mean_ms: Some(90_000),
            median_ms: Some(1_500),
            usage: Usage { input_tokens: 1_000, output_tokens: 7, cost_micro_usd: 1_250_000, ..Usage::default() },
            is_cut: true,
        };
        let summary = TasksSummary { last_24h: PeriodSummary::default(), last_7d: PeriodSummary::default(), all };
        let wanted = [
            "             24 hours  7 days        all+",
            "tasks               0       0       1,234",
            "  succeeded         0       0       1,200",
            "  failed            0       0          34",
            "success             -       -      97.2 %",
            "mean time           -       -  1 min 30 s",
            "median time         -       -       1.5 s",
            "tokens              0       0       1,007",
            "cost            $0.00   $0.00       $1.25",
        ];
        assert_eq!(table(&summary), wanted);
    }
}
