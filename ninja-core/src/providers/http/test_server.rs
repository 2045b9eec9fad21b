//! A server on loopback that sends, byte for byte, what a test says.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// What the server does with one request.
pub(in crate::providers) enum Reply {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes and then nothing, until the client closes.
    Hang(Vec<u8>),
}

/// A running server; it ends with the test's runtime.
pub(in crate::providers) struct TestServer {
    /// Its address up to `/v1`.
    pub(in crate::providers) url: String,
    /// The requests as they came, head and body.
    pub(in crate::providers) requests: Arc<Mutex<Vec<String>>>,
    /// Told when a request was read.
    pub(in crate::providers) requested: Arc<Notify>,
    /// Told when a client closed on a hanging reply.
    pub(in crate::providers) closed: Arc<Notify>,
}

impl TestServer {
    /// Starts a server whose `script` gets the whole request.
    pub(in crate::providers) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            requests: Arc::default(),
            requested: Arc::default(),
            closed: Arc::default(),
        };
        let (requests, requested, closed) = (server.requests.clone(), server.requested.clone(), server.closed.clone());
        let script = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (requests, requested, closed) = (requests.clone(), requested.clone(), closed.clone());
                let script = script.clone();
                tokio::spawn(async move {
                    let (mut socket, request) = read_request(socket).await;
                    requests.lock().unwrap().push(request.clone());
                    requested.notify_one();
                    match script(&request) {
                        // A client may leave before it has read all.
                        Reply::Send(bytes) => drop(socket.write_all(&bytes).await),
                        Reply::Hang(bytes) => {
                            socket.write_all(&bytes).await.unwrap();
                            while socket.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
                            closed.notify_one();
                        }
                    }
                });
            }
        });
        server
    }

    /// Returns the body of the only request.
    pub(in crate::providers) fn body(&self) -> serde_json::Value {
        let requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        serde_json::from_str(requests[0].split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

async fn read_request(mut socket: TcpStream) -> (TcpStream, String) {
    let mut bytes = Vec::new();
    loop {
        let count = socket.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return (socket, text.into_owned());
            }
        }
        assert!(count > 0, "the client sent half a request");
    }
}

/// Returns a response with a body that ends with the connection.
pub(in crate::providers) fn response(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes()
}

/// Returns an event stream that ends with the connection, so that nothing but its events tells whether it is whole.
pub(in crate::providers) fn events(body: &str) -> Vec<u8> {
    response(200, "content-type: text/event-stream\r\n", body)
}

/// Returns an event stream in chunks, without the last one.
pub(in crate::providers) fn chunked(chunks: &[&str]) -> Vec<u8> {
    let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
    response(200, "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n", &chunks)
}
