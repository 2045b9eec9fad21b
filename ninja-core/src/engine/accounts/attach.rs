//! `attach`: a connection that stays open in somebody's name. `ws_ticket`, `introduce`: how a page opens a WebSocket.

use tokio_util::sync::CancellationToken;

use super::unauthorized;
use crate::{
    accounts::OneTimeToken,
    actors::{Attached, Attachment},
    api::{ApiError, Credential, ErrorCode, Origin, Principal, Secret, WsTicket},
    engine::Engine,
};

/// A connection's right to stay open.
#[derive(Debug)]
pub struct OpenConnection {
    closed: CancellationToken,
    /// The local owner's needs none: whoever is there cannot be sent away.
    _place: Option<Attachment>,
}

impl OpenConnection {
    /// Waits until the connection is to be closed: who opened it has lost what let them in. Cancel safe.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl Engine {
    /// Lets a connection stay open in the caller's name, until they log out, are disabled or get another role, or what let them
    /// in ends by itself.
    ///
    /// # Errors
    ///
    /// Fails with `unauthorized` where that has happened already.
    pub async fn attach(&self, by: &Principal) -> Result<OpenConnection, ApiError> {
        let closed = CancellationToken::new();
        if by.credential == Credential::Local {
            return Ok(OpenConnection { closed, _place: None });
        }
        let until = self.stands_until(by)?;
        let attached = Attached { user: by.user, credential: by.credential, until, closed: closed.clone() };
        let place = self.0.tree.attach(attached).await.ok_or_else(unwatched)?;
        // Only now: what was revoked before this was attached is seen here, what is revoked after closes it.
        match self.still_stands(by)? {
            true => Ok(OpenConnection { closed, _place: Some(place) }),
            false => Err(unauthorized("what let this request in has ended meanwhile")),
        }
    }

    /// Makes a ticket that opens one WebSocket within half a minute, for those who cannot send headers with it.
    ///
    /// # Errors
    ///
    /// Fails where none can be made now.
    pub async fn ws_ticket(&self, by: &Principal) -> Result<WsTicket, ApiError> {
        let (ticket, expires_at) = self.0.tree.issue_ticket(by.clone()).await.ok_or_else(unwatched)?;
        Ok(WsTicket { ticket, expires_at })
    }

    /// Returns who opens a WebSocket: with a ticket, or with what other requests show as well.
    ///
    /// # Errors
    ///
    /// Fails with `unauthorized` where it proves nothing.
    pub async fn introduce(&self, credential: Secret, origin: Origin) -> Result<Principal, ApiError> {
        let introduced = match credential.expose().starts_with(OneTimeToken::PREFIX) {
            true => self.redeem_ticket(credential.clone(), origin.clone()).await,
            false => self.authenticate(credential.expose(), origin.clone()),
        };
        if introduced.as_ref().is_err_and(|error| error.code == ErrorCode::Unauthorized) {
            self.note_unknown(&origin, credential.expose(), "a WebSocket").await;
        }
        introduced
    }

    /// Returns in whose name a ticket was made. It is worth nothing after this.
    async fn redeem_ticket(&self, ticket: Secret, origin: Origin) -> Result<Principal, ApiError> {
        let by = self.0.tree.redeem_ticket(ticket).await;
        let by =
            by.ok_or_else(|| unauthorized("the ticket is not valid: it was used, has expired, or never was one"))?;
        Ok(Principal { origin, ..by })
    }
}

fn unwatched() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the session manager does not answer; try again").retry_after(1)
}
