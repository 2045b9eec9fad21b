//! The models that lie in a directory: each a `NAME.gguf` and a sidecar `NAME.json` that says what it is.
//!
//! A model counts as installed only once its sidecar is there, and the sidecar is written last. Its size is compared at each
//! load, its hash only by [`verify`], because hashing takes longer than loading.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::ModelError;
use super::gguf::GgufFile;
use super::source::check_name;

/// The version of the sidecar's form. A reader refuses a higher one.
const FORMAT: u32 = 1;

/// What is known of an installed model; the content of its sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledModel {
    /// The version of this form.
    pub format: u32,
    /// The model's name, and that of its files.
    pub name: String,
    /// Where it came from, for people.
    pub source: String,
    /// The SHA-256 of the file that was fetched.
    pub original_sha256: String,
    /// The SHA-256 of the file that lies here.
    pub sha256: String,
    /// The size of the file that lies here.
    pub bytes: u64,
    /// Its architecture, such as `llama`.
    pub architecture: String,
    /// The number of its weights.
    pub parameters: u64,
    /// The context length that it was trained for.
    pub context_tokens: u64,
    /// Its licence as its file says, an SPDX identifier where the file is careful.
    pub licence: Option<String>,
}

impl InstalledModel {
    /// Describes a file that is about to be installed.
    pub(super) fn describe(
        name: &str,
        source: String,
        original_sha256: String,
        path: &Path,
    ) -> Result<Self, ModelError> {
        let file = GgufFile::open(path)?;
        let (sha256, bytes) = hash_file(path)?;
        Ok(Self {
            format: FORMAT,
            name: name.to_owned(),
            source,
            original_sha256,
            sha256,
            bytes,
            architecture: file.architecture()?.to_owned(),
            parameters: file.parameters(),
            context_tokens: file.context_tokens()?,
            licence: file.text("general.license").map(str::to_owned),
        })
    }
}

/// A model in a directory, sound or not.
#[derive(Debug)]
pub struct ModelEntry {
    /// Its name.
    pub name: String,
    /// Its GGUF file.
    pub path: PathBuf,
    /// What is known of it, or what is wrong with it.
    pub model: Result<InstalledModel, ModelError>,
}

/// Lists the models in a directory, by name. A directory that does not exist has none.
pub fn list(models_dir: &Path) -> Result<Vec<ModelEntry>, ModelError> {
    let entries = match std::fs::read_dir(models_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ModelError::io("list", models_dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ModelError::io("list", models_dir))?;
        let file_name = entry.file_name();
        let stem = file_name.to_str().and_then(|name| name.strip_suffix(".json"));
        names.extend(stem.filter(|name| check_name(name).is_ok()).map(str::to_owned));
    }
    names.sort();
    let entry = |name: String| ModelEntry {
        path: model_path(models_dir, &name),
        model: find(models_dir, &name).map(|(model, _)| model),
        name,
    };
    Ok(names.into_iter().map(entry).collect())
}

/// Finds a model by name and checks that its file is there in full length.
pub fn find(models_dir: &Path, name: &str) -> Result<(InstalledModel, PathBuf), ModelError> {
    check_name(name)?;
    let damaged = |detail: String| ModelError::Damaged { name: name.to_owned(), detail };
    let text = match std::fs::read_to_string(sidecar_path(models_dir, name)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ModelError::NotInstalled { name: name.to_owned() });
        }
        Err(error) => return Err(ModelError::io("read", &sidecar_path(models_dir, name))(error)),
    };
    let model: InstalledModel =
        serde_json::from_str(&text).map_err(|error| damaged(format!("its sidecar cannot be read: {error}")))?;
    if model.format > FORMAT {
        return Err(damaged(format!("its sidecar has the newer format {}", model.format)));
    }
    let path = model_path(models_dir, name);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() == model.bytes => Ok((model, path)),
        Ok(metadata) => Err(damaged(format!("its file has {} bytes, expected {}", metadata.len(), model.bytes))),
        Err(error) => Err(damaged(format!("its file is not there: {error}"))),
    }
}

/// Checks a model byte by byte against its sidecar. Blocks for as long as hashing takes, about a second a gigabyte.
pub fn verify(models_dir: &Path, name: &str) -> Result<InstalledModel, ModelError> {
    let (model, path) = find(models_dir, name)?;
    let (sha256, _) = hash_file(&path)?;
    if sha256 == model.sha256 {
        return Ok(model);
    }
    let detail = format!("its file has SHA-256 {sha256}, expected {}", model.sha256);
    Err(ModelError::Damaged { name: name.to_owned(), detail })
}

/// Puts a finished file in place: the old sidecar goes first and the new one comes last, so that whatever
/// interrupts it, a model is either whole or not installed.
pub(super) fn put(models_dir: &Path, file: &Path, model: &InstalledModel) -> Result<(), ModelError> {
    let target = model_path(models_dir, &model.name);
    let sidecar = sidecar_path(models_dir, &model.name);
    let new_sidecar = file.with_extension("json");
    let text = serde_json::to_vec_pretty(model).map_err(|error| ModelError::Io {
        action: "write",
        path: new_sidecar.clone(),
        source: error.into(),
    })?;
    let mut out = File::create(&new_sidecar).map_err(ModelError::io("create", &new_sidecar))?;
    out.write_all(&text).and_then(|()| out.sync_all()).map_err(ModelError::io("write", &new_sidecar))?;
    sync(file)?;
    match std::fs::remove_file(&sidecar) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ModelError::io("remove", &sidecar)(error));
        }
        Ok(()) | Err(_) => sync(models_dir)?,
    }
    std::fs::rename(file, &target).map_err(ModelError::io("place", &target))?;
    sync(models_dir)?;
    std::fs::rename(&new_sidecar, &sidecar).map_err(ModelError::io("place", &sidecar))?;
    sync(models_dir)
}

fn sync(path: &Path) -> Result<(), ModelError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(ModelError::io("sync", path))
}

fn model_path(models_dir: &Path, name: &str) -> PathBuf {
    models_dir.join(format!("{name}.gguf"))
}

fn sidecar_path(models_dir: &Path, name: &str) -> PathBuf {
    models_dir.join(format!("{name}.json"))
}

/// Returns the SHA-256 of a file, in hexadecimal, and its length.
pub(super) fn hash_file(path: &Path) -> Result<(String, u64), ModelError> {
    let mut file = File::open(path).map_err(ModelError::io("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let len = file.read(&mut buffer).map_err(ModelError::io("read", path))?;
        let Some(read) = buffer.get(..len).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
        bytes += read.len() as u64;
    }
    Ok((hexadecimal(&hash.finalize()), bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
