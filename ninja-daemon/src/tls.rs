//! TLS by the daemon itself: a certificate and its key from two files, read again when that is asked for.
//!
//! TLS 1.2 and 1.3 with the one crypto provider that the process has, and no protocol above them but HTTP/1.1.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use ninja_core::config::HttpConfig;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem, pem::PemObject},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webpki::{EndEntityCert, KeyUsage};

/// Why TLS cannot be spoken. Names the file that is to be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate is of no use without its key, and a key without its certificate.
    #[error("a certificate and its key go together: give both tls_cert and tls_key")]
    HalfGiven,
    /// A file cannot be read, or holds no such thing.
    #[error("failed to read {what} in {}", .file.display())]
    Unread {
        /// A certificate or a key.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file holds something else.
    #[error("there is no certificate in {}; it begins with `-----BEGIN CERTIFICATE-----`", .0.display())]
    NoCertificate(PathBuf),
    /// The key is another one's.
    #[error("the key in {} is not that of the certificate in {}", .key.display(), .cert.display())]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// No client would accept it.
    #[error("the certificate in {} {why}", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// As what is said of a certificate.
        why: String,
    },
}

/// A certificate, its key, and where they come from.
#[derive(Debug)]
pub(crate) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads what the configuration names; nothing where it names nothing.
    pub(crate) fn of(http: &HttpConfig) -> Result<Option<Self>, TlsError> {
        let (cert, key) = match (&http.tls_cert, &http.tls_key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::HalfGiven),
        };
        let config = RwLock::new(Arc::new(read(&cert, &key)?));
        Ok(Some(Self { cert, key, config }))
    }

    /// Agrees on TLS with whoever connects.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Reads the certificate of a server again.
#[derive(Debug, Clone)]
pub struct Reload(Arc<Tls>);

impl Reload {
    pub(crate) fn new(tls: Arc<Tls>) -> Self {
        Self(tls)
    }

    /// Shows the certificate that is in the files now to whoever connects from here on. Reads files: not for an async task.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the files; the certificate stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Self(tls) = self;
        let config = Arc::new(read(&tls.cert, &tls.key)?);
        *tls.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

fn read(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, TlsError> {
    let unusable = |why: String| TlsError::Unusable { file: cert_file.to_owned(), why };
    let unread = |source| TlsError::Unread { what: "certificates", file: cert_file.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert_file).map_err(unread)?.collect();
    let chain = chain.map_err(unread)?;
    let own = chain.first().ok_or_else(|| TlsError::NoCertificate(cert_file.to_owned()))?;
    check_dates(own).map_err(unusable)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|source| TlsError::Unread {
        what: "a private key",
        file: key_file.to_owned(),
        source,
    })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    check_key(&chain, key.clone_key(), &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { cert: cert_file.to_owned(), key: key_file.to_owned() }
        }
        error => unusable(format!("cannot be used with its key: {error}")),
    })?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| unusable(format!("cannot be used: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn check_key(
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<(), rustls::Error> {
    CertifiedKey::from_der(chain.to_vec(), key, provider).map(drop)
}

/// Looks at the dates of a certificate. Who signed it is for clients to judge.
fn check_dates(cert: &CertificateDer<'_>) -> Result<(), String> {
    let cert = EndEntityCert::try_from(cert).map_err(|error| format!("cannot be read: {error}"))?;
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let usage = KeyUsage::server_auth();
    let verified = cert.verify_for_usage(algorithms.all, &[], &[], UnixTime::now(), usage, None, None);
    match verified {
        Err(webpki::Error::CertExpired { .. }) => Err("has expired".to_owned()),
        Err(webpki::Error::CertNotValidYet { .. }) => Err("is not valid yet; is the clock right?".to_owned()),
        Ok(_) | Err(_) => Ok(()),
    }
}
