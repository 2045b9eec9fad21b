//! The one way out: everything that is fetched on behalf of a task goes through [`Egress`].
//!
//! A task's addresses come from models and from pages that models read, so each is taken for an attack: on this
//! machine, on the network it stands in, and on the engine's memory and time. Only public addresses are reached, and
//! what the operator named. The client knows no tools and no tasks; `tools` call it. Calls to model providers do not
//! come here: their addresses are the operator's.
//!
//! - [`config`]: what the operator allows.
//! - [`target`]: which URLs are fetched at all, by their form.
//! - [`address`]: which addresses are public.
//! - [`resolve`]: names to addresses, replaceable in tests.
//! - [`client`]: check, connect to what was checked, follow, read within bounds.
//! - [`error`]: every refusal, each with its rule.

mod address;
mod client;
mod config;
mod error;
mod resolve;
mod target;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;

pub use client::{Egress, Fetched, Wanted};
pub use config::{AllowedTarget, EgressConfig};
pub use error::EgressError;
pub use resolve::{Resolve, SystemResolver};
