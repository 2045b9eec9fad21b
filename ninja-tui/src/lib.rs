//! The terminal: the command line and the console.
//!
//! Speaks to Ninja through `ninja-sdk` alone. How a daemon is found, and what stands in for one that is not there, is
//! given to it as a [`Connector`] by the binary; neither the environment nor the engine is known here.

pub mod cli;
mod connector;
mod console;
mod format;
mod progress;

pub use connector::{Connector, Need, Resume, Session};
