//! Tests of the local model: the pure parts with tables, the whole with a tiny model that the tests write themselves, and what
//! only a trained model can show with the default model, where it is at hand.

mod installing;
mod prompts;
mod provider;
mod real_model;
mod text;
mod tiny;
mod writing;
