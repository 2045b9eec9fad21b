//! `ninja tasks`: the newest tasks, one line each.

use ninja_sdk::{
    ListTasks,
    api::{TaskStatus, TaskSummary, Timestamp},
};

use super::{Exit, Failure, Output, report::waits};
use crate::{
    Connector, Need,
    format::{cut, duration, one_line, short, since},
};

/// A line holds little more of a goal.
const GOAL_CHARACTERS: usize = 60;

/// The arguments of `ninja tasks`.
#[derive(Debug, clap::Args)]
pub struct Tasks {
    /// Only tasks that stand so: queued, planning, running, waiting, succeeded, failed or cancelled
    #[arg(long, value_parser = parse_status)]
    status: Option<TaskStatus>,
    /// The most tasks to list
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where a list ended: the `next_cursor` of `--json`
    #[arg(long)]
    cursor: Option<String>,
    /// Print the page as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Tasks {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let query = ListTasks { status: self.status, cursor: self.cursor, limit: Some(self.limit) };
        let page = session.ninja().list_tasks(&query).await;
        session.close().await;
        let page = page?;
        if output.json {
            output.json(&page);
            return Ok(Exit::Done);
        }
        let now = Timestamp::now();
        for task in &page.items {
            output.say(&line(task, output, now));
        }
        if page.items.is_empty() {
            output.note("no tasks; hand one in with `ninja run \"GOAL\"`");
        } else if let Some(cursor) = page.next_cursor {
            output.note(&format!("older ones: ninja tasks --cursor {}", one_line(&cursor)));
        }
        Ok(Exit::Done)
    }
}

/// A person gets the short name and what fits; a script gets the whole id.
fn line(task: &TaskSummary, output: &Output, now: Timestamp) -> String {
    let name = match output.terminal.stdout {
        true => short(task.id),
        false => task.id.to_string(),
    };
    let status = output.paint().task_status(task.status);
    let age = duration(since(task.created_at, now));
    let goal = cut(&one_line(&task.goal), GOAL_CHARACTERS);
    let waits = task.waiting.as_ref().map(|waiting| output.paint().notice(&format!("  {}", waits(waiting, now))));
    let line = format!("{name}  {status} {:>3} %  {age:>12} ago  {goal}", task.progress);
    format!("{}{}", line.trim_end(), waits.unwrap_or_default())
}

fn parse_status(text: &str) -> Result<TaskStatus, String> {
    let all = [
        TaskStatus::Queued,
        TaskStatus::Planning,
        TaskStatus::Running,
        TaskStatus::Waiting,
        TaskStatus::Succeeded,
        TaskStatus::Failed,
        TaskStatus::Cancelled,
    ];
    all.into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| format!("a status is one of {}", all.map(TaskStatus::as_str).join(", ")))
}
