//! Progress that moves: a line for the task, a line for each running step with the text its model is writing.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

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
    /// Steps at work that there is no room for, with what they do; the oldest takes the next line that becomes free.
    hidden: VecDeque<(StepId, String)>,
    paused: bool,
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
            hidden: VecDeque::new(),
            paused: false,
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
            StreamFrame::Feed { .. }
            | StreamFrame::Lagged { .. }
            | StreamFrame::End { .. }
            | StreamFrame::Error { .. } => {}
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
        self.leave_all();
        self.task.finish_and_clear();
    }

    fn event(&mut self, event: &Event) {
        let words = events::words(&event.event);
        match &event.event {
            EventBody::StepStarted { step, .. } => self.start(step, &words),
            EventBody::StepEnded { step, status, progress, .. } => {
                self.progress = *progress;
                self.leave(step);
                self.keep(&self.mark(*status), &words);
            }
            EventBody::ModelCallStarted { step, .. } | EventBody::ToolCallStarted { step, .. } => {
                self.say(step, &words)
            }
            EventBody::ModelCallEnded { step, usage, .. } | EventBody::CallEnded { step, usage, .. } => {
                self.usage.add(usage);
                self.say(step, &words);
            }
            EventBody::ToolCallEnded { step, .. } | EventBody::StepResumed { step } => self.say(step, &words),
            EventBody::BudgetWarned { .. } | EventBody::BudgetChanged { .. } => {
                self.keep(&self.paint.notice("!"), &words);
            }
            EventBody::ProviderPaused { step, .. } | EventBody::BudgetPaused { step, .. } => {
                self.say(step, &words);
                self.keep(&self.paint.notice("!"), &words);
            }
            EventBody::ApprovalRequested { .. } => self.keep(&self.paint.notice("?"), &words),
            EventBody::StepRetried { step, .. } => {
                self.leave(step);
                self.keep(&self.paint.notice("!"), &words);
            }
            EventBody::TaskPaused | EventBody::TaskResumed => {
                self.paused = matches!(event.event, EventBody::TaskPaused);
                self.keep(&self.paint.notice("!"), &words);
            }
            EventBody::TaskRetried { .. } => {
                self.paused = false;
                self.keep(&self.paint.notice("!"), &words);
            }
            EventBody::TaskRecovered { .. } | EventBody::ActorFailed { .. } => {
                self.keep(&self.paint.notice("!"), &words)
            }
            EventBody::PlanMade { .. }
            | EventBody::StepsAdded { .. }
            | EventBody::ApprovalDecided { .. }
            | EventBody::CancelRequested => {
                self.keep(&self.paint.dim("·"), &words);
            }
            // Steps that were stopped or never came to an end have no line of their own any more.
            EventBody::TaskEnded { .. } => self.leave_all(),
            EventBody::TaskSubmitted { .. } => {}
        }
        self.draw_task();
    }

    fn start(&mut self, step: &StepId, words: &str) {
        if self.steps.len() >= STEPS_SHOWN {
            return self.hidden.push_back((step.clone(), words.to_owned()));
        }
        let line = self.lines.add(ProgressBar::new_spinner());
        line.set_style(style("  {spinner} {wide_msg} {elapsed}"));
        line.enable_steady_tick(TICK);
        line.set_message(words.to_owned());
        if let Some(before) = self.steps.insert(step.clone(), RunningStep { line, text: String::new() }) {
            before.line.finish_and_clear();
        }
    }

    /// Takes a step's line away; a step that had none gets the place.
    fn leave(&mut self, step: &StepId) {
        self.hidden.retain(|(hidden, _)| hidden != step);
        let Some(running) = self.steps.remove(step) else { return };
        running.line.finish_and_clear();
        self.lines.remove(&running.line);
        if let Some((next, words)) = self.hidden.pop_front() {
            self.start(&next, &words);
        }
    }

    fn leave_all(&mut self) {
        self.hidden.clear();
        for (_, step) in self.steps.drain() {
            step.line.finish_and_clear();
            self.lines.remove(&step.line);
        }
    }

    fn say(&mut self, step: &StepId, words: &str) {
        if let Some((_, hidden)) = self.hidden.iter_mut().find(|(hidden, _)| hidden == step) {
            *hidden = words.to_owned();
        }
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
        let more = match self.hidden.len() {
            0 => String::new(),
            more => format!("  {more} more at work"),
        };
        let paused = if self.paused { "  paused" } else { "" };
        let name = self.paint.bold(&self.name);
        self.task.set_message(format!("{name}  {} %  {tokens} tokens{more}{paused}", self.progress));
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
