//! E-mail addresses: what people log in with.
//!
//! ASCII alone, in lower case: so no two addresses look alike or differ in case only, and what is compared is what is seen. A
//! domain of other letters is given in its `xn--` form.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What SMTP carries.
const BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 63;

/// An address in the one form in which it is kept and compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct EmailAddress(String);

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no e-mail address that is taken: `name@domain`, in ASCII, at most {BYTES_MAX} bytes")]
pub(crate) struct NoAddress;

impl EmailAddress {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// Fails where the text is none.
    pub(crate) fn parse(text: &str) -> Result<Self, NoAddress> {
        let (local, domain) = text.rsplit_once('@').ok_or(NoAddress)?;
        let is_fine = text.len() <= BYTES_MAX && is_local(local) && is_domain(domain);
        is_fine.then(|| Self(text.to_ascii_lowercase())).ok_or(NoAddress)
    }

    /// Returns the address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what stands before the `@`.
    pub(crate) fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or(self.as_str(), |(local, _)| local)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A dot-atom of RFC 5322; the quoted form is nobody's.
fn is_local(local: &str) -> bool {
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    local.len() <= LOCAL_BYTES_MAX && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom))
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::EmailAddress;

    #[test]
    fn an_address_has_one_form() {
        for (given, kept) in [
            ("Ada@Example.ORG", "ada@example.org"),
            ("a.b+c@host", "a.b+c@host"),
            ("o'neil@xn--bcher-kva.example", "o'neil@xn--bcher-kva.example"),
        ] {
            assert_eq!(EmailAddress::parse(given).unwrap().as_str(), kept);
        }
        assert_eq!(EmailAddress::parse("Ada@x.y").unwrap().local(), "ada");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let (long_local, long) = (format!("{}@x", "a".repeat(65)), format!("a@{}", "b.".repeat(130)));
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            "a@b@c d",
            "a b@c",
            "a@b..c",
            "a..b@c",
            ".a@b",
            "a@-b",
            "a@b-",
            "a@b.",
            "\u{430}dmin@example.org",
            "ada@ex\u{430}mple.org",
            "a\0@b",
            "a@b\r\nBcc: c@d",
            "\u{1b}[2Ja@b",
            "\"a b\"@c",
            "a@[127.0.0.1]",
            " a@b",
            "a@b ",
            "a<b@c",
            "{\"$ne\":1}",
            &long_local,
            &long,
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
    }
}
