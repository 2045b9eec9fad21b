//! Accounts: who may use the installation and how they prove who they are. Forms, secrets and rules; the verbs are the engine's.
//!
//! - [`user`]: an account as it is stored; [`email`]: what it logs in with.
//! - [`password`]: which passwords are taken, and their slow hash; [`attempts`]: who failed too often waits.
//! - [`session`]: a login, and the refresh tokens that renew it; [`access_token`]: the JWTs that it gives; [`signing_keys`]: the keys
//!   that sign those, as they are kept.
//! - [`api_key`]: what programs show; [`one_time_token`]: invitations and resets.
//! - [`secret_text`]: random texts, of which digests are stored; [`directory`]: where all of it is kept.
//!
//! Nothing here commits, or knows a request.

mod access_token;
mod api_key;
mod attempts;
pub(crate) mod directory;
mod email;
mod one_time_token;
mod password;
mod secret_text;
mod session;
pub(crate) mod signing_keys;
mod user;

pub(crate) use self::{
    access_token::{AccessTokens, SigningKey, TokenError},
    api_key::{ApiKey, ApiKeyError, StoredApiKey},
    attempts::{Attempt, Attempts},
    directory::Accounts,
    email::EmailAddress,
    one_time_token::{OneTimeToken, StoredToken},
    password::{NewPassword, PasswordError, Passwords},
    secret_text::NoRandom,
    session::{RefreshToken, Shown, StoredSession},
    user::{StoredUser, check_name},
};
