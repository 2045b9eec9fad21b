//! The model that answers at once: OpenAI's chat completions, streamed if the client asks for it. The model `long` answers in
//! 200 pieces, and `slow` in as many with a pause before each.
//!
//! It keeps the last request, so that the floor can send the very bytes that Ninja sends, and counts its connections.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::{net::TcpListener, sync::Mutex};

const MODELS: &str = r#"{"object":"list","data":[{"id":"stub","object":"model","owned_by":"bench"}]}"#;
const WHOLE: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"stub","choices":[{"index":0,"message":{"role":"assistant","content":"The stub has answered."},"finish_reason":"stop"}],"usage":{"prompt_tokens":400,"completion_tokens":5,"total_tokens":405}}"#;
const STREAMED: [&str; 4] = [
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"The stub has answered.\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[],\"usage\":{\"prompt_tokens\":400,\"completion_tokens\":5,\"total_tokens\":405}}\n\n",
    "data: [DONE]\n\n",
];

/// One of many pieces.
const PIECE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"stub\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n";
/// How many of them the longer answers have.
pub(crate) const PIECES: usize = 200;
/// The pause before each piece of the model `slow`.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Under which path the last request is given out.
pub(crate) const LAST: &str = "/last-request";
/// Under which path the number of connections so far is given out.
pub(crate) const CONNECTIONS: &str = "/connections";

type Pieces = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;
type Body = Either<Full<Bytes>, StreamBody<Pieces>>;

#[derive(Default)]
struct Stub {
    last: Mutex<Bytes>,
    connections: AtomicU64,
}

/// Serves on a free port of this machine until it is killed.
pub(crate) async fn run() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stub = Arc::new(Stub::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        stub.connections.fetch_add(1, Ordering::Relaxed);
        let stub = Arc::clone(&stub);
        let service = service_fn(move |request| {
            let stub = Arc::clone(&stub);
            async move { stub.answer(request).await }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Stub {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let whole = |text: &'static str| Either::Left(Full::new(Bytes::from_static(text.as_bytes())));
        let mut response = Response::new(match path.as_str() {
            "/v1/chat/completions" if is_streamed(&body) => Either::Right(StreamBody::new(pieces(&body))),
            "/v1/chat/completions" => whole(WHOLE),
            "/v1/models" => whole(MODELS),
            LAST => Either::Left(Full::new(self.last.lock().await.clone())),
            CONNECTIONS => Either::Left(Full::new(self.connections.load(Ordering::Relaxed).to_string().into())),
            _ => whole("{}"),
        });
        let kind = match response.body() {
            Either::Right(_) => "text/event-stream",
            Either::Left(_) => "application/json",
        };
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        match path.as_str() {
            "/v1/chat/completions" => *self.last.lock().await = body,
            "/v1/models" | LAST | CONNECTIONS => {}
            _ => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        Ok(response)
    }
}

/// The answer in pieces, as model servers send it.
fn pieces(body: &[u8]) -> Pieces {
    let asks_for = |model: &str| memmem::find(body, format!("\"model\":\"{model}\"").as_bytes()).is_some();
    let (head, tail) = STREAMED.split_at(1);
    let frame = |piece: &'static str| Ok(Frame::data(Bytes::from_static(piece.as_bytes())));
    let many = |count| head.iter().copied().chain(std::iter::repeat_n(PIECE, count)).chain(tail.iter().copied());
    match () {
        () if asks_for("slow") => {
            let slow = stream::iter(many(PIECES)).then(|piece| async move {
                tokio::time::sleep(PAUSE).await;
                piece
            });
            slow.map(frame).boxed()
        }
        () if asks_for("long") => stream::iter(many(PIECES)).map(frame).boxed(),
        () => stream::iter(STREAMED).map(frame).boxed(),
    }
}

fn is_streamed(body: &[u8]) -> bool {
    memmem::find(body, b"\"stream\":true").is_some()
}
