//! Accounts: for now the local owner, and API keys.

mod api_key;

pub use api_key::{ApiKey, StoredApiKey};
