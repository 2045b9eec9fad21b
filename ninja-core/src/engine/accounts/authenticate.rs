//! `authenticate`: who shows a credential. Everything is looked up each time, so whatever is revoked is refused at once.

use super::unauthorized;
use crate::{
    accounts::{ApiKey, StoredUser, TokenError, directory},
    api::{ApiError, Credential, Origin, Principal, Scopes, Timestamp},
    engine::{Engine, store_error},
};

impl Engine {
    /// Returns who shows a credential: an API key, or the access token of a session.
    ///
    /// # Errors
    ///
    /// Fails with `unauthorized` where it proves nothing, or nothing any more.
    pub fn authenticate(&self, credential: &str, origin: Origin) -> Result<Principal, ApiError> {
        let (user, credential, scopes) = match credential.starts_with(ApiKey::PREFIX) {
            true => self.holder_of_key(credential)?,
            false => self.holder_of_token(credential)?,
        };
        let scopes = scopes.intersection(Scopes::of(user.role));
        Ok(Principal { user: user.id, role: user.role, credential, scopes, origin })
    }

    /// Returns whether what proved who asks still does, as of now: for connections that stay open.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be read.
    pub(crate) fn still_stands(&self, by: &Principal) -> Result<bool, ApiError> {
        let now = self.0.services.clock.now();
        let proves = match by.credential {
            Credential::Local | Credential::Engine => return Ok(true),
            Credential::Key(id) => directory::read_api_key(self.store().as_ref(), id)
                .map_err(store_error)?
                .is_some_and(|key| key.expires_at.is_none_or(|expires_at| now < expires_at)),
            Credential::Session(id) => directory::read_session(self.store().as_ref(), by.user, id)
                .map_err(store_error)?
                .is_some_and(|session| !session.is_over(now)),
        };
        let user = directory::read_user(self.store().as_ref(), by.user).map_err(store_error)?;
        Ok(proves && user.is_some_and(|user| !user.disabled && user.role == by.role))
    }

    /// Returns when what proved who asks ends by itself, if it does.
    pub(crate) fn stands_until(&self, by: &Principal) -> Result<Option<Timestamp>, ApiError> {
        let store = self.store().as_ref();
        match by.credential {
            Credential::Local | Credential::Engine => Ok(None),
            Credential::Key(id) => {
                Ok(directory::read_api_key(store, id).map_err(store_error)?.and_then(|key| key.expires_at))
            }
            Credential::Session(id) => {
                let session = directory::read_session(store, by.user, id).map_err(store_error)?;
                Ok(session.map(|session| session.expires_at.min(session.ends_at)))
            }
        }
    }

    /// Returns whether a credential is an access token of ours that was good.
    pub(in crate::engine) fn has_expired(&self, credential: &str) -> bool {
        let verified = self.accounts().tokens.verify(credential, self.0.services.clock.now());
        matches!(verified, Err(TokenError::Expired))
    }

    fn holder_of_key(&self, text: &str) -> Result<(StoredUser, Credential, Scopes), ApiError> {
        let refused = || unauthorized("the API key is not valid");
        let key = ApiKey::parse(text).map_err(|error| unauthorized(error.to_string()))?;
        let stored = directory::read_api_key(self.store().as_ref(), key.id()).map_err(store_error)?;
        let stored = stored.filter(|stored| key.matches(stored)).ok_or_else(refused)?;
        let now = self.0.services.clock.now();
        if stored.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(refused());
        }
        let user = self.enabled(stored.user)?.ok_or_else(refused)?;
        self.accounts().note_use(key.id(), now);
        Ok((user, Credential::Key(key.id()), stored.scopes))
    }

    fn holder_of_token(&self, text: &str) -> Result<(StoredUser, Credential, Scopes), ApiError> {
        let now = self.0.services.clock.now();
        let claims = self.accounts().tokens.verify(text, now).map_err(|error| unauthorized(error.to_string()))?;
        let session = directory::read_session(self.store().as_ref(), claims.sub, claims.sid).map_err(store_error)?;
        let ended = || unauthorized("the session has ended; log in again");
        let session = session.filter(|session| !session.is_over(now)).ok_or_else(ended)?;
        let user = self.enabled(session.user)?.ok_or_else(ended)?;
        Ok((user, Credential::Session(session.id), Scopes::ALL))
    }

    fn enabled(&self, user: crate::api::UserId) -> Result<Option<StoredUser>, ApiError> {
        let user = directory::read_user(self.store().as_ref(), user).map_err(store_error)?;
        Ok(user.filter(|user| !user.disabled))
    }
}
