//! The model that answers at once: OpenAI's chat completions, streamed if the client asks for it.
//!
//! It keeps the last request, so that the floor can send the very bytes that Ninja sends.

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Mutex};

const MODELS: &str = r#"{"object":"list","data":[{"id":"stub","object":"model","owned_by":"bench"}]}"#;
const WHOLE: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"stub","choices":[{"index":0,"message":{"role":"assistant","content":"The stub has answered."},"finish_reason":"stop"}],"usage":{"prompt_tokens":400,"completion_tokens":5,"total_tokens":405}}"#;
const STREAMED: &str = concat!(
    r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"stub","choices":[{"index":0,"delta":{"role":"assistant","content":"The stub has answered."},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"stub","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"stub","choices":[],"usage":{"prompt_tokens":400,"completion_tokens":5,"total_tokens":405}}"#,
    "\n\ndata: [DONE]\n\n",
);

/// Where the last request is kept, and under which path it is given out.
pub(crate) const LAST: &str = "/last-request";

/// Serves on a free port of this machine until it is killed.
pub(crate) async fn run() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let last = Arc::new(Mutex::new(Bytes::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let last = Arc::clone(&last);
        let service = service_fn(move |request| answer(request, Arc::clone(&last)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, last: Arc<Mutex<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (status, kind, text) = match path.as_str() {
        "/v1/chat/completions" if is_streamed(&body) => {
            (StatusCode::OK, "text/event-stream", Bytes::from_static(STREAMED.as_bytes()))
        }
        "/v1/chat/completions" => (StatusCode::OK, "application/json", Bytes::from_static(WHOLE.as_bytes())),
        "/v1/models" => (StatusCode::OK, "application/json", Bytes::from_static(MODELS.as_bytes())),
        LAST => (StatusCode::OK, "application/json", last.lock().await.clone()),
        _ => (StatusCode::NOT_FOUND, "application/json", Bytes::from_static(b"{}")),
    };
    if path == "/v1/chat/completions" {
        *last.lock().await = body;
    }
    let mut response = Response::new(Full::new(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    Ok(response)
}

fn is_streamed(body: &[u8]) -> bool {
    const SAYS: &[u8] = b"\"stream\":true";
    body.windows(SAYS.len()).any(|window| window == SAYS)
}
