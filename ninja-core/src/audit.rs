//! The audit log: entries as commits carry them, the keys they are chained with, and whether the chain holds.
//!
//! - [`keys`]: finds or makes the key when an engine starts.
//! - [`verify()`], [`checkpoint`]: whether the log is the one that was written.
//! - [`export`]: the log as text for others.
//!
//! The journal numbers and chains entries, and knows nothing of what they say. The verbs are in `engine::audit_logs`.

mod checkpoint;
mod export;
mod keys;
mod verify;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use checkpoint::sign;
pub(crate) use export::{heading, line};
pub(crate) use keys::{AuditKey, StoredKey, StoredKeys, ensure};
pub(crate) use verify::verify;

use crate::api::{
    AuditAction, AuditActor, AuditEntry, AuditOutcome, Credential, Origin, Principal, Role, Timestamp, UserId,
};

/// The longest thing that a client calls itself and is still believed.
const USER_AGENT_CHARS_MAX: usize = 256;

/// An entry before the journal has numbered it, in the form in which it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredEntry {
    at: Timestamp,
    action: AuditAction,
    outcome: AuditOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<AuditActor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<std::net::IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// An entry that is being written.
#[derive(Debug, Clone)]
pub(crate) struct Audit(StoredEntry);

impl Audit {
    /// Begins an entry of something that somebody known did.
    pub(crate) fn of(by: &Principal, action: AuditAction, at: Timestamp) -> Self {
        let credential = match by.credential {
            Credential::Local => "local".to_owned(),
            Credential::Key(id) => format!("key_{id}"),
            Credential::Session(id) => id.to_string(),
            Credential::Engine => "engine".to_owned(),
        };
        let mut entry = Self::of_nobody(&by.origin, action, at);
        entry.0.actor = Some(AuditActor { user: by.user, role: by.role, credential });
        entry
    }

    /// Says that it is not one account that did it, nor from one place.
    pub(crate) fn by_nobody(self) -> Self {
        Self(StoredEntry { actor: None, ip: None, user_agent: None, request_id: None, ..self.0 })
    }

    /// Says that this account did it, and what proved that where it was no credential for other things.
    pub(crate) fn proved_by(mut self, user: UserId, role: Role, proof: &str) -> Self {
        self.0.actor = Some(AuditActor { user, role, credential: proof.to_owned() });
        self
    }

    /// Says when.
    pub(crate) fn at(mut self, at: Timestamp) -> Self {
        self.0.at = at;
        self
    }

    /// Begins an entry of something that came from nobody known, such as a failed login.
    pub(crate) fn of_nobody(origin: &Origin, action: AuditAction, at: Timestamp) -> Self {
        let text = |text: &std::sync::Arc<str>| text.chars().take(USER_AGENT_CHARS_MAX).collect::<String>();
        Self(StoredEntry {
            at,
            action,
            outcome: AuditOutcome::Done,
            actor: None,
            target: None,
            ip: origin.ip,
            user_agent: origin.user_agent.as_ref().map(text),
            request_id: origin.request_id.as_ref().map(text),
            detail: None,
        })
    }

    /// Says what it was done to.
    pub(crate) fn to(mut self, target: impl std::fmt::Display) -> Self {
        self.0.target = Some(target.to_string());
        self
    }

    /// Says what else there is to say. Never a secret.
    pub(crate) fn saying(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says that it was refused.
    pub(crate) fn refused(mut self) -> Self {
        self.0.outcome = AuditOutcome::Refused;
        self
    }

    /// Returns the entry for a commit.
    pub(crate) fn encode(&self) -> Bytes {
        serde_json::to_vec(&self.0).expect("an entry has string keys only").into()
    }

    /// Reads an entry that the journal numbered.
    pub(crate) fn decode(seq: u64, bytes: &[u8]) -> serde_json::Result<AuditEntry> {
        let StoredEntry { at, action, outcome, actor, target, ip, user_agent, request_id, detail } =
            serde_json::from_slice(bytes)?;
        Ok(AuditEntry { seq, at, action, outcome, actor, target, ip, user_agent, request_id, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_who_did_what_from_where_and_how_it_ended() {
        let mut by = Principal::local_owner(UserId::from_uuid(uuid::Uuid::nil()));
        by.origin = Origin {
            ip: Some([127, 0, 0, 1].into()),
            user_agent: Some("x".repeat(1000).into()),
            request_id: Some("r1".into()),
            traceparent: None,
        };
        let entry = Audit::of(&by, AuditAction::CancelTask, Timestamp::UNIX_EPOCH).to("task_1").saying("why").refused();
        let read = Audit::decode(7, &entry.encode()).unwrap();
        assert_eq!((read.seq, read.action, read.outcome), (7, AuditAction::CancelTask, AuditOutcome::Refused));
        assert_eq!(read.actor.map(|actor| actor.credential).as_deref(), Some("local"));
        assert_eq!((read.target.as_deref(), read.detail.as_deref()), (Some("task_1"), Some("why")));
        assert_eq!(read.user_agent.map(|text| text.len()), Some(USER_AGENT_CHARS_MAX));
        let nobody = Audit::of_nobody(&by.origin, AuditAction::Login, Timestamp::UNIX_EPOCH);
        assert_eq!(Audit::decode(1, &nobody.encode()).unwrap().actor, None);
    }
}
