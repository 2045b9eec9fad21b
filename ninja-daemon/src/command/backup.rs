//! `ninja backup`: everything as one file, of a running daemon or of a directory at rest.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use futures::StreamExt;
use ninja_core::{
    api::ErrorCode,
    clock::{Clock, SystemClock},
    maintenance::{self, BackupError, ItemCounts},
};
use ninja_sdk::Ninja;
use ninja_tui::cli::{Exit, Failure, Output};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::{connect::Finder, surroundings::Surroundings};

/// The arguments of `ninja backup`.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The file to write, or a directory to write a file into
    #[arg(long, value_name = "FILE|DIR")]
    to: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Backup {
    pub(super) async fn execute(self, surroundings: &Surroundings, output: &Output) -> Result<Exit, Failure> {
        let file = self.file();
        if file.exists() {
            let what = format!("{} is there already", file.display());
            return Err(Failure::new(Exit::Usage, what, "name another file"));
        }
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut unfinished = NamedTempFile::with_prefix_in(".ninja-backup-", directory).map_err(unwritable(&file))?;
        match Finder::new(surroundings.clone()).running()? {
            Some(ninja) => download(&ninja, &mut unfinished).await?,
            None => write(&surroundings.data_dir, &unfinished).await?,
        }
        // What counts is what lies on the disk: it is read back before it gets its name.
        let counts = verify(unfinished.reopen().map_err(unwritable(&file))?).await?;
        unfinished.as_file().sync_all().map_err(unwritable(&file))?;
        unfinished.persist_noclobber(&file).map_err(|error| unwritable(&file)(error.error))?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(unwritable(&file))?;
        output.json_if_wanted(&json!({ "file": file, "counts": counts }));
        output.say(&format!("{}: {}", file.display(), describe(&counts)));
        Ok(Exit::Done)
    }

    fn file(&self) -> PathBuf {
        match self.to.is_dir() {
            true => self.to.join(format!("ninja-{}.ndjson", SystemClock.now().strftime("%Y%m%dT%H%M%SZ"))),
            false => self.to.clone(),
        }
    }
}

/// Says how much there was.
pub(super) fn describe(counts: &ItemCounts) -> String {
    let ItemCounts { docs, tasks, records, entries, audit, blobs, blob_bytes } = counts;
    format!(
        "{tasks} tasks with {records} records, {entries} feed entries, {audit} audit entries, {docs} documents, \
         {blobs} files of {blob_bytes} bytes"
    )
}

/// Makes a failure of what is wrong with a backup.
pub(super) fn failed(error: &BackupError) -> Failure {
    let api = error.to_api();
    match (error, api.code) {
        (BackupError::Store(_), ErrorCode::Corrupt) => {
            Failure::new(Exit::Failed, api.to_string(), "`ninja db check` says what is damaged")
        }
        (BackupError::Occupied(_), _) => Failure::new(Exit::Usage, api.detail, "name another with --data DIR"),
        _ => api.into(),
    }
}

async fn download(ninja: &Ninja, file: &mut NamedTempFile) -> Result<(), Failure> {
    let mut pieces = ninja.backup().await?;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| broken_off(&error))?;
        file.write_all(&piece).map_err(unwritable(file.path()))?;
    }
    Ok(())
}

async fn write(data_dir: &Path, file: &NamedTempFile) -> Result<(), Failure> {
    let (data_dir, file) = (data_dir.to_owned(), file.reopen().map_err(unwritable(file.path()))?);
    let written = tokio::task::spawn_blocking(move || {
        maintenance::backup(&data_dir, SystemClock.now(), &mut BufWriter::new(file)).map(drop)
    });
    written.await.map_err(defect)?.map_err(|error| failed(&error))
}

async fn verify(file: File) -> Result<ItemCounts, Failure> {
    let verified = tokio::task::spawn_blocking(move || maintenance::verify(&mut BufReader::new(file)));
    verified.await.map_err(defect)?.map_err(|error| failed(&error))
}

/// Says that a blocking part panicked.
pub(super) fn defect(error: tokio::task::JoinError) -> Failure {
    Failure::new(Exit::Failed, format!("a defect in Ninja: {error}"), "report it with what was printed above")
}

fn broken_off(error: &std::io::Error) -> Failure {
    let what = format!("the daemon broke off: {error}");
    Failure::new(Exit::Failed, what, "look into the daemon's log, then try again")
}

fn unwritable(file: &Path) -> impl Fn(std::io::Error) -> Failure {
    let what = format!("{} cannot be written", file.display());
    move |error| Failure::new(Exit::Failed, format!("{what}: {error}"), "name a file where there is room, with --to")
}
