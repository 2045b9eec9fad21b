//! `ninja api-keys`: what programs show to get in.

use ninja_sdk::{
    Ninja,
    api::{ApiKeyId, ApiKeyInfo, CreateApiKey, Scope, Scopes, Timestamp},
};

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{columns, one_line},
};

/// The arguments of `ninja api-keys`.
#[derive(Debug, clap::Args)]
pub struct ApiKeys {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print what is there as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key; it is shown this once
    Create {
        /// What it is for
        name: String,
        /// What it may be used for, such as tasks:read; several are given one after another
        #[arg(long = "scope", value_parser = scope, required = true)]
        scopes: Vec<Scope>,
        /// When it ends, such as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<Timestamp>,
    },
    /// End a key
    Revoke {
        /// Its id
        id: ApiKeyId,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    let known = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
    known.ok_or_else(|| format!("it is one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

impl ApiKeys {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let session = connector.connect(Need::Store).await?;
        let done = match self.verb {
            Some(verb) => verb.execute(session.ninja(), output).await,
            None => list(session.ninja(), output).await,
        };
        session.close().await;
        done.map(|()| Exit::Done)
    }
}

impl Verb {
    async fn execute(self, ninja: &Ninja, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create { name, scopes, expires } => {
                let scopes: Scopes = scopes.into_iter().collect();
                let made = ninja.create_api_key(&CreateApiKey { name, scopes, expires_at: expires }).await?;
                output.json_if_wanted(&made);
                output.say(&format!("The key, shown this once:\n\n  {}\n", one_line(made.key.expose())));
                output.say("Send it as `Authorization: Bearer …`, or set NINJA_API_KEY to it.");
            }
            Self::Revoke { id } => {
                ninja.revoke_api_key(id).await?;
                output.json_if_wanted(&serde_json::json!({ "revoked": id }));
                output.say(&format!("{id} lets nobody in any more"));
            }
        }
        Ok(())
    }
}

async fn list(ninja: &Ninja, output: &Output) -> Result<(), Failure> {
    let keys = ninja.api_keys().await?.items;
    output.json_if_wanted(&keys);
    if output.json {
        return Ok(());
    }
    let time = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
    let row = |key: &ApiKeyInfo| {
        let scopes = match key.scopes == Scopes::ALL {
            true => "everything".to_owned(),
            false => key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" "),
        };
        let used = time(key.last_used_at, "never used");
        [key.id.to_string(), one_line(&key.name), scopes, used, time(key.expires_at, "no end")]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    for line in columns(5, &rows) {
        output.say(&line);
    }
    Ok(())
}
