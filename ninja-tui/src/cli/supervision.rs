//! `ninja supervision`: the live tree of actors, each with what it serves, what waits for it and how it failed last.

use ninja_sdk::api::{SupervisedActor, SupervisedState, SupervisionTree, Timestamp};

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{duration, one_line, since},
};

/// The arguments of `ninja supervision`.
#[derive(Debug, clap::Args)]
pub struct Supervision {
    /// Print the tree as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Supervision {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let tree = session.ninja().supervision().await;
        session.close().await;
        let tree = tree?;
        if output.json {
            output.json(&tree);
            return Ok(Exit::Done);
        }
        for line in lines(&tree) {
            output.say(&line);
        }
        Ok(Exit::Done)
    }
}

fn lines(tree: &SupervisionTree) -> Vec<String> {
    let mut lines = Vec::new();
    draw(&tree.root, "", "", tree.at, &mut lines);
    if tree.tasks_left_out > 0 {
        lines.push(format!("and {} tasks more", tree.tasks_left_out));
    }
    let pool = tree.sandbox;
    lines.push(format!("sandboxes: {} of {} run, {} wait", pool.running, pool.size, pool.waiting));
    lines.push(format!("tasks that wait for a place: {}", tree.tasks_queued));
    lines.push(match &tree.writer.failure {
        None => format!("journal writer: a thread, {} bytes wait", tree.writer.queued_bytes),
        Some(why) => format!("journal writer: takes no writes: {}", one_line(why)),
    });
    lines
}

/// Draws an actor and those under it. `lead` stands before its own line, `below` before those of its children.
fn draw(actor: &SupervisedActor, lead: &str, below: &str, now: Timestamp, lines: &mut Vec<String>) {
    lines.push(format!("{lead}{}", describe(actor, now)));
    let last = actor.children.len().saturating_sub(1);
    for (index, child) in actor.children.iter().enumerate() {
        let (lead, deeper) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(child, &format!("{below}{lead}"), &format!("{below}{deeper}"), now, lines);
    }
}

fn describe(actor: &SupervisedActor, now: Timestamp) -> String {
    let mut words = vec![actor.kind.as_str().to_owned()];
    match (&actor.step, actor.task) {
        (Some(step), _) => words.push(step.to_string()),
        (None, Some(task)) => words.push(task.to_string()),
        (None, None) => {}
    }
    let mut notes = Vec::new();
    if actor.state != SupervisedState::Running {
        notes.push(actor.state.as_str().replace('_', " "));
    }
    notes.push(format!("for {}", duration(since(actor.since, now))));
    if actor.waiting > 0 {
        notes.push(format!("{} wait", actor.waiting));
    }
    if actor.failures > 0 {
        notes.push(format!("failed {} times in the last minute", actor.failures));
    }
    if let Some(failure) = &actor.last_failure {
        notes.push(format!("last {} ago: {}", duration(since(failure.at, now)), one_line(&failure.reason)));
    }
    format!("{}  {}", words.join(" "), notes.join(", "))
}

#[cfg(test)]
mod tests {
    use ninja_sdk::api::{ActorFailure, SandboxPool, SupervisedKind, WriterThread};

    use super::*;

    #[test]
    fn a_tree_is_drawn_with_what_is_wrong_in_it() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let ago = |seconds: i64| now - std::time::Duration::from_secs(seconds.unsigned_abs());
        let actor = |kind, children| SupervisedActor {
            kind,
            task: None,
            step: None,
            state: SupervisedState::Running,
            since: ago(90),
            waiting: 0,
            failures: 0,
            last_failure: None,
            children,
        };
        let agent = SupervisedActor {
            step: Some("write".parse().unwrap()),
            waiting: 1,
            ..actor(SupervisedKind::Agent, Vec::new())
        };
        let task = SupervisedActor {
            task: Some("task_00000000000070008000000000000001".parse().unwrap()),
            ..actor(SupervisedKind::Task, vec![agent])
        };
        let broken = ActorFailure { at: ago(2), reason: "it\nbroke".to_owned() };
        let sandbox = SupervisedActor {
            state: SupervisedState::Restarting,
            since: ago(2),
            failures: 3,
            last_failure: Some(broken),
            ..actor(SupervisedKind::Sandbox, Vec::new())
        };
        let orchestrator = actor(SupervisedKind::Orchestrator, vec![task]);
        let tree = SupervisionTree {
            at: now,
            root: actor(SupervisedKind::Root, vec![sandbox, orchestrator]),
            writer: WriterThread { queued_bytes: 0, failure: None },
            sandbox: SandboxPool { size: 16, running: 1, waiting: 0 },
            tasks_queued: 4,
            tasks_left_out: 2,
        };
        insta::assert_snapshot!(lines(&tree).join("\n"));
    }
}
