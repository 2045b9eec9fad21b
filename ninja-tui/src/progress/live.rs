//! Progress that moves: a line for the task, a line for each running step with the text its model is writing.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use ninja_sdk::api::{Event, EventBody, StepId, StepStatus, StreamFrame, Task, Usage};

use super::events;
use crate::format::{Paint, cut, number, one_line, short};

/// Fast enough to look alive.
const TICK: Duration = Duration::from_millis(100);
/// Wider than any line that is shown; what is older scrolls out on the left.
const TAIL_CHARACTERS: usize = 400;
/// As many moving lines as a small window has room for beside the rest.
const STEPS_SHOWN: usize = 12;

/// The moving lines of one task.
pub(crate) struct Live {
    lines: MultiProgress,
    task: ProgressBar,
    steps: HashMap<StepId, RunningStep>,
    paint: Paint,
    usage: Usage,
    progress: u8,
    name: String,
}

/// A step at work.
struct RunningStep {
    line: ProgressBar,
    /// The end of what its model is writing.
    text: String,
}

impl Live {
    pub(super) fn new(colour: bool, task: &Task) -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let line = lines.add(ProgressBar::new_spinner());
        line.set_style(style("{spinner} {wide_msg} {elapsed}"));
        line.enable_steady_tick(TICK);
        let mut live = Self {
            lines,
            task: line,
            steps: HashMap::new(),
            paint: Paint { on: colour },
            usage: Usage::default(),
            progress: 0,
            name: format!("{} {}", short(task.id), cut(&one_line(&task.goal), 60)),
        };
        live.draw_task();
        live
    }

    pub(super) fn show(&mut self, frame: &StreamFrame) {
        match frame {
            StreamFrame::Event { event } => self.event(event),
            StreamFrame::Delta { step, text, .. } => self.delta(step, text),
            StreamFrame::Feed { .. } | StreamFrame::End { .. } | StreamFrame::Error { .. } => {}
        }
    }

    pub(super) fn suspend<R>(&self, ask: impl FnOnce() -> R) -> R {
        self.lines.suspend(ask)
    }

    pub(super) fn rest(&self, rest: bool) {
        let target = if rest { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        if rest {
            // What cannot be cleared is not there to disturb.
            self.lines.clear().ok();
        }
        self.lines.set_draw_target(target);
    }

    pub(super) fn finish(&mut self) {
        for (_, step) in self.steps.drain() {
            step.line.finish_and_clear();
        }
        self.task.finish_and_clear();
    }

    fn event(&mut self, event: &Event) {
        let words = events::words(&event.event);
        match &event.event {
            EventBody::StepStarted { step, .. } => self.start(step, &words),
            EventBody::StepEnded { step, status, progress, .. } => {
                self.progress = *progress;
                if let Some(running) = self.steps.remove(step) {
                    running.line.finish_and_clear();
                    self.lines.remove(&running.line);
                }
                self.keep(&self.mark(*status), &words);
            }
            EventBody::ModelCallStarted { step, .. } | EventBody::ToolCallStarted { step, .. } => {
                self.say(step, &words)
            }
            EventBody::ModelCallEnded { step, usage, .. } | EventBody::CallEnded { step, usage, .. } => {
                self.usage.add(usage);
                self.say(step, &words);
            }
            EventBody::ToolCallEnded { step, .. } => self.say(step, &words),
            EventBody::ApprovalRequested { .. } => self.keep(&self.paint.notice("?"), &words),
            EventBody::StepRetried { step, .. } => {
                if let Some(running) = self.steps.remove(step) {
                    running.line.finish_and_clear();
                    self.lines.remove(&running.line);
                }
                self.keep(&self.paint.notice("!"), &words);
            }
            EventBody::TaskRecovered { .. } | EventBody::ActorFailed { .. } => {
                self.keep(&self.paint.notice("!"), &words)
            }
            EventBody::PlanMade { .. }
            | EventBody::StepsAdded { .. }
            | EventBody::ApprovalDecided { .. }
            | EventBody::TaskPaused
            | EventBody::TaskResumed
            | EventBody::TaskRetried { .. }
            | EventBody::CancelRequested => {
                self.keep(&self.paint.dim("·"), &words);
            }
            EventBody::TaskSubmitted { .. } | EventBody::TaskEnded { .. } => {}
        }
        self.draw_task();
    }

    fn start(&mut self, step: &StepId, words: &str) {
        if self.steps.len() >= STEPS_SHOWN {
            return;
        }
        let line = self.lines.add(ProgressBar::new_spinner());
        line.set_style(style("  {spinner} {wide_msg} {elapsed}"));
        line.enable_steady_tick(TICK);
        line.set_message(words.to_owned());
        if let Some(before) = self.steps.insert(step.clone(), RunningStep { line, text: String::new() }) {
            before.line.finish_and_clear();
        }
    }

    fn say(&mut self, step: &StepId, words: &str) {
        if let Some(running) = self.steps.get_mut(step) {
            running.text.clear();
            running.line.set_message(words.to_owned());
        }
    }

    fn delta(&mut self, step: &StepId, text: &str) {
        let Some(running) = self.steps.get_mut(step) else { return };
        running.text.push_str(text);
        let characters = running.text.chars().count();
        if let Some((start, _)) = running.text.char_indices().nth(characters.saturating_sub(TAIL_CHARACTERS)) {
            running.text.drain(..start);
        }
        // The last line only: what a model writes is read in the artifact, here it shows that it lives.
        let last = running.text.lines().rev().map(one_line).find(|line| !line.is_empty()).unwrap_or_default();
        running.line.set_message(format!("{step}: {}", self.paint.dim(&last)));
    }

    fn draw_task(&mut self) {
        let tokens = number(self.usage.tokens());
        self.task.set_message(format!("{}  {} %  {tokens} tokens", self.paint.bold(&self.name), self.progress));
    }

    /// Writes a line that stays.
    fn keep(&self, mark: &str, words: &str) {
        // A terminal that went away takes its lines with it.
        self.lines.println(format!("{mark} {words}")).ok();
    }

    fn mark(&self, status: StepStatus) -> String {
        match status {
            StepStatus::Succeeded => self.paint.good("✓"),
            StepStatus::Failed => self.paint.bad("✗"),
            StepStatus::Pending
            | StepStatus::Running
            | StepStatus::Waiting
            | StepStatus::Skipped
            | StepStatus::Cancelled => self.paint.dim("-"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
