//! The numbers that are told as things happen.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

use super::names;
use crate::{
    api::{ModelRef, Usage},
    journal::numbers::Synced,
    providers::Providers,
};

/// The bounds that the conventions give for calls to models, in seconds.
const CALL_SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// The bounds that they give for tokens.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Steps and tool calls take from a millisecond to an hour.
const WORK_SECONDS: [f64; 13] = [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];
/// A sync takes tens of microseconds on a good disk and a second on a bad day.
const SYNC_SECONDS: [f64; 12] = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.1, 0.5, 2.0];
/// Commits that share a sync.
const GROUP: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1_024.0];
/// Models that nobody configured and that have answered: a server of one's own may have as many, and each is some series.
const MODELS_MAX: usize = 64;

/// The instruments of one engine.
pub(crate) struct Instruments {
    pub tasks_submitted: Counter<u64>,
    pub tasks_ended: Counter<u64>,
    pub steps_ended: Counter<u64>,
    pub step_duration: Histogram<f64>,
    pub model_calls: Counter<u64>,
    pub model_failovers: Counter<u64>,
    pub model_pauses: Counter<u64>,
    call_duration: Histogram<f64>,
    call_tokens: Histogram<u64>,
    model_tokens: Counter<u64>,
    model_cost: Counter<f64>,
    pub tool_calls: Counter<u64>,
    pub tool_duration: Histogram<f64>,
    sync_duration: Histogram<f64>,
    sync_group: Histogram<u64>,
    /// Models that have answered.
    answered: Mutex<BTreeSet<ModelRef>>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let count = |name, unit, what| meter.u64_counter(name).with_unit(unit).with_description(what).build();
        let seconds = |name, what, bounds: &[f64]| {
            meter.f64_histogram(name).with_unit("s").with_description(what).with_boundaries(bounds.to_vec()).build()
        };
        let sizes = |name, unit, what, bounds: &[f64]| {
            meter.u64_histogram(name).with_unit(unit).with_description(what).with_boundaries(bounds.to_vec()).build()
        };
        let cost = meter.f64_counter(names::MODEL_COST).with_unit("{USD}");
        Self {
            tasks_submitted: count(names::TASKS_SUBMITTED, "{task}", "Tasks accepted"),
            tasks_ended: count(names::TASKS_ENDED, "{task}", "Tasks ended, by how"),
            steps_ended: count(names::STEPS_ENDED, "{step}", "Steps ended, by how"),
            step_duration: seconds(names::STEP_DURATION, "How long steps took", &WORK_SECONDS),
            model_calls: count(names::MODEL_CALLS, "{call}", "Calls to models ended, by what came of them"),
            model_failovers: count(
                names::MODEL_FAILOVERS,
                "{call}",
                "Calls made in place of another model's failed one",
            ),
            model_pauses: count(names::MODEL_PAUSES, "{pause}", "Waits because every model failed"),
            call_duration: seconds(names::CALL_DURATION, "How long calls to models took", &CALL_SECONDS),
            call_tokens: sizes(names::CALL_TOKENS, "{token}", "Tokens of each call to a model", &TOKENS),
            model_tokens: count(names::MODEL_TOKENS, "{token}", "Tokens of calls to models"),
            model_cost: cost.with_description("What calls to models cost whose price is known, in US dollars").build(),
            tool_calls: count(names::TOOL_CALLS, "{call}", "Tool calls ended, by what came of them"),
            tool_duration: seconds(names::TOOL_DURATION, "How long tool calls took", &WORK_SECONDS),
            sync_duration: seconds(names::JOURNAL_SYNC, "How long writing and syncing commits took", &SYNC_SECONDS),
            sync_group: sizes(names::JOURNAL_GROUP, "{commit}", "Commits that shared a sync", &GROUP),
            answered: Mutex::default(),
        }
    }

    /// Returns the labels of a model: its name where it is configured or has answered, for anybody may ask for any.
    pub(crate) fn model_labels(&self, providers: &Providers, model: &ModelRef, has_answered: bool) -> [KeyValue; 2] {
        let is_known = providers.is_configured(model) || {
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            if has_answered && answered.len() < MODELS_MAX && !answered.contains(model) {
                answered.insert(model.clone());
            }
            answered.contains(model)
        };
        let provider =
            if is_known || providers.get(&model.provider).is_some() { &model.provider } else { names::OTHER };
        let name = if is_known { model.model.as_str() } else { names::OTHER };
        [KeyValue::new(names::PROVIDER, provider.to_owned()), KeyValue::new(names::MODEL, name.to_owned())]
    }

    /// Tells how long a call to a model took.
    pub(crate) fn model_call_took(&self, labels: [KeyValue; 2], took: Duration, error: Option<&'static str>) {
        let mut labels = Vec::from(labels);
        labels.push(KeyValue::new(names::OPERATION, names::CHAT));
        labels.extend(error.map(|code| KeyValue::new(names::ERROR, code)));
        self.call_duration.record(took.as_secs_f64(), &labels);
    }

    /// Tells what a call used, as the account of it says.
    pub(crate) fn model_call_used(&self, labels: &[KeyValue; 2], usage: &Usage) {
        let [provider, model] = labels;
        let of_type = |kind| [provider.clone(), model.clone(), KeyValue::new(names::TOKEN_TYPE, kind)];
        for (kind, tokens) in [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("reasoning", usage.reasoning_tokens),
        ] {
            if tokens > 0 {
                self.model_tokens.add(tokens, &of_type(kind));
            }
        }
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            let operation = KeyValue::new(names::OPERATION, names::CHAT);
            self.call_tokens.record(tokens, &[&of_type(kind)[..], &[operation]].concat());
        }
        if usage.cost_micro_usd > 0 {
            // Exact up to nine billion dollars.
            #[expect(clippy::cast_precision_loss, reason = "millionths of a dollar are far below 2^53")]
            self.model_cost.add(usage.cost_micro_usd as f64 / 1e6, labels);
        }
    }

    /// Tells of a sync of the journal. On the writer's own thread.
    pub(crate) fn synced(&self, synced: Synced) {
        self.sync_duration.record(synced.took.as_secs_f64(), &[]);
        self.sync_group.record(synced.commits, &[]);
    }
}
