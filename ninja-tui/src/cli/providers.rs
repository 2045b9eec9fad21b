//! `ninja providers`: who answers model calls and where each is known from; and settings that are stored, with their keys.

use ninja_sdk::{
    Ninja, SdkError,
    api::{ErrorCode, ModelClass, ProviderInfo, ProviderKind, ProviderOrigin, ProviderSettings, ProviderTest, Secret},
};

use super::{Exit, Failure, Output, key_input};
use crate::{
    Connector, Need,
    format::{columns, one_line},
};

/// The arguments of `ninja providers`.
#[derive(Debug, clap::Args)]
pub struct Providers {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print what is there as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Store a provider, or change one that is stored; what is not given stays as it is
    Set(Box<Set>),
    /// Forget a stored provider
    Remove(Remove),
    /// Ask a provider whether it could answer now, as far as that costs nothing
    Test(Test),
}

/// The arguments of `ninja providers set`. The key is none of them: it is asked for, or read from the standard input.
#[derive(Debug, Clone, clap::Args)]
struct Set {
    /// Its name, as in NAME/MODEL
    name: String,
    /// What it speaks: openai, openai_responses, anthropic, gemini, deepseek or ollama
    #[arg(long)]
    kind: Option<ProviderKind>,
    /// Where it is, if not at the vendor's own address
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The model where a task names none
    #[arg(long)]
    model: Option<String>,
    /// The model for agents that want a fast one
    #[arg(long, value_name = "MODEL")]
    fast_model: Option<String>,
    /// The model for agents that want the best one
    #[arg(long, value_name = "MODEL")]
    best_model: Option<String>,
    /// The context window of its models in tokens, where it does not tell
    #[arg(long, value_name = "TOKENS")]
    context_window: Option<u32>,
    /// Read the key from the standard input instead of asking for it
    #[arg(long)]
    key_stdin: bool,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// Its name
    name: String,
}

#[derive(Debug, clap::Args)]
struct Test {
    /// Its name
    name: String,
}

impl Providers {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        // Before anything is opened: a person takes as long as it takes.
        let key = match &self.verb {
            Some(Verb::Set(set)) => set.key(connector, output).await?,
            Some(Verb::Remove(_) | Verb::Test(_)) | None => None,
        };
        let session = connector.connect(Need::Store).await?;
        let done = match self.verb {
            Some(Verb::Set(set)) => set.execute(session.ninja(), key, output).await,
            Some(Verb::Remove(remove)) => remove.execute(session.ninja(), output).await,
            Some(Verb::Test(test)) => test.execute(session.ninja(), output).await,
            None => list(session.ninja(), output).await,
        };
        session.close().await;
        done.map(|()| Exit::Done)
    }
}

impl Set {
    /// Returns the key, if one is given.
    async fn key(&self, connector: &dyn Connector, output: &Output) -> Result<Option<Secret>, Failure> {
        let unreadable = |error| Failure::new(Exit::Failed, format!("the key cannot be read: {error}"), "try again");
        if self.key_stdin {
            let key = key_input::from_stdin().map_err(unreadable)?;
            let missing = || Failure::new(Exit::Usage, "no key came on the standard input", "pipe one in");
            return if key.expose().is_empty() { Err(missing()) } else { Ok(Some(key)) };
        }
        if !output.terminal().stdin || !output.terminal().stderr {
            return Ok(None);
        }
        let question = question(&self.address(connector).await?);
        let asked = tokio::task::spawn_blocking(move || key_input::ask(&question)).await;
        match asked.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(unreadable)? {
            Some(key) => Ok(Some(key).filter(|key| !key.expose().is_empty())),
            None => Err(Failure::new(
                Exit::Interrupted,
                "nothing was stored",
                "run it again, or pipe the key in: --key-stdin",
            )),
        }
    }

    /// Returns where the key will go. Looked up before a person types: afterwards they could only be told.
    async fn address(&self, connector: &dyn Connector) -> Result<String, Failure> {
        if let Some(base_url) = &self.base_url {
            return Ok(base_url.clone());
        }
        let session = connector.connect(Need::Store).await?;
        let stored = self.stored(session.ninja()).await;
        session.close().await;
        let settings = self.clone().over(stored?, None)?;
        Ok(settings.base_url.unwrap_or_else(|| settings.kind.usual_address().to_owned()))
    }

    /// Returns what is stored under its name.
    async fn stored(&self, ninja: &Ninja) -> Result<Option<ProviderSettings>, Failure> {
        let providers = ninja.providers().await?;
        Ok(providers.into_iter().find_map(|info| info.settings.filter(|was| was.name == self.name)))
    }

    async fn execute(self, ninja: &Ninja, key: Option<Secret>, output: &Output) -> Result<(), Failure> {
        let stored = self.stored(ninja).await?;
        let info = ninja.put_provider(&self.over(stored, key)?).await?;
        output.json_if_wanted(&info);
        output.say(&outcome(&info));
        if !info.can_answer {
            output.note(&format!("it cannot answer yet: {}", one_line(&info.reason)));
        }
        Ok(())
    }

    /// Puts what is given over what is stored.
    fn over(self, stored: Option<ProviderSettings>, api_key: Option<Secret>) -> Result<ProviderSettings, Failure> {
        let kind = self.kind.or(stored.as_ref().map(|stored| stored.kind));
        let kind = kind.ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "it is not said what the provider speaks",
                "such as `--kind openai`, or `--kind anthropic`",
            )
        })?;
        let before = stored.unwrap_or_else(|| ProviderSettings::new(&self.name, kind));
        let classes = [(ModelClass::Fast, self.fast_model), (ModelClass::Best, self.best_model)];
        let given = classes.into_iter().filter_map(|(class, model)| Some((class, model?)));
        Ok(ProviderSettings {
            kind,
            api_key,
            base_url: self.base_url.or(before.base_url),
            model: self.model.or(before.model),
            models: before.models.into_iter().chain(given).collect(),
            context_window: self.context_window.or(before.context_window),
            ..before
        })
    }
}

/// Asks for a key, and says to whom it will be sent.
fn question(address: &str) -> String {
    // Addresses are read as if these were the same.
    let address = address.replace('\\', "/");
    let rest = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("API key for {} (not shown; nothing: none, or the one that is stored): ", one_line(host))
}

/// Says what follows from its being stored.
fn outcome(info: &ProviderInfo) -> String {
    let name = one_line(&info.name);
    match (info.can_answer, info.is_default) {
        (true, true) => format!("{name} is stored and answers from now on"),
        (true, false) => format!("{name} is stored and answers tasks that name it, such as by `--model {name}`"),
        (false, _) => format!("{name} is stored"),
    }
}

impl Test {
    async fn execute(&self, ninja: &Ninja, output: &Output) -> Result<(), Failure> {
        let test = ninja.test_provider(&self.name).await?;
        output.json_if_wanted(&test);
        let ProviderTest { name, can_answer, detail, took_ms } = test;
        match can_answer {
            true => output.say(&format!("{name} can answer ({took_ms} ms): {}", one_line(&detail))),
            false => {
                let what = format!("{name} cannot answer ({took_ms} ms): {}", one_line(&detail));
                return Err(Failure::new(Exit::Failed, what, "`ninja providers` says how it is set"));
            }
        }
        Ok(())
    }
}

impl Remove {
    async fn execute(self, ninja: &Ninja, output: &Output) -> Result<(), Failure> {
        match ninja.remove_provider(&self.name).await {
            Err(SdkError::Api(error)) if error.code == ErrorCode::NotFound => {
                return Err(Failure::new(Exit::Failed, one_line(&error.detail), "`ninja providers` lists them"));
            }
            removed => removed?,
        }
        output.json_if_wanted(&serde_json::json!({ "removed": self.name }));
        output.say(&format!("{} is forgotten", self.name));
        Ok(())
    }
}

async fn list(ninja: &Ninja, output: &Output) -> Result<(), Failure> {
    let (providers, keys) = (ninja.providers().await?, ninja.master_keys().await?);
    output.json_if_wanted(&providers);
    if output.json {
        return Ok(());
    }
    let (missing, there): (Vec<_>, Vec<_>) =
        providers.iter().partition(|provider| provider.origin == ProviderOrigin::Missing);
    for line in table(&there) {
        output.say(&line);
    }
    for provider in there.iter().filter(|provider| !provider.can_answer) {
        output.note(&format!("{} cannot answer: {}", one_line(&provider.name), one_line(&provider.reason)));
    }
    for provider in missing {
        output.note(&format!("not there: {}, {}", one_line(&provider.name), one_line(&provider.reason)));
    }
    output.note(&format!("master keys: {}", one_line(&keys.source)));
    if there.is_empty() {
        output.note("store one with `ninja providers set NAME --kind KIND`, or set the variable of a vendor");
    }
    Ok(())
}

/// Writes the providers below each other, with a star before the one that answers where a task names none.
fn table(providers: &[&ProviderInfo]) -> Vec<String> {
    let mut rows = vec![["", "name", "kind", "model", "from", "key"].map(str::to_owned)];
    rows.extend(providers.iter().map(|provider| row(provider)));
    if providers.is_empty() { Vec::new() } else { columns(6, &rows) }
}

fn row(provider: &ProviderInfo) -> [String; 6] {
    let origin = match provider.origin {
        ProviderOrigin::Configured => "configured",
        ProviderOrigin::Stored => "stored",
        ProviderOrigin::Environment => "environment",
        ProviderOrigin::Found => "found",
        ProviderOrigin::BuiltIn => "built in",
        ProviderOrigin::Missing => "missing",
    };
    let key = match (provider.has_key, &provider.key_end) {
        (true, Some(end)) => format!("…{}", one_line(end)),
        (true, None) => "yes".to_owned(),
        (false, _) => "-".to_owned(),
    };
    [
        if provider.is_default { "*" } else { "" }.to_owned(),
        one_line(&provider.name),
        provider.kind.map_or("-", ProviderKind::as_str).to_owned(),
        provider.model.as_deref().map_or("-".to_owned(), one_line),
        origin.to_owned(),
        key,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, origin: ProviderOrigin, key_end: Option<&str>) -> ProviderInfo {
        ProviderInfo {
            name: name.to_owned(),
            origin,
            kind: (origin != ProviderOrigin::BuiltIn).then_some(ProviderKind::Openai),
            model: Some("m\u{1b}[2J".to_owned()),
            is_default: origin == ProviderOrigin::Stored,
            can_answer: true,
            reason: String::new(),
            has_key: origin != ProviderOrigin::BuiltIn,
            key_end: key_end.map(str::to_owned),
            settings: None,
        }
    }

    #[test]
    fn providers_stand_below_each_other() {
        let infos = [
            info("mine", ProviderOrigin::Stored, Some("9a3c")),
            info("openai", ProviderOrigin::Environment, None),
            info("local", ProviderOrigin::BuiltIn, None),
        ];
        let wanted = [
            "   name    kind    model  from         key",
            "*  mine    openai  m[2J   stored       …9a3c",
            "   openai  openai  m[2J   environment  yes",
            "   local   -       m[2J   built in     -",
        ];
        let lines: Vec<String> = table(&infos.iter().collect::<Vec<_>>());
        assert_eq!(lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>(), wanted);
        assert!(table(&[]).is_empty());
    }

    #[test]
    fn a_person_is_told_where_the_key_goes() {
        for (address, host) in [
            ("https://api.openai.com/v1/", "api.openai.com"),
            ("http://127.0.0.1:9/v1", "127.0.0.1:9"),
            ("https://api.openai.com@evil.example/v1", "evil.example"),
            ("https:\\\\evil.example\\@api.openai.com", "evil.example"),
            ("gateway.example?x", "gateway.example"),
        ] {
            let asked = question(address);
            assert!(asked.starts_with(&format!("API key for {host} (")), "{asked}");
        }
    }

    #[test]
    fn only_the_default_answers_from_now_on() {
        let mine = info("mine", ProviderOrigin::Stored, None);
        assert_eq!(outcome(&mine), "mine is stored and answers from now on");
        let second = ProviderInfo { is_default: false, ..mine };
        assert_eq!(outcome(&second), "mine is stored and answers tasks that name it, such as by `--model mine`");
        let hidden = ProviderInfo { can_answer: false, ..second };
        assert_eq!(outcome(&hidden), "mine is stored");
    }

    #[test]
    fn what_is_not_given_stays_as_it_is() {
        let set = |kind, model: Option<&str>, best_model: Option<&str>| Set {
            name: "mine".to_owned(),
            kind,
            base_url: None,
            model: model.map(str::to_owned),
            fast_model: None,
            best_model: best_model.map(str::to_owned),
            context_window: Some(7),
            key_stdin: false,
        };
        assert_eq!(set(None, None, None).over(None, None).unwrap_err().exit(), Exit::Usage);
        let stored = ProviderSettings {
            base_url: Some("http://h/v1".to_owned()),
            model: Some("a".to_owned()),
            models: [(ModelClass::Fast, "f".to_owned()), (ModelClass::Best, "b".to_owned())].into(),
            max_concurrency: Some(3),
            ..ProviderSettings::new("mine", ProviderKind::Openai)
        };
        let same = set(None, Some("c"), Some("d")).over(Some(stored.clone()), Some(Secret::new("k"))).unwrap();
        let wanted = ProviderSettings {
            model: Some("c".to_owned()),
            models: [(ModelClass::Fast, "f".to_owned()), (ModelClass::Best, "d".to_owned())].into(),
            context_window: Some(7),
            api_key: Some(Secret::new("k")),
            ..stored
        };
        assert_eq!(same, wanted);
        let new = set(Some(ProviderKind::Ollama), None, None).over(None, None).unwrap();
        assert_eq!((new.kind, new.context_window, new.api_key), (ProviderKind::Ollama, Some(7), None));
    }
}
