//! The keys under which stored secrets are sealed.

use serde::{Deserialize, Serialize};

/// What is to be said of the keys under which secrets are sealed. Holds none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MasterKeys {
    /// Where they come from.
    pub source: String,
}

/// The body of `POST /admin/keys/rotate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RotateKeys {
    /// Whether the older keys go once nothing is sealed with them. Backups made before need them.
    pub drop_old: bool,
}

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysRotated {
    /// The key that seals now.
    pub key: String,
    /// Whether it was made for this.
    pub is_new: bool,
    /// How many secrets were sealed anew.
    pub resealed: u64,
    /// What could not be opened, and so stays as it is; no key goes while there is any.
    pub unopened: Vec<String>,
    /// How many older keys went.
    pub dropped: u64,
    /// How many keys there are.
    pub keys: u64,
}
