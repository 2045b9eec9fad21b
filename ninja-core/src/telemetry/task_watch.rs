//! What is told of a task while its actor lives: read out of its records once they are committed, with the times at which its
//! calls really began.
//!
//! A task's span lasts as long as it is at work: one that parks and comes back has several, all of the trace that its
//! submission names. The spans of its steps are in it, those of calls in their steps.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, KeyValue, StringValue, Value,
    global::BoxedSpan,
    trace::{Span, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer},
};

use super::{Watch, names, traceparent};
use crate::{
    api::StepId,
    journal::record::{Action, Entry, FinishReason, Intent, Outcome, Record, StepEnd},
    machine::{Spent, TaskState, model_of},
    providers::Providers,
    tools::ToolSet,
};

/// What is told of one task.
pub(crate) struct TaskWatch {
    watch: Arc<Watch>,
    /// The task's span, where spans are wanted.
    span: Option<Context>,
    steps: HashMap<StepId, Begun<Context>>,
    calls: HashMap<(StepId, u32), Begun<BoxedSpan>>,
}

/// Something that has begun, and its span.
struct Begun<S> {
    at: Instant,
    span: Option<S>,
}

impl<S> Begun<S> {
    fn now(span: Option<S>) -> Self {
        Self { at: Instant::now(), span }
    }
}

/// What labels are chosen by.
pub(crate) struct Known<'a> {
    /// Whose models are named.
    pub providers: &'a Providers,
    /// Tools that are named.
    pub tools: &'a ToolSet,
}

impl TaskWatch {
    /// Begins.
    pub(crate) fn new(watch: &Arc<Watch>) -> Self {
        let (steps, calls) = (HashMap::new(), HashMap::new());
        Self { watch: Arc::clone(watch), span: None, steps, calls }
    }

    /// Takes note that a call is really made, now.
    pub(crate) fn call_begun(&mut self, task: &TaskState, step: &StepId, number: u32) {
        let span = task.call(step, number).and_then(|call| self.call_span(task, step, number, &call.intent));
        self.calls.insert((step.clone(), number), Begun::now(span));
    }

    /// Tells of what was committed.
    pub(crate) fn committed(
        &mut self,
        known: &Known<'_>,
        before: &TaskState,
        after: &TaskState,
        entries: &[Entry],
        spent: &[Spent],
    ) {
        if self.span.is_none() && before.end.is_none() {
            self.span = self.task_span(after);
        }
        for Entry { record, .. } in entries {
            self.tell(known, after, record);
        }
        for Spent { model, usage, .. } in spent {
            let labels = self.watch.instruments.model_labels(known.providers, model, false);
            self.watch.instruments.model_call_used(&labels, usage);
        }
    }

    fn tell(&mut self, known: &Known<'_>, task: &TaskState, record: &Record) {
        let instruments = &self.watch.instruments;
        match record {
            Record::StepStarted { step, .. } => {
                let span = self.step_span(task, step);
                self.steps.insert(step.clone(), Begun::now(span));
            }
            Record::StepRetried { step, error, .. } => self.end_step(step, "retried", Some(error.code.as_str())),
            Record::StepEnded { step, end, .. } => {
                let (status, error) = match end {
                    StepEnd::Succeeded { .. } => ("succeeded", None),
                    StepEnd::Failed { error, .. } => ("failed", Some(error.code.as_str())),
                    StepEnd::Skipped => ("skipped", None),
                    StepEnd::Cancelled => ("cancelled", None),
                };
                self.end_step(step, status, error);
            }
            Record::CallIntended { step, call, intent } if stands_in(task, step, *call, intent) => {
                instruments.model_failovers.add(1, &[]);
            }
            Record::CallEnded { step, call, outcome } => self.end_call(known, task, step, *call, outcome),
            Record::ProviderPaused { .. } => instruments.model_pauses.add(1, &[]),
            Record::TaskEnded { status, error, .. } => {
                self.watch.ended(*status);
                if let Some(span) = self.span.take() {
                    span.span().set_attribute(KeyValue::new(names::TASK_STATUS, status.as_str()));
                    end_span(&span, error.as_ref().map(|error| error.code.as_str()));
                }
            }
            Record::TaskRetried { .. } => self.span = self.task_span(task),
            Record::TaskSubmitted(_)
            | Record::PlanMade { .. }
            | Record::StepsAdded { .. }
            | Record::CallIntended { .. }
            | Record::BudgetPaused { .. }
            | Record::BudgetWarned { .. }
            | Record::BudgetChanged { .. }
            | Record::StepResumed { .. }
            | Record::ApprovalRequested { .. }
            | Record::ApprovalDecided { .. }
            | Record::TaskRecovered { .. }
            | Record::ActorFailed { .. }
            | Record::CancelRequested { .. }
            | Record::TaskPaused { .. }
            | Record::TaskResumed { .. } => {}
        }
    }

    fn end_step(&mut self, step: &StepId, status: &'static str, error: Option<&'static str>) {
        let labels = [KeyValue::new(names::STATUS, status)];
        self.watch.instruments.steps_ended.add(1, &labels);
        let Some(begun) = self.steps.remove(step) else { return };
        self.watch.instruments.step_duration.record(begun.at.elapsed().as_secs_f64(), &labels);
        if let Some(span) = begun.span {
            end_span(&span, error);
        }
    }

    fn end_call(&mut self, known: &Known<'_>, task: &TaskState, step: &StepId, number: u32, outcome: &Outcome) {
        let begun = self.calls.remove(&(step.clone(), number));
        let (took, span) = begun.map_or((None, None), |begun| (Some(begun.at.elapsed()), begun.span));
        if let Some(mut span) = span {
            describe(&mut span, outcome);
            span.end();
        }
        let Some((of, call)) = task.step(step).zip(task.call(step, number)).filter(|(_, call)| !call.is_shared) else {
            return;
        };
        match &call.intent {
            Intent::Model { .. } => {
                let Some(pinned) = model_of(task, of, &call.intent) else { return };
                let has_answered = matches!(outcome, Outcome::Answered(_));
                let labels = self.watch.instruments.model_labels(known.providers, &pinned.model, has_answered);
                self.count_model_call(labels, took, outcome);
            }
            Intent::Tool { tool, .. } => {
                let tool = if known.tools.get(tool).is_some() { tool.as_str() } else { names::OTHER };
                self.count_tool_call(KeyValue::new(names::TOOL, tool.to_owned()), took, outcome);
            }
        }
    }

    fn count_model_call(&self, labels: [KeyValue; 2], took: Option<Duration>, outcome: &Outcome) {
        let instruments = &self.watch.instruments;
        let [provider, model] = labels.clone();
        instruments.model_calls.add(1, &[provider, model, KeyValue::new(names::OUTCOME, outcome_of(outcome))]);
        if let Some(took) = took {
            instruments.model_call_took(labels, took, error_of(outcome));
        }
    }

    fn count_tool_call(&self, tool: KeyValue, took: Option<Duration>, outcome: &Outcome) {
        let labels = [tool, KeyValue::new(names::OUTCOME, outcome_of(outcome))];
        self.watch.instruments.tool_calls.add(1, &labels);
        if let Some(took) = took {
            self.watch.instruments.tool_duration.record(took.as_secs_f64(), &labels);
        }
    }

    fn task_span(&self, task: &TaskState) -> Option<Context> {
        let tracer = self.watch.telemetry.tracer()?;
        let mut about = vec![text(names::TASK_ID, task.id), text(names::CONVERSATION, task.id)];
        about.extend(task.submitted.template.as_deref().map(|name| text(names::TASK_TEMPLATE, name)));
        let parent = task.submitted.traceparent.as_deref().and_then(traceparent::parse);
        let parent = parent.map_or_else(Context::new, |span| Context::new().with_remote_span_context(span));
        let span = SpanBuilder::from_name(names::TASK_SPAN).with_kind(SpanKind::Internal).with_attributes(about);
        Some(Context::new().with_span(tracer.build_with_context(span, &parent)))
    }

    fn step_span(&self, task: &TaskState, id: &StepId) -> Option<Context> {
        let (tracer, parent) = (self.watch.telemetry.tracer()?, self.span.as_ref()?);
        let step = task.step(id)?;
        let mut about = vec![text(names::STEP_ID, id), KeyValue::new(names::STEP_ATTEMPT, i64::from(step.attempt))];
        let name = match &step.planned.action {
            Action::Agent { agent, .. } => {
                about.extend([text(names::AGENT, agent), KeyValue::new(names::OPERATION, names::INVOKE_AGENT)]);
                format!("{} {agent}", names::INVOKE_AGENT)
            }
            Action::Tool { .. } => "step tool".to_owned(),
            Action::Approval { .. } => "step approval".to_owned(),
            Action::Map { .. } => "step map".to_owned(),
            Action::Plan { .. } => "step plan".to_owned(),
            Action::Contract => "step contract".to_owned(),
        };
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_attributes(about);
        Some(Context::new().with_span(tracer.build_with_context(span, parent)))
    }

    fn call_span(&self, task: &TaskState, id: &StepId, number: u32, intent: &Intent) -> Option<BoxedSpan> {
        let tracer = self.watch.telemetry.tracer()?;
        // A step that went on after a restart has no span of its own any more.
        let parent = self.steps.get(id).and_then(|step| step.span.as_ref()).or(self.span.as_ref())?;
        let about = vec![text(names::STEP_ID, id), KeyValue::new(names::CALL, i64::from(number))];
        let span = match intent {
            Intent::Model { context, .. } => {
                let model = &model_of(task, task.step(id)?, intent)?.model;
                let about = about.into_iter().chain([
                    KeyValue::new(names::OPERATION, names::CHAT),
                    text(names::PROVIDER, &model.provider),
                    text(names::MODEL, &model.model),
                    KeyValue::new(names::MAX_TOKENS, i64::from(context.max_output_tokens)),
                ]);
                let name = format!("{} {}", names::CHAT, model.model);
                SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(about)
            }
            Intent::Tool { tool, .. } => {
                let what = [KeyValue::new(names::OPERATION, names::EXECUTE_TOOL), text(names::TOOL, tool)];
                let name = format!("{} {tool}", names::EXECUTE_TOOL);
                let about = about.into_iter().chain(what);
                SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_attributes(about)
            }
        };
        Some(tracer.build_with_context(span, parent))
    }
}

/// Returns whether a call is made in place of the one before it, whose model failed.
fn stands_in(task: &TaskState, step: &StepId, number: u32, intent: &Intent) -> bool {
    let failed = number.checked_sub(1).and_then(|before| task.call(step, before));
    let model = |intent| Some(&model_of(task, task.step(step)?, intent)?.model);
    failed.is_some_and(|before| {
        matches!(before.outcome, Some(Outcome::Failed { .. }))
            && matches!((&before.intent, intent), (Intent::Model { .. }, Intent::Model { .. }))
            && model(&before.intent) != model(intent)
    })
}

fn text(name: &'static str, value: impl ToString) -> KeyValue {
    KeyValue::new(name, value.to_string())
}

fn outcome_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered(_) | Outcome::Returned { ok: true, .. } => "ok",
        Outcome::Returned { ok: false, .. } | Outcome::Failed { .. } => "failed",
        Outcome::Lost { .. } => "lost",
        Outcome::Stopped { .. } => "stopped",
    }
}

fn error_of(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Answered(_) | Outcome::Returned { ok: true, .. } => None,
        Outcome::Returned { ok: false, .. } => Some("tool_failed"),
        Outcome::Failed { error, .. } => Some(error.code.as_str()),
        Outcome::Lost { .. } => Some("lost"),
        Outcome::Stopped { .. } => Some("stopped"),
    }
}

fn end_span(context: &Context, error: Option<&'static str>) {
    let span = context.span();
    if let Some(code) = error {
        span.set_attribute(KeyValue::new(names::ERROR, code));
        span.set_status(Status::error(code));
    }
    span.end();
}

/// Says how a call went; nothing of what was said in it.
fn describe(span: &mut BoxedSpan, outcome: &Outcome) {
    if let Outcome::Answered(answer) = outcome {
        let tokens = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let finish = match answer.finish {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
        };
        span.set_attributes([
            KeyValue::new(names::INPUT_TOKENS, tokens(answer.usage.input_tokens)),
            KeyValue::new(names::OUTPUT_TOKENS, tokens(answer.usage.output_tokens)),
            KeyValue::new(names::CACHED_TOKENS, tokens(answer.usage.cached_input_tokens)),
            KeyValue::new(names::FINISH_REASONS, Value::Array(vec![StringValue::from(finish)].into())),
        ]);
    }
    if let Some(code) = error_of(outcome) {
        span.set_attribute(KeyValue::new(names::ERROR, code));
        span.set_status(Status::error(code));
    }
}
