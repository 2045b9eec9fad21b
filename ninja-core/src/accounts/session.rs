//! Sessions: a login and all that was renewed from it.
//!
//! A refresh token names its session and carries two secrets: the family's, which all tokens of the session share, and its own,
//! which is good once. Whoever shows the family's with one that is not the newest holds a token that was used before: the
//! session ends, for it was stolen from somebody. Who only knows a session's id cannot do that.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::secret_text::{self, NoRandom};
use crate::api::{BlobHash, Secret, SessionId, Timestamp, UserId};

const PREFIX: &str = "nr_";
const ID_BYTES: usize = 16;
const FAMILY_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const BYTES: usize = 2 * ID_BYTES + FAMILY_BYTES + SECRET_BYTES;

/// A refresh token as its holder knows it.
pub(crate) struct RefreshToken {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    family: [u8; FAMILY_BYTES],
    secret: [u8; SECRET_BYTES],
}

/// What is stored of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSession {
    pub id: SessionId,
    pub user: UserId,
    pub created_at: Timestamp,
    pub renewed_at: Timestamp,
    /// When it ends unless it is renewed before.
    pub expires_at: Timestamp,
    /// When it ends however often it is renewed.
    pub ends_at: Timestamp,
    /// SHA-256 of the family's secret.
    pub family_sha256: BlobHash,
    /// SHA-256 of the newest token's own secret.
    pub secret_sha256: BlobHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<std::net::IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// What a token is to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Its newest: good for one use.
    Newest,
    /// One that was used before.
    Used,
    /// None of its.
    Foreign,
}

impl RefreshToken {
    /// Makes the first token of a session.
    pub(crate) fn first(user: UserId, session: SessionId) -> Result<Self, NoRandom> {
        Ok(Self { user, session, family: secret_text::random()?, secret: secret_text::random()? })
    }

    /// Makes the token that follows this one.
    pub(crate) fn next(&self) -> Result<Self, NoRandom> {
        Ok(Self { secret: secret_text::random()?, ..*self })
    }

    /// Reads a token. `None` where it is not of the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = secret_text::read(text.strip_prefix(PREFIX)?)?;
        let (user, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
        let (session, rest) = rest.split_first_chunk::<ID_BYTES>()?;
        let (family, secret) = rest.split_first_chunk::<FAMILY_BYTES>()?;
        let (user, session) = (Uuid::from_bytes(*user), Uuid::from_bytes(*session));
        let secret = secret.try_into().ok()?;
        Some(Self { user: UserId::from_uuid(user), session: SessionId::from_uuid(session), family: *family, secret })
    }

    /// Returns the token in full, for its holder.
    pub(crate) fn reveal(&self) -> Secret {
        let ids = [self.user.uuid().into_bytes(), self.session.uuid().into_bytes()].concat();
        let bytes = [ids.as_slice(), &self.family, &self.secret].concat();
        Secret::new(format!("{PREFIX}{}", secret_text::write(&bytes)))
    }

    /// Returns what is stored of the family's secret and of its own.
    pub(crate) fn digests(&self) -> (BlobHash, BlobHash) {
        (secret_text::digest(&self.family), secret_text::digest(&self.secret))
    }

    /// Says what this token is to a session.
    pub(crate) fn stands_to(&self, session: &StoredSession) -> Shown {
        let is_family = secret_text::is_digest_of(&session.family_sha256, &self.family);
        let is_newest = secret_text::is_digest_of(&session.secret_sha256, &self.secret);
        match (is_family && session.id == self.session && session.user == self.user, is_newest) {
            (true, true) => Shown::Newest,
            (true, false) => Shown::Used,
            (false, _) => Shown::Foreign,
        }
    }
}

impl StoredSession {
    /// Returns whether it is over.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at || now >= self.ends_at
    }

    /// Returns where a session of a user's is kept.
    pub(crate) fn doc_id(user: UserId, session: SessionId) -> String {
        format!("{}/{}", user.uuid().simple(), session.uuid().simple())
    }

    /// Returns what the places of all of a user's sessions begin with.
    pub(crate) fn doc_prefix(user: UserId) -> String {
        format!("{}/", user.uuid().simple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (UserId, SessionId) {
        (UserId::from_uuid(Uuid::from_u128(1)), SessionId::from_uuid(Uuid::from_u128(2)))
    }

    fn session_of(token: &RefreshToken) -> StoredSession {
        let (family_sha256, secret_sha256) = token.digests();
        let at = Timestamp::UNIX_EPOCH;
        StoredSession {
            id: token.session,
            user: token.user,
            created_at: at,
            renewed_at: at,
            expires_at: at,
            ends_at: at,
            family_sha256,
            secret_sha256,
            ip: None,
            user_agent: None,
        }
    }

    #[test]
    fn a_used_token_is_told_from_a_foreign_one() {
        let (user, session) = ids();
        let first = RefreshToken::first(user, session).unwrap();
        let second = first.next().unwrap();
        let stored = session_of(&second);
        assert_eq!(second.stands_to(&stored), Shown::Newest);
        assert_eq!(first.stands_to(&stored), Shown::Used);
        // Who knows the ids alone makes one of another family.
        assert_eq!(RefreshToken::first(user, session).unwrap().stands_to(&stored), Shown::Foreign);
        let other = StoredSession { user: UserId::from_uuid(Uuid::nil()), ..stored };
        assert_eq!(second.stands_to(&other), Shown::Foreign);
    }

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let (user, session) = ids();
        let token = RefreshToken::first(user, session).unwrap();
        let text = token.reveal();
        let read = RefreshToken::parse(text.expose()).unwrap();
        assert_eq!((read.user, read.session, read.digests()), (user, session, token.digests()));
        for cut in 0..text.expose().len() {
            assert!(RefreshToken::parse(&text.expose()[..cut]).is_none(), "{cut}");
        }
        for bad in ["", "nr_", "null", &format!("{}A", text.expose()), &"x".repeat(100_000)] {
            assert!(RefreshToken::parse(bad).is_none());
        }
        let stored = serde_json::to_string(&session_of(&token)).unwrap();
        assert!(!stored.contains(&text.expose()[60..]), "a secret is not stored");
    }
}
