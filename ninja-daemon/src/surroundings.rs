//! What the process finds around it: the environment and the folders. The one place that reads either.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use ninja_core::{Config, EngineOptions, ResumePolicy};
use ninja_tui::cli::{Exit, Failure};

/// The folder of our things in the folders of everybody's.
const FOLDER: &str = "ninja";

/// The environment and the folders, as read once at the start.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The configuration file, if there is one.
    pub config_file: Option<PathBuf>,
    /// The daemon to speak to: `NINJA_URL`.
    pub url: Option<String>,
    /// The key to show it: `NINJA_API_KEY`.
    pub key: Option<String>,
    /// The certificates by which to know it: `NINJA_CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// What log lines are written: `NINJA_LOG`.
    pub log: Option<String>,
    /// Whether colours are wanted: `NO_COLOR` is not set.
    pub colour: bool,
    /// All variables that are text.
    pub env: BTreeMap<String, String>,
}

impl Surroundings {
    /// Reads them; `data_dir` and `config_file` are what the command line says, which goes first.
    ///
    /// # Errors
    ///
    /// Fails where no data directory is given and there is no home to put one in.
    pub fn read(data_dir: Option<PathBuf>, config_file: Option<PathBuf>) -> Result<Self, Failure> {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let folders = etcetera::choose_base_strategy();
        let data_dir = match (data_dir, &folders) {
            (Some(data_dir), _) => data_dir,
            (None, Ok(folders)) => folders.data_dir().join(FOLDER),
            (None, Err(_)) => {
                return Err(Failure::new(
                    Exit::Usage,
                    "there is no home directory",
                    "say where to keep things with NINJA_DATA_DIR",
                ));
            }
        };
        let usual = folders.ok().map(|folders| folders.config_dir().join(FOLDER).join("ninja.toml"));
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        Ok(Self {
            data_dir: std::path::absolute(&data_dir).unwrap_or(data_dir),
            config_file: config_file.or(usual.filter(|file| file.exists())),
            url: set("NINJA_URL"),
            key: set("NINJA_API_KEY"),
            ca_file: set("NINJA_CA_FILE").map(PathBuf::from),
            log: set("NINJA_LOG"),
            colour: set("NO_COLOR").is_none(),
            env,
        })
    }

    /// Returns what an engine on this data directory is started with.
    ///
    /// # Errors
    ///
    /// Fails where the configuration cannot be read.
    pub fn engine_options(&self, resume: ResumePolicy) -> Result<EngineOptions, Failure> {
        let mut options = EngineOptions::new(&self.data_dir);
        options.config = self.config()?;
        options.env = self.env.clone();
        options.resume = resume;
        Ok(options)
    }

    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// Fails where a file or variable names a setting there is not, or with a value it cannot have.
    pub fn config(&self) -> Result<Config, Failure> {
        let files: Vec<&Path> = self.config_file.as_deref().into_iter().collect();
        Config::load(&files, &self.env).map_err(|error| {
            Failure::new(
                Exit::Usage,
                error.to_string(),
                "correct the file or variable; config/ninja.toml shows every setting",
            )
        })
    }

    /// Returns where local models are.
    pub fn models_dir(&self) -> PathBuf {
        EngineOptions::new(&self.data_dir).models_dir
    }
}
