//! A server that answers what a test says and keeps what it was asked.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct StubRequest {
    /// Its path, with the query.
    pub path: String,
    /// Its body; null where there is none or it is no JSON.
    pub body: Value,
}

/// A running server; it ends with the test's runtime.
pub struct StubServer {
    /// Its address, without a slash at the end.
    pub url: String,
    requests: Arc<Mutex<Vec<StubRequest>>>,
}

impl StubServer {
    /// Starts a server on loopback. `script` says what each request is answered with: a status and a JSON value.
    ///
    /// # Panics
    /// If there is no loopback.
    pub async fn start(script: impl Fn(&StubRequest) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let requests: Arc<Mutex<Vec<StubRequest>>> = Arc::default();
        let (kept, script) = (Arc::clone(&requests), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&kept), Arc::clone(&script)));
            }
        });
        Self { url, requests }
    }

    /// Returns the bodies of what came to a path.
    pub fn bodies(&self, path: &str) -> Vec<Value> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|request| request.path == path).map(|request| request.body.clone()).collect()
    }
}

async fn serve(
    mut socket: TcpStream,
    kept: Arc<Mutex<Vec<StubRequest>>>,
    script: Arc<impl Fn(&StubRequest) -> (u16, Value)>,
) {
    let Some(request) = read_request(&mut socket).await else { return };
    let (status, body) = script(&request);
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // A client may leave before it has read all.
    socket.write_all(format!("{head}{body}").as_bytes()).await.ok();
}

async fn read_request(socket: &mut TcpStream) -> Option<StubRequest> {
    let mut bytes = Vec::new();
    loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let (head, body) = bytes.split_at_checked(end + 4)?;
        let head = String::from_utf8_lossy(head);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            let path = head.split(' ').nth(1)?.to_owned();
            return Some(StubRequest { path, body: serde_json::from_slice(body).unwrap_or_default() });
        }
    }
}
