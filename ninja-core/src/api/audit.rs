//! What the audit log says: who did what to what, from where, and how it ended.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Role, Timestamp, UserId};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $wire:literal,)*) => {
        /// What somebody did. Stored: variants are added, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum AuditAction {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)*
        }

        impl AuditAction {
            /// Every action there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the action as it stands on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $wire,)*
                }
            }
        }
    };
}

actions! {
    /// Made an account for oneself.
    Register = "auth.register",
    /// Logged in, or tried to.
    Login = "auth.login",
    /// Renewed a session, or tried to.
    Refresh = "auth.refresh",
    /// Logged out.
    Logout = "auth.logout",
    /// Changed one's password, or tried to.
    ChangePassword = "auth.change_password",
    /// Set a password with a token that was sent.
    RedeemToken = "auth.redeem_token",
    /// Ended a session.
    RevokeSession = "session.revoke",
    /// Made an API key.
    CreateApiKey = "api_key.create",
    /// Ended an API key.
    RevokeApiKey = "api_key.revoke",
    /// Was refused for want of a role, a scope or a credential that is good.
    Denied = "access.denied",
    /// Handed a task in.
    SubmitTask = "task.submit",
    /// Cancelled a task.
    CancelTask = "task.cancel",
    /// Paused a task.
    PauseTask = "task.pause",
    /// Let a task go on.
    ResumeTask = "task.resume",
    /// Tried a task again.
    RetryTask = "task.retry",
    /// Made a task from another one's beginning.
    ForkTask = "task.fork",
    /// Changed a task's limits.
    ChangeBudget = "task.change_budget",
    /// Deleted a task.
    DeleteTask = "task.delete",
    /// Answered a question of a task.
    DecideApproval = "approval.decide",
    /// Uploaded a file.
    UploadFile = "file.upload",
    /// Deleted a file.
    DeleteFile = "file.delete",
    /// Made an account for somebody.
    CreateUser = "user.create",
    /// Changed an account.
    ChangeUser = "user.change",
    /// Deleted an account.
    DeleteUser = "user.delete",
    /// Made a token with which somebody sets a password.
    InviteUser = "user.invite",
    /// Stored settings of a provider.
    PutProvider = "provider.put",
    /// Removed settings of a provider.
    RemoveProvider = "provider.remove",
    /// Asked a provider whether it could answer.
    TestProvider = "provider.test",
    /// Changed settings of the installation.
    ChangeSettings = "settings.change",
    /// Sealed everything under another master key.
    RotateKeys = "keys.rotate",
    /// Took a backup.
    Backup = "backup.make",
    /// Exported the audit log.
    ExportAudit = "audit.export",
    /// Began the audit log, or began it anew where it could not go on as it was. Nobody does, but the engine itself.
    BeginAudit = "audit.begin",
}

impl std::fmt::Display for AuditAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused: a wrong password, a missing role, a token that was used already.
    Refused,
}

impl AuditOutcome {
    /// Returns the outcome as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditActor {
    /// The account.
    pub user: UserId,
    /// Its role at that time.
    pub role: Role,
    /// What proved it: `local`, `key_…` or `sess_…`.
    pub credential: String,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its number: 1 for the first, without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What was done.
    pub action: AuditAction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Who did it; nobody where nobody was known yet, as at a failed login.
    pub actor: Option<AuditActor>,
    /// What it was done to, such as a task's id.
    pub target: Option<String>,
    /// The address it came from.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub ip: Option<IpAddr>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
    /// What else there is to say. Never a secret.
    pub detail: Option<String>,
}

/// Which entries of the audit log are wanted: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditFilter {
    /// Of what this account did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Of this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<AuditAction>,
    /// That ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AuditOutcome>,
    /// Of what was done to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// That came from this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// At this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Returns whether an entry is wanted.
    pub fn wants(&self, entry: &AuditEntry) -> bool {
        let Self { user, action, outcome, target, ip, from, to } = self;
        user.is_none_or(|user| entry.actor.as_ref().is_some_and(|actor| actor.user == user))
            && action.is_none_or(|action| entry.action == action)
            && outcome.is_none_or(|outcome| entry.outcome == outcome)
            && target.as_ref().is_none_or(|target| entry.target.as_ref() == Some(target))
            && ip.is_none_or(|ip| entry.ip == Some(ip))
            && from.is_none_or(|from| entry.at >= from)
            && to.is_none_or(|to| entry.at < to)
    }
}

/// How an export of the audit log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditFormat {
    /// One entry a line, as JSON.
    #[default]
    Ndjson,
    /// A table.
    Csv,
}

/// Where the audit log ended at some time. Kept where nobody who can write the log gets at it, it shows what was cut off or written
/// anew since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditCheckpoint {
    /// The number of the last entry.
    pub seq: u64,
    /// Its link in the chain, in hexadecimal.
    pub mac: String,
    /// When that was.
    pub at: Timestamp,
    /// What only the key of the log makes of the rest.
    pub signature: String,
}

/// What verifying the audit log came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditVerified {
    /// How many entries there is nothing against.
    pub entries: u64,
    /// The link of the last one that was looked at, in hexadecimal.
    pub mac: Option<String>,
    /// What is wrong, each with its place: the first score of it. Entries that nobody can check for want of a key are told of here.
    pub problems: Vec<String>,
}

impl AuditVerified {
    /// Returns whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}
