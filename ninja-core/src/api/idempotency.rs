//! Keys with which a request can be repeated without being done twice.

use std::{fmt, str::FromStr};

use super::{ApiError, ErrorCode, Task};

/// The longest key.
const KEY_CHARS_MAX: usize = 255;

/// A client's name for a request: 1 to 255 printable ASCII characters. It holds for one user, one path and 24 hours.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Returns the key as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let fits = (1..=KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        match fits {
            true => Ok(Self(text.to_owned())),
            false => {
                let detail = format!("an idempotency key is 1 to {KEY_CHARS_MAX} printable ASCII characters");
                Err(ApiError::new(ErrorCode::InvalidRequest, detail))
            }
        }
    }
}

impl fmt::Debug for IdempotencyKey {
    /// A key is none of a log's business: whoever has it can ask for what it made.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}

/// What a request with a key made, now or when it came first.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The task as it stands.
    pub task: Task,
    /// Whether the same request had made it before.
    pub replayed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_printable() {
        for good in ["a", "8e03978e-40d5-43e8-bc93-6894a57f9324", "a b\"c", &"x".repeat(255)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good}");
        }
        for bad in ["", "ä", "a\tb", "a\u{7f}", &"x".repeat(256)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
        }
    }
}
