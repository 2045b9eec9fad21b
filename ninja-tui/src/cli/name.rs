//! How a person names a task: its id, or enough of the beginning or end of it.

use ninja_sdk::{ListTasks, Ninja, api::TaskId};

use super::{Exit, Failure};
use crate::{Connector, Need, Session};

/// Tasks looked through before the whole id is asked for.
const PAGES_MAX: usize = 20;
const PAGE: u32 = 100;
/// Fewer characters match by accident.
const CHARACTERS_MIN: usize = 4;

/// Asks something of the one task that `name` means, and lets go of the session whatever comes of it.
pub(super) async fn ask_of<T>(
    connector: &dyn Connector,
    name: &str,
    ask: impl AsyncFnOnce(&Session, TaskId) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let session = connector.connect(Need::Store).await?;
    let answer = async { ask(&session, resolve(session.ninja(), name).await?).await };
    let answer = answer.await;
    session.close().await;
    answer
}

/// Returns the one task that `name` means.
pub(super) async fn resolve(ninja: &Ninja, name: &str) -> Result<TaskId, Failure> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let part = part_of_id(name)?;
    let (mut found, mut query) = (Vec::new(), ListTasks { limit: Some(PAGE), ..ListTasks::default() });
    for _ in 0..PAGES_MAX {
        let page = ninja.list_tasks(&query).await?;
        found.extend(page.items.iter().map(|task| task.id).filter(|id| matches(*id, &part)));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(Failure::new(Exit::Failed, format!("no task is called {name:?}"), "`ninja tasks` lists your tasks")),
        [first, ..] => Err(Failure::new(
            Exit::Usage,
            format!("{name:?} means {} tasks, among them {}", found.len(), first),
            "write more of the id; `ninja tasks` lists your tasks",
        )),
    }
}

fn part_of_id(name: &str) -> Result<String, Failure> {
    let part = name.strip_prefix("task_").unwrap_or(name);
    match part.len() >= CHARACTERS_MIN && part.len() <= 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(part.to_ascii_lowercase()),
        false => Err(Failure::new(
            Exit::Usage,
            format!("{name:?} is neither a task id nor {CHARACTERS_MIN} or more characters of one"),
            "`ninja tasks` lists your tasks",
        )),
    }
}

fn matches(id: TaskId, part: &str) -> bool {
    let text = id.uuid().simple().to_string();
    text.starts_with(part) || text.ends_with(part)
}
