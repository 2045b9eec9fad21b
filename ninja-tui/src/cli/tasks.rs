//! `ninja tasks`: the newest tasks, one line each.

use ninja_sdk::{
    ListTasks, Ninja,
    api::{Date, Page, TaskStatus, TaskSummary, Timestamp},
};

use super::{Exit, Failure, Output, report::waits};
use crate::{
    Connector, Need,
    format::{cut, duration, one_line, short, since},
};

/// A line holds little more of a goal.
const GOAL_CHARACTERS: usize = 60;

/// Pages that are asked for where a filter lets little through: an engine looks at 2,000 tasks for each.
const PAGES_MAX: usize = 50;

/// The arguments of `ninja tasks`.
#[derive(Debug, clap::Args)]
pub struct Tasks {
    /// Only tasks that stand so: queued, planning, running, waiting, succeeded, failed or cancelled; several with commas between
    #[arg(long, value_delimiter = ',', value_parser = parse_status)]
    status: Vec<TaskStatus>,
    /// Only tasks of this template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Only tasks with this text in the first 200 characters of their goal
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only tasks submitted then or later: a time such as 2026-11-01T08:00:00Z, or a day in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    after: Option<Timestamp>,
    /// Only tasks submitted before
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<Timestamp>,
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
        let is_filtered = self.template.is_some() || self.search.is_some() || !self.status.is_empty();
        let query = ListTasks {
            status: self.status,
            template: self.template,
            q: self.search,
            created_after: self.after,
            created_before: self.before,
            cursor: self.cursor,
            limit: Some(self.limit),
        };
        let page = gather(session.ninja(), query).await;
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
        if page.items.is_empty() && page.next_cursor.is_none() {
            output.note(match is_filtered || self.after.is_some() || self.before.is_some() {
                true => "no task is like that",
                false => "no tasks; hand one in with `ninja run \"GOAL\"`",
            });
        } else if let Some(cursor) = page.next_cursor {
            output.note(&format!("older ones: ninja tasks --cursor {}", one_line(&cursor)));
        }
        Ok(Exit::Done)
    }
}

/// Fills a page: what an engine looks through for one may hold less than that of what is wanted.
async fn gather(ninja: &Ninja, mut query: ListTasks) -> Result<Page<TaskSummary>, Failure> {
    let (mut page, wanted) = (ninja.list_tasks(&query).await?, query.limit.unwrap_or(1));
    for _ in 1..PAGES_MAX {
        let left = wanted.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        query.cursor = page.next_cursor.take_if(|_| left > 0);
        if query.cursor.is_none() {
            break;
        }
        query.limit = Some(left);
        let next = ninja.list_tasks(&query).await?;
        page.items.extend(next.items);
        page.next_cursor = next.next_cursor;
    }
    Ok(page)
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
    text.parse()
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let start_of = |day: Date| format!("{day}T00:00:00Z").parse().ok();
    let time = text.parse().ok().or_else(|| text.parse().ok().and_then(start_of));
    time.ok_or_else(|| "a time such as 2026-11-01T08:00:00Z, or a day such as 2026-11-01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_a_day() {
        let day = parse_time("2026-11-01").unwrap();
        assert_eq!(day, parse_time("2026-11-01T00:00:00Z").unwrap());
        assert_eq!(day, parse_time("2026-11-01T02:00:00+02:00").unwrap());
        for bad in ["", "yesterday", "2026-13-01", "12:00"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
