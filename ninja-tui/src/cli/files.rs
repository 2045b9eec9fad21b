//! `ninja files`: your uploaded files, listed, uploaded, fetched and deleted.

use std::path::{Path, PathBuf};

use ninja_sdk::{
    Content, Ninja,
    api::{ErrorCode, File, FileId, FileUpload, FileUploadResult, ListFiles, Timestamp},
};

use super::{Exit, Failure, Output, artifacts::target};
use crate::{
    Connector, Need,
    format::{bytes, duration, one_line, since},
};

/// Files that are looked through for a name before the id is asked for.
const PAGES_MAX: usize = 50;
const PAGE: u32 = 200;

/// The arguments of `ninja files`.
#[derive(Debug, clap::Args)]
pub struct Files {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print what is there as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List your files, newest first; so does `ninja files` alone
    List(List),
    /// Upload files
    Upload(Upload),
    /// Fetch a file
    Download(Download),
    /// Show what is known of a file
    Show(Named),
    /// Delete a file; tasks that were given it keep what is in it
    Delete(Named),
}

#[derive(Debug, Default, clap::Args)]
struct List {
    /// The most files to list
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: Option<u32>,
    /// Go on where a list ended: the `next_cursor` of `--json`
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Upload {
    /// The files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Download {
    #[command(flatten)]
    named: Named,
    /// Where to: a file, or a directory that exists or ends with `/`
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The file's id, or the name it was uploaded under where one file alone has it
    file: String,
}

impl Files {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let ninja = session.ninja();
        let done = match self.verb.unwrap_or(Verb::List(List::default())) {
            Verb::List(list) => list.execute(ninja, output).await,
            Verb::Upload(upload) => upload.execute(ninja, output).await,
            Verb::Download(download) => download.execute(ninja, output).await,
            Verb::Show(named) => named.show(ninja, output).await,
            Verb::Delete(named) => named.delete(ninja, output).await,
        };
        session.close().await;
        done
    }
}

impl List {
    async fn execute(self, ninja: &Ninja, output: &Output) -> Result<Exit, Failure> {
        let page = ninja.list_files(&ListFiles { cursor: self.cursor, limit: self.limit }).await?;
        output.json_if_wanted(&page);
        let now = Timestamp::now();
        for file in &page.items {
            output.say(&line(output, file, now));
        }
        match (output.json, page.items.is_empty(), page.next_cursor) {
            (true, _, _) | (false, false, None) => {}
            (false, true, _) => output.note("no files; upload one with `ninja files upload PATH`"),
            (false, false, Some(cursor)) => {
                output.note(&format!("older ones: ninja files list --cursor {}", one_line(&cursor)));
            }
        }
        Ok(Exit::Done)
    }
}

fn line(output: &Output, file: &File, now: Timestamp) -> String {
    let (size, age) = (output.paint().dim(&bytes(file.bytes)), duration(since(file.created_at, now)));
    format!("{}  {size:>9}  {age:>12} ago  {}", file.id, one_line(&file.name))
}

impl Upload {
    /// One after the other: each is durable before the next is read, and one that is refused keeps none from being stored.
    async fn execute(self, ninja: &Ninja, output: &Output) -> Result<Exit, Failure> {
        let mut uploads = Vec::new();
        for path in &self.paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let content = match Content::open(path).await {
                Ok(content) => content,
                Err(error) if uploads.is_empty() && self.paths.len() == 1 => return Err(error.into()),
                Err(error) => {
                    output.explain(&Failure::from(error));
                    uploads.push(None);
                    continue;
                }
            };
            let result = match ninja.upload_file(&name, content).await {
                Ok(file) => {
                    output.say(&format!("{}  {}", file.id, one_line(&file.name)));
                    FileUploadResult::Stored(file)
                }
                Err(ninja_sdk::SdkError::Api(error)) => {
                    output.note(&format!("{}: {}", one_line(&path.display().to_string()), one_line(&error.detail)));
                    FileUploadResult::Refused(error)
                }
                Err(error) => return Err(error.into()),
            };
            uploads.push(Some(FileUpload { name, result }));
        }
        let is_stored = |upload: &Option<FileUpload>| {
            upload.as_ref().is_some_and(|upload| matches!(upload.result, FileUploadResult::Stored(_)))
        };
        let all = uploads.iter().all(is_stored);
        output.json_if_wanted(&uploads.into_iter().flatten().collect::<Vec<_>>());
        Ok(if all { Exit::Done } else { Exit::Failed })
    }
}

impl Download {
    async fn execute(self, ninja: &Ninja, output: &Output) -> Result<Exit, Failure> {
        let file = self.named.find(ninja).await?;
        // Whatever the daemon says, a name is no path.
        let name = Path::new(&file.name).file_name().map_or_else(|| PathBuf::from(&file.filename), PathBuf::from);
        let path = target(&name, self.output.as_deref());
        ninja.download_file(&file).await?.save(&path).await?;
        output.json_if_wanted(&path);
        output.say(&path.display().to_string());
        Ok(Exit::Done)
    }
}

impl Named {
    async fn show(self, ninja: &Ninja, output: &Output) -> Result<Exit, Failure> {
        let file = self.find(ninja).await?;
        output.json_if_wanted(&file);
        for (what, value) in [
            ("name", file.name.as_str()),
            ("id", &file.id.to_string()),
            ("type", &file.media_type),
            ("size", &format!("{} bytes", file.bytes)),
            ("sha256", &file.sha256.to_string()),
            ("uploaded", &file.created_at.to_string()),
        ] {
            output.say(&format!("{:<9} {}", what, one_line(value)));
        }
        Ok(Exit::Done)
    }

    async fn delete(self, ninja: &Ninja, output: &Output) -> Result<Exit, Failure> {
        let file = self.find(ninja).await?;
        ninja.delete_file(file.id).await?;
        output.json_if_wanted(&serde_json::json!({ "deleted": file.id }));
        output.say(&format!("{} is deleted", one_line(&file.name)));
        Ok(Exit::Done)
    }

    async fn find(&self, ninja: &Ninja) -> Result<File, Failure> {
        let advice = "`ninja files` lists your files";
        if let Ok(id) = self.file.split('.').next().unwrap_or_default().parse::<FileId>() {
            return ninja.file(id).await.map_err(|error| match error {
                ninja_sdk::SdkError::Api(error) if error.code == ErrorCode::NotFound => {
                    Failure::new(Exit::Failed, one_line(&error.detail), advice)
                }
                error => error.into(),
            });
        }
        let mut found = self.called(ninja).await?;
        match (found.pop(), found.len()) {
            (Some(file), 0) => Ok(file),
            (None, _) => Err(Failure::new(Exit::Failed, format!("no file is called {:?}", self.file), advice)),
            (Some(file), others) => Err(Failure::new(
                Exit::Usage,
                format!("{} files are called {:?}, among them {}", others + 1, self.file, file.id),
                "name it by its id; `ninja files` lists your files",
            )),
        }
    }

    /// Returns the files that were uploaded under the name.
    async fn called(&self, ninja: &Ninja) -> Result<Vec<File>, Failure> {
        let (mut found, mut query) = (Vec::new(), ListFiles { limit: Some(PAGE), ..ListFiles::default() });
        for _ in 0..PAGES_MAX {
            let page = ninja.list_files(&query).await?;
            found.extend(page.items.into_iter().filter(|file| file.name == self.file));
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        Ok(found)
    }
}
