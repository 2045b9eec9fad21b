//! What a workspace holds, as a value: paths, the addresses of their bytes, and the difference between two such values.
//!
//! No I/O and no clock: the pure task machine folds [`ManifestDelta`]s into a [`Manifest`], and journal records carry
//! both. Only `workspaces` knows how they come to lie on a disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::api::BlobHash;

/// The longest path in bytes. Linux takes 4,096 for a whole path; this leaves room for the root it is put under and
/// keeps journal records of many paths small.
pub const WORK_PATH_BYTES_MAX: usize = 512;

/// The longest single name in bytes that common file systems take.
const NAME_BYTES_MAX: usize = 255;

/// A string that cannot be a path in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a path in the workspace: {reason}")]
pub struct WorkPathError {
    /// What was found, cut to a printable length.
    pub found: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A path in a workspace: relative, UTF-8, `/` between its names, without `.`, `..`, empty names or NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkPath(Arc<str>);

impl WorkPath {
    /// Returns the path as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns its names from the first folder to the file.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns its last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the folder it lies in; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(folder, _)| Self(folder.into()))
    }

    /// Returns the path of another below this folder; `None` where it would be too long.
    pub fn join_path(&self, below: &Self) -> Option<Self> {
        format!("{}/{below}", self.0).parse().ok()
    }

    /// Returns the path of `name` in this folder.
    ///
    /// # Errors
    ///
    /// Fails where the name is not one name, or the whole would be too long.
    pub fn join(&self, name: &str) -> Result<Self, WorkPathError> {
        format!("{}/{name}", self.0).parse()
    }
}

impl fmt::Display for WorkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WorkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for WorkPath {
    type Err = WorkPathError;

    fn from_str(text: &str) -> Result<Self, WorkPathError> {
        match fault(text) {
            None => Ok(Self(text.into())),
            Some(reason) => Err(WorkPathError { found: text.chars().take(120).collect(), reason }),
        }
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > WORK_PATH_BYTES_MAX {
        return Some("it is longer than 512 bytes");
    }
    if text.starts_with('/') {
        return Some("it must be relative, without a leading `/`");
    }
    if text.contains('\0') {
        return Some("it contains a NUL");
    }
    text.split('/').find_map(|name| match name {
        "" => Some("it has an empty name (`//` or a trailing `/`)"),
        "." | ".." => Some("`.` and `..` are not allowed"),
        _ if name.len() > NAME_BYTES_MAX => Some("one of its names is longer than 255 bytes"),
        _ => None,
    })
}

impl TryFrom<String> for WorkPath {
    type Error = WorkPathError;

    fn try_from(text: String) -> Result<Self, WorkPathError> {
        text.parse()
    }
}

impl From<WorkPath> for String {
    fn from(path: WorkPath) -> String {
        path.0.as_ref().to_owned()
    }
}

/// One file of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// The address of its bytes.
    pub blob: BlobHash,
    /// Its size.
    pub bytes: u64,
    /// Whether its owner may execute it. No other mode bit is kept.
    pub executable: bool,
}

/// All files of a workspace. Folders are implied by paths; empty ones are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(BTreeMap<WorkPath, FileEntry>);

impl Manifest {
    /// Returns the entry of a file.
    pub fn get(&self, path: &WorkPath) -> Option<&FileEntry> {
        self.0.get(path)
    }

    /// Returns the files in the order of their paths.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&WorkPath, &FileEntry)> {
        self.0.iter()
    }

    /// Returns how many files there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the size of all files together.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|entry| entry.bytes).sum()
    }

    /// Changes it by a delta. Removing what is not there changes nothing.
    pub fn apply(&mut self, delta: &ManifestDelta) {
        for path in &delta.removed {
            self.0.remove(path);
        }
        self.0.extend(delta.changed.iter().map(|(path, entry)| (path.clone(), *entry)));
    }

    /// Returns the delta that turns `self` into `next`.
    pub fn delta_to(&self, next: &Self) -> ManifestDelta {
        let changed = next.0.iter().filter(|(path, entry)| self.0.get(path) != Some(entry));
        let removed = self.0.keys().filter(|path| !next.0.contains_key(path));
        ManifestDelta {
            changed: changed.map(|(path, entry)| (path.clone(), *entry)).collect(),
            removed: removed.cloned().collect(),
        }
    }
}

impl FromIterator<(WorkPath, FileEntry)> for Manifest {
    fn from_iter<I: IntoIterator<Item = (WorkPath, FileEntry)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// What changed between two manifests: the receipt of an effect of class `workspace`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDelta {
    /// Files that are new or differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<WorkPath, FileEntry>,
    /// Files that are gone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<WorkPath>,
}

impl ManifestDelta {
    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// Makes this delta stand for itself followed by `next`.
    pub fn then(&mut self, next: &Self) {
        for (path, entry) in &next.changed {
            self.removed.remove(path);
            self.changed.insert(path.clone(), *entry);
        }
        for path in &next.removed {
            self.changed.remove(path);
            self.removed.insert(path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> WorkPath {
        text.parse().unwrap()
    }

    fn entry(byte: u8) -> FileEntry {
        FileEntry { blob: BlobHash::from_bytes([byte; 32]), bytes: u64::from(byte), executable: byte % 2 == 1 }
    }

    #[test]
    fn only_plain_relative_paths_parse() {
        for good in ["a", "a/b", "ä/ö ü.txt", ".hidden", "a..b", "...", &"x".repeat(255)] {
            assert_eq!(path(good).as_str(), good);
        }
        let long = "ab/".repeat(200) + "c";
        for bad in ["", "/", "/etc/passwd", "..", ".", "a/../b", "./a", "a//b", "a/", "a\0b", &"x".repeat(256), &long] {
            assert!(bad.parse::<WorkPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_knows_its_parts() {
        let deep = path("a/b/c.txt");
        assert_eq!((deep.name(), deep.parent()), ("c.txt", Some(path("a/b"))));
        assert_eq!(path("a").parent(), None);
        assert_eq!(path("a").join("b"), Ok(path("a/b")));
        assert!(path("a").join("../b").is_err());
    }

    #[test]
    fn the_json_is_a_plain_map_and_bad_paths_do_not_parse() {
        let manifest: Manifest = [(path("a/b"), entry(1))].into_iter().collect();
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(json, format!(r#"{{"a/b":{{"blob":"{}","bytes":1,"executable":true}}}}"#, "01".repeat(32)));
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
        assert!(serde_json::from_str::<Manifest>(&json.replace("a/b", "../b")).is_err());
        assert_eq!(serde_json::to_string(&ManifestDelta::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<ManifestDelta>("{}").unwrap(), ManifestDelta::default());
    }

    proptest! {
        #[test]
        fn applying_the_delta_between_two_manifests_gives_the_second(
            before in prop::collection::btree_map("[a-c]{1,2}", 0..4_u8, 0..6),
            after in prop::collection::btree_map("[a-c]{1,2}", 0..4_u8, 0..6),
        ) {
            let make = |map: BTreeMap<String, u8>| -> Manifest {
                map.into_iter().map(|(name, byte)| (path(&name), entry(byte))).collect()
            };
            let (mut before, after) = (make(before), make(after));
            let delta = before.delta_to(&after);
            prop_assert_eq!(delta.is_empty(), before == after);
            before.apply(&delta);
            prop_assert_eq!(before, after);
        }
    }
}
