//! What the audit log says: who did what to what, from where, and how it ended.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Role, Timestamp, UserId};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $wire:literal,)*) => {
        /// What somebody did. Stored: variants are added, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// Was refused for want of a role or a scope.
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
    /// Asked a provider whether it answers.
    TestProvider = "provider.test",
    /// Changed settings of the installation.
    ChangeSettings = "settings.change",
    /// Sealed everything under another master key.
    RotateKeys = "keys.rotate",
    /// Made another key that signs access tokens.
    RotateSigningKey = "signing_key.rotate",
    /// Took a backup.
    Backup = "backup.make",
    /// Exported the audit log.
    ExportAudit = "audit.export",
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
