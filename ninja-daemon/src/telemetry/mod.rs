//! What others may watch: numbers at `/metrics`, and numbers and spans at an OpenTelemetry collector where one is configured.
//!
//! One set of instruments feeds both. The engine and the server are handed a [`Telemetry`]; that there are exporters at all is
//! known here alone.
//!
//! - [`otlp`]: sending to a collector, which never holds anything up.
//! - [`process`]: what the operating system says of this process.
//! - [`requests`]: what is told of requests and streams.

mod otlp;
mod process;
mod requests;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use ninja_core::{
    Config,
    telemetry::{Telemetry, names},
};
use opentelemetry::{KeyValue, global::BoxedTracer, metrics::MeterProvider, trace::TracerProvider};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use prometheus::{Encoder, Registry, TextEncoder};

pub(crate) use requests::{OpenStream, RequestNumbers, StreamKind, TraceParent, observe};

/// How long the last numbers and spans may take to be sent. With the drain and the parking before it within the promised 30 s.
const FLUSH_MAX: Duration = Duration::from_millis(1_500);
/// The name of the service where `OTEL_SERVICE_NAME` says no other.
const SERVICE: &str = "ninja";

/// The exporters of one process. Cheap to clone.
#[derive(Clone)]
pub struct Exporters(Arc<Inner>);

struct Inner {
    registry: Registry,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
    is_public: bool,
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
#[error("failed to make the exporters of metrics: {0}")]
pub struct ExportersError(String);

impl Exporters {
    /// Makes the exporters. A collector that is not there is no error: it may come.
    ///
    /// # Errors
    ///
    /// Fails where an address is none.
    pub fn start(config: &Config, env: &BTreeMap<String, String>) -> Result<Self, ExportersError> {
        let failed = |error: &dyn fmt::Display| ExportersError(error.to_string());
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
        let reader = reader.without_target_info().build().map_err(|error| failed(&error))?;
        let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let resource = match env.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
            Some(_) => resource.build(),
            None => resource.with_service_name(SERVICE).build(),
        };
        let mut meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader);
        let mut tracers = None;
        let collector = otlp::Collector::find(&config.otel, env).map_err(|error| failed(&error))?;
        if let Some(collector) = &collector {
            if config.otel.metrics {
                meters = meters.with_reader(collector.metrics().map_err(|error| failed(&error))?);
            }
            if config.otel.traces {
                tracers = Some(collector.traces(resource).map_err(|error| failed(&error))?);
            }
            tracing::info!(traces = config.otel.traces, metrics = config.otel.metrics, "telemetry is exported");
        }
        let meters = meters.build();
        let meter = meters.meter(names::SCOPE);
        process::observe(&meter);
        if let Some(collector) = collector.filter(|_| config.otel.traces) {
            collector.observe(&meter);
        }
        Ok(Self(Arc::new(Inner { registry, meters, tracers, is_public: config.metrics.public })))
    }

    /// Returns where the engine and the server tell numbers and spans.
    pub fn telemetry(&self) -> Telemetry {
        let tracer = self.0.tracers.as_ref().map(|tracers| BoxedTracer::new(Box::new(tracers.tracer(names::SCOPE))));
        Telemetry::new(self.0.meters.meter(names::SCOPE), tracer)
    }

    /// Returns whether everybody may read the numbers.
    pub(crate) fn is_public(&self) -> bool {
        self.0.is_public
    }

    /// Returns the numbers in Prometheus's text format. Blocks: some are looked at only now.
    pub(crate) fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Sends what has not been sent, within a bound.
    pub async fn flush(&self) {
        let exporters = self.clone();
        let flushing = tokio::task::spawn_blocking(move || {
            if let Some(tracers) = &exporters.0.tracers {
                tracers.shutdown_with_timeout(FLUSH_MAX / 2).ok();
            }
            exporters.0.meters.shutdown_with_timeout(FLUSH_MAX / 2).ok();
        });
        if tokio::time::timeout(FLUSH_MAX, flushing).await.is_err() {
            tracing::warn!("the last telemetry was not sent in time");
        }
    }
}

impl fmt::Debug for Exporters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporters").field("traces", &self.0.tracers.is_some()).finish_non_exhaustive()
    }
}
