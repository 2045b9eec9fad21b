//! An account as it is stored.

use serde::{Deserialize, Serialize};

use super::EmailAddress;
use crate::api::{Role, Timestamp, User, UserId};

/// Enough for any name; it stands in lists.
const NAME_CHARS_MAX: usize = 100;

/// What is stored of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredUser {
    pub id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    pub name: String,
    pub role: Role,
    #[serde(default)]
    pub disabled: bool,
    /// Whether it is being deleted.
    #[serde(default)]
    pub is_leaving: bool,
    /// A PHC string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Timestamp>,
    /// Counts its changes, logins aside.
    pub revision: u64,
}

impl StoredUser {
    /// Returns what is shown of it.
    pub(crate) fn view(&self) -> User {
        let Self { id, email, name, role, disabled, is_leaving: _, password, created_at, last_login_at, revision } =
            self;
        User {
            id: *id,
            email: email.as_ref().map(EmailAddress::to_string),
            name: name.clone(),
            role: *role,
            disabled: *disabled,
            has_password: password.is_some(),
            created_at: *created_at,
            last_login_at: *last_login_at,
            revision: *revision,
        }
    }

    /// Returns what a good password has nothing of.
    pub(crate) fn context(&self) -> Vec<&str> {
        let mut words = vec!["ninja", self.name.as_str()];
        words.extend(self.email.iter().flat_map(|email| [email.as_str(), email.local()]));
        words
    }
}

/// Takes a name as people write it: not empty, not endless, and with nothing that a terminal would act on or an eye would miss.
pub(crate) fn check_name(name: &str) -> Option<String> {
    let is_unseen = |character: char| {
        character.is_control()
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let name = name.trim();
    let is_fine = (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.contains(is_unseen);
    is_fine.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn a_name_is_seen_as_it_is() {
        assert_eq!(check_name("  Ada Lovelace "), Some("Ada Lovelace".to_owned()));
        assert_eq!(check_name("\u{e4}\u{6f22}"), Some("\u{e4}\u{6f22}".to_owned()));
        for bad in ["", "  ", "a\r\nb", "\u{1b}[31mred", "a\u{202e}b", "\u{200b}", &"x".repeat(101), "a\0"] {
            assert_eq!(check_name(bad), None, "{bad:?}");
        }
    }
}
