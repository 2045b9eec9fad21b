//! `login`, `refresh`, `logout`, `sessions`, `revoke_session`: how people get in, stay in and leave.

use std::{sync::Arc, time::Duration};

use super::{broken, invalid, no_random, too_often, unauthorized};
use crate::{
    accounts::{Attempt, EmailAddress, NewPassword, RefreshToken, Shown, StoredSession, StoredUser, directory},
    actors::Revoked,
    api::{
        ApiError, AuditAction, Credential, ErrorCode, Login, Origin, Page, Principal, Refresh, Session, SessionId,
        Timestamp, TokenType, Tokens, UserId,
    },
    audit::Audit,
    engine::{Engine, store_error, uninterrupted},
    journal::store::Commit,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Engine {
    /// Logs somebody in with address and password. Unknown and known addresses cost the same and get the same answer.
    ///
    /// # Errors
    ///
    /// Fails with `unauthorized` where they do not belong together, `too_many_requests` after too many failures.
    pub async fn login(&self, origin: &Origin, request: Login) -> Result<Tokens, ApiError> {
        let email = EmailAddress::parse(&request.email).map_err(|error| invalid(error.to_string()))?;
        let attempt = self.attempt(email.as_str(), origin)?;
        let user = self.user_of(&email)?.filter(|user| !user.disabled);
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let compared = self.accounts().passwords.compare(&request.password, hash.as_deref(), Some(attempt)).await;
        let compared = compared.map_err(broken)?;
        let Some(user) = user.filter(|_| compared.matches) else {
            self.refuse_login(&email, origin).await?;
            return Err(wrong());
        };
        let rehashed = match compared.is_dated {
            true => {
                let known = NewPassword::known(&request.password).map_err(broken)?;
                Some(self.accounts().passwords.hash(known).await.map_err(broken)?)
            }
            false => None,
        };
        let (engine, origin) = (self.clone(), origin.clone());
        uninterrupted(async move { engine.begin_session(&origin, &user, rehashed).await }).await
    }

    /// Gives new tokens for the newest refresh token of a session. One that was used before ends the session.
    ///
    /// # Errors
    ///
    /// Fails with `unauthorized` where the token is none, was used, or its session has ended.
    pub async fn refresh(&self, origin: &Origin, request: Refresh) -> Result<Tokens, ApiError> {
        let renewed = match RefreshToken::parse(request.refresh_token.expose()) {
            Some(token) => {
                let (engine, origin) = (self.clone(), origin.clone());
                uninterrupted(async move { engine.renew(&origin, token).await }).await?
            }
            None => None,
        };
        let Some(tokens) = renewed else {
            self.note_refused(origin, AuditAction::Refresh).await;
            return Err(no_session());
        };
        Ok(tokens)
    }

    /// Ends the session of this request: its tokens and open connections are worth nothing from now on.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where the request came with an API key.
    pub async fn logout(&self, by: &Principal) -> Result<(), ApiError> {
        let Credential::Session(session) = by.credential else {
            let what = "this request came with an API key, which is not logged out but deleted";
            return Err(ApiError::new(ErrorCode::Conflict, what));
        };
        self.end_session(by, by.user, session, AuditAction::Logout).await
    }

    /// Lists the caller's sessions, the newest first.
    ///
    /// # Errors
    ///
    /// Fails where the disk cannot be read.
    pub async fn sessions(&self, by: &Principal) -> Result<Page<Session>, ApiError> {
        let now = self.0.services.clock.now();
        let mut sessions = directory::read_sessions(self.store().as_ref(), by.user).map_err(store_error)?;
        sessions.retain(|session| !session.is_over(now));
        sessions.sort_by_key(|session| std::cmp::Reverse(session.id));
        let view = |session: StoredSession| Session {
            id: session.id,
            created_at: session.created_at,
            renewed_at: session.renewed_at,
            expires_at: session.expires_at.min(session.ends_at),
            ip: session.ip,
            user_agent: session.user_agent,
            is_current: by.credential == Credential::Session(session.id),
        };
        Ok(Page { items: sessions.into_iter().map(view).collect(), next_cursor: None })
    }

    /// Ends a session of the caller's; an administrator ends anybody's.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none.
    pub async fn revoke_session(&self, by: &Principal, id: SessionId) -> Result<(), ApiError> {
        let store = self.store().as_ref();
        let is_own = directory::read_session(store, by.user, id).map_err(store_error)?.is_some();
        let owner = match is_own {
            true => Some(by.user),
            false if by.is_admin() => {
                let all = directory::read_all_sessions(store).map_err(store_error)?;
                all.into_iter().find(|session| session.id == id).map(|session| session.user)
            }
            false => None,
        };
        let owner = owner.ok_or_else(|| no_such_session(id))?;
        self.end_session(by, owner, id, AuditAction::RevokeSession).await
    }

    async fn end_session(
        &self,
        by: &Principal,
        owner: UserId,
        id: SessionId,
        action: AuditAction,
    ) -> Result<(), ApiError> {
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.accounts().changing.lock().await;
            if directory::read_session(engine.store().as_ref(), owner, id).map_err(store_error)?.is_none() {
                return Err(no_such_session(id));
            }
            let audit = Audit::of(&by, action, engine.0.services.clock.now()).to(id).encode();
            let deletes = vec![directory::session_key(owner, id)];
            let commit = Commit { deletes, audit: vec![audit], ..Commit::default() };
            engine.store().commit(commit).await.map_err(store_error)?;
            engine.0.tree.revoke(Revoked::Credential(Credential::Session(id)));
            Ok(())
        })
        .await
    }

    /// Begins to try a password. Refuses whoever failed too often, before anything is worked on.
    pub(super) fn attempt(&self, account: &str, origin: &Origin) -> Result<Attempt, ApiError> {
        let (attempts, clock) = (Arc::clone(&self.accounts().attempts), Arc::clone(&self.0.services.clock));
        let attempt = Attempt { attempts, clock, account: account.to_owned(), from: origin.ip };
        attempt.wait().map_or(Ok(attempt), |wait| Err(too_often(wait)))
    }

    async fn refuse_login(&self, email: &EmailAddress, origin: &Origin) -> Result<(), ApiError> {
        let now = self.0.services.clock.now();
        let audit = Audit::of_nobody(origin, AuditAction::Login, now).to(email).refused().encode();
        let commit = Commit { audit: vec![audit], ..Commit::default() };
        self.store().commit(commit).await.map(drop).map_err(store_error)
    }

    async fn begin_session(
        &self,
        origin: &Origin,
        compared: &StoredUser,
        rehashed: Option<String>,
    ) -> Result<Tokens, ApiError> {
        let _changing = self.accounts().changing.lock().await;
        // Meanwhile it may have been disabled, or given another password.
        let user = directory::read_user(self.store().as_ref(), compared.id).map_err(store_error)?;
        let unchanged = |user: &StoredUser| !user.disabled && user.password == compared.password;
        let mut user = user.filter(unchanged).ok_or_else(wrong)?;
        let now = self.0.services.clock.now();
        let id = SessionId::from_uuid(self.0.services.clock.new_uuid());
        let token = RefreshToken::first(user.id, id).map_err(no_random)?;
        let (family_sha256, secret_sha256) = token.digests();
        let settings = self.accounts().settings();
        let session = StoredSession {
            id,
            user: user.id,
            created_at: now,
            renewed_at: now,
            expires_at: now + DAY * settings.session_idle_days,
            ends_at: now + DAY * settings.session_days,
            family_sha256,
            secret_sha256,
            ip: origin.ip,
            user_agent: origin.user_agent.as_ref().map(|agent| agent.chars().take(256).collect()),
        };
        user.last_login_at = Some(now);
        user.password = rehashed.or(user.password);
        let audit = Audit::of(&principal(&user, id, origin), AuditAction::Login, now).to(id).encode();
        let puts = vec![directory::session_doc(&session), directory::user_doc(&user)];
        self.store().commit(Commit { puts, audit: vec![audit], ..Commit::default() }).await.map_err(store_error)?;
        self.tokens(&session, &token, now)
    }

    /// `None` where the token is of no session that goes on.
    async fn renew(&self, origin: &Origin, token: RefreshToken) -> Result<Option<Tokens>, ApiError> {
        let _changing = self.accounts().changing.lock().await;
        let store = self.store().as_ref();
        let session = directory::read_session(store, token.user, token.session).map_err(store_error)?;
        let user = directory::read_user(store, token.user).map_err(store_error)?;
        let (Some(mut session), Some(user)) = (session, user) else { return Ok(None) };
        let now = self.0.services.clock.now();
        let by = principal(&user, session.id, origin);
        match token.stands_to(&session) {
            Shown::Foreign => return Ok(None),
            Shown::Used => {
                self.end_stolen(&by, &session, now).await?;
                let what = "this refresh token was used before, so its session has ended; log in again";
                return Err(unauthorized(what));
            }
            Shown::Newest if session.is_over(now) || user.disabled => return Ok(None),
            Shown::Newest => {}
        }
        let next = token.next().map_err(no_random)?;
        (session.family_sha256, session.secret_sha256) = next.digests();
        session.renewed_at = now;
        session.expires_at = now + DAY * self.accounts().settings().session_idle_days;
        let audit = Audit::of(&by, AuditAction::Refresh, now).to(session.id).encode();
        let puts = vec![directory::session_doc(&session)];
        self.store().commit(Commit { puts, audit: vec![audit], ..Commit::default() }).await.map_err(store_error)?;
        self.tokens(&session, &next, now).map(Some)
    }

    async fn end_stolen(&self, by: &Principal, session: &StoredSession, now: Timestamp) -> Result<(), ApiError> {
        let said = "a refresh token was used twice: the session has ended";
        let audit = Audit::of(by, AuditAction::Refresh, now).to(session.id).refused().saying(said).encode();
        let deletes = vec![directory::session_key(session.user, session.id)];
        let commit = Commit { deletes, audit: vec![audit], ..Commit::default() };
        self.store().commit(commit).await.map_err(store_error)?;
        self.0.tree.revoke(Revoked::Credential(Credential::Session(session.id)));
        Ok(())
    }

    fn tokens(&self, session: &StoredSession, token: &RefreshToken, now: Timestamp) -> Result<Tokens, ApiError> {
        let lives_s = self.accounts().settings().access_token_minutes * 60;
        let jti = self.0.services.clock.new_uuid();
        let access_token = self.accounts().tokens.sign(session.user, session.id, now, lives_s, jti);
        let no_key = || ApiError::new(ErrorCode::Internal, "there is no key that signs access tokens");
        Ok(Tokens {
            access_token: access_token.ok_or_else(no_key)?,
            token_type: TokenType::Bearer,
            expires_in: u64::from(lives_s),
            refresh_token: token.reveal(),
            session: session.id,
            session_ends_at: session.ends_at,
        })
    }

    fn user_of(&self, email: &EmailAddress) -> Result<Option<StoredUser>, ApiError> {
        let store = self.store().as_ref();
        match directory::read_email(store, email).map_err(store_error)? {
            Some(id) => directory::read_user(store, id).map_err(store_error),
            None => Ok(None),
        }
    }
}

fn principal(user: &StoredUser, session: SessionId, origin: &Origin) -> Principal {
    Principal {
        user: user.id,
        role: user.role,
        credential: Credential::Session(session),
        scopes: crate::api::Scopes::of(user.role),
        origin: origin.clone(),
    }
}

fn wrong() -> ApiError {
    unauthorized("the e-mail address or the password is wrong")
}

fn no_session() -> ApiError {
    unauthorized("the refresh token is not valid; log in again")
}

fn no_such_session(id: SessionId) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("there is no session {id}"))
}
