//! `create_user`, `users`, `user`, `change_user`, `invite_user`, `end_sessions`: what administrators do with
//! accounts. They never learn or choose a password.

use std::time::Duration;

use super::{check_revision, invalid, no_random};
use crate::{
    accounts::{EmailAddress, OneTimeToken, StoredToken, StoredUser, check_name, directory},
    actors::Revoked,
    api::{
        ApiError, AuditAction, ChangeUser, CreateUser, ErrorCode, InvitedUser, ListUsers, Page, Principal, Role,
        Timestamp, User, UserId,
    },
    audit::Audit,
    engine::{Engine, list::limit_of, store_error, stored_providers::administrators_only, uninterrupted},
    journal::store::{Commit, DocKey},
};

/// Long enough for a weekend, short enough for a mailbox that others read later.
const TOKEN_LIFE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

impl Engine {
    /// Makes an account without a password, and a token with which whoever it is for sets one.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where the address has an account.
    pub async fn create_user(&self, by: &Principal, request: CreateUser) -> Result<InvitedUser, ApiError> {
        administrators_only(by)?;
        let user = self.new_user(&request.email, request.name.as_deref(), request.role)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.turn(&by).await?;
            let audit = Audit::of(&by, AuditAction::CreateUser, user.created_at).to(user.id);
            let (token, stored) = new_token(user.id, user.created_at)?;
            engine.add_user(&user, audit, vec![directory::token_doc(&token, &stored)]).await?;
            Ok(InvitedUser { user: user.view(), token: token.reveal(), token_expires_at: stored.expires_at })
        })
        .await
    }

    /// Makes a token with which somebody sets a password anew. Those made before are worth nothing.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is no such account.
    pub async fn invite_user(&self, by: &Principal, id: UserId) -> Result<InvitedUser, ApiError> {
        administrators_only(by)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.turn(&by).await?;
            let (user, now) = (engine.stored_user(id)?, engine.0.services.clock.now());
            if user.email.is_none() {
                return Err(ApiError::new(
                    ErrorCode::Conflict,
                    "give the account an e-mail address to log in with first",
                ));
            }
            let (token, stored) = new_token(id, now)?;
            let (puts, deletes) = (vec![directory::token_doc(&token, &stored)], engine.tokens_of(id)?);
            let audit = vec![Audit::of(&by, AuditAction::InviteUser, now).to(id).encode()];
            let commit = Commit { puts, deletes, audit, ..Commit::default() };
            engine.store().commit(commit).await.map_err(store_error)?;
            Ok(InvitedUser { user: user.view(), token: token.reveal(), token_expires_at: stored.expires_at })
        })
        .await
    }

    /// Lists accounts, the newest first.
    ///
    /// # Errors
    ///
    /// Fails with `invalid_request` where the cursor is none.
    pub async fn users(&self, by: &Principal, query: ListUsers) -> Result<Page<User>, ApiError> {
        administrators_only(by)?;
        let after = query.cursor.as_deref().map(str::parse::<UserId>).transpose();
        let after = after.map_err(|_| invalid("the cursor is not one that a list of users returned"))?;
        let search = query.q.as_deref().map(str::to_lowercase);
        let users = directory::read_users(self.store().as_ref()).map_err(store_error)?;
        let is_wanted = |user: &StoredUser| {
            let has = |text: &str| search.as_deref().is_none_or(|search| text.to_lowercase().contains(search));
            after.is_none_or(|after| user.id < after)
                && query.role.is_none_or(|role| user.role == role)
                && query.disabled.is_none_or(|disabled| user.disabled == disabled)
                && (has(&user.name) || user.email.as_ref().is_some_and(|email| has(email.as_str())))
        };
        let limit = limit_of(query.limit)?;
        let mut items: Vec<User> =
            users.iter().filter(|user| is_wanted(user)).take(limit + 1).map(StoredUser::view).collect();
        let is_cut = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| is_cut).map(|user| user.id.to_string());
        Ok(Page { items, next_cursor })
    }

    /// Returns an account.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is none.
    pub async fn user(&self, by: &Principal, id: UserId) -> Result<User, ApiError> {
        administrators_only(by)?;
        Ok(self.stored_user(id)?.view())
    }

    /// Changes an account. Another role, or being disabled, ends its sessions and open connections.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where no administrator would be left or the address is somebody else's, `precondition_failed`
    /// where it is of none of the `expected` revisions.
    pub async fn change_user(
        &self,
        by: &Principal,
        id: UserId,
        change: ChangeUser,
        expected: Option<Vec<u64>>,
    ) -> Result<User, ApiError> {
        administrators_only(by)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move { engine.change(&by, id, change, expected).await }).await
    }

    /// Ends every session of an account.
    ///
    /// # Errors
    ///
    /// Fails with `not_found` where there is no such account.
    pub async fn end_sessions(&self, by: &Principal, id: UserId) -> Result<(), ApiError> {
        administrators_only(by)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            let _changing = engine.turn(&by).await?;
            let user = engine.stored_user(id)?;
            let audit = Audit::of(&by, AuditAction::RevokeSession, engine.0.services.clock.now()).to(id);
            let deletes = engine.session_keys(user.id)?;
            let commit = Commit { deletes, audit: vec![audit.encode()], ..Commit::default() };
            engine.store().commit(commit).await.map_err(store_error)?;
            engine.0.tree.revoke(Revoked::Sessions(id));
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        by: &Principal,
        id: UserId,
        change: ChangeUser,
        expected: Option<Vec<u64>>,
    ) -> Result<User, ApiError> {
        let _changing = self.turn(by).await?;
        let before = self.stored_user(id)?;
        if before.is_leaving {
            return Err(ApiError::new(ErrorCode::Conflict, "the account is being deleted"));
        }
        check_revision(before.revision, expected.as_deref())?;
        let after = changed(&before, &change)?;
        if after == before {
            return Ok(before.view());
        }
        self.check_free(&after)?;
        let is_admin = |user: &StoredUser| user.role == Role::Admin && !user.disabled;
        if is_admin(&before) && !is_admin(&after) {
            self.check_other_admin(id)?;
        }
        let loses = before.role != after.role || (after.disabled && !before.disabled);
        let after = StoredUser { revision: before.revision + 1, ..after };
        let mut deletes = if loses { self.session_keys(id)? } else { Vec::new() };
        let mut puts = vec![directory::user_doc(&after)];
        if before.email != after.email {
            deletes.extend(before.email.as_ref().map(directory::email_key));
            // An invitation went to the address before.
            deletes.extend(self.tokens_of(id)?);
            puts.extend(after.email.as_ref().map(|email| directory::email_doc(email, id)));
        }
        let audit =
            Audit::of(by, AuditAction::ChangeUser, self.0.services.clock.now()).to(id).saying(said(&before, &after));
        let commit = Commit { puts, deletes, audit: vec![audit.encode()], ..Commit::default() };
        self.store().commit(commit).await.map_err(store_error)?;
        if loses {
            self.0.tree.revoke(Revoked::User(id));
        }
        if before.role != after.role {
            let now = self.0.services.clock.now();
            self.0.tree.wake_tasks(self.0.services.ledger.look_again(now), now);
            self.wake_those_short_of_budget().await?;
        }
        Ok(after.view())
    }

    pub(super) fn session_keys(&self, user: UserId) -> Result<Vec<DocKey>, ApiError> {
        let sessions = directory::read_sessions(self.store().as_ref(), user).map_err(store_error)?;
        Ok(sessions.into_iter().map(|session| directory::session_key(user, session.id)).collect())
    }

    /// Refuses what would leave nobody who administers.
    pub(super) fn check_other_admin(&self, id: UserId) -> Result<(), ApiError> {
        let users = directory::read_users(self.store().as_ref()).map_err(store_error)?;
        match users.iter().any(|user| user.id != id && user.role == Role::Admin && !user.disabled) {
            true => Ok(()),
            false => Err(ApiError::new(ErrorCode::Conflict, "this is the last administrator there is")),
        }
    }
}

fn changed(before: &StoredUser, change: &ChangeUser) -> Result<StoredUser, ApiError> {
    let mut after = before.clone();
    if let Some(email) = &change.email {
        after.email = Some(EmailAddress::parse(email).map_err(|error| invalid(error.to_string()))?);
    }
    if let Some(name) = &change.name {
        after.name = check_name(name).ok_or_else(|| invalid("a name has 1 to 100 characters that are seen"))?;
    }
    after.role = change.role.unwrap_or(before.role);
    after.disabled = change.disabled.unwrap_or(before.disabled);
    Ok(after)
}

/// Says what changed, for the audit log.
fn said(before: &StoredUser, after: &StoredUser) -> String {
    let mut said = Vec::new();
    if before.email != after.email {
        said.push("e-mail address".to_owned());
    }
    if before.name != after.name {
        said.push("name".to_owned());
    }
    if before.role != after.role {
        said.push(format!("role from {:?} to {:?}", before.role, after.role).to_lowercase());
    }
    if before.disabled != after.disabled {
        said.push(if after.disabled { "disabled" } else { "enabled" }.to_owned());
    }
    said.join(", ")
}

fn new_token(user: UserId, now: Timestamp) -> Result<(OneTimeToken, StoredToken), ApiError> {
    let token = OneTimeToken::generate().map_err(no_random)?;
    Ok((token, StoredToken { user, expires_at: now + TOKEN_LIFE }))
}
