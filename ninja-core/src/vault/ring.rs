//! The master keys there are: all of them open, the newest seals.

use zeroize::Zeroizing;

use super::{KeyId, KeyProblem, key::MasterKey};

/// Master keys, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyRing(Vec<MasterKey>);

/// What stands at the head of a file of keys.
const HEADING: &str = "# Master keys of Ninja, the newest last. Whoever has them reads the secrets that Ninja keeps.\n\
                       # No backup holds them: keep a copy elsewhere.\n";

impl KeyRing {
    /// Reads keys, one a line; `#` begins a comment. An error names the line.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, KeyProblem)> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let mut keys = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let key = MasterKey::parse(line).map_err(|problem| (number, problem))?;
            keys.retain(|earlier| earlier != &key);
            keys.push(key);
        }
        if keys.is_empty() { Err((1, KeyProblem::Missing)) } else { Ok(Self(keys)) }
    }

    /// Writes them as [`Self::parse`] reads them.
    pub(super) fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(HEADING.to_owned());
        for key in &self.0 {
            text.push_str(&key.reveal());
            text.push('\n');
        }
        text
    }

    /// Returns the key that seals.
    pub(super) fn newest(&self) -> Option<&MasterKey> {
        self.0.last()
    }

    /// Returns a key by its name.
    pub(super) fn find(&self, id: KeyId) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id() == id)
    }

    /// Adds the key that seals from now on.
    pub(super) fn push(&mut self, key: MasterKey) {
        self.0.push(key);
    }

    /// Keeps the keys that are wanted. Returns how many went.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(KeyId) -> bool) -> usize {
        let before = self.0.len();
        self.0.retain(|key| is_wanted(key.id()));
        before - self.0.len()
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
