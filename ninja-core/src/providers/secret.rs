//! A secret on its way to a provider.

use reqwest::header::HeaderValue;

use crate::api::Secret;

impl Secret {
    /// Returns the content as the value of a header that nobody prints.
    ///
    /// # Panics
    /// Where it has characters that no header has: whoever takes a key looks at it first.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(self.expose()).expect("a key is made of graphic characters");
        value.set_sensitive(true);
        value
    }
}
