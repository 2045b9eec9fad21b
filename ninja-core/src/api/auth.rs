//! Who asks: every engine verb takes a [`Principal`].

use serde::{Deserialize, Serialize};

use super::UserId;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, on everybody's things.
    Admin,
}

/// The verified identity behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub user: UserId,
    /// Its role.
    pub role: Role,
}
