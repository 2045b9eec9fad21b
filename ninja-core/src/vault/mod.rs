//! Secrets at rest: sealed under a master key of a ring, each in its own place.
//!
//! - [`Vault`]: finds the ring, seals and opens, adds keys and drops them. The engine has one.
//! - [`key`], [`ring`]: master keys and their ids.
//! - [`sealed`]: the form of what is sealed.
//! - [`source`]: where the ring comes from; [`file`] reads and writes the file.
//!
//! What is sealed, and where it is kept, is the business of whoever calls; the environment is handed in.

mod error;
mod file;
mod keeper;
mod key;
mod ring;
mod sealed;
mod source;

#[cfg(test)]
mod tests;

pub use self::{
    error::{KeyProblem, VaultError},
    keeper::Vault,
    key::KeyId,
    sealed::{Place, Sealed},
};
