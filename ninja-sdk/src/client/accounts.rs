//! The verbs of accounts, over HTTP.

use ninja_core::api::{
    ApiKeyId, ApiKeyInfo, ChangePassword, ChangeSettings, ChangeUser, CreateApiKey, CreateUser, InvitedUser,
    LiveSettings, Login, Me, NewApiKey, Page, RedeemToken, Refresh, Register, Session, SessionId, Tokens, User, UserId,
    WsTicket,
};
use reqwest::Method;

use super::Client;
use crate::{ListUsers, SdkError};

impl Client {
    /// Makes an account, where that is open to everybody.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `forbidden` where it is not.
    pub async fn register(&self, request: &Register) -> Result<User, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["auth", "register"])?.json(request)).await
    }

    /// Begins a session with address and password. A client speaks with its access token: give that to a builder as its key.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `unauthorized` where they do not belong together.
    pub async fn login(&self, request: &Login) -> Result<Tokens, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["auth", "login"])?.json(request)).await
    }

    /// Gives new tokens for the newest refresh token of a session.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `unauthorized` where it is not; one that was used before ends its session.
    pub async fn refresh(&self, request: &Refresh) -> Result<Tokens, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["auth", "refresh"])?.json(request)).await
    }

    /// Sets a password with a token that an administrator made.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `unauthorized` where the token is none, was used or has expired.
    pub async fn redeem_token(&self, request: &RedeemToken) -> Result<User, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["auth", "redeem"])?.json(request)).await
    }

    /// Ends the session that the client speaks with.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `conflict` where it speaks with an API key.
    pub async fn logout(&self) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::POST, ["auth", "logout"])?).await
    }

    /// Returns the account that the client speaks for.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn me(&self) -> Result<Me, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["auth", "me"])?).await
    }

    /// Changes the password of the account.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `forbidden` where the current one is wrong.
    pub async fn change_password(&self, request: &ChangePassword) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::POST, ["auth", "password"])?.json(request)).await
    }

    /// Makes an API key of the account. Its text is in this answer and nowhere else.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `forbidden` where it would be good for more than the client itself.
    pub async fn create_api_key(&self, request: &CreateApiKey) -> Result<NewApiKey, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["auth", "api-keys"])?.json(request)).await
    }

    /// Lists the API keys of the account.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn api_keys(&self) -> Result<Page<ApiKeyInfo>, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["auth", "api-keys"])?).await
    }

    /// Ends an API key.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `not_found` where there is none.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::DELETE, ["auth", "api-keys", &id.to_string()])?).await
    }

    /// Makes a ticket that opens one WebSocket, for a page that cannot send headers.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn ws_ticket(&self) -> Result<WsTicket, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["auth", "ws-ticket"])?).await
    }

    /// Lists the sessions of the account.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn sessions(&self) -> Result<Page<Session>, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["sessions"])?).await
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `not_found` where there is none.
    pub async fn revoke_session(&self, id: SessionId) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::DELETE, ["sessions", &id.to_string()])?).await
    }

    /// Lists accounts, the newest first.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn users(&self, query: &ListUsers) -> Result<Page<User>, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["admin", "users"])?.query(query)).await
    }

    /// Makes an account, and a token with which its password is set.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `conflict` where the address has one.
    pub async fn create_user(&self, request: &CreateUser) -> Result<InvitedUser, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["admin", "users"])?.json(request)).await
    }

    /// Returns an account.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `not_found` where there is none.
    pub async fn user(&self, id: UserId) -> Result<User, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["admin", "users", &id.to_string()])?).await
    }

    /// Changes what is given of an account.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `conflict` where no administrator would be left.
    pub async fn change_user(&self, id: UserId, change: &ChangeUser) -> Result<User, SdkError> {
        self.http.answer(self.http.api(Method::PATCH, ["admin", "users", &id.to_string()])?.json(change)).await
    }

    /// Makes a token with which the password of an account is set anew.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `not_found` where there is no such account.
    pub async fn invite_user(&self, id: UserId) -> Result<InvitedUser, SdkError> {
        self.http.answer(self.http.api(Method::POST, ["admin", "users", &id.to_string(), "token"])?).await
    }

    /// Ends every session of an account.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `not_found` where there is no such account.
    pub async fn end_sessions(&self, id: UserId) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::DELETE, ["admin", "users", &id.to_string(), "sessions"])?).await
    }

    /// Deletes an account with all that is its: tasks, files, keys, sessions.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `conflict` where no administrator would be left.
    pub async fn delete_user(&self, id: UserId) -> Result<(), SdkError> {
        self.http.done(self.http.api(Method::DELETE, ["admin", "users", &id.to_string()])?).await
    }

    /// Returns the settings that count now.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`].
    pub async fn settings(&self) -> Result<LiveSettings, SdkError> {
        self.http.answer(self.http.api(Method::GET, ["admin", "settings"])?).await
    }

    /// Changes the settings that are given.
    ///
    /// # Errors
    ///
    /// As [`Client::submit_task`]; `invalid_request` where a value is out of bounds.
    pub async fn change_settings(&self, change: &ChangeSettings) -> Result<LiveSettings, SdkError> {
        self.http.answer(self.http.api(Method::PATCH, ["admin", "settings"])?.json(change)).await
    }
}
