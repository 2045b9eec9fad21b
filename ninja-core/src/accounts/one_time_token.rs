//! Tokens with which somebody sets a password, once: invitations and resets. Only their digests are stored.

use serde::{Deserialize, Serialize};

use super::secret_text::{self, NoRandom};
use crate::api::{Secret, Timestamp, UserId};

const SECRET_BYTES: usize = 32;

/// A token as its holder knows it.
pub(crate) struct OneTimeToken([u8; SECRET_BYTES]);

/// What is stored of a token, under [`OneTimeToken::doc_id`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredToken {
    /// Whose password it sets.
    pub user: UserId,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl OneTimeToken {
    /// What every token begins with.
    pub(crate) const PREFIX: &str = "nt_";

    /// Makes a token.
    pub(crate) fn generate() -> Result<Self, NoRandom> {
        secret_text::random().map(Self)
    }

    /// Reads a token. `None` where it is not of the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        secret_text::read(text.strip_prefix(Self::PREFIX)?).map(Self)
    }

    /// Returns the token in full, for its holder.
    pub(crate) fn reveal(&self) -> Secret {
        Secret::new(format!("{}{}", Self::PREFIX, secret_text::write(&self.0)))
    }

    /// Returns where it is kept: whoever reads the store cannot tell the token from it.
    pub(crate) fn doc_id(&self) -> String {
        secret_text::digest(&self.0).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::OneTimeToken;

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let token = OneTimeToken::generate().unwrap();
        let text = token.reveal();
        assert_eq!(OneTimeToken::parse(text.expose()).unwrap().doc_id(), token.doc_id());
        for bad in ["", "null", "nt_", "[]", &text.expose()[3..], &format!("{}A", text.expose())] {
            assert!(OneTimeToken::parse(bad).is_none(), "{bad}");
        }
    }
}
