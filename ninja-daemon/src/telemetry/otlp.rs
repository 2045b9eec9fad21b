//! Sending to a collector over HTTP. Batches are made and sent on threads of their own from queues that are bounded: what comes
//! while a queue is full is dropped. Nothing of Ninja waits for a collector, and one that is away costs a line in the log when
//! it goes and one when it comes.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ninja_core::telemetry::{OtelConfig, names};
use opentelemetry::{Context, KeyValue, metrics::Meter};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::PeriodicReader,
    trace::{self, Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tokio::runtime::Handle;

/// A collector that has not answered by then gets the next batch.
const SEND_MAX: Duration = Duration::from_secs(10);

/// A collector that is configured.
pub(super) struct Collector {
    endpoint: Option<String>,
    sample: f64,
    interval: Duration,
    sender: Sender,
    spans: SpanCounts,
}

impl Collector {
    /// Finds the one that is configured, if one is: by our settings, else by OpenTelemetry's own variables.
    ///
    /// # Errors
    ///
    /// Fails where no client can be made.
    pub(super) fn find(config: &OtelConfig, env: &BTreeMap<String, String>) -> Result<Option<Self>, reqwest::Error> {
        let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
        let is_off = env.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let by_env = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        ];
        let endpoint = config.endpoint.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        if is_off || (endpoint.is_none() && !by_env.into_iter().any(is_set)) {
            return Ok(None);
        }
        let client =
            reqwest::Client::builder().timeout(SEND_MAX).redirect(reqwest::redirect::Policy::none()).build()?;
        let sender = Sender { client, runtime: Handle::current(), is_away: Arc::default() };
        let interval = Duration::from_secs(config.interval_seconds.max(1));
        let (sample, spans) = (config.sample.clamp(0.0, 1.0), SpanCounts::default());
        Ok(Some(Self { endpoint, sample, interval, sender, spans }))
    }

    /// Returns what sends numbers.
    ///
    /// # Errors
    ///
    /// Fails where the address is none.
    pub(super) fn metrics(&self) -> Result<PeriodicReader<MetricExporter>, ExporterBuildError> {
        let exporter = MetricExporter::builder().with_http().with_http_client(self.sender.clone());
        let exporter = match &self.endpoint {
            Some(endpoint) => exporter.with_endpoint(format!("{endpoint}/v1/metrics")),
            None => exporter,
        };
        let exporter = exporter.with_timeout(SEND_MAX).with_retry_policy(RetryPolicy::disabled()).build()?;
        Ok(PeriodicReader::builder(exporter).with_interval(self.interval).build())
    }

    /// Returns what sends spans.
    ///
    /// # Errors
    ///
    /// Fails where the address is none.
    pub(super) fn traces(&self, resource: Resource) -> Result<SdkTracerProvider, ExporterBuildError> {
        let exporter = SpanExporter::builder().with_http().with_http_client(self.sender.clone());
        let exporter = match &self.endpoint {
            Some(endpoint) => exporter.with_endpoint(format!("{endpoint}/v1/traces")),
            None => exporter,
        };
        let exporter = exporter.with_timeout(SEND_MAX).with_retry_policy(RetryPolicy::disabled()).build()?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.sample)));
        let provider = SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler);
        let exporter = Counting { exporter, spans: self.spans.clone() };
        Ok(provider.with_span_processor(self.spans.clone()).with_batch_exporter(exporter).build())
    }

    /// Lets whoever collects read what became of spans.
    pub(super) fn observe(&self, meter: &Meter) {
        let spans = self.spans.clone();
        let counter = meter.u64_observable_counter(names::TELEMETRY_SPANS).with_unit("{span}");
        counter
            .with_description("Spans that ended, were sent to the collector, and failed to be")
            .with_callback(move |observer| {
                for (outcome, count) in
                    [("ended", &spans.0.ended), ("sent", &spans.0.sent), ("failed", &spans.0.failed)]
                {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        observer.observe(count, &[KeyValue::new(names::OUTCOME, outcome)]);
                    }
                }
            })
            .build();
    }
}

/// What became of spans.
#[derive(Debug, Clone, Default)]
struct SpanCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    ended: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
}

/// Counts spans that end, before the queue takes or drops them.
impl SpanProcessor for SpanCounts {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Counts the spans of batches that are sent.
#[derive(Debug)]
struct Counting {
    exporter: SpanExporter,
    spans: SpanCounts,
}

impl trace::SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        let counter = if sent.is_ok() { &self.spans.0.sent } else { &self.spans.0.failed };
        counter.fetch_add(count, Ordering::Relaxed);
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends batches with the client that everything else is fetched with, on the daemon's own runtime: those who ask are threads
/// without one.
#[derive(Debug, Clone)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    is_away: Arc<AtomicBool>,
}

impl Sender {
    async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let sent = client.request(parts.method, url).headers(parts.headers).body(body).send().await;
        // The address may hold a password, and the error is logged.
        let answer = sent.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        // What it says beside its status is of no use here, and may be anything.
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }

    /// Says when the collector goes and when it comes back.
    fn note(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let away = match sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        match (away, self.is_away.load(Ordering::Relaxed)) {
            (Some(why), false) => {
                self.is_away.store(true, Ordering::Relaxed);
                tracing::warn!(why, "the telemetry collector takes nothing; what it is to get is dropped");
            }
            (None, true) => {
                self.is_away.store(false, Ordering::Relaxed);
                tracing::info!("the telemetry collector takes telemetry again");
            }
            (Some(_), true) | (None, false) => {}
        }
    }
}

/// What the trait's macro would make of an async function.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Sender {
    fn send_bytes<'this, 'sending>(&'this self, request: Request<Bytes>) -> Sending<'sending>
    where
        'this: 'sending,
        Self: 'sending,
    {
        let sending = self.runtime.spawn(Self::send(self.client.clone(), request));
        Box::pin(async move {
            let sent = sending.await.unwrap_or_else(|error| Err(error.into()));
            self.note(&sent);
            sent
        })
    }
}
