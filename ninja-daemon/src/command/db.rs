//! `ninja db`: looks for damage in a data directory at rest, and mends what can be mended.

use std::path::PathBuf;

use ninja_core::{
    api::ApiError,
    clock::{Clock, SystemClock},
    journal::store::StoreError,
    maintenance::{self, Compacted, Examined},
};
use ninja_tui::cli::{Exit, Failure, Output};
use serde_json::json;

use super::backup::{defect, describe};
use crate::surroundings::Surroundings;

/// The subcommands of `ninja db`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Db {
    /// Read everything and say what is damaged; changes nothing
    Check(Check),
    /// Keep what is readable, set the rest aside and say what was lost
    Repair(Repair),
    /// Remove files that nothing refers to, such as uploads that a crash cut off
    Compact(Compact),
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Repair {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Compact {
    /// Print what was removed as JSON
    #[arg(long)]
    json: bool,
}

impl Db {
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::Check(check) => check.json,
            Self::Repair(repair) => repair.json,
            Self::Compact(compact) => compact.json,
        }
    }

    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let data_dir = surroundings.data_dir.clone();
        match self {
            Self::Check(_) => {
                let examined = tokio::task::spawn_blocking(move || maintenance::check(&data_dir)).await;
                let examined = examined.map_err(defect)?.map_err(|error| damaged(&error))?;
                Ok(report_check(&examined, output))
            }
            Self::Repair(_) => {
                let at = SystemClock.now();
                let repaired = tokio::task::spawn_blocking(move || maintenance::repair(&data_dir, at)).await;
                let (examined, aside) = repaired.map_err(defect)?.map_err(|error| damaged(&error))?;
                report_repair(&examined, aside.as_ref(), output);
                Ok(Exit::Done)
            }
            Self::Compact(_) => {
                let compacted = tokio::task::spawn_blocking(move || maintenance::compact(&data_dir)).await;
                let compacted = compacted.map_err(defect)?.map_err(|error| damaged(&error))?;
                report_compact(&compacted, output);
                Ok(Exit::Done)
            }
        }
    }
}

fn damaged(error: &StoreError) -> Failure {
    ApiError::new(error.code(), error.to_string()).into()
}

fn report_check(examined: &Examined, output: &Output) -> Exit {
    output.json_if_wanted(&json!({
        "sound": examined.is_sound(),
        "findings": examined.findings,
        "beyond_repair": examined.beyond_repair,
        "counts": examined.counts,
    }));
    for finding in &examined.findings {
        output.say(&format!("{}  {finding}", output.bad("damaged")));
    }
    say_beyond_repair(examined, output);
    if examined.is_sound() {
        output.say(&format!("{}  {}", output.good("sound"), describe(&examined.counts)));
        return Exit::Done;
    }
    output.say(&format!("readable: {}", describe(&examined.counts)));
    output.say("restore the last backup into a new directory with `ninja restore`");
    if !examined.findings.is_empty() {
        output.say("or keep what is readable with `ninja db repair`");
    }
    Exit::Failed
}

fn say_beyond_repair(examined: &Examined, output: &Output) {
    for finding in &examined.beyond_repair {
        output.say(&format!("{}  {finding}; only a backup can have it", output.bad("beyond repair")));
    }
}

fn report_compact(compacted: &Compacted, output: &Output) {
    output.json_if_wanted(&json!(compacted));
    let Compacted { blobs, bytes, kept } = compacted;
    output.say(&format!("{}  {blobs} files with {bytes} bytes, {kept} are kept", output.good("removed")));
}

fn report_repair(examined: &Examined, aside: Option<&PathBuf>, output: &Output) {
    output.json_if_wanted(&json!({
        "lost": examined.findings,
        "beyond_repair": examined.beyond_repair,
        "kept": examined.counts,
        "aside": aside,
    }));
    say_beyond_repair(examined, output);
    for finding in &examined.findings {
        output.say(&format!("{}  {finding}", output.bad("lost")));
    }
    match aside {
        None if examined.is_sound() => output.say("nothing is damaged, and nothing was changed"),
        None => output.say("nothing can be repaired, and nothing was changed"),
        Some(aside) => {
            output.say(&format!("kept: {}", describe(&examined.counts)));
            output.say(&format!("the damaged files are in {}, as they were", aside.display()));
        }
    }
}
