//! The followed task: a snapshot, then every event after it, folded into it where that is plain; where it is not, the
//! task is read again. Numbers are checked here too: an event that came twice is dropped, one that is missing is counted.

use std::collections::HashMap;

use ninja_sdk::api::{Event, EventBody, StepId, StepStatus, StreamFrame, Task, TaskId};

use super::{log::Log, log::value, text};
use crate::format::{cut, number, one_line};

/// Text of a model at work: what is older scrolls away.
const LIVE_CHARACTERS: usize = 4_000;
const GOAL_CHARACTERS: usize = 4_000;
const OUTPUT_CHARACTERS: usize = 8_000;
const LINE_CHARACTERS: usize = 300;
/// A plan has at most 1,000 steps; what they map over is more.
const STEPS_MAX: usize = 3_000;
const ARTIFACTS_MAX: usize = 1_000;

/// The text that a model is writing.
#[derive(Debug, Default, Clone)]
pub(super) struct Live {
    /// The end of it, cleaned.
    pub(super) text: String,
    /// Whether something before or within it is missing.
    pub(super) torn: bool,
}

/// A line of the list of steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StepLine {
    /// The step's place in the task.
    pub(super) index: usize,
    /// How many steps it lies within.
    pub(super) depth: usize,
}

/// A task that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    /// The number of this following.
    pub(super) follow: u64,
    pub(super) id: TaskId,
    /// The task up to the event `folded`; nothing until it was read.
    pub(super) task: Option<Box<Task>>,
    /// Its steps in the order of their nesting.
    pub(super) lines: Vec<StepLine>,
    /// Outputs of steps, cleaned and capped.
    pub(super) outputs: HashMap<StepId, String>,
    pub(super) live: HashMap<StepId, Live>,
    pub(super) log: Log,
    /// Steps and files that are not held.
    pub(super) omitted: (usize, usize),
    folded: u64,
    /// The last event that came.
    pub(super) seen: Option<u64>,
    /// Events that were missing. Stays at none: the stream promises so.
    pub(super) missing: u64,
    /// Whether everything that will ever happen to it has come.
    pub(super) ended: bool,
    /// Why it cannot be followed any more.
    pub(super) gone: Option<String>,
}

impl Followed {
    pub(super) fn new(follow: u64, id: TaskId) -> Self {
        Self {
            follow,
            id,
            task: None,
            lines: Vec::new(),
            outputs: HashMap::new(),
            live: HashMap::new(),
            log: Log::default(),
            omitted: (0, 0),
            folded: 0,
            seen: None,
            missing: 0,
            ended: false,
            gone: None,
        }
    }

    /// Takes the task as it was read. One that is older than what was folded says nothing new.
    pub(super) fn replace(&mut self, mut task: Box<Task>) {
        if task.last_seq < self.folded {
            return;
        }
        self.folded = task.last_seq;
        self.trim(&mut task);
        self.lines = nest(&task.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>());
        self.task = Some(task);
    }

    /// Takes a frame; returns whether the task should be read again.
    pub(super) fn take(&mut self, frame: StreamFrame) -> bool {
        match frame {
            StreamFrame::Event { event } => self.take_event(&event),
            StreamFrame::Delta { step, text, .. } => {
                self.write(step, &text);
                false
            }
            StreamFrame::End { .. } => {
                self.ended = true;
                self.live.clear();
                false
            }
            StreamFrame::Lagged { .. } => {
                self.tear();
                false
            }
            StreamFrame::Feed { .. } | StreamFrame::Error { .. } => false,
        }
    }

    /// Marks what is being written as torn: text that was sent meanwhile is lost.
    pub(super) fn tear(&mut self) {
        self.live.values_mut().for_each(|live| live.torn = true);
    }

    fn take_event(&mut self, event: &Event) -> bool {
        if let Some(seen) = self.seen {
            if event.seq <= seen {
                return false;
            }
            self.missing += event.seq - seen - 1;
        }
        self.seen = Some(event.seq);
        self.log.push(event);
        self.move_text(&event.event);
        if event.seq <= self.folded {
            return false;
        }
        self.folded = event.seq;
        self.fold(event)
    }

    /// Begins or ends the text that is being written.
    fn move_text(&mut self, event: &EventBody) {
        match event {
            EventBody::ModelCallStarted { step, .. } => {
                self.live.insert(step.clone(), Live::default());
            }
            EventBody::ModelCallEnded { step, .. }
            | EventBody::CallEnded { step, .. }
            | EventBody::StepEnded { step, .. } => {
                self.live.remove(step);
            }
            _ => {}
        }
    }

    fn write(&mut self, step: StepId, delta: &str) {
        // Text of a call that began before it was followed: its beginning is missing.
        let live = self.live.entry(step).or_insert_with(|| Live { text: String::new(), torn: true });
        live.text.push_str(&text::clean(delta, LIVE_CHARACTERS));
        let characters = live.text.chars().count();
        if let Some((start, _)) = live.text.char_indices().nth(characters.saturating_sub(LIVE_CHARACTERS)) {
            live.torn |= start > 0;
            live.text.drain(..start);
        }
    }

    /// Folds an event into the task; returns whether there is more to it than what an event tells.
    fn fold(&mut self, event: &Event) -> bool {
        let Some(task) = &mut self.task else { return false };
        let find = |id: &StepId| task.steps.iter().position(|step| step.id == *id);
        match &event.event {
            EventBody::StepStarted { step, actor } => {
                let Some(step) = find(step).and_then(|index| task.steps.get_mut(index)) else { return true };
                (step.status, step.started_at) = (StepStatus::Running, Some(event.at));
                step.actor = actor.as_deref().map(one_line).or(step.actor.take());
                false
            }
            EventBody::ModelCallStarted { .. } | EventBody::ToolCallStarted { .. } => false,
            EventBody::ModelCallEnded { usage, .. } => {
                task.usage.add(usage);
                false
            }
            EventBody::StepEnded { step, status, progress, .. } => {
                task.progress = *progress;
                if let Some(step) = find(step).and_then(|index| task.steps.get_mut(index)) {
                    (step.status, step.ended_at) = (*status, Some(event.at));
                }
                true
            }
            EventBody::ApprovalDecided { id, .. } => {
                task.approvals.retain(|approval| approval.id != *id);
                true
            }
            EventBody::TaskEnded { status, .. } => {
                (task.status, task.ended_at) = (*status, Some(event.at));
                task.approvals.clear();
                true
            }
            // What these change is not all in the event, or not known to this version: the task says it.
            _ => true,
        }
    }

    /// Cleans the task's texts and cuts what is not held in memory.
    fn trim(&mut self, task: &mut Task) {
        task.goal = text::clean(&task.goal, GOAL_CHARACTERS);
        task.template = task.template.as_deref().map(one_line);
        let detail = |error: &mut ninja_sdk::api::ApiError| error.detail = cut(&one_line(&error.detail), 2_000);
        task.error.as_mut().map(detail);
        self.omitted = (task.steps.len().saturating_sub(STEPS_MAX), task.artifacts.len().saturating_sub(ARTIFACTS_MAX));
        task.steps.truncate(STEPS_MAX);
        task.artifacts.truncate(ARTIFACTS_MAX);
        self.outputs.clear();
        for step in &mut task.steps {
            step.title = step.title.as_deref().map(|title| cut(&one_line(title), LINE_CHARACTERS));
            step.actor = step.actor.as_deref().map(|actor| cut(&one_line(actor), LINE_CHARACTERS));
            step.error.as_mut().map(detail);
            let output = value(&std::mem::take(&mut step.output));
            if !output.is_empty() {
                self.outputs.insert(step.id.clone(), text::clean(&output, OUTPUT_CHARACTERS));
            }
        }
        for artifact in &mut task.artifacts {
            artifact.path = cut(&one_line(&artifact.path), LINE_CHARACTERS);
        }
    }

    /// Returns what is not shown, in words, if anything is not.
    pub(super) fn omission(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.omitted.0 > 0 {
            parts.push(format!("{} steps are not shown", number(self.omitted.0 as u64)));
        }
        if self.missing > 0 {
            parts.push(format!("{} events are missing", number(self.missing)));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Puts steps below those that they lie within: `each:0` within `each`. Otherwise their order stays.
fn nest(ids: &[&str]) -> Vec<StepLine> {
    let place: HashMap<&str, usize> = ids.iter().enumerate().map(|(index, id)| (*id, index)).collect();
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (index, id) in ids.iter().enumerate() {
        let mut outer = *id;
        let parent = loop {
            match outer.rsplit_once(':') {
                None => break None,
                Some((before, _)) => outer = before,
            }
            if let Some(parent) = place.get(outer) {
                break Some(*parent);
            }
        };
        children.entry(parent).or_default().push(index);
    }
    let mut lines = Vec::with_capacity(ids.len());
    let mut open: Vec<(usize, usize)> =
        children.remove(&None).unwrap_or_default().into_iter().rev().map(|index| (index, 0)).collect();
    while let Some((index, depth)) = open.pop() {
        lines.push(StepLine { index, depth });
        let inner = children.remove(&Some(index)).unwrap_or_default();
        open.extend(inner.into_iter().rev().map(|index| (index, depth + 1)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lie_below_those_they_are_within() {
        let lines = nest(&["each", "sum", "each:0", "each:1", "each:0:a", "lost:3"]);
        let shown: Vec<_> = lines.iter().map(|line| (line.index, line.depth)).collect();
        assert_eq!(shown, [(0, 0), (2, 1), (4, 2), (3, 1), (1, 0), (5, 0)]);
    }
}
