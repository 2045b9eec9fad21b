//! `ninja users`: the accounts of the installation. For administrators.

use ninja_sdk::{
    ListUsers, Ninja,
    api::{ChangeUser, CreateUser, InvitedUser, Role, User, UserId},
};

use super::{Exit, Failure, Output};
use crate::{
    Connector, Need,
    format::{columns, one_line},
};

/// The arguments of `ninja users`.
#[derive(Debug, clap::Args)]
pub struct Users {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print what is there as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make an account, and a token with which its password is set
    Create {
        /// The e-mail address to log in with
        email: String,
        /// What people call the account
        #[arg(long)]
        name: Option<String>,
        /// What it may do: user, premium or admin
        #[arg(long, value_parser = role, default_value = "user")]
        role: Role,
    },
    /// Change an account; what is not given stays as it is
    Change {
        /// Its e-mail address or id
        user: String,
        /// The e-mail address to log in with
        #[arg(long)]
        email: Option<String>,
        /// What people call the account
        #[arg(long)]
        name: Option<String>,
        /// What it may do: user, premium or admin
        #[arg(long, value_parser = role)]
        role: Option<Role>,
    },
    /// Make a token with which the password is set anew
    Invite {
        /// The account's e-mail address or id
        user: String,
    },
    /// Let nobody in with an account
    Disable {
        /// Its e-mail address or id
        user: String,
    },
    /// Let an account in again that was disabled
    Enable {
        /// Its e-mail address or id
        user: String,
    },
    /// End every session of an account
    EndSessions {
        /// Its e-mail address or id
        user: String,
    },
    /// Delete an account with its tasks, files, keys and sessions
    Delete {
        /// Its e-mail address or id
        user: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "user" => Ok(Role::User),
        "premium" => Ok(Role::Premium),
        "admin" => Ok(Role::Admin),
        _ => Err("it is one of user, premium and admin".to_owned()),
    }
}

/// Returns a role as people type it.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Premium => "premium",
        Role::Admin => "admin",
    }
}

impl Users {
    pub(super) async fn execute(self, connector: &dyn Connector, output: &Output) -> Result<Exit, Failure> {
        if let Some(Verb::Delete { yes: false, .. }) = self.verb {
            return Err(Failure::new(Exit::Usage, "its tasks and files go with it", "say `--yes` to delete it"));
        }
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
            Self::Create { email, name, role } => {
                let invited = ninja.create_user(&CreateUser { email, name, role }).await?;
                show_token(&invited, output);
            }
            Self::Change { user, email, name, role } => {
                let change = ChangeUser { email, name, role, disabled: None };
                let user = ninja.change_user(find(ninja, &user).await?, &change).await?;
                output.json_if_wanted(&user);
                output.say(&format!("{} is changed", title(&user)));
            }
            Self::Invite { user } => {
                let invited = ninja.invite_user(find(ninja, &user).await?).await?;
                show_token(&invited, output);
            }
            Self::Disable { user } => disable(ninja, &user, true, output).await?,
            Self::Enable { user } => disable(ninja, &user, false, output).await?,
            Self::EndSessions { user } => {
                let id = find(ninja, &user).await?;
                ninja.end_sessions(id).await?;
                output.json_if_wanted(&serde_json::json!({ "sessions_ended_of": id }));
                output.say("every session of it has ended; API keys stay");
            }
            Self::Delete { user, yes: _ } => {
                let id = find(ninja, &user).await?;
                ninja.delete_user(id).await?;
                output.json_if_wanted(&serde_json::json!({ "deleted": id }));
                output.say(&format!("{id} is deleted, with all that was its"));
            }
        }
        Ok(())
    }
}

async fn disable(ninja: &Ninja, user: &str, disabled: bool, output: &Output) -> Result<(), Failure> {
    let change = ChangeUser { disabled: Some(disabled), ..ChangeUser::default() };
    let user = ninja.change_user(find(ninja, user).await?, &change).await?;
    output.json_if_wanted(&user);
    let now = if disabled { "lets nobody in any more" } else { "lets its owner in again" };
    output.say(&format!("{} {now}", title(&user)));
    Ok(())
}

/// Finds out which account is meant.
async fn find(ninja: &Ninja, user: &str) -> Result<UserId, Failure> {
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    let query = ListUsers { q: Some(user.to_owned()), ..ListUsers::default() };
    let found = ninja.users(&query).await?.items;
    let is_it = |found: &&User| found.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(user));
    found.iter().find(is_it).map(|user| user.id).ok_or_else(|| {
        let what = format!("there is no account with the address {}", one_line(user));
        Failure::new(Exit::Failed, what, "`ninja users` lists them")
    })
}

fn show_token(invited: &InvitedUser, output: &Output) {
    output.json_if_wanted(invited);
    output.say(&format!("{} waits for a password. Its token, shown this once:", title(&invited.user)));
    output.say(&format!("\n  {}\n", one_line(invited.token.expose())));
    output.say(&format!(
        "Whoever has it sets the password, until {}: POST /api/v1/auth/redeem {{\"token\": …, \"password\": …}}",
        invited.token_expires_at
    ));
}

async fn list(ninja: &Ninja, output: &Output) -> Result<(), Failure> {
    let mut users = Vec::new();
    let mut query = ListUsers { limit: Some(200), ..ListUsers::default() };
    loop {
        let page = ninja.users(&query).await?;
        users.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    output.json_if_wanted(&users);
    if output.json {
        return Ok(());
    }
    let row = |user: &User| {
        let state = match (user.disabled, user.has_password) {
            (true, _) => "disabled",
            (false, true) => "",
            (false, false) if user.email.is_none() => "",
            (false, false) => "no password yet",
        };
        let email = user.email.as_deref().unwrap_or("-");
        [one_line(email), one_line(&user.name), role_name(user.role).to_owned(), state.to_owned()]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    for line in columns(4, &rows) {
        output.say(&line);
    }
    Ok(())
}

/// Returns what people know an account by.
fn title(user: &User) -> String {
    one_line(user.email.as_deref().unwrap_or(&user.name))
}
