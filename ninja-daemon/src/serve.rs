//! The server: where it listens, how long it waits, and its life from the first connection to the last.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ninja_core::{Engine, config::HttpConfig};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::App,
    connections::Connections,
    listen::{self, ListenError, OwnedSocket},
    rate::Rates,
    room::Room,
    routes,
    telemetry::{Exporters, RequestNumbers},
    tls::{Reload, Tls},
};

/// A bucket is full again within a minute.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// How long the server waits for the other side, and the other side for it.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// To agree on TLS.
    pub handshake: Duration,
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// For the next request of a connection, whole; longer than `head`, or nobody is told that it was too slow.
    pub idle: Duration,
    /// Between two pieces of a body, and for the other side to take some of an answer.
    pub pause: Duration,
    /// For a JSON body, whole.
    pub body: Duration,
    /// For a route to answer once the request is there.
    pub answer: Duration,
    /// The same for routes that take long: what reads or rewrites all there is.
    pub long_answer: Duration,
    /// For a form with files, whole.
    pub upload: Duration,
    /// For requests to end after the stop was asked for.
    pub drain: Duration,
}

impl Default for Deadlines {
    /// A mebibyte takes half a minute on a very slow line, a file of 50 MB an hour on an old telephone line. The promise is an exit within 30 s, of which the engine needs some
    /// to park its tasks.
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(15),
            pause: Duration::from_secs(30),
            body: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            long_answer: Duration::from_secs(15 * 60),
            upload: Duration::from_secs(60 * 60),
            drain: Duration::from_secs(20),
        }
    }
}

/// Where to listen, to whom, and how long to wait.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// A TCP address; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Listen beyond this machine without TLS.
    pub insecure_bind: bool,
    /// The path of a Unix socket, whose callers are the local owner. The data directory's lock must be held.
    pub socket: Option<PathBuf>,
    /// How the daemon is called over TCP, by whom, and how much it takes.
    pub http: HttpConfig,
    /// How long to wait.
    pub deadlines: Deadlines,
    /// Where numbers are kept and spans are sent: those that the engine was given.
    pub exporters: Option<Exporters>,
}

/// A server that listens; connections wait until it runs.
pub struct Server {
    engine: Engine,
    tcp: Option<TcpListener>,
    unix: Option<OwnedSocket>,
    address: Option<SocketAddr>,
    tls: Option<Arc<Tls>>,
    http: Arc<HttpConfig>,
    deadlines: Deadlines,
    exporters: Option<Exporters>,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// Says which place is taken or refused, or what is wrong with the certificate.
    pub async fn bind(engine: Engine, options: ServeOptions) -> Result<Self, ListenError> {
        let ServeOptions { listen, insecure_bind, socket, http, deadlines, exporters } = options;
        let tls = Tls::of(&http)?.map(Arc::new);
        let tcp = match listen {
            Some(address) => Some(listen::tcp(address, insecure_bind || tls.is_some()).await?),
            None => None,
        };
        let unix = socket.as_deref().map(OwnedSocket::bind).transpose()?;
        let address = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
        Ok(Self { engine, tcp, unix, address, tls, http: Arc::new(http), deadlines, exporters })
    }

    /// Returns the TCP address with its real port.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns what reads the certificate again; nothing where TLS is not spoken.
    pub fn reload(&self) -> Option<Reload> {
        self.tls.clone().map(Reload::new)
    }

    /// Serves until `shutdown`, then lets what is under way end, for a while. The engine goes on.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { engine, tcp, unix, address, tls, http, deadlines, exporters } = self;
        let telemetry = exporters.as_ref().map(Exporters::telemetry).unwrap_or_default();
        let (sockets, rates) = (TaskTracker::new(), Arc::new(Rates::new(http.requests_per_minute)));
        let app = App {
            engine,
            shutdown: shutdown.clone(),
            sockets: sockets.clone(),
            numbers: Arc::new(RequestNumbers::new(telemetry)),
            exporters,
            loopback_only: address.is_some_and(|address| address.ip().is_loopback()),
            http: Arc::clone(&http),
            rates: Arc::clone(&rates),
            deadlines,
        };
        let connections = Connections::new(routes::router(app), deadlines, Room::new(http), tls, shutdown.clone());
        tokio::join!(
            connections.accept_tcp(tcp),
            connections.accept_unix(unix.as_ref().map(|unix| &unix.listener)),
            forget(&rates, &shutdown),
        );
        drop(unix);
        connections.drain(&sockets, deadlines.drain).await;
    }
}

/// Keeps what is remembered of callers small, until the server stops.
async fn forget(rates: &Rates, shutdown: &CancellationToken) {
    let mut tick = interval(FORGET_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => rates.forget_full(),
        }
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
