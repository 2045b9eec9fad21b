//! `create_api_key`, `api_keys`, `revoke_api_key`: what programs show instead of a password.

use super::{invalid, no_random_key, unauthorized};
use crate::{
    accounts::{ApiKey, StoredApiKey, check_name, directory},
    actors::Revoked,
    api::{
        ApiError, ApiKeyId, ApiKeyInfo, AuditAction, CreateApiKey, Credential, ErrorCode, NewApiKey, Page, Principal,
        Timestamp,
    },
    audit::Audit,
    engine::{Engine, store_error, uninterrupted},
    journal::store::Commit,
};

/// What an account has at most, whatever its quota says: its keys are listed together.
const KEYS_MAX: usize = 1_000;

impl Engine {
    /// Makes an API key of the caller's. Its text is in this answer and nowhere else.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where it would be good for more than the caller's own credential is, `quota_exceeded` where
    /// there are too many.
    pub async fn create_api_key(&self, by: &Principal, request: CreateApiKey) -> Result<NewApiKey, ApiError> {
        let now = self.0.services.clock.now();
        let name = check_name(&request.name).ok_or_else(|| invalid("a name has 1 to 100 characters that are seen"))?;
        if request.scopes.is_empty() {
            return Err(invalid("a key is good for something: name at least one scope"));
        }
        if let Some(scope) = request.scopes.iter().find(|scope| !by.scopes.contains(*scope)) {
            self.note_denied(by, &format!("an API key with the scope {scope}")).await;
            let what = format!("a key cannot be good for `{scope}`, which this request's credential is not good for");
            return Err(ApiError::new(ErrorCode::Forbidden, what));
        }
        if request.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(invalid("`expires_at` has passed"));
        }
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.turn(&by).await?;
            engine.check_key_count(&by)?;
            let key = ApiKey::generate().map_err(no_random_key)?;
            let mut stored = key.stored(by.user, name, request.scopes, now);
            stored.expires_at = engine.end_of_key(&by, request.expires_at)?;
            let audit = Audit::of(&by, AuditAction::CreateApiKey, now).to(key.id()).encode();
            let puts = vec![directory::api_key_doc(&stored)];
            let commit = Commit { puts, audit: vec![audit], ..Commit::default() };
            engine.store().commit(commit).await.map_err(store_error)?;
            Ok(NewApiKey { key: key.reveal(), info: stored.info() })
        })
        .await
    }

    /// Returns when a new key ends. What a key makes does not outlive it.
    fn end_of_key(&self, by: &Principal, wanted: Option<Timestamp>) -> Result<Option<Timestamp>, ApiError> {
        let Credential::Key(id) = by.credential else { return Ok(wanted) };
        let maker = directory::read_api_key(self.store().as_ref(), id).map_err(store_error)?;
        let last = maker.ok_or_else(|| unauthorized("the API key is not valid"))?.expires_at;
        match (wanted, last) {
            (Some(wanted), Some(last)) if wanted > last => {
                Err(invalid(format!("the key of this request ends at {last}, and so does what it makes")))
            }
            (wanted, last) => Ok(wanted.or(last)),
        }
    }

    /// Lists the caller's API keys, the newest first.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read.
    pub async fn api_keys(&self, by: &Principal) -> Result<Page<ApiKeyInfo>, ApiError> {
        let keys = directory::read_api_keys(self.store().as_ref(), by.user).map_err(store_error)?;
        Ok(Page { items: keys.into_iter().map(StoredApiKey::info).collect(), next_cursor: None })
    }

    /// Ends an API key of the caller's; an administrator ends anybody's.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none.
    pub async fn revoke_api_key(&self, by: &Principal, id: ApiKeyId) -> Result<(), ApiError> {
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.accounts().changing.lock().await;
            let stored = directory::read_api_key(engine.store().as_ref(), id).map_err(store_error)?;
            let missing = || ApiError::new(ErrorCode::NotFound, format!("there is no API key {id}"));
            stored.filter(|key| by.may_handle(key.user)).ok_or_else(missing)?;
            let audit = Audit::of(&by, AuditAction::RevokeApiKey, engine.0.services.clock.now()).to(id).encode();
            let deletes = vec![directory::api_key_key(id)];
            let commit = Commit { deletes, audit: vec![audit], ..Commit::default() };
            engine.store().commit(commit).await.map_err(store_error)?;
            engine.0.tree.revoke(Revoked::Credential(Credential::Key(id)));
            Ok(())
        })
        .await
    }

    fn check_key_count(&self, by: &Principal) -> Result<(), ApiError> {
        let quota = self.accounts().settings().quotas.of(by.role).api_keys;
        let most = quota.map_or(KEYS_MAX, |most| usize::try_from(most).unwrap_or(KEYS_MAX).min(KEYS_MAX));
        let count = directory::read_api_keys(self.store().as_ref(), by.user).map_err(store_error)?.len();
        match count < most {
            true => Ok(()),
            false => Err(ApiError::new(ErrorCode::QuotaExceeded, format!("the account has {most} API keys, its most"))),
        }
    }
}
