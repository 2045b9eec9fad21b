//! Who asks: every engine verb takes a [`Principal`], and every way in declares an [`Access`].

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{ApiError, ApiKeyId, ErrorCode, SessionId, UserId};

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its own things, within the quotas of users.
    #[default]
    User,
    /// Its own things, within the quotas of premium users.
    Premium,
    /// Everything, on everybody's things.
    Admin,
}

impl Role {
    /// Returns the role as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Premium => "premium",
            Self::Admin => "admin",
        }
    }
}

/// One thing that a credential may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[repr(u8)]
pub enum Scope {
    /// See tasks, their events and what they made; agents and templates.
    #[serde(rename = "tasks:read")]
    TasksRead,
    /// Hand tasks in and steer them.
    #[serde(rename = "tasks:write")]
    TasksWrite,
    /// See and download files.
    #[serde(rename = "files:read")]
    FilesRead,
    /// Upload and delete files.
    #[serde(rename = "files:write")]
    FilesWrite,
    /// See what was used and what is left.
    #[serde(rename = "usage:read")]
    UsageRead,
    /// See one's account, sessions and keys.
    #[serde(rename = "account:read")]
    AccountRead,
    /// Change them.
    #[serde(rename = "account:write")]
    AccountWrite,
    /// See what administrators see: users, audit, settings, metrics.
    #[serde(rename = "admin:read")]
    AdminRead,
    /// Do what administrators do.
    #[serde(rename = "admin:write")]
    AdminWrite,
}

impl Scope {
    /// Every scope there is, in the order in which they are listed.
    pub const ALL: [Self; 9] = [
        Self::TasksRead,
        Self::TasksWrite,
        Self::FilesRead,
        Self::FilesWrite,
        Self::UsageRead,
        Self::AccountRead,
        Self::AccountWrite,
        Self::AdminRead,
        Self::AdminWrite,
    ];

    /// Returns the scope as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TasksRead => "tasks:read",
            Self::TasksWrite => "tasks:write",
            Self::FilesRead => "files:read",
            Self::FilesWrite => "files:write",
            Self::UsageRead => "usage:read",
            Self::AccountRead => "account:read",
            Self::AccountWrite => "account:write",
            Self::AdminRead => "admin:read",
            Self::AdminWrite => "admin:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes. A list on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Scope>", into = "Vec<Scope>")]
pub struct Scopes(u16);

impl Scopes {
    /// The set of all scopes.
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// Returns all that a role may be given.
    pub fn of(role: Role) -> Self {
        let is_given = |scope: &Scope| role == Role::Admin || !matches!(scope, Scope::AdminRead | Scope::AdminWrite);
        Scope::ALL.into_iter().filter(is_given).collect()
    }

    /// Returns what is in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns whether a scope is in the set.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Returns whether no scope is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the scopes in the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | 1 << scope as u8))
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<Scopes> for Vec<Scope> {
    fn from(scopes: Scopes) -> Self {
        scopes.iter().collect()
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// To whom a way in is open. There is none without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody who can connect.
    Public,
    /// Whoever shows a valid credential with this scope.
    User(Scope),
    /// Administrators with this scope.
    Admin(Scope),
}

/// What proved who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// Nothing but being there: this process, or the data directory's own socket.
    Local,
    /// An API key.
    Key(ApiKeyId),
    /// A login.
    Session(SessionId),
    /// Nothing: the engine acts by itself in the account's name, as where it removes what a deleted account had.
    Engine,
}

/// Where a request came from, for the audit log and the trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The address of the client, where there is a network between.
    pub ip: Option<IpAddr>,
    /// What the client calls itself, as it said.
    pub user_agent: Option<Arc<str>>,
    /// The request.
    pub request_id: Option<Arc<str>>,
    /// The trace that it belongs to, as in the W3C header `traceparent`, where spans are wanted.
    pub traceparent: Option<Arc<str>>,
}

/// The verified identity behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub user: UserId,
    /// Its role.
    pub role: Role,
    /// What proved it.
    pub credential: Credential,
    /// What the credential may be used for. Never more than the role allows.
    pub scopes: Scopes,
    /// Where the request came from.
    pub origin: Origin,
}

impl Principal {
    /// Returns the local owner, who may do everything.
    pub fn local_owner(user: UserId) -> Self {
        let origin = Origin::default();
        Self { user, role: Role::Admin, credential: Credential::Local, scopes: Scopes::ALL, origin }
    }

    /// Returns whether this is an administrator.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Returns whether something of `owner`'s may be seen and changed.
    pub fn may_handle(&self, owner: UserId) -> bool {
        self.user == owner || self.is_admin()
    }

    /// Checks that a way in is open to this principal.
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the role or a scope is missing.
    pub fn check(&self, access: Access) -> Result<(), ApiError> {
        let (scope, is_open) = match access {
            Access::Public => return Ok(()),
            Access::User(scope) => (scope, true),
            Access::Admin(scope) => (scope, self.is_admin()),
        };
        if !is_open {
            return Err(ApiError::new(ErrorCode::Forbidden, "this is for administrators"));
        }
        match self.scopes.contains(scope) {
            true => Ok(()),
            false => Err(ApiError::new(ErrorCode::Forbidden, format!("the API key lacks the scope `{scope}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_set_that_reads_as_a_list() {
        let scopes: Scopes = serde_json::from_str(r#"["tasks:write", "tasks:read", "tasks:read"]"#).unwrap();
        assert_eq!(serde_json::to_string(&scopes).unwrap(), r#"["tasks:read","tasks:write"]"#);
        assert!(scopes.contains(Scope::TasksRead) && !scopes.contains(Scope::AdminRead));
        assert_eq!(Scope::ALL.into_iter().collect::<Scopes>(), Scopes::ALL);
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{scope}\""));
        }
        assert!(serde_json::from_str::<Scopes>(r#"["everything"]"#).is_err());
    }

    #[test]
    fn a_way_in_asks_for_role_and_scope() {
        let owner = Principal::local_owner(UserId::from_uuid(uuid::Uuid::nil()));
        let user = Principal { role: Role::Premium, ..owner.clone() };
        let narrow = Principal { scopes: [Scope::TasksRead].into_iter().collect(), ..owner.clone() };
        let (read, write) = (Access::User(Scope::TasksRead), Access::User(Scope::TasksWrite));
        let admin = Access::Admin(Scope::AdminRead);
        assert!([Access::Public, read, write, admin].iter().all(|access| owner.check(*access).is_ok()));
        assert_eq!([read, write, admin].map(|access| user.check(access).is_ok()), [true, true, false]);
        assert_eq!([read, write, admin].map(|access| narrow.check(access).is_ok()), [true, false, false]);
    }
}
