//! Where the ring comes from: the first of a variable, a credential of systemd, a file that is configured, and a file in the data
//! directory.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{KeyProblem, VaultError, file, ring::KeyRing};

/// The variable that holds the key.
const VARIABLE: &str = "NINJA_MASTER_KEY";
/// The variable that holds keys which only open: those before a rotation.
const OLD_VARIABLE: &str = "NINJA_MASTER_KEY_OLD";
/// The variable by which systemd tells where credentials are.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The credential's name.
const CREDENTIAL: &str = "ninja-master-key";
/// The file in the data directory.
const FILE: &str = "vault.keys";

/// Where the ring comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    /// A variable, which we cannot change.
    Variable,
    /// A file that systemd put there for this service, which is not ours to change.
    Credential(PathBuf),
    /// A file that the configuration names. It has to be there: a new one in its stead would open nothing.
    Configured(PathBuf),
    /// A file in the data directory, made when it is first needed.
    Own(PathBuf),
}

impl KeySource {
    /// Returns the first that there is. What was meant and cannot be used is an error, not a reason to go on to the next.
    pub(super) fn find(
        env: &BTreeMap<String, String>,
        configured: Option<&Path>,
        data_dir: &Path,
    ) -> Result<Self, VaultError> {
        if env.contains_key(VARIABLE) {
            return Ok(Self::Variable);
        }
        let credentials = env.get(CREDENTIALS_VARIABLE).filter(|folder| !folder.trim().is_empty());
        if let Some(path) = credentials.map(|folder| Path::new(folder).join(CREDENTIAL))
            && is_there(&path)?
        {
            return Ok(Self::Credential(path));
        }
        Ok(match configured {
            Some(path) => Self::Configured(path.to_owned()),
            None => Self::Own(data_dir.join(FILE)),
        })
    }

    /// Reads the ring; an empty one where it is made later.
    pub(super) fn read(&self, env: &BTreeMap<String, String>) -> Result<KeyRing, VaultError> {
        match self {
            Self::Variable => parse(env.get(VARIABLE).map_or("", String::as_str), VARIABLE),
            Self::Credential(path) => file::read_any(path),
            Self::Configured(path) => file::read(path),
            Self::Own(path) if is_there(path)? => file::read(path),
            Self::Own(_) => Ok(KeyRing::default()),
        }
    }

    /// Says where the keys come from, to a person.
    pub(super) fn describe(&self, is_begun: bool) -> String {
        match self {
            Self::Variable => format!("the variable {VARIABLE}"),
            Self::Credential(path) => format!("the systemd credential {}", path.display()),
            Self::Configured(path) => format!("{}, by master_key_file", path.display()),
            Self::Own(path) if is_begun => format!("{}, beside the data", path.display()),
            Self::Own(path) => format!("{}, beside the data, made when the first key is stored", path.display()),
        }
    }

    /// Returns the file, if it is one that we write.
    ///
    /// # Errors
    ///
    /// Says what a person has to do where we do not.
    pub(super) fn writable(&self) -> Result<&Path, VaultError> {
        let what = match self {
            Self::Configured(path) | Self::Own(path) => return Ok(path),
            Self::Variable => {
                "give NINJA_MASTER_KEY a new key and NINJA_MASTER_KEY_OLD the present one, start the daemon again, then run \
                 `ninja keys rotate`"
            }
            Self::Credential(_) => {
                "add a new key to it as the last line, start the daemon again, then run `ninja keys rotate`"
            }
        };
        Err(VaultError::NotOurs(format!("the master key comes from {self}, which Ninja does not change: {what}")))
    }
}

/// Returns whether anything is there, be it a link that leads nowhere.
fn is_there(path: &Path) -> Result<bool, VaultError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file::failed("look for", path)(error)),
    }
}

/// Reads the keys that only open, if there are any.
pub(super) fn old_keys(env: &BTreeMap<String, String>) -> Result<KeyRing, VaultError> {
    let given = env.get(OLD_VARIABLE).filter(|value| !value.trim().is_empty());
    given.map_or(Ok(KeyRing::default()), |text| parse(text, OLD_VARIABLE))
}

/// Reads keys that are separated by spaces, commas or line ends.
fn parse(text: &str, place: &str) -> Result<KeyRing, VaultError> {
    let lines = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let unusable = |(_, problem): (usize, KeyProblem)| VaultError::Unusable { place: place.to_owned(), problem };
    KeyRing::parse(&zeroize::Zeroizing::new(lines.collect::<Vec<_>>().join("\n"))).map_err(unusable)
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str(VARIABLE),
            Self::Credential(path) | Self::Configured(path) | Self::Own(path) => write!(f, "{}", path.display()),
        }
    }
}
