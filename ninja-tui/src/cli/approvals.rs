//! `ninja approvals`: what tasks ask, newest first.

use ninja_sdk::{
    ListApprovals,
    api::{ApprovalKind, ApprovalSummary, Timestamp},
};

use super::{Exit, Failure, Output, report::question};
use crate::{
    Connector, Need,
    format::{cut, duration, one_line, short, since},
};

/// A line holds little more of a goal.
const GOAL_CHARACTERS: usize = 60;

/// The arguments of `ninja approvals`.
#[derive(Debug, clap::Args)]
pub struct Approvals {
    /// Those of everybody's tasks, for administrators
    #[arg(long)]
    all: bool,
    /// The most questions to list
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where a list ended: the `next_cursor` of `--json`
    #[arg(long)]
    cursor: Option<String>,
    /// Print the page as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Approvals {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let query = ListApprovals { all: self.all, cursor: self.cursor, limit: Some(self.limit) };
        let page = session.ninja().list_approvals(&query).await;
        session.close().await;
        let page = page?;
        if output.json {
            output.json(&page);
            return Ok(Exit::Done);
        }
        let now = Timestamp::now();
        for asked in &page.items {
            lines(asked, output.terminal.stdout, now).iter().for_each(|line| output.say(line));
        }
        match page.next_cursor {
            Some(cursor) => output.note(&format!("older ones: ninja approvals --cursor {}", one_line(&cursor))),
            None if page.items.is_empty() => output.note("no task asks anything"),
            None => {}
        }
        Ok(Exit::Done)
    }
}

/// Writes a question below its task. A person gets the short name and what fits; a script gets the whole id.
fn lines(asked: &ApprovalSummary, is_person: bool, now: Timestamp) -> Vec<String> {
    let ApprovalSummary { goal, approval, .. } = asked;
    let name = if is_person { short(approval.task) } else { approval.task.to_string() };
    let answer = match approval.kind {
        ApprovalKind::Approval | ApprovalKind::Plan => format!("ninja approve {name} {}", approval.id),
        ApprovalKind::Ambiguous => format!("ninja approve {name} {} --happened, or --did-not-happen", approval.id),
        ApprovalKind::Question => format!("ninja approve {name} {} --answer 'TEXT'", approval.id),
    };
    let age = duration(since(approval.since, now));
    let mut lines =
        vec![format!("{name}  {age:>12} ago  {}", cut(&one_line(goal), GOAL_CHARACTERS)).trim_end().to_owned()];
    lines.extend(question(approval).into_iter().map(|line| format!("  {line}")));
    lines.push(format!("  answer: {answer}"));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_stands_below_its_task_with_the_command_that_answers_it() {
        let asked = |kind: &str| -> ApprovalSummary {
            serde_json::from_value(json!({
                "owner": "user_01920000000070008000000000000001", "goal": "greet\u{1b}[2J all", "approval": {
                    "id": "appr_01920000000070008000000000000003", "task": "task_01920000000070008000000000000002",
                    "step": "mail", "kind": kind, "prompt": "May I?", "since": "2026-11-24T12:00:00Z",
                    "call": { "tool": "send", "args": { "to": "all" }, "hash": "00" },
                },
            }))
            .unwrap()
        };
        let now = "2026-11-24T12:01:05Z".parse().unwrap();
        let wanted = [
            "00000002     1 min 5 s ago  greet[2J all",
            "  mail asks: May I?",
            "    the exact call: send {\"to\":\"all\"}",
            "  answer: ninja approve 00000002 appr_01920000000070008000000000000003",
        ];
        assert_eq!(lines(&asked("approval"), true, now), wanted);
        assert!(lines(&asked("question"), false, now)[3].ends_with(" --answer 'TEXT'"));
        assert!(lines(&asked("ambiguous"), false, now)[0].starts_with("task_0192"));
    }
}
