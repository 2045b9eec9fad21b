//! `ninja restore`: a new data directory of a backup.

use std::{fs::File, io::BufReader, path::PathBuf};

use ninja_core::maintenance;
use ninja_tui::cli::{Exit, Failure, Output};

use super::backup::{defect, describe, failed};
use crate::surroundings::Surroundings;

/// The arguments of `ninja restore`.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Restore {
    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let file = File::open(&self.from).map_err(|error| {
            let what = format!("{} cannot be read: {error}", self.from.display());
            Failure::new(Exit::Failed, what, "name a file that `ninja backup` wrote")
        })?;
        let data_dir = surroundings.data_dir.clone();
        let restored = tokio::task::spawn_blocking(move || maintenance::restore(&mut BufReader::new(file), &data_dir));
        let restored = restored.await.map_err(defect)?.map_err(|error| failed(&error))?;
        output.json_if_wanted(&restored);
        output.say(&format!("{}: {}", surroundings.data_dir.display(), describe(&restored.counts)));
        for (task, why) in &restored.unreadable {
            output.note(&format!("{task} is as it was backed up, but cannot be read: {why}"));
        }
        output.say("the first start makes a new key for the local owner");
        Ok(Exit::Done)
    }
}
