//! The server: accepts connections, serves the routes, and drains when it is told to stop.
//!
//! Its own accept loop, because a graceful stop must end streams, wait for WebSockets and have a deadline.

use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ninja_core::Engine;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    app::App,
    edge::Peer,
    listen::{self, ListenError, OwnedSocket},
    routes,
    telemetry::{Exporters, RequestNumbers},
};

/// A client that has not said what it wants by then holds a connection for nothing; idle ones are closed as well.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers fit many times over; bodies are streamed through it.
const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;
/// What ten thousand subscribers and a thousand callers need, with room.
const CONNECTIONS_MAX: usize = 16 * 1024;
/// When the system has no descriptors left, trying at once again only heats the machine.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The promise is an exit within 30 s; the engine needs some of them to park its tasks.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Where to listen, and how long to drain.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// A TCP address; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Listen beyond this machine without TLS.
    pub insecure_bind: bool,
    /// The path of a Unix socket, whose callers are the local owner. The data directory's lock must be held.
    pub socket: Option<PathBuf>,
    /// How long requests may go on after the stop was asked for.
    pub drain_max: Duration,
    /// Where numbers are kept and spans are sent: those that the engine was given.
    pub exporters: Option<Exporters>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { listen: None, insecure_bind: false, socket: None, drain_max: DRAIN_MAX, exporters: None }
    }
}

/// A server that listens; connections wait until it runs.
pub struct Server {
    engine: Engine,
    tcp: Option<TcpListener>,
    unix: Option<OwnedSocket>,
    address: Option<SocketAddr>,
    drain_max: Duration,
    exporters: Option<Exporters>,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// Says which place is taken or refused.
    pub async fn bind(engine: Engine, options: ServeOptions) -> Result<Self, ListenError> {
        let tcp = match options.listen {
            Some(address) => Some(listen::tcp(address, options.insecure_bind).await?),
            None => None,
        };
        let unix = options.socket.as_deref().map(OwnedSocket::bind).transpose()?;
        let address = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
        Ok(Self { engine, tcp, unix, address, drain_max: options.drain_max, exporters: options.exporters })
    }

    /// Returns the TCP address with its real port.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Serves until `shutdown`, then lets what is under way end, for a while. The engine goes on.
    pub async fn run(self, shutdown: CancellationToken) {
        let sockets = TaskTracker::new();
        let telemetry = self.exporters.as_ref().map(Exporters::telemetry).unwrap_or_default();
        let app = App {
            engine: self.engine,
            shutdown: shutdown.clone(),
            sockets: sockets.clone(),
            numbers: Arc::new(RequestNumbers::new(telemetry)),
            exporters: self.exporters,
            loopback_only: self.address.is_some_and(|address| address.ip().is_loopback()),
        };
        let connections = Connections {
            router: routes::router(app),
            shutdown,
            deadline: CancellationToken::new(),
            tracker: TaskTracker::new(),
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        };
        let unix = self.unix;
        tokio::join!(
            connections.accept_tcp(self.tcp),
            connections.accept_unix(unix.as_ref().map(|unix| &unix.listener))
        );
        drop(unix);
        connections.drain(&sockets, self.drain_max).await;
    }
}

/// Serves an engine until `shutdown`, then drains. The engine goes on.
///
/// # Errors
///
/// Fails where nobody can reach it.
pub async fn serve(engine: Engine, options: ServeOptions, shutdown: CancellationToken) -> Result<(), ListenError> {
    Server::bind(engine, options).await?.run(shutdown).await;
    Ok(())
}

/// Every connection of one server.
#[derive(Clone)]
struct Connections {
    router: Router,
    /// Finish what is under way.
    shutdown: CancellationToken,
    /// Stop at once.
    deadline: CancellationToken,
    tracker: TaskTracker,
    room: Arc<Semaphore>,
}

impl Connections {
    async fn accept_tcp(&self, listener: Option<TcpListener>) {
        let Some(listener) = listener else { return };
        while let Some(room) = self.room().await {
            let Some((stream, from)) = self.accepted(listener.accept()).await else { continue };
            // Events are small and wanted at once.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "failed to set nodelay");
            }
            self.spawn(stream, Peer::Network(from.ip()), room);
        }
    }

    async fn accept_unix(&self, listener: Option<&UnixListener>) {
        let Some(listener) = listener else { return };
        while let Some(room) = self.room().await {
            let Some((stream, _)) = self.accepted(listener.accept()).await else { continue };
            self.spawn(stream, Peer::LocalOwner, room);
        }
    }

    /// Waits for room for one more; nothing once the server stops.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            room = Arc::clone(&self.room).acquire_owned() => room.ok(),
        }
    }

    async fn accepted<T>(&self, accept: impl Future<Output = io::Result<T>>) -> Option<T> {
        let accepted = tokio::select! {
            () = self.shutdown.cancelled() => return None,
            accepted = accept => accepted,
        };
        match accepted {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }

    fn spawn<S>(&self, stream: S, peer: Peer, room: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, shutdown, deadline) = (self.router.clone(), self.shutdown.clone(), self.deadline.clone());
        self.tracker.spawn(async move {
            tokio::select! {
                () = converse(stream, peer, router, shutdown) => {}
                () = deadline.cancelled() => {}
            }
            drop(room);
        });
    }

    async fn drain(self, sockets: &TaskTracker, drain_max: Duration) {
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

/// One connection from its first request to its last.
async fn converse<S>(stream: S, peer: Peer, router: Router, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut result = tokio::select! {
        result = connection.as_mut() => Some(result),
        () = shutdown.cancelled() => None,
    };
    if result.is_none() {
        connection.as_mut().graceful_shutdown();
        result = Some(connection.await);
    }
    if let Some(Err(error)) = result {
        // Clients break off all the time; that is theirs to know.
        tracing::debug!(%error, "connection ended");
    }
}
