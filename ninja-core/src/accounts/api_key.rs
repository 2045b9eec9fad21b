//! API keys: `nj_<12 id>_<43 secret><6 CRC32>`. Only the SHA-256 of the secret is stored.
//!
//! The checksum lets a mistyped or truncated key be refused before the store is asked, and lets scanners recognise one.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::{ApiKeyId, ApiKeyInfo, BlobHash, Scopes, Secret, Timestamp, UserId};

const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;

/// A key as its holder knows it. Never stored, never printed by `Debug`.
pub(crate) struct ApiKey {
    id: ApiKeyId,
    secret: String,
}

/// A string that is no key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiKeyError {
    /// Not of the form.
    #[error("this is not an API key (`nj_…`)")]
    Form,
    /// The checksum does not match: mistyped or cut.
    #[error("the API key is mistyped or cut: its checksum does not match")]
    Checksum,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// What is stored of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredApiKey {
    /// Its id, the part that may be shown.
    pub id: ApiKeyId,
    /// SHA-256 of its secret.
    pub secret_sha256: BlobHash,
    /// Whose it is.
    pub user: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// What it may be used for. Keys of the first version could be used for everything.
    #[serde(default = "all")]
    pub scopes: Scopes,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

fn all() -> Scopes {
    Scopes::ALL
}

impl StoredApiKey {
    /// Returns what is shown of it.
    pub(crate) fn info(self) -> ApiKeyInfo {
        let Self { id, secret_sha256: _, user: _, created_at, name, scopes, expires_at, last_used_at } = self;
        ApiKeyInfo { id, name, scopes, created_at, expires_at, last_used_at }
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}_…", Self::PREFIX, self.id)
    }
}

impl ApiKey {
    /// What every key begins with.
    pub(crate) const PREFIX: &str = "nj_";

    /// Makes a new key from the system's random numbers.
    ///
    /// # Errors
    ///
    /// Fails where the system gives none.
    pub(crate) fn generate() -> Result<Self, ApiKeyError> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut id).map_err(|_| ApiKeyError::Random)?;
        getrandom::fill(&mut secret).map_err(|_| ApiKeyError::Random)?;
        Ok(Self { id: ApiKeyId::from_bytes(id), secret: URL_SAFE_NO_PAD.encode(secret) })
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// Fails where the form or the checksum is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let rest = text.strip_prefix(Self::PREFIX).filter(|rest| rest.is_ascii()).ok_or(ApiKeyError::Form)?;
        let (id, rest) = rest.split_once('_').ok_or(ApiKeyError::Form)?;
        let id = id.parse().map_err(|_| ApiKeyError::Form)?;
        if rest.len() != SECRET_CHARS + CHECK_CHARS {
            return Err(ApiKeyError::Form);
        }
        let (secret, check) = rest.split_at(SECRET_CHARS);
        let key = Self { id, secret: secret.to_owned() };
        match key.checksum() == check {
            true => Ok(key),
            false => Err(ApiKeyError::Checksum),
        }
    }

    /// Returns the key in full, to be shown once.
    pub(crate) fn reveal(&self) -> Secret {
        Secret::new(format!("{}{}_{}{}", Self::PREFIX, self.id, self.secret, self.checksum()))
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> ApiKeyId {
        self.id
    }

    /// Returns what is stored of it.
    pub(crate) fn stored(&self, user: UserId, name: String, scopes: Scopes, created_at: Timestamp) -> StoredApiKey {
        let (id, secret_sha256) = (self.id, self.digest());
        StoredApiKey { id, secret_sha256, user, created_at, name, scopes, expires_at: None, last_used_at: None }
    }

    /// Returns whether this is the stored key, in constant time.
    pub(crate) fn matches(&self, stored: &StoredApiKey) -> bool {
        self.digest().as_bytes().ct_eq(stored.secret_sha256.as_bytes()).into()
    }

    fn digest(&self) -> BlobHash {
        BlobHash::from_bytes(Sha256::digest(&self.secret).into())
    }

    /// Six characters for the four bytes of a CRC32C over id and secret.
    fn checksum(&self) -> String {
        let crc = crc32c::crc32c(format!("{}_{}", self.id, self.secret).as_bytes());
        URL_SAFE_NO_PAD.encode(crc.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_first_version_still_reads() {
        let text = r#"{"id":"0123456789ab","secret_sha256":"0000000000000000000000000000000000000000000000000000000000000000",
            "user":"user_00000000000000000000000000000001","role":"admin","created_at":"2026-01-01T00:00:00Z"}"#;
        let stored: StoredApiKey = serde_json::from_str(text).unwrap();
        assert_eq!((stored.scopes, stored.expires_at, stored.name.as_str()), (Scopes::ALL, None, ""));
    }

    #[test]
    fn a_key_is_recognised_and_a_mistyped_one_refused_before_any_look_up() {
        let key = ApiKey::generate().unwrap();
        let text = key.reveal();
        let text = text.expose().to_owned();
        assert_eq!(text.len(), "nj_".len() + 12 + 1 + 43 + 6);
        let now = Timestamp::UNIX_EPOCH;
        let stored = key.stored(UserId::from_uuid(uuid::Uuid::nil()), "key".to_owned(), Scopes::ALL, now);
        assert!(ApiKey::parse(&text).unwrap().matches(&stored));
        assert!(!ApiKey::generate().unwrap().matches(&stored));
        assert!(!format!("{key:?}").contains(&key.secret));

        for cut in 0..text.len() {
            assert!(ApiKey::parse(&text[..cut]).is_err(), "{cut}");
        }
        let mut flipped = text.clone().into_bytes();
        flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
        assert_eq!(ApiKey::parse(std::str::from_utf8(&flipped).unwrap()).unwrap_err(), ApiKeyError::Checksum);
        assert_eq!(ApiKey::parse("nj_é").unwrap_err(), ApiKeyError::Form);
    }
}
