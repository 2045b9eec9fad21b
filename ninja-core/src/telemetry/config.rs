//! The settings of what others may watch.

use serde::Deserialize;

/// Who may read `GET /metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Everybody who can connect, and not administrators alone.
    pub public: bool,
}

/// What is sent to an OpenTelemetry collector, where there is one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtelConfig {
    /// Where the collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`. Without it `OTEL_EXPORTER_OTLP_ENDPOINT` says
    /// so, and without that nothing is sent.
    pub endpoint: Option<String>,
    /// Whether spans are sent.
    pub traces: bool,
    /// Whether numbers are sent.
    pub metrics: bool,
    /// Which share of the traces that begin here is sent, from 0 to 1. Of a trace that began elsewhere, whoever began it says.
    pub sample: f64,
    /// Seconds between two sendings of numbers.
    pub interval_seconds: u64,
}

impl Default for OtelConfig {
    fn default() -> Self {
        Self { endpoint: None, traces: true, metrics: true, sample: 1.0, interval_seconds: 60 }
    }
}
