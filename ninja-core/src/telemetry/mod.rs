//! What others may watch of an engine: numbers and spans, in the words of OpenTelemetry.
//!
//! - [`Telemetry`]: where they go, given by whoever starts the engine. Nothing is process-wide, and without it nothing is told.
//! - [`names`]: every name that leaves this crate, in one place.
//! - [`instruments`]: the numbers that are told as things happen; what can be read at any time is observed by the engine instead.
//! - [`task_watch`]: what is told of a task, read out of its records as they are committed.
//! - [`traceparent`]: the trace of a request as it travels in a header and in a task's submission.
//!
//! No prompt, answer, argument, path or error text ever gets in here: names, counts and times only.

mod config;
mod instruments;
pub mod names;
mod task_watch;
pub mod traceparent;

use std::{fmt, sync::Arc};

use opentelemetry::{
    KeyValue,
    // The types that hide which tracer it is; nothing of theirs is process-wide by itself.
    global::BoxedTracer,
    metrics::{Meter, MeterProvider, NoopMeterProvider},
    trace::noop::NoopTracer,
};

use crate::api::TaskStatus;

pub use config::{MetricsConfig, OtelConfig};
pub(crate) use instruments::Instruments;
pub(crate) use task_watch::{Known, TaskWatch};

/// Where numbers and spans go. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    meter: Meter,
    tracer: Arc<BoxedTracer>,
    traces: bool,
}

impl Telemetry {
    /// Tells numbers to `meter`, and spans to `tracer` where there is one.
    pub fn new(meter: Meter, tracer: Option<BoxedTracer>) -> Self {
        let traces = tracer.is_some();
        let tracer = tracer.unwrap_or_else(|| BoxedTracer::new(Box::new(NoopTracer::new())));
        Self { meter, tracer: Arc::new(tracer), traces }
    }

    /// Returns where numbers go.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Returns where spans go, if anybody wants them.
    pub fn tracer(&self) -> Option<&BoxedTracer> {
        self.traces.then_some(self.tracer.as_ref())
    }
}

impl Default for Telemetry {
    /// Tells nobody.
    fn default() -> Self {
        Self::new(NoopMeterProvider::new().meter(names::SCOPE), None)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("traces", &self.traces).finish_non_exhaustive()
    }
}

/// What the parts of one engine tell through.
pub(crate) struct Watch {
    /// Where spans go.
    pub telemetry: Telemetry,
    /// What is told as it happens.
    pub instruments: Instruments,
}

impl Watch {
    /// Makes the instruments.
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        let instruments = Instruments::new(telemetry.meter());
        Self { telemetry, instruments }
    }

    /// Tells of a task that was accepted.
    pub(crate) fn submitted(&self) {
        self.instruments.tasks_submitted.add(1, &[]);
    }

    /// Tells of a task that ended.
    pub(crate) fn ended(&self, status: TaskStatus) {
        self.instruments.tasks_ended.add(1, &[KeyValue::new(names::STATUS, status.as_str())]);
    }
}
