//! Whoever goes on with a task after a person's word: a daemon, or this process, which then stays with the task.

use ninja_sdk::{
    Ninja,
    api::{Task, TaskId},
};

use super::{
    Exit, Failure, Output,
    attend::{Attend, Attended},
    interrupt::Interrupt,
    name, report,
};
use crate::{Connector, Need, Resume, Session, format::short};

/// Passes a person's word on to whoever goes on with the task after it, tells what was `done`, and stays where that is this
/// process.
pub(super) async fn pass_on(
    connector: &dyn Connector,
    output: &Output,
    task: &str,
    done: &str,
    word: impl AsyncFnOnce(&Ninja, TaskId) -> Result<Task, Failure>,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let session = worker_of(connector, task).await?;
    let said = async { word(session.ninja(), name::resolve(session.ninja(), task).await?).await };
    let exit = match said.await {
        Ok(task) => go_on(&session, output, interrupt, &task, done).await,
        Err(failure) => Err(failure),
    };
    session.close().await;
    exit
}

/// Connects to whoever goes on with the task after the word: it may set off a call that must not be cut short.
async fn worker_of(connector: &dyn Connector, task: &str) -> Result<Session, Failure> {
    let session = connector.connect(Need::Store).await?;
    if !session.is_in_process() {
        return Ok(session);
    }
    let id = name::resolve(session.ninja(), task).await;
    session.close().await;
    connector.connect(Need::Work { resume: Resume::Task(id?) }).await
}

/// Tells what was `done` to a task that goes on. Where no daemon runs, stays with it until it stands still.
pub(super) async fn go_on(
    session: &Session,
    output: &Output,
    interrupt: Interrupt,
    task: &Task,
    done: &str,
) -> Result<Exit, Failure> {
    if !session.is_in_process() || task.status.is_terminal() {
        output.json_if_wanted(task);
        output.say(&format!("{done}; the task is {}", task.status.as_str()));
        if !output.json && !task.status.is_terminal() {
            output.note(&format!("follow it: ninja watch {}", short(task.id)));
        }
        return Ok(Exit::Done);
    }
    output.note(&format!("{done}; no daemon is running, so this terminal goes on with the task"));
    let mut attend = Attend { ninja: session.ninja(), output, interrupt, yes: false };
    match attend.until_it_ends(task).await? {
        Attended::StandsStill(task) => {
            report::outcome(output, &task);
            output.json_if_wanted(&task);
            Ok(report::exit(&task))
        }
        Attended::Left => {
            output.note(&format!("the task is parked; go on with it: ninja run --resume {}", task.id));
            Ok(Exit::Interrupted)
        }
    }
}
