//! A server on loopback that sends, byte for byte, what a test says, and counts who came.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with one request.
pub(crate) enum Reply {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes and then nothing, until the client closes.
    Hang(Vec<u8>),
    /// Sends the first bytes once and the second ones again and again, until the client closes.
    Repeat(Vec<u8>, Vec<u8>),
}

/// A running server; it ends with the test's runtime.
pub(crate) struct TestServer {
    /// Where it listens: `127.0.0.1:port`.
    pub(crate) address: String,
    /// The heads of the requests as they came.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// Starts a server whose `script` gets the head of the request.
    pub(crate) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap().to_string(), requests: Arc::default() };
        let (requests, script) = (Arc::clone(&server.requests), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (requests, script) = (Arc::clone(&requests), Arc::clone(&script));
                tokio::spawn(async move {
                    let request = read_head(&mut socket).await;
                    requests.lock().unwrap().push(request.clone());
                    answer(socket, script(&request)).await;
                });
            }
        });
        server
    }

    /// Starts a server that always gives the same answer.
    pub(crate) async fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |_| reply()).await
    }

    /// Returns the address of a page.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Returns how many requests came.
    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") && socket.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {}
    String::from_utf8(bytes).unwrap()
}

/// A client may leave before it has read all.
async fn answer(mut socket: TcpStream, reply: Reply) {
    match reply {
        Reply::Send(bytes) => drop(socket.write_all(&bytes).await),
        Reply::Hang(bytes) => {
            drop(socket.write_all(&bytes).await);
            while socket.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
        }
        Reply::Repeat(first, again) => {
            drop(socket.write_all(&first).await);
            while socket.write_all(&again).await.is_ok() {}
        }
    }
}

/// Returns an answer whose body ends with the connection.
pub(crate) fn response(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// Returns a page.
pub(crate) fn page(content_type: &str, body: impl AsRef<[u8]>) -> Reply {
    Reply::Send(response(200, &format!("content-type: {content_type}\r\n"), body))
}
