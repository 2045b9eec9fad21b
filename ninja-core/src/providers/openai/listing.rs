//! Which models a provider serves.
//!
//! llama.cpp and vLLM tell their windows beside the names.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use super::super::{ProviderError, Secret};
use super::{
    error::{self, ErrorContext},
    wire::{Listing, Wire},
};

/// Asked when the engine starts or a person waits, and answered from memory: longer means that nobody is there.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest list of a public provider has some hundred models of some hundred bytes.
const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A model that a provider serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModel {
    /// Its name.
    pub name: String,
    /// Its context window, if the provider tells.
    pub window_tokens: Option<u32>,
}

/// Asks for the models.
pub(super) async fn list_models(
    wire: &Wire,
    http: &reqwest::Client,
    url: &Url,
    key: Option<&Secret>,
) -> Result<Vec<ServedModel>, ProviderError> {
    let host = url.host_str().unwrap_or_default();
    let context = ErrorContext { host, key, prompt_tokens: &|| 0, window_tokens: 0 };
    let path = match wire.listing {
        Listing::OpenaiModels => "models",
        Listing::OllamaTags => "../api/tags",
    };
    let mut request = http.get(super::extended(url, path)?).timeout(LIST_TIMEOUT);
    if let Some(key) = key {
        request = request.bearer_auth(key.expose());
    }
    let response = request.send().await.map_err(|error| error::map_transport(&error, &context))?;
    if !response.status().is_success() {
        return Err(error::read_refusal(response, &context).await);
    }
    let body = read_body(response, &context).await?;
    parse(wire.listing, &body)
        .ok_or_else(|| ProviderError::Unavailable(format!("{host} does not list models in the expected form")))
}

async fn read_body(mut response: reqwest::Response, context: &ErrorContext<'_>) -> Result<String, ProviderError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error::map_transport(&error, context))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LIST_BYTES_MAX {
            return Err(ProviderError::Unavailable(format!("the list of models of {} has no end", context.host)));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse(listing: Listing, body: &str) -> Option<Vec<ServedModel>> {
    let body: Value = serde_json::from_str(body).ok()?;
    let (list, name) = match listing {
        Listing::OpenaiModels => ("data", "id"),
        Listing::OllamaTags => ("models", "name"),
    };
    let models = body.get(list)?.as_array()?;
    Some(models.iter().filter_map(|model| Some(served(model, model.get(name)?.as_str()?))).collect())
}

fn served(model: &Value, name: &str) -> ServedModel {
    // llama.cpp, vLLM, and what several routers call it.
    let window = ["/meta/n_ctx", "/max_model_len", "/context_length"]
        .iter()
        .find_map(|path| model.pointer(path).and_then(Value::as_u64));
    ServedModel { name: name.to_owned(), window_tokens: window.and_then(|tokens| u32::try_from(tokens).ok()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_windows_are_read() {
        let body = r#"{"models":[{"name":"x"}],"object":"list","data":[{"id":"a","meta":{"n_ctx":8192}},{"id":"b","max_model_len":32768},{"id":"c"},{}]}"#;
        let model = |name: &str, window_tokens| ServedModel { name: name.into(), window_tokens };
        let models = [model("a", Some(8_192)), model("b", Some(32_768)), model("c", None)];
        assert_eq!(parse(Listing::OpenaiModels, body).unwrap(), models);
        assert_eq!(parse(Listing::OllamaTags, body).unwrap(), [model("x", None)]);
        assert_eq!(parse(Listing::OllamaTags, r#"{"models":null}"#), None);
        assert_eq!(parse(Listing::OpenaiModels, "<html>"), None);
    }
}
