//! Where the daemon can be reached: a TCP address, the Unix socket of its data directory, or both.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ninja_core::api::{ApiError, ErrorCode};
use tokio::net::{TcpListener, UnixListener};

use crate::tls::TlsError;

/// The socket's name in the data directory.
const SOCKET_FILE: &str = "ninja.sock";
/// The kernel's limit for the path of a socket, less its terminating zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Why nobody can reach the daemon.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Everybody on the network could read what is sent, the key included.
    #[error("{address} is not on this machine, and without TLS its traffic, keys included, can be read on the way")]
    Insecure {
        /// The address.
        address: SocketAddr,
    },
    /// The address is taken or not this machine's.
    #[error("failed to listen on {place}")]
    Bind {
        /// The address or socket.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[from] TlsError),
    /// A limit of the kernel.
    #[error(
        "the data directory's path is too long for a Unix socket in it: {bytes} bytes, at most {SOCKET_PATH_BYTES_MAX}; choose a shorter one with NINJA_DATA_DIR"
    )]
    PathTooLong {
        /// How long the socket's path would be.
        bytes: usize,
    },
}

impl ListenError {
    /// Returns the error as the wire shows it.
    pub fn to_api(&self) -> ApiError {
        let code = match self {
            Self::Insecure { .. } | Self::Tls(_) | Self::PathTooLong { .. } => ErrorCode::InvalidRequest,
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => ErrorCode::AlreadyRunning,
            Self::Bind { .. } => ErrorCode::Internal,
        };
        let mut detail = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            detail = format!("{detail}: {error}");
            source = error.source();
        }
        ApiError::new(code, detail)
    }
}

/// Returns the path of the Unix socket of a data directory.
pub fn socket_file(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET_FILE)
}

/// Refuses an address beyond this machine unless it is encrypted, or was asked for all the same.
pub(crate) fn check(address: SocketAddr, is_allowed: bool) -> Result<(), ListenError> {
    match address.ip().is_loopback() || is_allowed {
        true => Ok(()),
        false => Err(ListenError::Insecure { address }),
    }
}

/// Listens on TCP; beyond this machine only where that is allowed.
pub(crate) async fn tcp(address: SocketAddr, is_allowed: bool) -> Result<TcpListener, ListenError> {
    check(address, is_allowed)?;
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ListenError::Bind { place: address.to_string(), source })
}

/// A Unix socket that disappears with its listener.
pub(crate) struct OwnedSocket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

impl OwnedSocket {
    /// Listens on a socket that only its user can open, from its first moment on.
    ///
    /// The caller holds the data directory's lock: a socket that lies there belongs to a process that is gone.
    pub(crate) fn bind(path: &Path) -> Result<Self, ListenError> {
        let bytes = path.as_os_str().len();
        if bytes > SOCKET_PATH_BYTES_MAX - PRIVATE_SUFFIX_BYTES {
            return Err(ListenError::PathTooLong { bytes });
        }
        let bound =
            bind_private(path).map_err(|source| ListenError::Bind { place: path.display().to_string(), source });
        Ok(Self { listener: bound?, path: path.to_owned() })
    }
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        // Whoever comes next removes it as well.
        std::fs::remove_file(&self.path).ok();
    }
}

/// What [`bind_private`] adds to the socket's path for a moment.
const PRIVATE_SUFFIX_BYTES: usize = ".ninja-XXXXXX/".len();

/// Binds in a folder that nobody else can enter, restricts the socket, then moves it to its place.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let private = tempfile::Builder::new().prefix(".ninja-").rand_bytes(6).tempdir_in(directory)?;
    let hidden = private.path().join(SOCKET_FILE);
    let listener = UnixListener::bind(&hidden)?;
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&hidden, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_replaces_a_stale_one_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_file(directory.path());
        std::fs::write(&path, "stale").unwrap();
        let socket = OwnedSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
        drop(socket);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn the_network_is_not_listened_to_by_accident() {
        let everywhere = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(tcp(everywhere, false).await, Err(ListenError::Insecure { .. })));
        assert!(tcp(everywhere, true).await.is_ok());
        assert!(tcp("127.0.0.1:0".parse().unwrap(), false).await.is_ok());
        let long = Path::new("/tmp").join("x".repeat(120)).join(SOCKET_FILE);
        assert!(matches!(OwnedSocket::bind(&long), Err(ListenError::PathTooLong { .. })));
    }
}
