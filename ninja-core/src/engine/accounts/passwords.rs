//! `register`, `redeem_token`, `change_password`, `me`: what people do with their own account.

use super::{broken, invalid, unauthorized};
use crate::{
    accounts::{EmailAddress, NewPassword, OneTimeToken, StoredUser, check_name, directory},
    actors::Revoked,
    api::{
        ApiError, AuditAction, ChangePassword, Credential, ErrorCode, Me, Origin, Principal, RedeemToken, Register,
        Role, SessionId, User, UserId,
    },
    audit::Audit,
    engine::{Engine, store_error, uninterrupted},
    journal::store::{Commit, DocKey},
};

impl Engine {
    /// Makes an account for whoever asks, where that is open to everybody.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where it is not, `conflict` where the address has an account, `weak_password`.
    pub async fn register(&self, origin: &Origin, request: Register) -> Result<User, ApiError> {
        if !self.accounts().settings().registration_open {
            self.note_refused(origin, AuditAction::Register).await;
            let what = "nobody can make an account here by themselves; ask an administrator for an invitation";
            return Err(ApiError::new(ErrorCode::Forbidden, what));
        }
        let mut user = self.new_user(&request.email, request.name.as_deref(), Role::User)?;
        let password = NewPassword::check(&request.password, &user.context()).map_err(broken)?;
        self.check_free(&user)?;
        user.password = Some(self.accounts().passwords.hash(password).await.map_err(broken)?);
        let (engine, origin) = (self.clone(), origin.clone());
        uninterrupted(async move {
            let _changing = engine.accounts().changing.lock().await;
            let audit = Audit::of_nobody(&origin, AuditAction::Register, user.created_at).to(user.id);
            let audit = audit.proved_by(user.id, user.role, "registration");
            engine.add_user(&user, audit, Vec::new()).await?;
            Ok(user.view())
        })
        .await
    }

    /// Sets a password with a token that an administrator made. All sessions of the account end.
    ///
    /// # Errors
    ///
    /// Fails with `unauthorized` where the token is none, was used or has expired, `weak_password`.
    pub async fn redeem_token(&self, origin: &Origin, request: RedeemToken) -> Result<User, ApiError> {
        let refused = || unauthorized("the token is not valid: it was used, has expired, or never was one");
        let token = OneTimeToken::parse(request.token.expose());
        let known = token.map(|token| Ok((self.user_of_token(&token)?, token))).transpose()?;
        let Some((Some(user), token)) = known else {
            self.note_refused(origin, AuditAction::RedeemToken).await;
            return Err(refused());
        };
        let password = NewPassword::check(&request.password, &user.context()).map_err(broken)?;
        let hash = self.accounts().passwords.hash(password).await.map_err(broken)?;
        let (engine, origin) = (self.clone(), origin.clone());
        uninterrupted(async move {
            let _changing = engine.accounts().changing.lock().await;
            let mut user = engine.user_of_token(&token)?.ok_or_else(refused)?;
            user.password = Some(hash);
            user.revision += 1;
            let audit = Audit::of_nobody(&origin, AuditAction::RedeemToken, engine.0.services.clock.now());
            let audit = audit.to(user.id).proved_by(user.id, user.role, "token");
            let deletes = engine.tokens_of(user.id)?;
            let ended = engine.sessions_beside(user.id, None)?;
            engine.put_password(&user, audit, deletes, ended).await?;
            Ok(user.view())
        })
        .await
    }

    /// Changes the caller's password, and ends the other sessions where that is wanted.
    ///
    /// # Errors
    ///
    /// Fails with `unauthorized` where the present one is wrong, `conflict` where none is set, `weak_password`.
    pub async fn change_password(&self, by: &Principal, request: ChangePassword) -> Result<(), ApiError> {
        let account = by.user.to_string();
        let attempt = self.attempt(&account, &by.origin)?;
        let user = self.stored_user(by.user)?;
        let Some(hash) = user.password.clone() else {
            let what = "no password is set yet; an administrator makes a token to set one with";
            return Err(ApiError::new(ErrorCode::Conflict, what));
        };
        let password = NewPassword::check(&request.new, &user.context()).map_err(broken)?;
        let compared =
            self.accounts().passwords.compare(&request.current, Some(&hash), Some(attempt)).await.map_err(broken)?;
        let now = self.0.services.clock.now();
        if !compared.matches {
            let audit = Audit::of(by, AuditAction::ChangePassword, now).to(by.user).refused().encode();
            let commit = Commit { audit: vec![audit], ..Commit::default() };
            self.store().commit(commit).await.map_err(store_error)?;
            // Not `unauthorized`: the credential of the request is good.
            return Err(ApiError::new(ErrorCode::Forbidden, "the current password is wrong"));
        }
        let new = self.accounts().passwords.hash(password).await.map_err(broken)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.accounts().changing.lock().await;
            let mut user = engine.stored_user(by.user)?;
            if user.password.as_ref() != Some(&hash) {
                return Err(ApiError::new(ErrorCode::Conflict, "the password was changed meanwhile"));
            }
            user.password = Some(new);
            user.revision += 1;
            let audit = Audit::of(&by, AuditAction::ChangePassword, now).to(by.user);
            let deletes = engine.tokens_of(user.id)?;
            let ended = match request.end_other_sessions {
                true => engine.sessions_beside(user.id, Some(by.credential))?,
                false => Vec::new(),
            };
            engine.put_password(&user, audit, deletes, ended).await
        })
        .await
    }

    /// Returns the caller's account, and what this credential and this account are good for.
    ///
    /// # Errors
    ///
    /// Fails where the account has just been deleted.
    pub async fn me(&self, by: &Principal) -> Result<Me, ApiError> {
        let user = self.stored_user(by.user)?.view();
        let session = match by.credential {
            Credential::Session(session) => Some(session),
            Credential::Key(_) | Credential::Local | Credential::Engine => None,
        };
        let quotas = self.accounts().settings().quotas.of(by.role).clone();
        Ok(Me { user, scopes: by.scopes, session, quotas })
    }

    /// Makes an account of what was given, without a password.
    pub(super) fn new_user(&self, email: &str, name: Option<&str>, role: Role) -> Result<StoredUser, ApiError> {
        let email = EmailAddress::parse(email).map_err(|error| invalid(error.to_string()))?;
        let name = name.unwrap_or_else(|| email.local());
        let name = check_name(name).ok_or_else(|| invalid("a name has 1 to 100 characters that are seen"))?;
        let clock = &self.0.services.clock;
        Ok(StoredUser {
            id: UserId::from_uuid(clock.new_uuid()),
            email: Some(email),
            name,
            role,
            disabled: false,
            is_leaving: false,
            password: None,
            created_at: clock.now(),
            last_login_at: None,
            revision: 1,
        })
    }

    /// Refuses an address that has an account.
    pub(super) fn check_free(&self, user: &StoredUser) -> Result<(), ApiError> {
        let Some(email) = &user.email else { return Ok(()) };
        match directory::read_email(self.store().as_ref(), email).map_err(store_error)? {
            Some(owner) if owner != user.id => {
                Err(ApiError::new(ErrorCode::Conflict, "there is an account with this e-mail address"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Commits a new account. The lock is held.
    pub(super) async fn add_user(
        &self,
        user: &StoredUser,
        audit: Audit,
        more: Vec<(DocKey, bytes::Bytes)>,
    ) -> Result<(), ApiError> {
        self.check_free(user)?;
        let mut puts = vec![directory::user_doc(user)];
        puts.extend(user.email.as_ref().map(|email| directory::email_doc(email, user.id)));
        puts.extend(more);
        let commit = Commit { puts, audit: vec![audit.encode()], ..Commit::default() };
        self.store().commit(commit).await.map(drop).map_err(store_error)
    }

    /// Returns the sessions of a user's but the one of `kept`.
    fn sessions_beside(&self, user: UserId, kept: Option<Credential>) -> Result<Vec<SessionId>, ApiError> {
        let sessions = directory::read_sessions(self.store().as_ref(), user).map_err(store_error)?;
        let ids = sessions.iter().map(|session| session.id);
        Ok(ids.filter(|id| kept != Some(Credential::Session(*id))).collect())
    }

    /// Commits another password, and ends these sessions with it. The lock is held.
    async fn put_password(
        &self,
        user: &StoredUser,
        audit: Audit,
        mut deletes: Vec<DocKey>,
        ended: Vec<SessionId>,
    ) -> Result<(), ApiError> {
        deletes.extend(ended.iter().map(|id| directory::session_key(user.id, *id)));
        let puts = vec![directory::user_doc(user)];
        let commit = Commit { puts, deletes, audit: vec![audit.encode()], ..Commit::default() };
        self.store().commit(commit).await.map_err(store_error)?;
        for id in ended {
            self.0.tree.revoke(Revoked::Credential(Credential::Session(id)));
        }
        Ok(())
    }

    /// Returns where the tokens of a user's are kept.
    pub(super) fn tokens_of(&self, user: UserId) -> Result<Vec<DocKey>, ApiError> {
        directory::find_tokens(self.store().as_ref(), |token| token.user == user).map_err(store_error)
    }

    fn user_of_token(&self, token: &OneTimeToken) -> Result<Option<StoredUser>, ApiError> {
        let store = self.store().as_ref();
        let now = self.0.services.clock.now();
        let stored = directory::read_token(store, token).map_err(store_error)?;
        let Some(stored) = stored.filter(|stored| now < stored.expires_at) else { return Ok(None) };
        let user = directory::read_user(store, stored.user).map_err(store_error)?;
        Ok(user.filter(|user| !user.disabled))
    }
}
