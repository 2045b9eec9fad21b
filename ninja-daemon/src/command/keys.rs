//! `ninja keys`: the keys under which stored secrets are sealed.

use ninja_core::api::{ErrorCode, KeysRotated, RotateKeys};
use ninja_sdk::SdkError;
use ninja_tui::{
    Connector, Need,
    cli::{Exit, Failure, Output},
};

use crate::{connect::Finder, surroundings::Surroundings};

/// The subcommands of `ninja keys`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Keys {
    /// Make a new master key and seal every stored secret anew with it, also while the daemon works
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// Drop the older keys afterwards; backups made before can then give back everything but secrets
    #[arg(long)]
    drop_old: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Keys {
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::Rotate(rotate) => rotate.json,
        }
    }

    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let Self::Rotate(Rotate { drop_old, .. }) = self;
        let session = Finder::new(surroundings.clone()).connect(Need::Store).await?;
        let rotated = session.ninja().rotate_keys(&RotateKeys { drop_old }).await;
        session.close().await;
        let rotated = match rotated {
            // It says what to do by itself.
            Err(SdkError::Api(error)) if error.code == ErrorCode::Conflict => {
                return Err(Failure::new(
                    Exit::Failed,
                    error.detail,
                    "docs/guide/providers.md tells more under \"Keys at rest\"",
                ));
            }
            rotated => rotated?,
        };
        output.json_if_wanted(&rotated);
        report(&rotated, drop_old, output);
        Ok(if rotated.unopened.is_empty() { Exit::Done } else { Exit::Failed })
    }
}

fn report(rotated: &KeysRotated, drop_old: bool, output: &Output) {
    let KeysRotated { key, is_new, resealed, unopened, dropped, keys } = rotated;
    let new = if *is_new { "a new master key" } else { "the newest master key" };
    let were = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { " was" } else { "s were" });
    output.say(&format!("{new}, {key}, seals from now on; {} sealed anew", were(*resealed, "secret")));
    if *dropped > 0 {
        output.say(&format!("{} dropped", were(*dropped, "older key")));
    }
    for name in unopened {
        // A provider's name has no spaces.
        output.note(&match name.contains(' ') {
            true => format!("{name} does not open: bring the master key back that it is sealed with"),
            false => {
                format!("the key of the provider {name} does not open: set it again with `ninja providers set {name}`")
            }
        });
    }
    match (is_new, unopened.is_empty()) {
        (_, false) => output.note("no key was dropped, since not everything could be opened"),
        (false, true) => output.note("the older keys are needed no more, but for backups that were made before"),
        (true, true) if !drop_old && *keys > 1 => {
            output.note("older keys stay, for backups that were made before; --drop-old drops them");
        }
        (true, true) => {}
    }
    if *is_new {
        output.note("keep a copy of the file of keys: no backup holds it");
    }
}
