//! `ninja stats`: the installation in numbers.

use std::time::Duration;

use ninja_sdk::api::{Stats, TaskDay, Usage, dollars};

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{bytes, columns, duration, number, one_line},
};

/// The arguments of `ninja stats`.
#[derive(Debug, clap::Args)]
pub struct ShowStats {
    /// Print the numbers as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl ShowStats {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let stats = session.ninja().stats().await;
        session.close().await;
        let stats = stats?;
        if output.json {
            output.json(&stats);
            return Ok(Exit::Done);
        }
        for line in lines(&stats) {
            output.say(&line);
        }
        Ok(Exit::Done)
    }
}

fn lines(stats: &Stats) -> Vec<String> {
    let Stats { users, tasks, usage, files, store, .. } = stats;
    let mut lines = vec![
        format!("ninja {}, up for {}", stats.version, duration(Duration::from_secs(stats.uptime_seconds))),
        format!("users    {} ({} of them administrators, {} premium)", users.total, users.admin, users.premium),
        format!(
            "tasks    {} queued, {} planning, {} running, {} waiting; {} succeeded, {} failed, {} cancelled",
            tasks.queued, tasks.planning, tasks.running, tasks.waiting, tasks.succeeded, tasks.failed, tasks.cancelled
        ),
        format!("today    {}", used(&usage.today)),
        format!("month    {}", used(&usage.this_month)),
        format!("in all   {}", used(&usage.total)),
        format!("files    {}, {}", number(files.count), bytes(files.bytes)),
        format!("store    {} of log, {} of tree, {} of blobs", bytes(store.log), bytes(store.tree), bytes(store.blobs)),
    ];
    if !usage.by_model.is_empty() {
        let rows = usage.by_model.iter().map(|item| [one_line(&item.of), used(&item.usage)]);
        lines.push(String::new());
        lines.extend(columns(2, &rows.collect::<Vec<_>>()));
    }
    if !tasks.days.is_empty() {
        let head = ["day", "submitted", "succeeded", "failed", "cancelled"].map(str::to_owned);
        let rows: Vec<[String; 5]> = std::iter::once(head).chain(tasks.days.iter().map(row)).collect();
        lines.push(String::new());
        lines.extend(columns(1, &rows));
    }
    lines
}

fn row(day: &TaskDay) -> [String; 5] {
    let [submitted, succeeded, failed, cancelled] =
        [day.submitted, day.succeeded, day.failed, day.cancelled].map(number);
    [day.on.to_string(), submitted, succeeded, failed, cancelled]
}

fn used(usage: &Usage) -> String {
    let (tokens, calls) = (number(usage.tokens()), number(usage.model_calls));
    format!("{tokens} tokens in {calls} calls, {}", dollars(usage.cost_micro_usd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_below_each_other() {
        let usage = r#"{ "input_tokens": 12345, "output_tokens": 55, "model_calls": 7, "tool_calls": 0,
            "estimated_tokens": 0, "cost_micro_usd": 1250000 }"#;
        let stats = format!(
            r#"{{ "at": "2026-11-24T12:00:00Z", "version": "0.1.0", "started_at": "2026-11-24T11:00:00Z",
            "uptime_seconds": 3600, "users": {{ "total": 3, "user": 1, "premium": 1, "admin": 1 }},
            "tasks": {{ "queued": 1, "planning": 0, "running": 2, "waiting": 3, "succeeded": 40, "failed": 5,
                "cancelled": 6,
                "days": [{{ "on": "2026-11-24", "submitted": 9, "succeeded": 7, "failed": 1, "cancelled": 0 }}] }},
            "usage": {{ "today": {usage}, "this_month": {usage}, "total": {usage},
                "by_model": [{{ "of": "openai/m", "usage": {usage} }}] }},
            "files": {{ "count": 2, "bytes": 2048 }}, "store": {{ "log": 100, "tree": 2000000, "blobs": 5 }} }}"#
        );
        insta::assert_snapshot!(lines(&serde_json::from_str(&stats).unwrap()).join("\n"));
    }
}
