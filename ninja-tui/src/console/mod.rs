//! The console: a screen that lists the caller's tasks, follows one of them live and answers what it asks.
//!
//! Data flows one way: `run.rs` owns the one select loop and hands what happened, a `Message`, to `app.rs`, which
//! changes the state and returns `Command`s; `conn.rs` carries those out through the SDK and sends messages back;
//! `view/` draws the state and changes nothing. `keys.rs` is the one key table for handlers, footer, help and docs.
//! `list.rs`, `followed.rs` and `log.rs` are parts of the state, `answer.rs` the questions, `text.rs` cuts and wraps.
//! Called by `cli/console.rs` alone. Knows nothing of how a daemon is found.

mod answer;
mod app;
mod conn;
mod followed;
mod keys;
mod list;
mod log;
mod message;
mod run;
mod screen;
#[cfg(test)]
mod tests;
mod text;
mod view;

pub(crate) use run::run;
