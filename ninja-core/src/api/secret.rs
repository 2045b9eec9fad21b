//! A text that must not be seen.

use serde::{Deserialize, Serializer};

/// A secret such as a key. It cannot be printed or serialised; [`Secret::expose`] is the one way to its content.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the content, for what carries it to where it belongs and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns `text` with every occurrence of this secret replaced.
    pub fn redact(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "[redacted]") }
    }
}

/// Serialises a secret in the open: for a field that carries it to whoever it is for, such as a new key in the one answer that
/// shows it. A field must ask for it by name.
pub(super) fn reveal<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("sk-1234"))), "Some(Secret([redacted]))");
    }

    #[test]
    fn a_text_loses_the_secret() {
        assert_eq!(Secret::new("sk-1234").redact("bad key sk-1234."), "bad key [redacted].");
        assert_eq!(Secret::new("").redact("text"), "text");
    }
}
