//! `ninja settings`: what counts for all accounts, from the moment it is changed. For administrators.

use ninja_sdk::{
    Ninja,
    api::{ChangeQuotas, ChangeSettings, LiveSettings, Quotas},
};

use super::{Exit, Failure, Output};
use crate::{Connector, Need, format::columns};

/// The arguments of `ninja settings`.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Whether anybody may make an account
    #[arg(long, value_name = "true|false")]
    registration_open: Option<bool>,
    /// How long an access token is good, in minutes: 1 to 60
    #[arg(long, value_name = "MINUTES")]
    access_token_minutes: Option<u32>,
    /// How long a session lasts without being renewed, in days: 1 to 90
    #[arg(long, value_name = "DAYS")]
    session_idle_days: Option<u32>,
    /// How long a session lasts however often it is renewed, in days: 1 to 365
    #[arg(long, value_name = "DAYS")]
    session_days: Option<u32>,
    /// What accounts may have: roles with their quotas, such as {"user": {"tasks": 20, "file_bytes": 1000000}}; a role that is given
    /// is replaced whole
    #[arg(long, value_name = "JSON", value_parser = quotas)]
    quotas: Option<Box<ChangeQuotas>>,
    /// Print them as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Settings {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        let change = ChangeSettings {
            registration_open: self.registration_open,
            access_token_minutes: self.access_token_minutes,
            session_idle_days: self.session_idle_days,
            session_days: self.session_days,
            quotas: self.quotas.map(|quotas| *quotas),
        };
        let session = connector.connect(Need::Store).await?;
        let settings = change_or_read(session.ninja(), &change).await;
        session.close().await;
        let settings = settings?;
        output.json_if_wanted(&settings);
        if !output.json {
            show(&settings, output);
        }
        Ok(Exit::Done)
    }
}

fn quotas(text: &str) -> Result<Box<ChangeQuotas>, String> {
    serde_json::from_str(text).map(Box::new).map_err(|error| format!("they cannot be read: {error}"))
}

async fn change_or_read(ninja: &Ninja, change: &ChangeSettings) -> Result<LiveSettings, Failure> {
    match *change == ChangeSettings::default() {
        true => Ok(ninja.settings().await?),
        false => Ok(ninja.change_settings(change).await?),
    }
}

fn show(settings: &LiveSettings, output: &Output) {
    let LiveSettings { registration_open, access_token_minutes, session_idle_days, session_days, quotas, revision: _ } =
        settings;
    let open = if *registration_open { "open to everybody" } else { "closed" };
    output.say(&format!("registration    {open}"));
    output.say(&format!("access tokens   {access_token_minutes} minutes"));
    output.say(&format!("sessions        {session_idle_days} days idle, {session_days} days at most"));
    output.say("");
    let head = ["", "tasks", "file bytes", "files", "requests/min", "API keys"].map(str::to_owned);
    let roles = [("user", &quotas.user), ("premium", &quotas.premium), ("admin", &quotas.admin)];
    let row = |(role, quotas): (&str, &Quotas)| {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let Quotas { tasks, file_bytes, files, requests_per_minute, api_keys, .. } = quotas;
        let requests = requests_per_minute.map(u64::from);
        [role.to_owned(), number(*tasks), number(*file_bytes), number(*files), number(requests), number(*api_keys)]
    };
    let rows: Vec<_> = std::iter::once(head).chain(roles.map(row)).collect();
    for line in columns(1, &rows) {
        output.say(&line);
    }
}
