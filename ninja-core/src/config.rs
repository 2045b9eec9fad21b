//! Settings: defaults, then files, then `NINJA_SECTION__KEY` variables.
//!
//! `config/ninja.toml` in the repository shows every setting with its default; a test holds the two together. Core reads no
//! environment by itself: the binary hands the variables in.

mod http;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use http::{ForwardedHeader, HostName, HttpConfig, Network, RequestsPerMinute, WebOrigin};

use crate::{
    egress::EgressConfig,
    ledger::SharedBudgets,
    providers::ProviderConfig,
    sandbox::SandboxLimits,
    telemetry::{MetricsConfig, OtelConfig},
};

/// All settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The agent that does a bare goal.
    pub default_agent: String,
    /// A folder of the operator's own agent files.
    pub agents_dir: Option<PathBuf>,
    /// A folder of the operator's own templates.
    pub templates_dir: Option<PathBuf>,
    /// The provider that answers where a request names none; the order of choice where absent.
    pub default_provider: Option<String>,
    /// What answers in its place while it fails, in this order: providers, or models as `provider/name`. A task whose
    /// request names a model or a provider gets that one alone.
    pub fallback: Vec<String>,
    /// A file of the operator's own prices, which come before the built-in ones.
    pub prices_file: Option<PathBuf>,
    /// What users, and all of them together, may use in a day and in a month.
    pub budgets: SharedBudgets,
    /// The file of the keys under which stored secrets are sealed; one in the data directory where absent.
    pub master_key_file: Option<PathBuf>,
    /// How much is done at a time.
    pub limits: Limits,
    /// What each user may store.
    pub files: FileQuota,
    /// What one process in a sandbox may use.
    pub sandbox: SandboxLimits,
    /// What tasks may fetch.
    pub egress: EgressConfig,
    /// Who may read numbers.
    pub metrics: MetricsConfig,
    /// What is sent to an OpenTelemetry collector.
    pub otel: OtelConfig,
    /// How the daemon is called over HTTP, and by whom.
    pub http: HttpConfig,
    /// Providers by name.
    pub providers: BTreeMap<String, ProviderConfig>,
}

/// How much is done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Tasks at work; more are queued.
    pub tasks_at_work: usize,
    /// Processes in sandboxes.
    pub sandboxes: usize,
    /// Submissions being accepted; more are refused with `too_many_requests`.
    pub submissions: usize,
    /// Starts in a row that may end within seconds, without being stopped, before tasks are taken up one at a time to find the
    /// one that ends them; 0: no such suspicion.
    pub short_lives: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tasks_at_work: 256, sandboxes: 16, submissions: 256, short_lives: 3 }
    }
}

/// What a user may store in uploaded files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileQuota {
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Files.
    pub files_max: u64,
}

impl Default for FileQuota {
    fn default() -> Self {
        Self { bytes_max: 1024 * 1024 * 1024, files_max: 10_000 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_agent: "researcher".to_owned(),
            agents_dir: None,
            templates_dir: None,
            default_provider: None,
            fallback: Vec::new(),
            prices_file: None,
            budgets: SharedBudgets::default(),
            master_key_file: None,
            limits: Limits::default(),
            files: FileQuota::default(),
            sandbox: SandboxLimits::default(),
            egress: EgressConfig::default(),
            metrics: MetricsConfig::default(),
            otel: OtelConfig::default(),
            http: HttpConfig::default(),
            providers: BTreeMap::new(),
        }
    }
}

/// Settings that are lists, which a variable gives with commas: `NINJA_EGRESS__ALLOW=127.0.0.1:8080,intranet.example:443`.
const LISTS: [&str; 5] =
    ["egress.allow", "fallback", "http.allowed_hosts", "http.allowed_origins", "http.trusted_proxies"];

/// A setting that cannot be used; says which and from where.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the configuration: {0}")]
pub struct ConfigError(#[from] config::ConfigError);

impl Config {
    /// Reads the files in order, then the variables; later ones win. A file that is missing is an error.
    ///
    /// # Errors
    ///
    /// Fails where a file cannot be read, a setting is unknown or of the wrong type.
    pub fn load(files: &[&Path], env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut layers = config::Config::builder();
        for file in files {
            layers = layers.add_source(config::File::from(*file).format(config::FileFormat::Toml));
        }
        // A variable without `__` names no section: `NINJA_URL` and its like are not settings.
        let settings: HashMap<String, String> = env
            .iter()
            .filter(|(name, _)| name.starts_with("NINJA_") && name.contains("__"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let variables =
            config::Environment::with_prefix("NINJA").prefix_separator("_").separator("__").try_parsing(true);
        let variables =
            LISTS.iter().fold(variables.list_separator(","), |variables, name| variables.with_list_parse_key(name));
        let layers = layers.add_source(variables.source(Some(settings)));
        Ok(layers.build()?.try_deserialize()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotated_file_shows_the_defaults() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/ninja.toml");
        assert_eq!(Config::load(&[&file], &BTreeMap::new()).unwrap(), Config::default());
    }

    #[test]
    fn variables_win_over_files_and_mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ninja.toml");
        std::fs::write(&file, "default_agent = \"coder\"\n[limits]\nsandboxes = 3\n").unwrap();
        let allow = ("NINJA_EGRESS__ALLOW", "127.0.0.1:8080,intranet.example:443");
        let env = [("NINJA_LIMITS__SANDBOXES", "5"), ("NINJA_URL", "x"), allow];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let config = Config::load(&[&file], &env).unwrap();
        assert_eq!((config.default_agent.as_str(), config.limits.sandboxes), ("coder", 5));
        let allowed: Vec<String> = config.egress.allow.into_iter().map(String::from).collect();
        assert_eq!((config.egress.public, allowed.join(" ").as_str()), (true, "127.0.0.1:8080 intranet.example:443"));

        std::fs::write(&file, "[budgets.user]\nday = { usd = 2.5, tokens = 1000 }\nmonth = { tokens = 5000 }\n")
            .unwrap();
        let env = BTreeMap::from([("NINJA_BUDGETS__INSTALLATION__DAY__USD".to_owned(), "10".to_owned())]);
        let budgets = Config::load(&[&file], &env).unwrap().budgets;
        assert_eq!((budgets.user.day.micro_usd, budgets.user.day.tokens), (Some(2_500_000), Some(1_000)));
        assert_eq!((budgets.user.month.micro_usd, budgets.user.month.tokens), (None, Some(5_000)));
        assert_eq!(budgets.installation.day.micro_usd, Some(10_000_000));
        std::fs::write(&file, "[budgets.user]\nday = { usd = -1.0 }\n").unwrap();
        let error = Config::load(&[&file], &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("-1 is no amount of dollars"), "{error}");

        std::fs::write(&file, "[limits]\nsandboxen = 3\n").unwrap();
        let error = Config::load(&[&file], &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("sandboxen"), "{error}");

        let origins = ("NINJA_HTTP__ALLOWED_ORIGINS", "https://a.example,https://b.example");
        let env =
            [origins, ("NINJA_HTTP__TRUSTED_PROXIES", "10.0.0.0/8"), ("NINJA_HTTP__REQUESTS_PER_MINUTE__REFUSED", "5")];
        std::fs::write(&file, "").unwrap();
        let http =
            Config::load(&[&file], &env.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap();
        let HttpConfig { allowed_origins, trusted_proxies, requests_per_minute, .. } = http.http;
        assert_eq!((allowed_origins.len(), trusted_proxies.len(), requests_per_minute.refused), (2, 1, 5));
        std::fs::write(&file, "[http]\nallowed_origins = [\"*\"]\n").unwrap();
        let error = Config::load(&[&file], &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("`*` is no origin"), "{error}");

        std::fs::write(&file, "[egress]\nallow = [\"*.example:80\"]\n").unwrap();
        let error = Config::load(&[&file], &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("`*.example:80` is no target"), "{error}");
    }
}
