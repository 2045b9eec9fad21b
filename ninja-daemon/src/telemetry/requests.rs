//! What is told of requests and streams: by the template of a route, never by a path.

use std::time::Instant;

use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request, State},
    http::{Method, header},
    middleware::Next,
    response::Response,
};
use ninja_core::telemetry::{Telemetry, names, traceparent};
use opentelemetry::{
    Context, KeyValue,
    metrics::{Counter, Histogram, UpDownCounter},
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer},
};

use crate::{app::App, edge};

/// The bounds that the conventions give for requests, in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// From an empty body to the largest file.
const BYTES: [f64; 7] = [0.0, 256.0, 4_096.0, 65_536.0, 1_048_576.0, 16_777_216.0, 67_108_864.0];
/// Paths that are asked for all the time by those who watch: their spans would bury the others.
const PROBES: [&str; 3] = ["/health", "/ready", "/metrics"];

/// The instruments of one server.
pub(crate) struct RequestNumbers {
    telemetry: Telemetry,
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
    request_size: Histogram<u64>,
    response_size: Histogram<u64>,
    streams: UpDownCounter<i64>,
    frames: Counter<u64>,
}

/// A way in which events are followed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StreamKind {
    WebSocket,
    ServerSentEvents,
}

impl StreamKind {
    fn label(self) -> KeyValue {
        let kind = match self {
            Self::WebSocket => "websocket",
            Self::ServerSentEvents => "sse",
        };
        KeyValue::new(names::STREAM_KIND, kind)
    }
}

impl RequestNumbers {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        let meter = telemetry.meter();
        let size = |name, what| {
            let size = meter.u64_histogram(name).with_unit("By").with_description(what);
            size.with_boundaries(BYTES.to_vec()).build()
        };
        let now = |name, unit, what| meter.i64_up_down_counter(name).with_unit(unit).with_description(what).build();
        let duration = meter.f64_histogram(names::HTTP_DURATION).with_unit("s").with_boundaries(SECONDS.to_vec());
        let frames = meter.u64_counter(names::STREAM_FRAMES).with_unit("{frame}");
        Self {
            duration: duration.with_description("How long requests took, up to the head of the answer").build(),
            active: now(names::HTTP_ACTIVE, "{request}", "Requests that are being answered"),
            request_size: size(names::HTTP_REQUEST_SIZE, "Bodies of requests whose length was told"),
            response_size: size(names::HTTP_RESPONSE_SIZE, "Bodies of answers whose length is known"),
            streams: now(names::STREAMS, "{stream}", "Streams of events that are open"),
            frames: frames.with_description("Frames sent on streams of events").build(),
            telemetry,
        }
    }

    /// Counts a stream as long as what is returned lives.
    pub(crate) fn opened(&self, kind: StreamKind) -> OpenStream {
        let label = [kind.label()];
        self.streams.add(1, &label);
        OpenStream { streams: self.streams.clone(), frames: self.frames.clone(), label }
    }

    fn begin(&self, request: &Request, scheme: &'static str) -> Option<Context> {
        let tracer = self.telemetry.tracer()?;
        let route = route_of(request).filter(|route| !PROBES.contains(route))?;
        let given = request.headers().get("traceparent").and_then(|given| given.to_str().ok());
        let parent = given.and_then(traceparent::parse);
        let parent = parent.map_or_else(Context::new, |span| Context::new().with_remote_span_context(span));
        let method = method_of(request.method());
        let about = vec![
            KeyValue::new(names::HTTP_METHOD, method),
            KeyValue::new(names::HTTP_ROUTE, route.to_owned()),
            KeyValue::new(names::URL_SCHEME, scheme),
        ];
        let span = SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server);
        let span = tracer.build_with_context(span.with_attributes(about), &parent);
        Some(Context::new().with_span(span))
    }
}

/// A stream that is open.
pub(crate) struct OpenStream {
    streams: UpDownCounter<i64>,
    frames: Counter<u64>,
    label: [KeyValue; 1],
}

impl OpenStream {
    /// Counts frames that are sent.
    pub(crate) fn sent(&self, frames: u64) {
        self.frames.add(frames, &self.label);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.add(-1, &self.label);
    }
}

/// The trace of a request, for whoever makes something that outlives it.
#[derive(Debug, Clone)]
pub(crate) struct TraceParent(pub(crate) std::sync::Arc<str>);

/// Tells of a request and its answer.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let (numbers, began) = (&app.numbers, Instant::now());
    let method = method_of(request.method());
    let scheme = if edge::is_encrypted(&app.http, &request) { "https" } else { "http" };
    let mut labels = vec![KeyValue::new(names::HTTP_METHOD, method), KeyValue::new(names::URL_SCHEME, scheme)];
    let _active = Active::new(numbers.active.clone(), labels.clone());
    // The route is the framework's own text, not the client's.
    labels.extend(route_of(&request).map(|route| KeyValue::new(names::HTTP_ROUTE, route.to_owned())));
    let span = numbers.begin(&request, scheme);
    if let Some(parent) = span.as_ref().and_then(|span| traceparent::write(span.span().span_context())) {
        request.extensions_mut().insert(TraceParent(parent.into()));
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let answer = next.run(request).await;
    let status = i64::from(answer.status().as_u16());
    labels.push(KeyValue::new(names::HTTP_STATUS, status));
    numbers.duration.record(began.elapsed().as_secs_f64(), &labels);
    if let Some(length) = length {
        numbers.request_size.record(length, &labels);
    }
    if let Some(length) = answer.body().size_hint().exact() {
        numbers.response_size.record(length, &labels);
    }
    if let Some(span) = span {
        span.span().set_attribute(KeyValue::new(names::HTTP_STATUS, status));
        if answer.status().is_server_error() {
            span.span().set_status(Status::error(answer.status().as_str().to_owned()));
        }
        span.span().end();
    }
    answer
}

/// A request that is being answered, also where its client goes before.
struct Active {
    active: UpDownCounter<i64>,
    labels: Vec<KeyValue>,
}

impl Active {
    fn new(active: UpDownCounter<i64>, labels: Vec<KeyValue>) -> Self {
        active.add(1, &labels);
        Self { active, labels }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.active.add(-1, &self.labels);
    }
}

fn route_of(request: &Request) -> Option<&str> {
    request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)
}

/// Returns a method by its name; anybody may make up methods.
fn method_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}
