//! Accounts: who may use the installation, how they log in, and with which keys programs do.

use serde::{Deserialize, Serialize};

use super::{ApiKeyId, ModelClass, Role, Scopes, Secret, SessionId, Timestamp, UserId, secret};

/// An account, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The address it logs in with, in lower case. The local owner has none until an administrator gives it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether nobody gets in with it.
    pub disabled: bool,
    /// Whether a password is set; without one it waits for its token to be redeemed.
    pub has_password: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Timestamp>,
    /// Counts its changes; `If-Match` compares it.
    pub revision: u64,
}

/// The body of `POST /auth/register`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The address to log in with.
    pub email: String,
    /// 15 to 1,024 bytes of any characters.
    #[serde(serialize_with = "secret::reveal")]
    pub password: Secret,
    /// What people call the account; the address's first part where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The body of `POST /auth/login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The address.
    pub email: String,
    /// The password.
    #[serde(serialize_with = "secret::reveal")]
    pub password: Secret,
}

/// The body of `POST /auth/refresh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The newest refresh token of a session. It is good for one use.
    #[serde(serialize_with = "secret::reveal")]
    pub refresh_token: Secret,
}

/// What a login or a refresh gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// Sent as `Authorization: Bearer`.
    #[serde(serialize_with = "secret::reveal")]
    pub access_token: Secret,
    /// Always `Bearer`.
    pub token_type: TokenType,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
    /// For `POST /auth/refresh`; replaced there each time.
    #[serde(serialize_with = "secret::reveal")]
    pub refresh_token: Secret,
    /// The session that both belong to.
    pub session: SessionId,
    /// When the session ends at the latest.
    pub session_ends_at: Timestamp,
}

/// How an access token is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TokenType {
    /// In the header `Authorization`.
    #[default]
    Bearer,
}

/// The answer of `GET /auth/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The account.
    pub user: User,
    /// What the credential of this request may be used for.
    pub scopes: Scopes,
    /// The session of this request, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What the account may have.
    pub quotas: Quotas,
}

/// The body of `POST /auth/password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password there is.
    #[serde(serialize_with = "secret::reveal")]
    pub current: Secret,
    /// The one that replaces it.
    #[serde(serialize_with = "secret::reveal")]
    pub new: Secret,
    /// Whether every other session of the account ends.
    #[serde(default)]
    pub end_other_sessions: bool,
}

/// The body of `POST /auth/redeem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RedeemToken {
    /// The token that was sent: an invitation, or word of a reset. It is good for one use.
    #[serde(serialize_with = "secret::reveal")]
    pub token: Secret,
    /// The password from now on.
    #[serde(serialize_with = "secret::reveal")]
    pub password: Secret,
}

/// A login and all that was renewed from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: Timestamp,
    /// When its tokens were last renewed.
    pub renewed_at: Timestamp,
    /// When it ends unless it is renewed before.
    pub expires_at: Timestamp,
    /// Where it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub ip: Option<std::net::IpAddr>,
    /// What the client called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Whether it is the session of this request.
    pub is_current: bool,
}

/// The body of `POST /auth/api-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for, in 1 to 100 characters.
    pub name: String,
    /// What it may be used for: at least one thing.
    pub scopes: Scopes,
    /// When it ends; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// An API key, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKeyInfo {
    /// Its id: the part behind `nj_`.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// What it may be used for, as far as its owner's role goes.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// A new API key. Its text is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewApiKey {
    /// The key, sent as `Authorization: Bearer`.
    #[serde(serialize_with = "secret::reveal")]
    pub key: Secret,
    /// What is kept of it.
    pub info: ApiKeyInfo,
}

/// The body of `POST /admin/users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// The address to log in with.
    pub email: String,
    /// What people call the account; the address's first part where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub role: Role,
}

/// The body of `PATCH /admin/users/{id}`: what is given is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ChangeUser {
    /// The address to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What people call the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether nobody gets in with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A new account, or one whose password is to be set anew, with the token for it. The token is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvitedUser {
    /// The account.
    pub user: User,
    /// Whoever gives it to `POST /auth/redeem` sets the password.
    #[serde(serialize_with = "secret::reveal")]
    pub token: Secret,
    /// Until when.
    pub token_expires_at: Timestamp,
}

/// What an account of some role may have. Whatever is absent is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Tasks that have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
    /// Bytes of uploaded files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
    /// Uploaded files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Requests in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// API keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<u64>,
    /// Classes of models that tasks may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_classes: Option<Vec<ModelClass>>,
    /// Millionths of a US dollar in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd_per_day: Option<u64>,
    /// Millionths of a US dollar in a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd_per_month: Option<u64>,
    /// Tokens, in and out, in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Tokens, in and out, in a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_month: Option<u64>,
}

/// The quotas of each role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RoleQuotas {
    /// Of users.
    pub user: Quotas,
    /// Of premium users.
    pub premium: Quotas,
    /// Of administrators.
    pub admin: Quotas,
}

impl RoleQuotas {
    /// Returns those of a role.
    pub fn of(&self, role: Role) -> &Quotas {
        match role {
            Role::User => &self.user,
            Role::Premium => &self.premium,
            Role::Admin => &self.admin,
        }
    }
}

/// Settings that count at once when they are changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiveSettings {
    /// Whether anybody may make an account.
    pub registration_open: bool,
    /// How long an access token is good, in minutes.
    pub access_token_minutes: u32,
    /// How long a session lasts without being renewed, in days.
    pub session_idle_days: u32,
    /// How long a session lasts however often it is renewed, in days.
    pub session_days: u32,
    /// What accounts may have.
    pub quotas: RoleQuotas,
    /// Counts the changes; `If-Match` compares it.
    pub revision: u64,
}

/// The body of `PATCH /admin/settings`: what is given is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ChangeSettings {
    /// Whether anybody may make an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_open: Option<bool>,
    /// How long an access token is good, in minutes: 1 to 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_minutes: Option<u32>,
    /// How long a session lasts without being renewed, in days: 1 to 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_idle_days: Option<u32>,
    /// How long a session lasts however often it is renewed, in days: 1 to 365.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_days: Option<u32>,
    /// What accounts may have; each role that is given is replaced whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<ChangeQuotas>,
}

/// Quotas of roles; those that are given are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ChangeQuotas {
    /// Of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Quotas>,
    /// Of premium users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub premium: Option<Quotas>,
    /// Of administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Quotas>,
}

/// The answer of `POST /auth/ws-ticket`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WsTicket {
    /// Opens one WebSocket.
    #[serde(serialize_with = "secret::reveal")]
    pub ticket: Secret,
    /// Until when.
    pub expires_at: Timestamp,
}
