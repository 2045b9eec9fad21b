//! The verbs of accounts. Whatever changes one holds the same lock from what it reads to what it commits; slow hashes are made
//! outside of it.
//!
//! - [`authenticate`]: who shows a credential. [`attach`]: who stays.
//! - [`sessions`]: login, refresh, logout. [`api_keys`]: what programs show.
//! - [`passwords`]: registering, redeeming a token, another password.
//! - [`users`], [`deletion`]: what administrators do with accounts. [`settings`]: what counts for all of them.

mod api_keys;
mod attach;
mod authenticate;
mod deletion;
mod passwords;
mod sessions;
mod settings;
mod users;

pub use attach::OpenConnection;

use std::time::Duration;

use super::{Engine, store_error};
use crate::{
    accounts::{Accounts, ApiKeyError, NoRandom, PasswordError, StoredUser, directory},
    api::{ApiError, ErrorCode, Principal, UserId},
};

impl Engine {
    /// Returns how many slow hashes of passwords were made: a login makes one, whoever it names.
    pub fn password_hashes(&self) -> u64 {
        self.accounts().passwords.done()
    }

    fn accounts(&self) -> &Accounts {
        &self.0.services.accounts
    }

    /// Returns an account.
    /// Waits for the turn to change accounts, and then looks once more whether who asks still may: what let them in may have ended while
    /// the request arrived.
    async fn turn(&self, by: &Principal) -> Result<tokio::sync::MutexGuard<'_, ()>, ApiError> {
        let turn = self.accounts().changing.lock().await;
        self.check_stands(by)?;
        Ok(turn)
    }

    /// Refuses whoever was let in by something that has ended since.
    pub(super) fn check_stands(&self, by: &Principal) -> Result<(), ApiError> {
        match self.still_stands(by)? {
            true => Ok(()),
            false => Err(unauthorized("what let this request in has ended meanwhile")),
        }
    }

    fn stored_user(&self, id: UserId) -> Result<StoredUser, ApiError> {
        let user = directory::read_user(self.store().as_ref(), id).map_err(store_error)?;
        user.ok_or_else(|| ApiError::new(ErrorCode::NotFound, format!("there is no account {id}")))
    }
}

/// Refuses a change of something that has changed since the caller looked.
fn check_revision(found: u64, expected: Option<&[u64]>) -> Result<(), ApiError> {
    match expected.is_none_or(|expected| expected.contains(&found)) {
        true => Ok(()),
        false => {
            let what = format!("it has changed meanwhile: this is revision {found}; look again, then decide");
            Err(ApiError::new(ErrorCode::PreconditionFailed, what))
        }
    }
}

fn unauthorized(what: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, what)
}

fn invalid(what: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, what)
}

fn no_random(error: NoRandom) -> ApiError {
    ApiError::new(ErrorCode::Internal, error.to_string())
}

fn no_random_key(error: ApiKeyError) -> ApiError {
    ApiError::new(ErrorCode::Internal, error.to_string())
}

fn broken(error: PasswordError) -> ApiError {
    if let PasswordError::TooOften(wait) = error {
        return too_often(wait);
    }
    let code = match error {
        PasswordError::Short | PasswordError::Long | PasswordError::Weak(_) => ErrorCode::WeakPassword,
        PasswordError::Busy | PasswordError::TooOften(_) => ErrorCode::TooManyRequests,
        PasswordError::Broken(_) => ErrorCode::Internal,
    };
    ApiError::new(code, error.to_string())
}

fn too_often(wait: Duration) -> ApiError {
    let said = PasswordError::TooOften(wait).to_string();
    ApiError::new(ErrorCode::TooManyRequests, said).retry_after(wait.as_secs().max(1))
}
