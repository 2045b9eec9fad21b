//! TLS by the daemon itself: agreed on outside of the accept loop, with a certificate that can be replaced.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ninja_core::{api::ErrorCode, providers::Scripted};
use ninja_daemon::Deadlines;
use ninja_sdk::{Client, Ninja};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{probes::rest, support::Daemon};

/// Only a hang takes longer.
const HANG: Duration = Duration::from_secs(60);

/// A certificate that signed itself, and its key, in files.
struct Files {
    folder: TempDir,
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
        let files = Self { folder, cert, key };
        files.renew(|_| {});
        files
    }

    /// Writes another one.
    fn renew(&self, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        fs::write(&self.cert, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&self.key, key.serialize_pem()).unwrap();
    }

    async fn serve(&self, deadlines: Deadlines) -> Daemon {
        Daemon::start_with(Scripted::answering("hello"), |options| {
            (options.http.tls_cert, options.http.tls_key) = (Some(self.cert.clone()), Some(self.key.clone()));
            options.deadlines = deadlines;
        })
        .await
    }
}

fn client(daemon: &Daemon, ca_file: &Path) -> Client {
    Client::builder().url(&daemon.url).key(&daemon.key).ca_file(ca_file).build().unwrap()
}

async fn agree(
    daemon: &Daemon,
    root: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_protocol_versions(versions).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, daemon.connect().await).await
}

#[tokio::test]
async fn the_sdk_speaks_to_it_by_the_certificate_that_it_is_given() {
    let files = Files::new();
    let daemon = files.serve(Deadlines::default()).await;
    assert!(daemon.url.starts_with("https://"));
    let client = client(&daemon, &files.cert);
    let task = client.submit_task(&serde_json::from_value(json!({ "goal": "say hello" })).unwrap()).await.unwrap();
    let mut events = Ninja::from(client).events(task.id, None).await.unwrap();
    while let Some(frame) = futures::StreamExt::next(&mut events).await {
        frame.unwrap();
    }
    let stranger = Client::builder().url(&daemon.url).key(&daemon.key).build().unwrap();
    assert!(stranger.health().await.is_err(), "nobody vouches for it");
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let mut stream = agree(&daemon, &files.cert, versions).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "and never h2");
        stream.write_all(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(
            text.starts_with("HTTP/1.1 404") && text.contains("strict-transport-security: max-age=31536000\r\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn who_does_not_agree_delays_nobody_and_is_left() {
    let files = Files::new();
    let daemon = files.serve(Deadlines { handshake: Duration::from_secs(2), ..Deadlines::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(daemon.connect().await);
    }
    let mut plain = daemon.connect().await;
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    client(&daemon, &files.cert).health().await.unwrap();
    for mut socket in silent {
        assert_eq!(rest(&mut socket).await, "");
    }
    // An alert, and no word of HTTP.
    let mut came = Vec::new();
    timeout(HANG, plain.read_to_end(&mut came)).await.unwrap().ok();
    assert!(!came.starts_with(b"HTTP"), "{came:?}");
    client(&daemon, &files.cert).health().await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_the_next_connection_on() {
    let files = Files::new();
    let daemon = files.serve(Deadlines::default()).await;
    let reload = daemon.reload.clone().unwrap();
    let old = files.folder.path().join("old.pem");
    fs::copy(&files.cert, &old).unwrap();
    files.renew(|_| {});
    let both = [&TLS13, &TLS12];
    assert!(agree(&daemon, &old, &both).await.is_ok(), "files alone change nothing");
    reload.reload().unwrap();
    assert!(agree(&daemon, &files.cert, &both).await.is_ok() && agree(&daemon, &old, &both).await.is_err());
    fs::write(&files.key, "nothing").unwrap();
    assert!(reload.reload().is_err());
    assert!(agree(&daemon, &files.cert, &both).await.is_ok(), "what is wrong replaces nothing");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
    let said = |files: &Files| {
        let (cert, key) = (files.cert.clone(), files.key.clone());
        async move {
            let daemon = Daemon::try_start(Scripted::answering("x"), |options| {
                options.http.tls_cert = Some(cert);
                options.http.tls_key = Some(key);
            });
            let error = daemon.await.err().unwrap().to_api();
            assert_eq!(error.code, ErrorCode::InvalidRequest);
            error.detail
        }
    };
    let (files, other) = (Files::new(), Files::new());
    fs::copy(&other.key, &files.key).unwrap();
    let detail = said(&files).await;
    assert!(detail.contains("is not that of the certificate in") && detail.contains("tls.key"), "{detail}");
    files.renew(|params| params.not_after = date_time_ymd(2001, 1, 1));
    assert!(said(&files).await.ends_with("tls.pem has expired"));
    files.renew(|params| params.not_before = date_time_ymd(4000, 1, 1));
    assert!(said(&files).await.contains("is not valid yet"));
    files.renew(|_| {});
    fs::copy(&files.cert, &files.key).unwrap();
    assert!(said(&files).await.contains("failed to read a private key in"));
    files.renew(|_| {});
    fs::copy(&files.key, &files.cert).unwrap();
    assert!(said(&files).await.contains("there is no certificate in"));
    fs::remove_file(&files.cert).unwrap();
    assert!(said(&files).await.contains("No such file"));
}

#[tokio::test]
async fn half_of_a_pair_is_refused() {
    let files = Files::new();
    let half = Daemon::try_start(Scripted::answering("x"), |options| options.http.tls_cert = Some(files.cert.clone()));
    let said: Value = json!(half.await.err().unwrap().to_api().detail);
    assert!(said.as_str().unwrap().contains("go together"), "{said}");
}
