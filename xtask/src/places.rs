//! Where things lie: the repository, what cargo builds, and what is kept between runs.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// Returns the repository's folder.
pub(crate) fn repository() -> PathBuf {
    // Cargo says where this crate lies now; the folder it was compiled in may be another clone with the same target.
    let own = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.parent().map(Path::to_path_buf).unwrap_or(own)
}

/// Returns the folder that cargo builds into.
pub(crate) fn target() -> Result<PathBuf> {
    let json = shell::output(shell::cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&json).context("failed to read what `cargo metadata` says")?;
    let target = metadata.get("target_directory").and_then(Value::as_str).context("cargo names no target directory")?;
    Ok(target.into())
}

/// Returns where the `ninja` binary is built.
pub(crate) fn ninja() -> Result<PathBuf> {
    Ok(target()?.join("debug").join("ninja"))
}

/// Returns the folder for what is worth keeping between clones: counterparts and the local model.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    match base {
        Some(base) => Ok(base.join("ninja")),
        None => Ok(target()?.join("ninja-cache")),
    }
}

/// Returns a program's path if it is on `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
