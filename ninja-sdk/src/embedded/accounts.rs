//! The verbs of accounts, of an engine in this process.

use ninja_core::api::{
    ApiKeyId, ApiKeyInfo, ChangePassword, ChangeSettings, ChangeUser, CreateApiKey, CreateUser, InvitedUser,
    LiveSettings, Login, Me, NewApiKey, Origin, Page, RedeemToken, Refresh, Register, Session, SessionId, Tokens, User,
    UserId, WsTicket,
};

use super::Embedded;
use crate::{ListUsers, SdkError};

impl Embedded {
    pub(crate) async fn register(&self, request: &Register) -> Result<User, SdkError> {
        Ok(self.engine.register(&Origin::default(), request.clone()).await?)
    }

    pub(crate) async fn login(&self, request: &Login) -> Result<Tokens, SdkError> {
        Ok(self.engine.login(&Origin::default(), request.clone()).await?)
    }

    pub(crate) async fn refresh(&self, request: &Refresh) -> Result<Tokens, SdkError> {
        Ok(self.engine.refresh(&Origin::default(), request.clone()).await?)
    }

    pub(crate) async fn redeem_token(&self, request: &RedeemToken) -> Result<User, SdkError> {
        Ok(self.engine.redeem_token(&Origin::default(), request.clone()).await?)
    }

    pub(crate) async fn logout(&self) -> Result<(), SdkError> {
        Ok(self.engine.logout(&self.owner).await?)
    }

    pub(crate) async fn me(&self) -> Result<Me, SdkError> {
        Ok(self.engine.me(&self.owner).await?)
    }

    pub(crate) async fn change_password(&self, request: &ChangePassword) -> Result<(), SdkError> {
        Ok(self.engine.change_password(&self.owner, request.clone()).await?)
    }

    pub(crate) async fn create_api_key(&self, request: &CreateApiKey) -> Result<NewApiKey, SdkError> {
        Ok(self.engine.create_api_key(&self.owner, request.clone()).await?)
    }

    pub(crate) async fn api_keys(&self) -> Result<Page<ApiKeyInfo>, SdkError> {
        Ok(self.engine.api_keys(&self.owner).await?)
    }

    pub(crate) async fn revoke_api_key(&self, id: ApiKeyId) -> Result<(), SdkError> {
        Ok(self.engine.revoke_api_key(&self.owner, id).await?)
    }

    pub(crate) async fn ws_ticket(&self) -> Result<WsTicket, SdkError> {
        Ok(self.engine.ws_ticket(&self.owner).await?)
    }

    pub(crate) async fn sessions(&self) -> Result<Page<Session>, SdkError> {
        Ok(self.engine.sessions(&self.owner).await?)
    }

    pub(crate) async fn revoke_session(&self, id: SessionId) -> Result<(), SdkError> {
        Ok(self.engine.revoke_session(&self.owner, id).await?)
    }

    pub(crate) async fn users(&self, query: &ListUsers) -> Result<Page<User>, SdkError> {
        Ok(self.engine.users(&self.owner, query.clone()).await?)
    }

    pub(crate) async fn create_user(&self, request: &CreateUser) -> Result<InvitedUser, SdkError> {
        Ok(self.engine.create_user(&self.owner, request.clone()).await?)
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<User, SdkError> {
        Ok(self.engine.user(&self.owner, id).await?)
    }

    pub(crate) async fn change_user(&self, id: UserId, change: &ChangeUser) -> Result<User, SdkError> {
        Ok(self.engine.change_user(&self.owner, id, change.clone(), None).await?)
    }

    pub(crate) async fn invite_user(&self, id: UserId) -> Result<InvitedUser, SdkError> {
        Ok(self.engine.invite_user(&self.owner, id).await?)
    }

    pub(crate) async fn end_sessions(&self, id: UserId) -> Result<(), SdkError> {
        Ok(self.engine.end_sessions(&self.owner, id).await?)
    }

    pub(crate) async fn delete_user(&self, id: UserId) -> Result<(), SdkError> {
        Ok(self.engine.delete_user(&self.owner, id).await?)
    }

    pub(crate) async fn settings(&self) -> Result<LiveSettings, SdkError> {
        Ok(self.engine.settings(&self.owner).await?)
    }

    pub(crate) async fn change_settings(&self, change: &ChangeSettings) -> Result<LiveSettings, SdkError> {
        Ok(self.engine.change_settings(&self.owner, change.clone(), None).await?)
    }
}
