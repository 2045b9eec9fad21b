//! `ninja doctor`: what works on this machine, what does not, and what to do about it.

use std::path::Path;

use ninja_core::{
    Engine, ResumePolicy,
    api::{ComponentHealth, ComponentState, Health},
    providers::local,
};
use ninja_tui::cli::{Exit, Failure, Output};

use crate::{connect::Finder, surroundings::Surroundings};

/// The arguments of `ninja doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Print the findings as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Doctor {
    pub(super) async fn execute(self, surroundings: Surroundings, output: &Output) -> Result<Exit, Failure> {
        let models = local_models(&surroundings.models_dir());
        let data_dir = surroundings.data_dir.clone();
        let (daemon, keys, mut health) = examine(surroundings).await?;
        let found = [component("data", ComponentState::Ok, data_dir.display().to_string()), daemon, keys];
        health.components.splice(0..0, found);
        health.components.push(models);
        output.json_if_wanted(&health);
        for component in &health.components {
            output.say(&line(component, output));
            if let Some(advice) = advice(component) {
                output.say(&format!("            {advice}"));
            }
        }
        Ok(if health.state == ComponentState::Down { Exit::Failed } else { Exit::Done })
    }
}

/// Asks the daemon that runs, or an engine that is started for the question and takes up no task.
async fn examine(surroundings: Surroundings) -> Result<(ComponentHealth, ComponentHealth, Health), Failure> {
    let options = surroundings.engine_options(ResumePolicy::None)?;
    if let Some(ninja) = Finder::new(surroundings).running()? {
        let health = ninja.health().await?;
        let keys = match ninja.master_keys().await {
            Ok(keys) => component("master_keys", ComponentState::Ok, keys.source),
            Err(error) => component("master_keys", ComponentState::Degraded, error.to_string()),
        };
        let running = format!("running, version {}", health.version);
        return Ok((component("daemon", ComponentState::Ok, running), keys, health));
    }
    let engine = Engine::start(options).await.map_err(|error| error.to_api())?;
    let owner = engine.local_owner();
    let (health, keys) = (engine.health(Some(&owner)).await, engine.master_keys(&owner).await);
    engine.stop().await;
    let keys = component("master_keys", ComponentState::Ok, keys?.source);
    Ok((component("daemon", ComponentState::Ok, "not running; `ninja run` works without one"), keys, health))
}

fn local_models(models: &Path) -> ComponentHealth {
    match local::list(models) {
        Ok(installed) if installed.is_empty() => component("local_model", ComponentState::Ok, "none installed"),
        Ok(installed) => match installed.iter().find_map(|entry| entry.model.as_ref().err()) {
            Some(error) => component("local_model", ComponentState::Degraded, error.full_text()),
            None => {
                let names: Vec<_> = installed.iter().map(|entry| format!("local/{}", entry.name)).collect();
                component("local_model", ComponentState::Ok, names.join(", "))
            }
        },
        Err(error) => component("local_model", ComponentState::Degraded, error.full_text()),
    }
}

fn component(name: &str, state: ComponentState, detail: impl Into<String>) -> ComponentHealth {
    ComponentHealth::new(name, state, detail)
}

fn line(component: &ComponentHealth, output: &Output) -> String {
    let state = match component.state {
        ComponentState::Ok => output.good("ok      "),
        ComponentState::Degraded => output.notice("degraded"),
        ComponentState::Down => output.bad("missing "),
    };
    format!("{state}  {:<11} {}", component.name, component.detail)
}

/// Returns what to do about a component that does not work.
fn advice(component: &ComponentHealth) -> Option<&'static str> {
    match (component.state, component.name.as_str()) {
        (ComponentState::Ok, _) => None,
        (_, "sandbox") => {
            Some("install bubblewrap (Debian: apt-get install bubblewrap); until then code steps are refused")
        }
        (_, "providers") => Some("`ninja model install` fetches a small one that needs no key"),
        (_, "local_model") => Some("run `ninja model install` again"),
        (_, "store" | "disk") => Some("free some space and start the daemon again"),
        _ => Some("start the daemon again; its log says more"),
    }
}
