//! Accounts: for now the local owner, and API keys.

mod api_key;

pub(crate) use api_key::{ApiKey, StoredApiKey};
