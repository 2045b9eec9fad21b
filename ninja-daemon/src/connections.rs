//! Every connection of one server: accepted while there is room, spoken with at a pace, ended in order.
//!
//! Its own accept loop, because a graceful stop must end streams, wait for WebSockets and have a deadline. Nothing that a
//! stranger can make last is waited for in the loop itself.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::Response};
use hyper::{Method, Request, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tower_http::timeout::TimeoutBody;

use crate::{
    edge::Peer,
    room::{Full, Room},
    serve::Deadlines,
    tls::Tls,
    wire::{Notes, Pace, REFUSED, Wire},
};

/// Bodies are streamed through it; the heads before it are no longer.
const CONNECTION_BUFFER_BYTES: usize = 128 * 1024;
/// When the system has no descriptors left, trying at once again only heats the machine.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are told at a time that there is no room. More are closed without a word.
const FAREWELLS_MAX: usize = 16;
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Every connection of one server.
#[derive(Clone)]
pub(crate) struct Connections {
    router: Router,
    deadlines: Deadlines,
    tls: Option<Arc<Tls>>,
    /// Finish what is under way.
    shutdown: CancellationToken,
    /// Stop at once.
    deadline: CancellationToken,
    tracker: TaskTracker,
    room: Room,
    farewells: Arc<Semaphore>,
}

impl Connections {
    pub(crate) fn new(
        router: Router,
        deadlines: Deadlines,
        room: Room,
        tls: Option<Arc<Tls>>,
        shutdown: CancellationToken,
    ) -> Self {
        let (deadline, tracker) = (CancellationToken::new(), TaskTracker::new());
        let farewells = Arc::new(Semaphore::new(FAREWELLS_MAX));
        Self { router, deadlines, tls, shutdown, deadline, tracker, room, farewells }
    }

    /// Accepts from the network until the server stops.
    pub(crate) async fn accept_tcp(&self, listener: Option<TcpListener>) {
        let Some(listener) = listener else { return };
        while let Some((stream, from)) = accepted(&self.shutdown, || listener.accept()).await {
            // Events are small and wanted at once.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "failed to set nodelay");
            }
            let ip = from.ip().to_canonical();
            let place = match self.room.take(ip) {
                Ok(place) => place,
                Err(full) => {
                    self.turn_away(stream, full);
                    continue;
                }
            };
            let connections = self.clone();
            self.spawn(async move {
                match &connections.tls {
                    None => connections.converse(stream, Peer::Network { ip, is_tls: false }).await,
                    Some(tls) => connections.converse_encrypted(tls, stream, ip).await,
                }
                drop(place);
            });
        }
    }

    /// Accepts the local owner until the server stops, whoever else is there.
    pub(crate) async fn accept_unix(&self, listener: Option<&UnixListener>) {
        let Some(listener) = listener else { return };
        while let Some((stream, _)) = accepted(&self.shutdown, || listener.accept()).await {
            let connections = self.clone();
            self.spawn(async move { connections.converse(stream, Peer::LocalOwner).await });
        }
    }

    fn spawn(&self, conversation: impl Future<Output = ()> + Send + 'static) {
        let deadline = self.deadline.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = conversation => {}
                () = deadline.cancelled() => {}
            }
        });
    }

    async fn converse_encrypted(&self, tls: &Tls, stream: TcpStream, ip: std::net::IpAddr) {
        let encrypted = tokio::select! {
            encrypted = timeout(self.deadlines.handshake, tls.accept(stream)) => encrypted,
            () = self.shutdown.cancelled() => return,
        };
        match encrypted {
            Ok(Ok(stream)) => self.converse(stream, Peer::Network { ip, is_tls: true }).await,
            Ok(Err(error)) => tracing::debug!(%error, "failed to agree on TLS"),
            Err(_) => tracing::debug!("failed to agree on TLS in time"),
        }
    }

    /// One connection from its first request to its last.
    async fn converse<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Deadlines { head, idle, pause, .. } = self.deadlines;
        let notes = Arc::new(Notes::default());
        let wire = Wire::new(stream, Arc::clone(&notes), Pace { head, write: pause });
        let (router, of_service) = (self.router.clone(), Arc::clone(&notes));
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, notes) = (router.clone(), Arc::clone(&of_service));
            async move { Ok::<_, Infallible>(answer(router, request, peer, pause, &notes).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(CONNECTION_BUFFER_BYTES)
            .serve_connection(TokioIo::new(wire), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let mut result = tokio::select! {
            result = connection.as_mut() => Some(result),
            () = self.shutdown.cancelled() => None,
        };
        if result.is_none() {
            // A request that has begun is served to its end.
            result = tokio::select! {
                biased;
                result = connection.as_mut() => Some(result),
                () = notes.between_heads() => None,
            };
        }
        if result.is_none() {
            connection.as_mut().graceful_shutdown();
            result = Some(connection.await);
        }
        if let Some(Err(error)) = result {
            // Clients break off all the time; that is theirs to know.
            tracing::debug!(%error, "connection ended");
        }
    }

    /// Says why there is no room, to as many as that is cheap for.
    fn turn_away(&self, mut stream: TcpStream, full: Full) {
        let Ok(permit) = Arc::clone(&self.farewells).try_acquire_owned() else { return };
        if self.tls.is_some() {
            // Agreeing on TLS costs more than the word is worth.
            return;
        }
        self.spawn(async move {
            let say = async {
                stream.write_all(no_room(full).as_bytes()).await?;
                stream.shutdown().await?;
                // What is unread when a socket closes takes the answer with it.
                let mut waste = [0; 1024];
                while stream.read(&mut waste).await? > 0 {}
                io::Result::Ok(())
            };
            timeout(FAREWELL_MAX, say).await.ok();
            drop(permit);
        });
    }

    /// Lets what is under way end, for a while, then ends it.
    pub(crate) async fn drain(self, sockets: &TaskTracker, drain_max: Duration) {
        self.tracker.close();
        sockets.close();
        let ended = timeout(drain_max, async {
            self.tracker.wait().await;
            sockets.wait().await;
        });
        if ended.await.is_err() {
            tracing::warn!(
                connections = self.tracker.len(),
                sockets = sockets.len(),
                "connections were cut at the deadline"
            );
            self.deadline.cancel();
            self.tracker.wait().await;
        }
    }
}

/// Answers one request.
async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    peer: Peer,
    pause: Duration,
    notes: &Notes,
) -> Response {
    request.extensions_mut().insert(peer);
    if request.method().as_str() == REFUSED
        && let Some(why) = notes.refused()
    {
        request.extensions_mut().insert(why);
        *request.method_mut() = Method::GET;
    }
    // Who pauses longer holds a connection for nothing.
    let request = request.map(|body| Body::new(TimeoutBody::new(pause, body)));
    let answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        notes.upgrade();
    }
    answer
}

/// Accepts one connection; nothing once the server stops.
async fn accepted<T, F: Future<Output = io::Result<T>>>(
    shutdown: &CancellationToken,
    accept: impl Fn() -> F,
) -> Option<T> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            accepted = accept() => accepted,
        };
        let error = match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => error,
        };
        match Errno::from_io_error(&error) {
            // It was gone before it was accepted; the next one is not late for that.
            Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR) => {}
            _ => {
                tracing::warn!(%error, "failed to accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns the whole answer to a connection for which there is no room.
fn no_room(full: Full) -> String {
    let (status, code, detail) = match full {
        Full::Daemon => ("503 Service Unavailable", "unavailable", "there are as many connections as the daemon takes"),
        Full::Address => {
            ("429 Too Many Requests", "too_many_requests", "there are as many connections as one address may have")
        }
    };
    let (number, title) = status.split_once(' ').unwrap_or_default();
    let body = format!(
        "{{\"type\":\"urn:ninja:problem:{code}\",\"title\":\"{title}\",\"status\":{number},\"code\":\"{code}\",\"detail\":\"{detail}\"}}"
    );
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\
         retry-after: 1\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_accepting_waits_instead_of_spinning() {
        let tries = AtomicU32::new(0);
        let accept = |errors: u32, errno: Errno| {
            let tries = &tries;
            move || {
                let tried = tries.fetch_add(1, Ordering::Relaxed);
                std::future::ready(if tried < errors { Err(io::Error::from(errno)) } else { Ok(()) })
            }
        };
        let started = Instant::now();
        accepted(&CancellationToken::new(), accept(50, Errno::MFILE)).await.unwrap();
        assert_eq!(started.elapsed(), ACCEPT_PAUSE * 50);

        tries.store(0, Ordering::Relaxed);
        let started = Instant::now();
        accepted(&CancellationToken::new(), accept(50, Errno::CONNABORTED)).await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO, "strangers cannot slow the door by leaving early");
    }

    #[test]
    fn the_farewell_is_a_problem() {
        for full in [Full::Daemon, Full::Address] {
            let text = no_room(full);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {}", problem["status"])), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        }
    }
}
