//! The session manager: whatever stays open in somebody's name, and what ends with time.
//!
//! Connections that stay open attach themselves; who logs out, is disabled or gets another role loses them at once, and what
//! ends by itself is ended to the second. Where this actor fails, everything attached is closed: whoever is there comes back
//! and shows again who it is. It also keeps the one-time tickets for WebSockets, which live for seconds and in memory alone,
//! and clears away what has expired.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, concurrency::oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    roster::{Mailbox, Standing},
    services::Services,
};
use crate::{
    accounts::{OneTimeToken, directory},
    api::{Credential, Principal, Secret, Timestamp, UserId},
    journal::store::{Commit, DocKey, DocKind, StoreError},
};

/// How soon what ends by itself is ended.
const TICK: Duration = Duration::from_secs(1);
/// How often the times at which keys were used are written.
const NOTE_USES_TICKS: u32 = 60;
/// How often what has expired is cleared away.
const CLEAR_TICKS: u32 = 15 * 60;
/// Documents cleared away in one commit.
const CLEARED_AT_ONCE: usize = 256;
/// A page opens its socket within a moment of asking for the ticket.
const TICKET_LIFE: Duration = Duration::from_secs(30);
/// Tickets that nobody has used yet; who asks for more has the oldest ones dropped.
const TICKETS_MAX: usize = 10_000;
/// How long a question to the actor may take.
const CALL_WAIT: Duration = Duration::from_secs(2);

/// Whose connections are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// Those of one session or key.
    Credential(Credential),
    /// Those of all sessions of an account.
    Sessions(UserId),
    /// All of an account.
    User(UserId),
}

impl Revoked {
    fn covers(self, attached: &Attached) -> bool {
        match self {
            Self::Credential(credential) => attached.credential == credential,
            Self::Sessions(user) => attached.user == user && matches!(attached.credential, Credential::Session(_)),
            Self::User(user) => attached.user == user,
        }
    }
}

/// What the session manager is told.
pub(crate) enum SessionManagerMsg {
    /// A connection stays open in somebody's name.
    Attach {
        /// In whose, until when, and what closes it.
        attached: Attached,
        /// Its number, to detach it by.
        reply: RpcReplyPort<u64>,
    },
    /// A connection has ended.
    Detach {
        /// Its number.
        number: u64,
    },
    /// Somebody has lost what let them in.
    Revoke {
        /// Who.
        whom: Revoked,
    },
    /// Make a ticket that opens one WebSocket.
    IssueTicket {
        /// In whose name.
        by: Box<Principal>,
        /// The ticket and until when; nothing where there are no random numbers.
        reply: RpcReplyPort<Option<(Secret, Timestamp)>>,
    },
    /// Somebody shows a ticket.
    RedeemTicket {
        /// Which.
        ticket: Secret,
        /// In whose name it was made, if it is one.
        reply: RpcReplyPort<Option<Box<Principal>>>,
    },
    /// See what has ended.
    Tick,
}

/// A connection that stays open.
pub(crate) struct Attached {
    /// In whose name.
    pub user: UserId,
    /// What proved it.
    pub credential: Credential,
    /// When that ends by itself.
    pub until: Option<Timestamp>,
    /// Fired when it is to be closed.
    pub closed: CancellationToken,
}

/// A connection's place with the session manager; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Attachment {
    number: u64,
    manager: Mailbox<SessionManagerMsg>,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // An actor that has ended holds nothing any more.
        self.manager.send_message(SessionManagerMsg::Detach { number: self.number }).ok();
    }
}

/// The way to the session manager that is there now. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct SessionManagerHandle(Arc<RwLock<Option<Mailbox<SessionManagerMsg>>>>);

impl SessionManagerHandle {
    /// Points to another actor.
    pub(super) fn point_to(&self, actor: Mailbox<SessionManagerMsg>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    /// Attaches a connection; nothing where the actor does not answer.
    pub(super) async fn attach(&self, attached: Attached) -> Option<Attachment> {
        let manager = self.actor()?;
        let number = self.ask(|reply| SessionManagerMsg::Attach { attached, reply }).await?;
        Some(Attachment { number, manager })
    }

    /// Tells of somebody who has lost what let them in.
    pub(super) fn revoke(&self, whom: Revoked) {
        if let Some(actor) = self.actor() {
            // Where it has ended, nothing is attached any more.
            actor.send_message(SessionManagerMsg::Revoke { whom }).ok();
        }
    }

    /// Asks, and waits for a while.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<T>) -> SessionManagerMsg,
    ) -> Option<T> {
        let (sender, receiver) = oneshot();
        self.actor()?.send_message(message(sender.into())).ok()?;
        tokio::time::timeout(CALL_WAIT, receiver).await.ok()?.ok()
    }

    fn actor(&self) -> Option<Mailbox<SessionManagerMsg>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The actor.
pub(super) struct SessionManager {
    pub(super) services: Arc<Services>,
    pub(super) standing: Arc<Standing>,
}

/// Its state. When it is dropped, everything attached is closed.
#[derive(Default)]
pub(super) struct SessionManagerState {
    attached: HashMap<u64, (Attached, DropGuard)>,
    /// Those that end by themselves, the first one first.
    ending: BTreeMap<(Timestamp, u64), ()>,
    numbers: u64,
    tickets: HashMap<String, (Box<Principal>, Timestamp)>,
    ticks: u32,
}

impl Actor for SessionManager {
    type Msg = SessionManagerMsg;
    type State = SessionManagerState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<SessionManagerMsg>,
        (): (),
    ) -> Result<SessionManagerState, ActorProcessingErr> {
        Mailbox::new(myself, &self.standing).send_interval(TICK, || SessionManagerMsg::Tick);
        Ok(SessionManagerState::default())
    }

    async fn handle(
        &self,
        _: ActorRef<SessionManagerMsg>,
        message: SessionManagerMsg,
        state: &mut SessionManagerState,
    ) -> Result<(), ActorProcessingErr> {
        self.standing.took();
        self.services.failpoints.visit("session_manager.handle");
        match message {
            SessionManagerMsg::Attach { attached, reply } => {
                reply.send(state.attach(attached)).ok();
            }
            SessionManagerMsg::Detach { number } => state.detach(number),
            SessionManagerMsg::Revoke { whom } => state.revoke(whom),
            SessionManagerMsg::IssueTicket { by, reply } => {
                reply.send(state.issue_ticket(by, self.services.clock.now())).ok();
            }
            SessionManagerMsg::RedeemTicket { ticket, reply } => {
                reply.send(state.redeem_ticket(&ticket, self.services.clock.now())).ok();
            }
            SessionManagerMsg::Tick => self.tick(state),
        }
        Ok(())
    }
}

impl SessionManager {
    fn tick(&self, state: &mut SessionManagerState) {
        let now = self.services.clock.now();
        state.end_overdue(now);
        state.tickets.retain(|_, (_, expires_at)| now < *expires_at);
        state.ticks = state.ticks.wrapping_add(1);
        if state.ticks.is_multiple_of(NOTE_USES_TICKS) {
            self.in_background(note_uses);
        }
        if state.ticks.is_multiple_of(CLEAR_TICKS) {
            self.in_background(clear_expired);
        }
    }

    fn in_background<F: Future<Output = Result<(), StoreError>> + Send>(
        &self,
        work: impl FnOnce(Arc<Services>) -> F + Send + 'static,
    ) {
        let services = Arc::clone(&self.services);
        tokio::spawn(async move {
            if let Err(error) = work(services).await {
                tracing::warn!(%error, "failed to keep house among the accounts");
            }
        });
    }
}

/// Writes when keys were last used.
pub(crate) async fn note_uses(services: Arc<Services>) -> Result<(), StoreError> {
    let uses = services.accounts.take_uses();
    if uses.is_empty() {
        return Ok(());
    }
    // So that a key that is deleted meanwhile is not put back.
    let _changing = services.accounts.changing.lock().await;
    let mut puts = Vec::with_capacity(uses.len());
    for (id, at) in uses {
        if let Some(mut key) = directory::read_api_key(services.store.as_ref(), id)? {
            key.last_used_at = key.last_used_at.max(Some(at));
            puts.push(directory::api_key_doc(&key));
        }
    }
    services.store.commit(Commit { puts, ..Commit::default() }).await.map(drop)
}

/// Deletes sessions that are over and tokens that have expired.
async fn clear_expired(services: Arc<Services>) -> Result<(), StoreError> {
    let (store, now) = (Arc::clone(&services.store), services.clock.now());
    let read = tokio::task::spawn_blocking(move || {
        let mut over = directory::find_tokens(store.as_ref(), |token| token.expires_at <= now)?;
        let sessions = directory::read_all_sessions(store.as_ref())?;
        let sessions = sessions.iter().filter(|session| session.is_over(now));
        over.extend(sessions.map(|session| directory::session_key(session.user, session.id)));
        Ok::<Vec<DocKey>, StoreError>(over)
    });
    let over = read.await.map_err(|error| StoreError::ReadOnly(error.to_string()))??;
    for some in over.chunks(CLEARED_AT_ONCE) {
        let _changing = services.accounts.changing.lock().await;
        // One that was renewed just now is not over any more: it is newer than what was read.
        let is_over = |key: &DocKey| match key.kind {
            DocKind::Session => match directory::read_session_at(services.store.as_ref(), key) {
                Ok(session) => session.is_some_and(|session| session.is_over(now)),
                Err(_) => false,
            },
            _ => true,
        };
        let deletes: Vec<DocKey> = some.iter().filter(|key| is_over(key)).cloned().collect();
        services.store.commit(Commit { deletes, ..Commit::default() }).await?;
    }
    Ok(())
}

impl SessionManagerState {
    fn attach(&mut self, attached: Attached) -> u64 {
        self.numbers += 1;
        if let Some(until) = attached.until {
            self.ending.insert((until, self.numbers), ());
        }
        let guard = attached.closed.clone().drop_guard();
        self.attached.insert(self.numbers, (attached, guard));
        self.numbers
    }

    /// Forgets a connection; whatever of it is still there is closed.
    fn detach(&mut self, number: u64) {
        if let Some((Attached { until: Some(until), .. }, _)) = self.attached.remove(&number) {
            self.ending.remove(&(until, number));
        }
    }

    fn revoke(&mut self, whom: Revoked) {
        let covered = self.attached.iter().filter(|(_, (attached, _))| whom.covers(attached));
        let numbers: Vec<u64> = covered.map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.detach(number));
        self.tickets.retain(|_, (by, _)| {
            let (user, credential) = (by.user, by.credential);
            !whom.covers(&Attached { user, credential, until: None, closed: CancellationToken::new() })
        });
    }

    fn end_overdue(&mut self, now: Timestamp) {
        while let Some(((until, number), ())) = self.ending.first_key_value() {
            if *until > now {
                return;
            }
            let number = *number;
            self.detach(number);
        }
    }

    fn issue_ticket(&mut self, by: Box<Principal>, now: Timestamp) -> Option<(Secret, Timestamp)> {
        if self.tickets.len() >= TICKETS_MAX {
            let oldest = self.tickets.iter().min_by_key(|(_, (_, expires_at))| *expires_at);
            if let Some(digest) = oldest.map(|(digest, _)| digest.clone()) {
                self.tickets.remove(&digest);
            }
        }
        let (ticket, expires_at) = (OneTimeToken::generate().ok()?, now + TICKET_LIFE);
        self.tickets.insert(ticket.doc_id(), (by, expires_at));
        Some((ticket.reveal(), expires_at))
    }

    fn redeem_ticket(&mut self, ticket: &Secret, now: Timestamp) -> Option<Box<Principal>> {
        let (by, expires_at) = self.tickets.remove(&OneTimeToken::parse(ticket.expose())?.doc_id())?;
        (now < expires_at).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::api::SessionId;

    fn user(n: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(n))
    }

    fn session(n: u128) -> Credential {
        Credential::Session(SessionId::from_uuid(Uuid::from_u128(n)))
    }

    fn attach(
        state: &mut SessionManagerState,
        of: u128,
        credential: Credential,
        until: Option<i64>,
    ) -> CancellationToken {
        let closed = CancellationToken::new();
        let until = until.map(|second| Timestamp::from_second(second).unwrap());
        state.attach(Attached { user: user(of), credential, until, closed: closed.clone() });
        closed
    }

    #[test]
    fn whoever_loses_what_let_them_in_loses_their_connections_and_nobody_else_does() {
        let key = Credential::Key(crate::api::ApiKeyId::from_bytes([1; 6]));
        for (whom, expected) in [
            (Revoked::Credential(session(1)), [true, false, false, false]),
            (Revoked::Credential(key), [false, false, true, false]),
            (Revoked::Sessions(user(1)), [true, true, false, false]),
            (Revoked::User(user(1)), [true, true, true, false]),
        ] {
            let state = &mut SessionManagerState::default();
            let who = [(1, session(1)), (1, session(2)), (1, key), (2, session(3))];
            let closed = who.map(|(of, credential)| attach(state, of, credential, None));
            state.revoke(whom);
            assert_eq!(closed.map(|closed| closed.is_cancelled()), expected, "{whom:?}");
        }
    }

    #[test]
    fn what_ends_by_itself_is_closed_to_the_second_and_what_is_left_is_forgotten() {
        let state = &mut SessionManagerState::default();
        let closed = [Some(10), Some(20), None].map(|until| attach(state, 1, session(1), until));
        state.end_overdue(Timestamp::from_second(10).unwrap());
        assert_eq!(closed.clone().map(|closed| closed.is_cancelled()), [true, false, false]);
        state.detach(2);
        state.detach(3);
        assert!(state.attached.is_empty() && state.ending.is_empty());
    }

    #[test]
    fn a_ticket_is_good_once_and_for_half_a_minute() {
        let state = &mut SessionManagerState::default();
        let (by, now) = (Principal::local_owner(user(1)), Timestamp::UNIX_EPOCH);
        let issue = |state: &mut SessionManagerState| state.issue_ticket(Box::new(by.clone()), now).unwrap().0;
        let ticket = issue(state);
        assert!(state.redeem_ticket(&ticket, now).is_some());
        assert!(state.redeem_ticket(&ticket, now).is_none(), "again");
        let late = issue(state);
        assert!(state.redeem_ticket(&late, now + TICKET_LIFE).is_none(), "too late");
        let lost = issue(state);
        state.revoke(Revoked::User(user(1)));
        assert!(state.redeem_ticket(&lost, now).is_none(), "its holder lost what let them in");
        for _ in 0..TICKETS_MAX + 10 {
            issue(state);
        }
        assert!(state.tickets.len() <= TICKETS_MAX);
    }
}
