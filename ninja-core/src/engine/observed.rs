//! What can be read at any time is read when somebody collects: nothing is counted twice, and nobody waits for it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::Meter};

use super::{Inner, open_tasks::OpenTasks};
use crate::{
    api::{ComponentState, SupervisedKind},
    telemetry::names,
};

/// How long a measure of the disk holds for those who collect numbers every few seconds.
const SIZE_HOLDS: Duration = Duration::from_secs(300);

/// Numbers with their labels.
type Readings = Vec<(u64, Vec<KeyValue>)>;

/// Makes instruments that read an engine as long as there is one.
struct Observer<'a> {
    meter: &'a Meter,
    engine: Weak<Inner>,
}

impl Observer<'_> {
    fn gauge(&self, name: &'static str, unit: &'static str, what: &'static str, read: fn(&Inner) -> Readings) {
        let engine = Weak::clone(&self.engine);
        let gauge = self.meter.u64_observable_gauge(name).with_unit(unit).with_description(what);
        gauge
            .with_callback(move |observer| {
                for (value, labels) in engine.upgrade().map(|engine| read(&engine)).unwrap_or_default() {
                    observer.observe(value, &labels);
                }
            })
            .build();
    }

    fn counter(&self, name: &'static str, unit: &'static str, what: &'static str, read: fn(&Inner) -> Readings) {
        let engine = Weak::clone(&self.engine);
        let counter = self.meter.u64_observable_counter(name).with_unit(unit).with_description(what);
        counter
            .with_callback(move |observer| {
                for (value, labels) in engine.upgrade().map(|engine| read(&engine)).unwrap_or_default() {
                    observer.observe(value, &labels);
                }
            })
            .build();
    }
}

/// Lets an engine be read by whoever collects.
pub(super) fn observe(inner: &Arc<Inner>) {
    let telemetry = inner.services.watch.telemetry.clone();
    let observer = Observer { meter: telemetry.meter(), engine: Arc::downgrade(inner) };
    observe_tasks(&observer);
    observe_journal(&observer);
    observe_actors(&observer);
    observe_providers(&observer);
}

fn alone(value: u64) -> Readings {
    vec![(value, Vec::new())]
}

fn of(name: &'static str, label: &'static str, value: u64) -> (u64, Vec<KeyValue>) {
    (value, vec![KeyValue::new(name, label)])
}

fn observe_tasks(observer: &Observer<'_>) {
    observer.gauge(names::TASKS, "{task}", "Tasks that have not ended, by status", |engine| {
        let found = engine.open_tasks.newest(engine.services.store.as_ref());
        let statuses = found.into_iter().flat_map(OpenTasks::by_status);
        statuses.map(|(status, count)| of(names::STATUS, status.as_str(), count)).collect()
    });
    observer.gauge(names::TASKS_WAITING, "{task}", "Tasks that wait, by what they wait for", |engine| {
        let found = engine.open_tasks.newest(engine.services.store.as_ref());
        let causes = found.into_iter().flat_map(OpenTasks::by_cause);
        causes.map(|(cause, count)| of(names::WAIT_FOR, cause.as_str(), count)).collect()
    });
    observer.gauge(names::TASKS_QUEUED, "{task}", "Tasks that wait for a place", |engine| {
        alone(engine.services.roster.queued())
    });
    observer.counter(names::STREAMS_LAGGED, "{lag}", "How often a follower fell behind", |engine| {
        alone(engine.services.hub.lagged())
    });
    observer.gauge(
        names::COMPONENT_UP,
        "{component}",
        "Whether a component worked when it was last looked at",
        |engine| {
            let states = engine.findings.states().into_iter();
            states.map(|(name, state)| of(names::COMPONENT, name, u64::from(state != ComponentState::Down))).collect()
        },
    );
}

fn observe_journal(observer: &Observer<'_>) {
    observer.counter(names::JOURNAL_COMMITS, "{commit}", "Commits made durable", |engine| {
        alone(engine.services.store.numbers().commits)
    });
    observer.counter(names::JOURNAL_RECORDS, "{record}", "Records appended", |engine| {
        alone(engine.services.store.numbers().records)
    });
    observer.counter(names::JOURNAL_BYTES, "By", "Bytes of log written", |engine| {
        alone(engine.services.store.numbers().bytes)
    });
    observer.gauge(names::JOURNAL_QUEUE, "By", "Bytes of commits that wait for the writer", |engine| {
        alone(engine.services.store.numbers().queued_bytes)
    });
    observer.gauge(names::JOURNAL_BACKLOG, "By", "Bytes of log that wait for a checkpoint", |engine| {
        alone(engine.services.store.numbers().backlog_bytes)
    });
    observer.gauge(names::STORE_ROOM, "By", "Room left on the disk", |engine| {
        engine.services.store.numbers().room_bytes.map(alone).unwrap_or_default()
    });
    observer.gauge(names::STORE_SIZE, "By", "What the store takes on the disk", |engine| {
        let measured = engine.measures.newest(engine.services.store.as_ref(), SIZE_HOLDS);
        let parts = measured.map(|found| {
            [("log", found.size.log_bytes), ("tree", found.size.tree_bytes), ("blobs", found.size.blob_bytes)]
        });
        parts.into_iter().flatten().map(|(part, bytes)| of(names::PART, part, bytes)).collect()
    });
    observer.gauge(names::STORE_BLOBS, "{blob}", "Blobs in the store", |engine| {
        let measured = engine.measures.newest(engine.services.store.as_ref(), SIZE_HOLDS);
        measured.map(|found| alone(found.size.blobs)).unwrap_or_default()
    });
}

fn observe_actors(observer: &Observer<'_>) {
    observer.gauge(names::ACTORS, "{actor}", "Actors there are", |engine| {
        let counts = engine.services.roster.counts().into_iter();
        counts.map(|(kind, count)| of(names::ACTOR, kind.as_str(), count.alive)).collect()
    });
    observer.gauge(names::ACTOR_MAILBOX, "{message}", "Messages that wait for actors", |engine| {
        let counts = engine.services.roster.counts().into_iter().filter(|(kind, _)| *kind != SupervisedKind::Root);
        counts.map(|(kind, count)| of(names::ACTOR, kind.as_str(), count.waiting)).collect()
    });
    observer.counter(names::ACTOR_FAILURES, "{failure}", "Failures of actors", |engine| {
        let counts = engine.services.roster.counts().into_iter();
        counts.map(|(kind, count)| of(names::ACTOR, kind.as_str(), count.failures)).collect()
    });
    observer.gauge(names::SANDBOX_PROCESSES, "{process}", "Processes in sandboxes", |engine| {
        alone(engine.services.roster.sandboxes().running)
    });
    observer.gauge(names::SANDBOX_WAITING, "{process}", "Calls that wait for a place in a sandbox", |engine| {
        alone(engine.services.roster.sandboxes().waiting)
    });
}

fn observe_providers(observer: &Observer<'_>) {
    observer.counter(names::PROVIDER_RETRIES, "{try}", "Tries after the first of a call", |engine| {
        of_each(engine, |numbers| numbers.retries)
    });
    observer.counter(names::PROVIDER_WAITS, "{try}", "Tries that waited for a limit", |engine| {
        of_each(engine, |numbers| numbers.waits)
    });
    let engine = Weak::clone(&observer.engine);
    let waited = observer.meter.f64_observable_counter(names::PROVIDER_WAITED).with_unit("s");
    waited
        .with_description("How long tries waited for limits")
        .with_callback(move |observer| {
            let waited = engine.upgrade().map(|engine| of_each(&engine, |numbers| numbers.waited_ms));
            for (waited_ms, labels) in waited.unwrap_or_default() {
                observer.observe(Duration::from_millis(waited_ms).as_secs_f64(), &labels);
            }
        })
        .build();
}

fn of_each(engine: &Inner, read: fn(crate::providers::GateNumbers) -> u64) -> Readings {
    let providers = engine.services.providers.now();
    let numbers = providers.numbers().into_iter();
    numbers.map(|(name, numbers)| (read(numbers), vec![KeyValue::new(names::PROVIDER, name.to_owned())])).collect()
}
