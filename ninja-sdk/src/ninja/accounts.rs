//! The verbs of accounts, whichever transport is behind them.

use ninja_core::api::{
    ApiKeyId, ApiKeyInfo, ChangePassword, ChangeSettings, ChangeUser, CreateApiKey, CreateUser, InvitedUser,
    LiveSettings, Login, Me, NewApiKey, Page, RedeemToken, Refresh, Register, Session, SessionId, Tokens, User, UserId,
    WsTicket,
};

use super::{Ninja, Transport};
use crate::{ListUsers, SdkError};

/// Every verb fails with [`SdkError::Api`] when the engine refuses, otherwise with what went wrong on the way.
impl Ninja {
    /// Makes an account, where that is open to everybody.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` where it is not.
    pub async fn register(&self, request: &Register) -> Result<User, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.register(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.register(request).await,
        }
    }

    /// Begins a session with address and password. A client speaks with its access token: give that to a builder as its key.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `unauthorized` where they do not belong together.
    pub async fn login(&self, request: &Login) -> Result<Tokens, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.login(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.login(request).await,
        }
    }

    /// Gives new tokens for the newest refresh token of a session.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `unauthorized` where it is not; one that was used before ends its session.
    pub async fn refresh(&self, request: &Refresh) -> Result<Tokens, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.refresh(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.refresh(request).await,
        }
    }

    /// Sets a password with a token that an administrator made.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `unauthorized` where the token is none, was used or has expired.
    pub async fn redeem_token(&self, request: &RedeemToken) -> Result<User, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.redeem_token(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.redeem_token(request).await,
        }
    }

    /// Ends the session that the client speaks with.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `conflict` where it speaks with an API key.
    pub async fn logout(&self) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.logout().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.logout().await,
        }
    }

    /// Returns the account that the client speaks for.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn me(&self) -> Result<Me, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.me().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.me().await,
        }
    }

    /// Changes the password of the account.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` where the current one is wrong.
    pub async fn change_password(&self, request: &ChangePassword) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.change_password(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.change_password(request).await,
        }
    }

    /// Makes an API key of the account. Its text is in this answer and nowhere else.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `forbidden` where it would be good for more than the client itself.
    pub async fn create_api_key(&self, request: &CreateApiKey) -> Result<NewApiKey, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.create_api_key(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.create_api_key(request).await,
        }
    }

    /// Lists the API keys of the account.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn api_keys(&self) -> Result<Page<ApiKeyInfo>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.api_keys().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.api_keys().await,
        }
    }

    /// Ends an API key.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `not_found` where there is none.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.revoke_api_key(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.revoke_api_key(id).await,
        }
    }

    /// Makes a ticket that opens one WebSocket, for a page that cannot send headers.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn ws_ticket(&self) -> Result<WsTicket, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.ws_ticket().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.ws_ticket().await,
        }
    }

    /// Lists the sessions of the account.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn sessions(&self) -> Result<Page<Session>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.sessions().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.sessions().await,
        }
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `not_found` where there is none.
    pub async fn revoke_session(&self, id: SessionId) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.revoke_session(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.revoke_session(id).await,
        }
    }

    /// Lists accounts, the newest first.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn users(&self, query: &ListUsers) -> Result<Page<User>, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.users(query).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.users(query).await,
        }
    }

    /// Makes an account, and a token with which its password is set.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `conflict` where the address has one.
    pub async fn create_user(&self, request: &CreateUser) -> Result<InvitedUser, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.create_user(request).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.create_user(request).await,
        }
    }

    /// Returns an account.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `not_found` where there is none.
    pub async fn user(&self, id: UserId) -> Result<User, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.user(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.user(id).await,
        }
    }

    /// Changes what is given of an account.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `conflict` where no administrator would be left.
    pub async fn change_user(&self, id: UserId, change: &ChangeUser) -> Result<User, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.change_user(id, change).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.change_user(id, change).await,
        }
    }

    /// Makes a token with which the password of an account is set anew.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `not_found` where there is no such account.
    pub async fn invite_user(&self, id: UserId) -> Result<InvitedUser, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.invite_user(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.invite_user(id).await,
        }
    }

    /// Ends every session of an account.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `not_found` where there is no such account.
    pub async fn end_sessions(&self, id: UserId) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.end_sessions(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.end_sessions(id).await,
        }
    }

    /// Deletes an account with all that is its: tasks, files, keys, sessions.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `conflict` where no administrator would be left.
    pub async fn delete_user(&self, id: UserId) -> Result<(), SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.delete_user(id).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.delete_user(id).await,
        }
    }

    /// Returns the settings that count now.
    ///
    /// # Errors
    ///
    /// As every verb, see above.
    pub async fn settings(&self) -> Result<LiveSettings, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.settings().await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.settings().await,
        }
    }

    /// Changes the settings that are given.
    ///
    /// # Errors
    ///
    /// As every verb, see above; `invalid_request` where a value is out of bounds.
    pub async fn change_settings(&self, change: &ChangeSettings) -> Result<LiveSettings, SdkError> {
        match &self.transport {
            #[cfg(feature = "client")]
            Transport::Remote(client) => client.change_settings(change).await,
            #[cfg(feature = "embedded")]
            Transport::Embedded(embedded) => embedded.change_settings(change).await,
        }
    }
}
