//! Stays with a task until it ends, is paused, waits for a person who is not here, or the person leaves.
//!
//! `run` and `watch` both end here; what they do afterwards is theirs.

use std::collections::HashSet;

use ninja_sdk::{
    Ninja, SdkError,
    api::{Approval, ApprovalId, ApprovalKind, Decision, ErrorCode, EventBody, StreamFrame, Task, TaskStatus},
};

use super::{Exit, Failure, Output, ask, interrupt::Interrupt, report};
use crate::progress::Progress;

/// How attending ended.
pub(super) enum Attended {
    /// The task has ended, is paused, or waits for a person who is not here.
    StandsStill(Box<Task>),
    /// The person left; the task is as it is.
    Left,
}

/// What attending needs.
pub(super) struct Attend<'a> {
    pub(super) ninja: &'a Ninja,
    pub(super) output: &'a Output,
    pub(super) interrupt: Interrupt,
    /// Approve what asks for approval without asking the person.
    pub(super) yes: bool,
}

/// Where an attended task is.
struct State<'a> {
    progress: Progress<'a>,
    /// Questions that were written down for a person who is not here.
    told: HashSet<ApprovalId>,
    /// Events up to this number happened before; their questions may be answered long since.
    past: u64,
    /// Whether a question may be open.
    asked: bool,
    /// Whether somebody paused the task; it stands still when what runs has ended.
    paused: bool,
    /// Whether a step waits for more budget; the task may stand still of it.
    short: bool,
}

impl Attend<'_> {
    /// Attends `task`, shown from its first event.
    pub(super) async fn until_it_ends(&mut self, task: &Task) -> Result<Attended, Failure> {
        let progress = Progress::new(self.output, task);
        let asked = !task.approvals.is_empty();
        let mut state = State {
            progress,
            told: HashSet::new(),
            past: task.last_seq,
            asked,
            paused: report::is_paused(task),
            short: false,
        };
        let attended = self.follow(task, &mut state).await;
        state.progress.finish();
        attended
    }

    async fn follow(&mut self, task: &Task, state: &mut State<'_>) -> Result<Attended, Failure> {
        let mut frames = self.ninja.events(task.id, None).await?;
        let mut interrupt = self.interrupt.clone();
        loop {
            let frame = tokio::select! {
                frame = frames.next() => frame,
                () = interrupt.asked() => return Ok(Attended::Left),
            };
            let Some(frame) = frame.transpose()? else { break };
            state.progress.show(&frame);
            if state.must_look(&frame) {
                let task = self.ninja.task(task.id).await?;
                if let Some(attended) = self.answer(task, state).await? {
                    return Ok(attended);
                }
            }
        }
        Ok(Attended::StandsStill(Box::new(self.ninja.task(task.id).await?)))
    }

    /// Has the open questions answered, one after the other; returns when the task cannot go on without an answer. A paused
    /// task takes none.
    async fn answer(&mut self, mut task: Task, state: &mut State<'_>) -> Result<Option<Attended>, Failure> {
        if report::is_paused(&task) {
            return Ok(Some(Attended::StandsStill(Box::new(task))));
        }
        while let Some(approval) = task.approvals.first().cloned().filter(|_| !state.paused) {
            let decision = if self.yes && approval.kind == ApprovalKind::Approval {
                Decision::Approve
            } else if self.is_answered_here() {
                match self.ask(&approval, state).await? {
                    Answer::Decided(decision) => decision,
                    Answer::Nobody => return Ok(Some(Attended::StandsStill(Box::new(task)))),
                    Answer::Left => return Ok(Some(Attended::Left)),
                }
            } else {
                self.tell(&task, state);
                let waits = task.status == TaskStatus::Waiting;
                return Ok(waits.then(|| Attended::StandsStill(Box::new(task))));
            };
            task = match self.ninja.decide_approval(task.id, approval.id, &decision).await {
                Ok(task) => task,
                // Somebody else was quicker, or paused the task; what it was is told by the events to come.
                Err(SdkError::Api(error)) if matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound) => {
                    let task = self.ninja.task(task.id).await?;
                    return Ok(report::is_paused(&task).then(|| Attended::StandsStill(Box::new(task))));
                }
                Err(error) => return Err(error.into()),
            };
        }
        state.asked = !task.approvals.is_empty();
        Ok(None)
    }

    fn is_answered_here(&self) -> bool {
        let terminal = self.output.terminal;
        terminal.stdin && terminal.stderr && !self.output.json
    }

    /// Writes down the questions that were not written down before.
    fn tell(&self, task: &Task, state: &mut State<'_>) {
        for approval in &task.approvals {
            if state.told.insert(approval.id) {
                let lines = [report::question(approval), report::answers(task, approval)].concat();
                state.progress.suspend(|| lines.iter().for_each(|line| self.output.note(line)));
            }
        }
    }

    async fn ask(&mut self, approval: &Approval, state: &State<'_>) -> Result<Answer, Failure> {
        let lines = report::question(approval);
        state.progress.suspend(|| lines.iter().for_each(|line| self.output.note(line)));
        // The moving lines rest while the person types: they would overwrite the answer.
        state.progress.rest(true);
        let asked = approval.clone();
        let typing = tokio::task::spawn_blocking(move || ask::ask(&asked));
        let answer = tokio::select! {
            typed = typing => match typed {
                Ok(Ok(Some(decision))) => Ok(Answer::Decided(decision)),
                Ok(Ok(None)) | Err(_) => Ok(Answer::Nobody),
                Ok(Err(error)) => Err(unreadable(&error)),
            },
            () = self.interrupt.asked() => Ok(Answer::Left),
        };
        state.progress.rest(false);
        answer
    }
}

/// What came of a question.
enum Answer {
    Decided(Decision),
    /// The input has ended.
    Nobody,
    /// The person left.
    Left,
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the answer could not be read: {error}"),
        "answer with `ninja approve` or `ninja deny`",
    )
}

impl State<'_> {
    /// Returns whether the task must be looked at after this frame: a question may be open, and the task may stand still.
    fn must_look(&mut self, frame: &StreamFrame) -> bool {
        let StreamFrame::Event { event } = frame else { return false };
        match event.event {
            EventBody::ApprovalRequested { .. } if event.seq > self.past => self.asked = true,
            // A task that was paused before may still end what it ran then.
            EventBody::TaskPaused => self.paused = true,
            EventBody::TaskResumed | EventBody::TaskRetried { .. } => self.paused = false,
            EventBody::BudgetPaused { .. } => self.short = true,
            EventBody::BudgetChanged { .. } => self.short = false,
            _ => {}
        }
        (self.asked || self.paused || self.short) && event.seq >= self.past
    }
}
