//! `ninja audit`: who did what, and whether that is what was written.

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use futures::StreamExt;
use ninja_core::{
    api::{
        ApiError, AuditAction, AuditCheckpoint, AuditEntry, AuditFilter, AuditFormat, AuditOutcome, AuditVerified,
        Timestamp, UserId,
    },
    maintenance,
    vault::Vault,
};
use ninja_sdk::ListAudit;
use ninja_tui::{
    Connector, Need,
    cli::{Exit, Failure, Output},
};
use serde::de::DeserializeOwned;

use super::backup::defect;
use crate::{connect::Finder, surroundings::Surroundings};

/// The subcommands of `ninja audit`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Audit {
    /// Show who did what, the newest first
    List(List),
    /// Write who did what as lines of JSON or as a table, the oldest first
    Export(Export),
    /// Check that nothing in the audit log was changed, cut off or put in
    Verify(Verify),
    /// Print where the audit log ends, signed: one line, to be kept off this machine
    Checkpoint,
}

#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// What this account did
    #[arg(long, value_name = "USER", value_parser = parse::<UserId>)]
    user: Option<UserId>,
    /// One action, such as task.cancel
    #[arg(long, value_parser = parse::<AuditAction>)]
    action: Option<AuditAction>,
    /// What was done, or what was refused
    #[arg(long, value_name = "done|refused", value_parser = parse::<AuditOutcome>)]
    outcome: Option<AuditOutcome>,
    /// What was done to this, such as a task's id
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// What came from this address
    #[arg(long)]
    ip: Option<IpAddr>,
    /// At this time or later, such as 2026-11-23T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print the entries as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    filter: Filter,
    /// Lines of JSON, or a table for a spreadsheet
    #[arg(long, value_name = "ndjson|csv", default_value = "ndjson", value_parser = parse::<AuditFormat>)]
    format: AuditFormat,
    /// The file to write; the standard output where none is given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// A file whose last line is one that `ninja audit checkpoint` printed
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::List(list) => list.json,
            Self::Verify(verify) => verify.json,
            Self::Export(_) | Self::Checkpoint => false,
        }
    }

    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::List(list) => list.execute(surroundings, output).await,
            Self::Export(export) => export.execute(surroundings).await,
            Self::Verify(verify) => verify.execute(surroundings, output).await,
            Self::Checkpoint => checkpoint(surroundings, output).await,
        }
    }
}

impl Filter {
    fn into_filter(self) -> AuditFilter {
        let Self { user, action, outcome, target, ip, from, to } = self;
        AuditFilter { user, action, outcome, target, ip, from, to }
    }
}

impl List {
    async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let session = Finder::new(surroundings.clone()).connect(Need::Store).await?;
        let mut query = ListAudit { filter: self.filter.into_filter(), ..ListAudit::default() };
        let mut left = self.limit;
        let listed = loop {
            // What a page takes at most.
            query.limit = Some(left.min(200));
            let page = match session.ninja().list_audit(&query).await {
                Ok(page) => page,
                Err(error) => break Err(error),
            };
            left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
            for entry in &page.items {
                output.json_if_wanted(entry);
                output.say(&describe(entry));
            }
            query.cursor = page.next_cursor;
            if left == 0 || query.cursor.is_none() || output.is_broken() {
                break Ok(());
            }
        };
        session.close().await;
        listed?;
        Ok(Exit::Done)
    }
}

/// Writes an entry on one line. What a client said of itself is left to `--json`, which escapes it.
fn describe(entry: &AuditEntry) -> String {
    let AuditEntry { seq, at, action, outcome, actor, target, ip, detail, .. } = entry;
    let who = actor.as_ref().map_or_else(|| "nobody known".to_owned(), |actor| actor.user.to_string());
    let mut line = format!("{seq:>6}  {at}  {action:<20}  {:<7}  {who}", outcome.as_str());
    let more = [target.as_deref().map(plain), ip.map(|ip| format!("from {ip}")), detail.as_deref().map(plain)];
    for part in more.into_iter().flatten() {
        line.push_str("  ");
        line.push_str(&part);
    }
    line
}

/// Returns a text without what a terminal takes for a command.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Export {
    async fn execute(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let unwritable = |error: &io::Error| {
            let place = self.output.as_ref().map_or_else(|| "the output".to_owned(), |path| path.display().to_string());
            let advice = "name a file that is not there yet, with --output";
            Failure::new(Exit::Failed, format!("{place} cannot be written: {error}"), advice)
        };
        let mut out: Box<dyn Write> = match &self.output {
            Some(path) => Box::new(create(path).map_err(|error| unwritable(&error))?),
            None => Box::new(io::stdout()),
        };
        let session = Finder::new(surroundings.clone()).connect(Need::Store).await?;
        let exported = async {
            let mut pieces = session.ninja().export_audit(&self.filter.into_filter(), self.format).await?;
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| {
                    let advice = "what was written so far is not all of it; `ninja audit verify` tells more";
                    Failure::new(Exit::Failed, format!("the export broke off: {error}"), advice)
                })?;
                out.write_all(&piece).map_err(|error| unwritable(&error))?;
            }
            out.flush().map_err(|error| unwritable(&error))
        };
        let exported: Result<(), Failure> = exported.await;
        session.close().await;
        exported.map(|()| Exit::Done)
    }
}

/// Makes a file that only its owner reads: it says who did what from where.
fn create(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

impl Verify {
    async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let checkpoint = self.checkpoint.as_deref().map(read_checkpoint).transpose()?;
        let verified = match Finder::new(surroundings.clone()).running()? {
            Some(ninja) => ninja.verify_audit(checkpoint.as_ref()).await?,
            None => verify_at_rest(surroundings, checkpoint).await?,
        };
        output.json_if_wanted(&verified);
        report(&verified, output);
        Ok(if verified.is_whole() { Exit::Done } else { Exit::Failed })
    }
}

fn report(verified: &AuditVerified, output: &Output) {
    let AuditVerified { entries, mac, problems } = verified;
    if problems.is_empty() {
        let whole =
            mac.as_ref().map_or_else(|| "nothing was audited yet".to_owned(), |mac| format!("chain whole to {mac}"));
        output.say(&format!("{entries} entries, {whole}"));
        return;
    }
    for problem in problems {
        output.say(problem);
    }
    output.note(&format!(
        "the audit log is not the one that was written, or cannot be checked; there is nothing against {entries} entries"
    ));
}

/// Reads a checkpoint.
fn read_checkpoint(path: &Path) -> Result<AuditCheckpoint, Failure> {
    let usage = |what: String| {
        Failure::new(Exit::Usage, format!("{}: {what}", path.display()), "`ninja audit checkpoint > FILE` makes one")
    };
    let text = fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    // Where a file has several, the last goes furthest.
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    serde_json::from_str(line).map_err(|error| usage(format!("its last line is no checkpoint: {error}")))
}

async fn verify_at_rest(
    surroundings: &Surroundings,
    checkpoint: Option<AuditCheckpoint>,
) -> Result<AuditVerified, Failure> {
    let key_file = surroundings.config()?.master_key_file;
    let (data_dir, env) = (surroundings.data_dir.clone(), surroundings.env.clone());
    let verified = tokio::task::spawn_blocking(move || {
        let vault = Vault::find(&env, key_file.as_deref(), &data_dir)
            .map_err(|error| ApiError::new(error.code(), format!("failed to find the master keys: {error}")))?;
        maintenance::verify_audit(&data_dir, &vault, checkpoint.as_ref())
            .map_err(|error| ApiError::new(error.code(), error.to_string()))
    });
    Ok(verified.await.map_err(defect)??)
}

async fn checkpoint(surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
    let session = Finder::new(surroundings.clone()).connect(Need::Store).await?;
    let checkpoint = session.ninja().checkpoint_audit().await;
    session.close().await;
    output.json(&checkpoint?);
    Ok(Exit::Done)
}

/// Reads a word as it stands on the wire.
fn parse<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|error| error.to_string())
}
