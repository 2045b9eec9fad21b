//! Typed identifiers: UUIDv7 behind a prefix on the wire (`task_…`), parsed at the edge and trusted inside.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[cfg(feature = "openapi")]
use super::schema::text_schema;

/// A string that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {expected}")]
pub struct IdError {
    /// What the identifier should look like, such as ``a task id (`task_` and 32 hex digits)``.
    pub expected: &'static str,
    /// What was found, cut to a printable length.
    pub found: String,
}

impl IdError {
    fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.chars().take(80).collect() }
    }
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the UUID without its prefix.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError::new($expected, text);
                let hex = text.strip_prefix(concat!($prefix, "_")).ok_or_else(error)?;
                if hex.len() != 32 || hex.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(error());
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| error())
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        #[cfg(feature = "openapi")]
        text_schema!($name, concat!("^", $prefix, "_[0-9a-f]{32}$"));
    };
}

typed_id!(
    /// A task.
    TaskId, "task", "a task id (`task_` and 32 hex digits)"
);
typed_id!(
    /// A question to a person: an approval, an ambiguous effect, an agent's `ask`.
    ApprovalId, "appr", "an approval id (`appr_` and 32 hex digits)"
);
typed_id!(
    /// An uploaded file.
    FileId, "file", "a file id (`file_` and 32 hex digits)"
);
typed_id!(
    /// An account.
    UserId, "user", "a user id (`user_` and 32 hex digits)"
);
typed_id!(
    /// A login and all that was renewed from it.
    SessionId, "sess", "a session id (`sess_` and 32 hex digits)"
);

/// The part of an API key that may be shown: the 12 hex digits behind `nj_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKeyId([u8; 6]);

impl ApiKeyId {
    /// Wraps random bytes.
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ApiKeyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new("the id of an API key (12 hex digits)", text);
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 12 || !text.bytes().all(is_hex) {
            return Err(error());
        }
        let mut bytes = [0; 6];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| error())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ApiKeyId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ApiKeyId> for String {
    fn from(id: ApiKeyId) -> String {
        id.to_string()
    }
}

#[cfg(feature = "openapi")]
text_schema!(ApiKeyId, "^[0-9a-f]{12}$");
#[cfg(feature = "openapi")]
text_schema!(StepId, "^[A-Za-z0-9_-]{1,64}(:[0-9]{1,6}){0,8}$");

/// A step's name within its task: 1 to 64 of `a-z A-Z 0-9 _ -`, chosen by whoever made the plan. Steps that the machine
/// adds have a colon and a number behind the name of what they belong to, such as `each:0`; no plan can use such a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepId(std::sync::Arc<str>);

impl StepId {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the step that the machine adds as this one's `number`th.
    #[must_use]
    pub fn child(&self, number: usize) -> Self {
        Self::numbered(&self.0, number)
    }

    /// Returns the name of a step that the machine adds for a purpose of its own, such as `plan:1`.
    pub fn numbered(purpose: &str, number: usize) -> Self {
        Self(format!("{purpose}:{number}").into())
    }

    /// Returns whether the machine made the name up.
    pub fn is_added(&self) -> bool {
        self.0.contains(':')
    }
}

/// The longest name that a plan may choose.
const STEP_ID_BYTES_MAX: usize = 64;
/// The longest name with what the machine adds to it.
const ADDED_STEP_ID_BYTES_MAX: usize = 128;

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StepId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (name, added) = text.split_once(':').map_or((text, None), |(name, added)| (name, Some(added)));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let is_name = (1..=STEP_ID_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain);
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_added = added.is_none_or(|added| added.split(':').all(is_number));
        match is_name && is_added && text.len() <= ADDED_STEP_ID_BYTES_MAX {
            true => Ok(Self(text.into())),
            false => Err(IdError::new("a step id (1 to 64 letters, digits, `_` or `-`)", text)),
        }
    }
}

impl TryFrom<String> for StepId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<StepId> for String {
    fn from(id: StepId) -> String {
        id.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_wire_and_nothing_else_parses() {
        let id = TaskId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string().parse::<TaskId>(), Ok(id));
        let hex = id.uuid().simple().to_string();
        let upper = format!("task_{}", hex.to_uppercase().replace('0', "A"));
        for bad in ["", "task_", "task_zz", "..%2f", &format!("file_{hex}"), &upper, &format!("task_{hex}0")] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_step_id_is_short_and_plain() {
        for good in ["fetch-1_A", "each:0", "work:12:3"] {
            assert!(good.parse::<StepId>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", &"x".repeat(65), ":1", "a:", "a:b", "a::1", &format!("a{}", ":1".repeat(70))]
        {
            assert!(bad.parse::<StepId>().is_err(), "{bad}");
        }
    }
}
