//! `ninja approve` and `ninja deny`: a person's answer to a task that waits.

use ninja_sdk::{
    Ninja,
    api::{Approval, ApprovalId, ApprovalKind, Decision, Task},
};

use super::{Exit, Failure, Output, report, worker::pass_on};
use crate::{Connector, format::short};

/// The arguments of `ninja approve`.
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// The question's id; not needed while only one is open
    approval: Option<ApprovalId>,
    /// The call in doubt did happen
    #[arg(long, conflicts_with_all = ["did_not_happen", "answer"])]
    happened: bool,
    /// The call in doubt did not happen: make it now
    #[arg(long, conflicts_with = "answer")]
    did_not_happen: bool,
    /// The answer to what the agent asks, or what should be different in a plan
    #[arg(long, value_name = "TEXT")]
    answer: Option<String>,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `ninja deny`.
#[derive(Debug, clap::Args)]
pub struct Deny {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// The question's id; not needed while only one is open
    approval: Option<ApprovalId>,
    /// Print the task as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Approve {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let Self { task, approval, happened, did_not_happen, answer, .. } = self;
        let said = match (happened, did_not_happen, answer) {
            (true, _, _) => Some(Decision::Happened),
            (_, true, _) => Some(Decision::DidNotHappen),
            (_, _, Some(text)) => Some(Decision::Answer { text }),
            (false, false, None) => None,
        };
        decide(connector, output, &task, approval, |task, open| match (said, open.kind) {
            (Some(decision), _) => Ok(decision),
            (None, ApprovalKind::Approval | ApprovalKind::Plan) => Ok(Decision::Approve),
            (None, ApprovalKind::Ambiguous | ApprovalKind::Question) => Err(unclear(task, open)),
        })
        .await
    }
}

impl Deny {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        decide(connector, output, &self.task, self.approval, |task, open| match open.kind {
            ApprovalKind::Approval | ApprovalKind::Plan => Ok(Decision::Deny),
            ApprovalKind::Ambiguous => Ok(Decision::Abort),
            ApprovalKind::Question => Err(unclear(task, open)),
        })
        .await
    }
}

async fn decide(
    connector: &dyn Connector,
    output: &Output,
    task: &str,
    approval: Option<ApprovalId>,
    decision: impl FnOnce(&Task, &Approval) -> Result<Decision, Failure>,
) -> Result<Exit, Failure> {
    let word = async |ninja: &Ninja, id| {
        let task = ninja.task(id).await?;
        let open = choose(&task, approval)?;
        let decision = decision(&task, open)?;
        Ok(ninja.decide_approval(task.id, open.id, &decision).await?)
    };
    pass_on(connector, output, task, "answered", word).await
}

/// Returns the open question that is meant.
fn choose(task: &Task, approval: Option<ApprovalId>) -> Result<&Approval, Failure> {
    let name = short(task.id);
    match (approval, task.approvals.as_slice()) {
        (Some(id), open) => open.iter().find(|approval| approval.id == id).ok_or_else(|| {
            let what = format!("task {name} has no open question {id}");
            Failure::new(Exit::Failed, what, format!("`ninja show {name}` lists its open questions"))
        }),
        (None, [open]) => Ok(open),
        (None, []) => {
            let what = format!("task {name} is {} and asks nothing", task.status.as_str());
            Err(Failure::new(Exit::Failed, what, "`ninja tasks --status waiting` lists the tasks that do"))
        }
        (None, several) => {
            let what = format!("task {name} has {} open questions", several.len());
            Err(Failure::new(Exit::Usage, what, format!("name one of them; `ninja show {name}` lists them")))
        }
    }
}

fn unclear(task: &Task, open: &Approval) -> Failure {
    let what = report::question(open).join("; ");
    let ways: Vec<_> = report::answers(task, open).iter().map(|line| line.trim().to_owned()).collect();
    Failure::new(Exit::Usage, what, ways.join(", or "))
}
