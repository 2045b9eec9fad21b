//! Which models a provider serves.

use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use super::{
    error::{self, ErrorContext},
    protocol::Protocol,
};
use crate::providers::{ProviderError, Secret};

/// Asked when the engine starts or a person waits, and answered from memory: longer means that nobody is there.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest list of a public provider has some hundred models of some hundred bytes.
const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A model that a provider serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModel {
    /// Its name.
    pub name: String,
    /// Its context window, if the provider tells.
    pub window_tokens: Option<u32>,
    /// Whether it takes images, if the provider tells.
    pub takes_images: Option<bool>,
}

/// Asks for the models at `url`.
pub(super) async fn list_models(
    protocol: &dyn Protocol,
    http: &reqwest::Client,
    url: Url,
    key: Option<&Secret>,
) -> Result<Vec<ServedModel>, ProviderError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let list = ask(protocol.sign(http.get(url), key), &host, key).await?;
    list.and_then(|list| protocol.read_list(&list))
        .ok_or_else(|| ProviderError::Unavailable(format!("{host} does not list models in the expected form")))
}

/// Makes a short request and returns the value that came, if it is one.
pub(super) async fn ask(
    request: RequestBuilder,
    host: &str,
    key: Option<&Secret>,
) -> Result<Option<Value>, ProviderError> {
    let context = ErrorContext { host, key, prompt_tokens: &|| 0, window_tokens: 0 };
    let response = request.timeout(LIST_TIMEOUT).send().await;
    let response = response.map_err(|error| error::map_transport(&error, &context))?;
    if !response.status().is_success() {
        return Err(error::read_refusal(response, &context).await);
    }
    let body = read_body(response, &context).await?;
    Ok(serde_json::from_str(&body).ok())
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

/// Reads the models of a list: their names, and what tells their windows.
pub(in crate::providers) fn models(
    list: Option<&Value>,
    name: &str,
    window: impl Fn(&Value) -> Option<u64>,
) -> Option<Vec<ServedModel>> {
    let served = |model: &Value| {
        let window_tokens = window(model).and_then(|tokens| u32::try_from(tokens).ok());
        let name = model.get(name)?.as_str()?.to_owned();
        Some(ServedModel { name, window_tokens, takes_images: takes_images(model) })
    };
    Some(list?.as_array()?.iter().filter_map(served).collect())
}

/// Reads whether a model takes images, as OpenRouter and Mistral tell.
fn takes_images(model: &Value) -> Option<bool> {
    let kinds = || model.pointer("/architecture/input_modalities").and_then(Value::as_array);
    let told = model.pointer("/capabilities/vision").and_then(Value::as_bool);
    told.or_else(|| kinds().map(|kinds| kinds.iter().any(|kind| kind == "image")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_windows_are_read() {
        let list = json!([{ "id": "a", "window": 8192 }, { "id": "b", "window": 1_u64 << 40 }, { "id": "c" }, {}]);
        let model = |name: &str, window_tokens| ServedModel { name: name.into(), window_tokens, takes_images: None };
        let window = |model: &Value| model.get("window")?.as_u64();
        let models_of = |list: &Value| models(Some(list), "id", window);
        assert_eq!(models_of(&list).unwrap(), [model("a", Some(8_192)), model("b", None), model("c", None)]);
        assert_eq!(models_of(&Value::Null), None);
        assert_eq!(models(None, "id", window), None);
    }

    #[test]
    fn who_takes_images_is_read_where_it_is_told() {
        for (model, told) in [
            (json!({ "architecture": { "input_modalities": ["text", "image"] } }), Some(true)),
            (json!({ "architecture": { "input_modalities": ["text"] } }), Some(false)),
            (json!({ "capabilities": { "completion_chat": true, "vision": false } }), Some(false)),
            (json!({ "capabilities": { "vision": true } }), Some(true)),
            (json!({ "capabilities": ["completion"] }), None),
        ] {
            assert_eq!(takes_images(&model), told, "{model}");
        }
    }
}
