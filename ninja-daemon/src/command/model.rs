//! `ninja model`: local models, and the offer to install one when nothing else can answer.

use std::{
    io::{self, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use ninja_core::{
    maintenance,
    providers::{
        Prices, Providers, Sources,
        local::{self, InstallPhase, InstallRequest, ModelError, ModelSource},
    },
};
use ninja_tui::cli::{Exit, Failure, Output, Run};
use serde_json::json;

use crate::{connect::Finder, surroundings::Surroundings};

/// The subcommands of `ninja model`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Model {
    /// Fetch, verify and convert a model; says what and how large before it does
    Install(Install),
    /// List the installed models
    List(List),
}

#[derive(Debug, clap::Args)]
pub(super) struct Install {
    /// `default`, a `.gguf` file, or `hf:OWNER/REPO/FILE.gguf`
    #[arg(default_value = "default")]
    source: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

impl Model {
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::Install(_) => false,
            Self::List(list) => list.json,
        }
    }

    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let models = surroundings.models_dir();
        match self {
            Self::List(_) => list(&models, output),
            Self::Install(Install { source, yes }) => {
                let source: ModelSource = source.parse().map_err(failed)?;
                install(&InstallRequest::new(source, &surroundings.env), &models, yes, output).await
            }
        }
    }
}

/// Offers the local model when a task is about to be run here and nobody would answer it.
///
/// Where nobody can be asked, the engine says what is missing once a step needs it.
pub(super) async fn offer(run: &Run, surroundings: &Surroundings, output: &Output) -> Result<(), Failure> {
    let models = surroundings.models_dir();
    let can_ask = output.terminal().stdin && output.terminal().stderr;
    if !run.needs_any_model().await
        || !(run.is_agreed() || can_ask)
        || local::list(&models).is_ok_and(|installed| !installed.is_empty())
        || Finder::new(surroundings.clone()).running()?.is_some()
        || has_provider(surroundings).await?
        || has_stored_provider(surroundings).await
    {
        return Ok(());
    }
    output.note("no provider is configured; a small local model can answer");
    install(&InstallRequest::new(ModelSource::Default, &surroundings.env), &models, run.is_agreed(), output)
        .await
        .map(|_| ())
}

async fn has_provider(surroundings: &Surroundings) -> Result<bool, Failure> {
    let config = surroundings.config()?;
    let env = |name: &str| surroundings.env.get(name).cloned();
    // Whether anybody answers is asked, not what it costs.
    let prices = Prices::default();
    let sources = Sources::of(&config, &prices, &env);
    Ok(Providers::discover(&sources, || 0.0).await.choose(None).is_ok())
}

/// Where the store cannot be read the command that needs it says so.
async fn has_stored_provider(surroundings: &Surroundings) -> bool {
    let data_dir = surroundings.data_dir.clone();
    let looked = tokio::task::spawn_blocking(move || maintenance::has_stored_providers(&data_dir)).await;
    looked.is_ok_and(|found| found.unwrap_or(true))
}

async fn install(request: &InstallRequest, models: &Path, yes: bool, output: &Output) -> Result<Exit, Failure> {
    let plan = local::plan(request, models).await.map_err(failed)?;
    output.note(&plan.to_string());
    if plan.is_installed {
        return Ok(Exit::Done);
    }
    if !yes && !agrees(output)? {
        output.note("nothing was installed");
        return Ok(Exit::Done);
    }
    let told = AtomicU64::new(0);
    let show = |phase| tell(phase, &told, output);
    let model = local::install(request, models, &show).await.map_err(failed)?;
    output.note(&format!("installed {}; it answers as local/{}", model.name, model.name));
    Ok(Exit::Done)
}

fn agrees(output: &Output) -> Result<bool, Failure> {
    if !output.terminal().stdin {
        return Err(Failure::new(Exit::Usage, "nobody can be asked whether to fetch it", "say --yes"));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "go on? [y]es, [n]o: ").and_then(|()| io::stdin().read_line(&mut answer));
    Ok(asked.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Says how far an installation is, each tenth of a download once.
fn tell(phase: InstallPhase, told: &AtomicU64, output: &Output) {
    match phase {
        InstallPhase::Fetching { done_bytes, total_bytes: Some(total) } if total > 0 => {
            let tenth = done_bytes * 10 / total;
            if told.fetch_max(tenth, Ordering::Relaxed) < tenth {
                output.note(&format!("fetching: {} %", tenth * 10));
            }
        }
        InstallPhase::Fetching { .. } => {
            if told.fetch_max(1, Ordering::Relaxed) == 0 {
                output.note("fetching");
            }
        }
        InstallPhase::Verifying => output.note("verifying"),
        InstallPhase::Converting => output.note("converting"),
        InstallPhase::Done => {}
    }
}

fn list(models: &Path, output: &Output) -> Result<Exit, Failure> {
    let installed = local::list(models).map_err(failed)?;
    let entries: Vec<_> = installed
        .iter()
        .map(|entry| match &entry.model {
            Ok(model) => {
                json!({ "name": entry.name, "bytes": model.bytes, "source": model.source, "licence": model.licence })
            }
            Err(error) => json!({ "name": entry.name, "error": error.full_text() }),
        })
        .collect();
    output.json_if_wanted(&entries);
    for entry in &installed {
        output.say(&match &entry.model {
            Ok(model) => format!("local/{}  {} MB  {}", entry.name, model.bytes.div_ceil(1_000_000), model.source),
            Err(error) => format!("local/{}  cannot be used: {}", entry.name, error.full_text()),
        });
    }
    if installed.is_empty() {
        output.note("no model is installed; `ninja model install` fetches a small one");
    }
    Ok(Exit::Done)
}

fn failed(error: ModelError) -> Failure {
    Failure::new(Exit::Failed, error.full_text(), "`ninja model install --help` names the sources there are")
}
