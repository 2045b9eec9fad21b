//! `ninja artifacts`: the files a task made, listed or fetched.

use std::path::{Component, Path, PathBuf};

use ninja_sdk::{Ninja, api::Task};

use super::{Exit, Failure, Output, name, report};
use crate::{Connector, Need, format::short};

/// Where artifacts go unless the person says otherwise.
const DIRECTORY: &str = "ninja-artifacts";

/// The arguments of `ninja artifacts`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Artifacts {
    /// The task's id, or four or more characters of its beginning or end
    #[arg(required = true)]
    task: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    get: Option<Fetch>,
}

#[derive(Debug, clap::Subcommand)]
enum Fetch {
    /// Fetch one file, or all of them
    Get(Get),
}

#[derive(Debug, clap::Args)]
struct Get {
    /// The task's id, or four or more characters of its beginning or end
    task: String,
    /// The file's path, as the list shows it
    #[arg(required_unless_present = "all")]
    path: Option<String>,
    /// Where to: a file, or a directory that exists or ends with `/`
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
    /// Fetch every file
    #[arg(long, conflicts_with = "path")]
    all: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

impl Artifacts {
    pub(super) fn is_json(&self) -> bool {
        match &self.get {
            Some(Fetch::Get(get)) => get.json,
            None => self.json,
        }
    }

    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let result = match (self.get, self.task) {
            (Some(Fetch::Get(get)), _) => get.execute(session.ninja(), output).await,
            (None, task) => list(session.ninja(), output, &task.unwrap_or_default()).await,
        };
        session.close().await;
        result
    }
}

async fn list(ninja: &Ninja, output: &Output, task: &str) -> Result<Exit, Failure> {
    let task = ninja.task(name::resolve(ninja, task).await?).await?;
    if output.json {
        output.json(&task.artifacts);
        return Ok(Exit::Done);
    }
    for artifact in &task.artifacts {
        output.say(&report::artifact(output.paint(), artifact));
    }
    match task.artifacts.is_empty() {
        true => output.note("the task has made no files"),
        false => output.note(&format!("fetch them: ninja artifacts get {} --all", short(task.id))),
    }
    Ok(Exit::Done)
}

impl Get {
    async fn execute(self, ninja: &Ninja, output: &Output) -> Result<Exit, Failure> {
        let task = ninja.task(name::resolve(ninja, &self.task).await?).await?;
        let written = match &self.path {
            Some(path) => vec![self.one(ninja, &task, path).await?],
            None => {
                let directory = self.output.clone().unwrap_or_else(|| default_directory(&task));
                save_all(ninja, &task, &directory).await?
            }
        };
        if output.json {
            output.json(&written);
        }
        for path in &written {
            output.say(&path.display().to_string());
        }
        Ok(Exit::Done)
    }

    async fn one(&self, ninja: &Ninja, task: &Task, path: &str) -> Result<PathBuf, Failure> {
        let inside = safe(path)?;
        let name = inside.file_name().map(PathBuf::from).unwrap_or_else(|| inside.clone());
        let target = target(&name, self.output.as_deref());
        if !task.artifacts.iter().any(|artifact| artifact.path == path) {
            let name = short(task.id);
            let what = format!("task {name} has made no file {path:?}");
            return Err(Failure::new(Exit::Failed, what, format!("`ninja artifacts {name}` lists its files")));
        }
        ninja.artifact(task.id, path).await?.save(&target).await?;
        Ok(target)
    }
}

/// Returns where a file of this name goes: to what the person named, if that is a folder into it.
pub(super) fn target(name: &Path, output: Option<&Path>) -> PathBuf {
    match output {
        None => name.to_owned(),
        Some(output) if output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/") => output.join(name),
        Some(output) => output.to_owned(),
    }
}

/// Returns where a task's files go unless the person says otherwise.
pub(super) fn default_directory(task: &Task) -> PathBuf {
    Path::new(DIRECTORY).join(short(task.id))
}

/// Writes every file of a task below `directory` and returns where they are.
pub(super) async fn save_all(ninja: &Ninja, task: &Task, directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut written = Vec::new();
    for artifact in &task.artifacts {
        let target = directory.join(safe(&artifact.path)?);
        ninja.artifact(task.id, &artifact.path).await?.save(&target).await?;
        written.push(target);
    }
    Ok(written)
}

/// Returns the path when it stays inside of the directory it is put in.
fn safe(path: &str) -> Result<PathBuf, Failure> {
    let relative = PathBuf::from(path);
    match !path.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(relative),
        false => Err(Failure::new(
            Exit::Usage,
            format!("{path:?} is not a path inside a workspace"),
            "name a file as `ninja artifacts TASK` lists it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_directory() {
        assert!(safe("out/report.md").is_ok());
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "./../x"] {
            assert!(safe(bad).is_err(), "{bad}");
        }
    }
}
