//! `delete_user`: an account goes with all that is its.
//!
//! First, in one commit, nobody gets in with it any more; that is when the caller is answered that it will go whatever happens.
//! Then its tasks end and go, its files, and at last the account itself. What a crash leaves of that is finished at the next
//! start.

use crate::{
    accounts::{StoredUser, directory},
    actors::Revoked,
    api::{ApiError, AuditAction, Credential, ErrorCode, ListFiles, ListTasks, Principal, Role, UserId},
    audit::Audit,
    engine::{Engine, store_error, stored_providers::administrators_only, uninterrupted},
    journal::store::Commit,
};

/// Things of an account that are looked at together.
const AT_ONCE: u32 = 100;

impl Engine {
    /// Deletes an account: its sessions, keys, tasks and files go with it. What its tasks used stays counted.
    ///
    /// # Errors
    ///
    /// Fails with `conflict` where no administrator would be left, or it is the local owner's.
    pub async fn delete_user(&self, by: &Principal, id: UserId) -> Result<(), ApiError> {
        administrators_only(by)?;
        let (engine, by) = (self.clone(), by.clone());
        uninterrupted(async move {
            engine.shut_out(&by, id).await?;
            engine.remove_remains(id).await
        })
        .await
    }

    /// Goes on with the deletions that the process before did not finish, while whoever starts the engine goes on too.
    pub(in crate::engine) fn finish_deletions_soon(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.finish_deletions().await {
                tracing::error!(%error, "failed to finish the deletion of an account; the next start tries again");
            }
        });
    }

    async fn finish_deletions(&self) -> Result<(), ApiError> {
        let users = directory::read_users(self.store().as_ref()).map_err(store_error)?;
        for user in users.iter().filter(|user| user.is_leaving) {
            self.remove_remains(user.id).await?;
        }
        Ok(())
    }

    async fn shut_out(&self, by: &Principal, id: UserId) -> Result<(), ApiError> {
        let _changing = self.accounts().changing.lock().await;
        let user = self.stored_user(id)?;
        if id == self.0.owner {
            let what = "the local owner is whoever may read the data directory, and stays";
            return Err(ApiError::new(ErrorCode::Conflict, what));
        }
        if user.role == Role::Admin && !user.disabled {
            self.check_other_admin(id)?;
        }
        let store = self.store().as_ref();
        let keys = directory::read_api_keys(store, id).map_err(store_error)?;
        let mut deletes = self.session_keys(id)?;
        deletes.extend(self.tokens_of(id)?);
        deletes.extend(keys.iter().map(|key| directory::api_key_key(key.id)));
        deletes.extend(user.email.as_ref().map(directory::email_key));
        let user = StoredUser { disabled: true, is_leaving: true, email: None, password: None, ..user };
        let audit = Audit::of(by, AuditAction::DeleteUser, self.0.services.clock.now()).to(id).encode();
        let puts = vec![directory::user_doc(&user)];
        let commit = Commit { puts, deletes, audit: vec![audit], ..Commit::default() };
        self.store().commit(commit).await.map_err(store_error)?;
        self.0.tree.revoke(Revoked::User(id));
        Ok(())
    }

    async fn remove_remains(&self, id: UserId) -> Result<(), ApiError> {
        let leaving = Principal { role: Role::User, credential: Credential::Engine, ..Principal::local_owner(id) };
        self.remove_tasks(&leaving).await?;
        self.remove_files(&leaving).await?;
        let deletes = vec![directory::user_key(id)];
        self.store().commit(Commit { deletes, ..Commit::default() }).await.map(drop).map_err(store_error)
    }

    async fn remove_files(&self, leaving: &Principal) -> Result<(), ApiError> {
        loop {
            let query = ListFiles { limit: Some(AT_ONCE), ..ListFiles::default() };
            let page = self.list_files(leaving, query).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            for file in page.items {
                match self.delete_file(leaving, &file.id.to_string()).await {
                    Err(error) if error.code == ErrorCode::NotFound => {}
                    deleted => deleted?,
                }
            }
        }
    }

    async fn remove_tasks(&self, leaving: &Principal) -> Result<(), ApiError> {
        let mut cursor = None;
        loop {
            let query = ListTasks { cursor, limit: Some(AT_ONCE), ..ListTasks::default() };
            let page = self.list_tasks(leaving, query).await?;
            for task in page.items.iter().filter(|task| !task.status.is_terminal()) {
                match self.cancel_task(leaving, task.id).await {
                    // It ended by itself meanwhile.
                    Err(error) if error.code == ErrorCode::Conflict => {}
                    cancelled => drop(cancelled?),
                }
            }
            for task in &page.items {
                match self.delete_task(leaving, task.id).await {
                    Err(error) if error.code == ErrorCode::NotFound => {}
                    deleted => deleted?,
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}
