//! The form in which settings of a provider are stored. Unlike the form in which they are given it bears fields that it does not
//! know: whoever cannot read a record cannot use the key in it either.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    api::{DollarPrice, ModelClass, ProviderKind, ProviderSettings, Secret, TakesImages, Timeouts, Timestamp},
    vault::Sealed,
};

/// A provider as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredSettings {
    /// Without the key.
    #[serde(with = "SettingsForm")]
    pub(super) settings: ProviderSettings,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) api_key: Option<Sealed>,
    /// When it was stored.
    pub(super) changed_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProviderSettings")]
struct SettingsForm {
    name: String,
    kind: ProviderKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    #[serde(skip)]
    api_key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<ModelClass, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    takes_images: Option<TakesImages>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context_window: Option<u32>,
    stream: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "price")]
    price: Option<DollarPrice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_per_minute: Option<u32>,
    #[serde(default, with = "TimeoutsForm")]
    timeouts: Timeouts,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Timeouts")]
struct TimeoutsForm {
    connect_ms: u64,
    first_byte_ms: u64,
    idle_ms: u64,
}

#[derive(Deserialize)]
struct PriceForm {
    input: f64,
    cached_input: Option<f64>,
    output: f64,
}

fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DollarPrice>, D::Error> {
    let price = Option::<PriceForm>::deserialize(deserializer)?;
    Ok(price.map(|PriceForm { input, cached_input, output }| DollarPrice { input, cached_input, output }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = r#"{
        "settings": {
            "name": "mine", "kind": "openai", "base_url": "http://h/v1", "model": "m", "models": { "fast": "f" },
            "takes_images": ["m"], "context_window": 1, "stream": false, "later": 1, "max_concurrency": 2,
            "price": { "input": 1.0, "output": 2.0, "later": 1 }, "requests_per_minute": 3, "tokens_per_minute": 4,
            "timeouts": { "connect_ms": 1, "first_byte_ms": 2, "idle_ms": 3, "later": 1 }
        },
        "changed_at": "2026-01-01T00:00:00Z",
        "later": 1
    }"#;

    #[test]
    fn fields_of_a_later_version_are_borne() {
        let stored: StoredSettings = serde_json::from_str(STORED).unwrap();
        let wanted = ProviderSettings {
            base_url: Some("http://h/v1".to_owned()),
            model: Some("m".to_owned()),
            models: [(ModelClass::Fast, "f".to_owned())].into(),
            takes_images: Some(TakesImages::Only(vec!["m".to_owned()])),
            context_window: Some(1),
            stream: false,
            price: Some(DollarPrice { input: 1.0, cached_input: None, output: 2.0 }),
            max_concurrency: Some(2),
            requests_per_minute: Some(3),
            tokens_per_minute: Some(4),
            timeouts: Timeouts { connect_ms: 1, first_byte_ms: 2, idle_ms: 3 },
            ..ProviderSettings::new("mine", ProviderKind::Openai)
        };
        assert_eq!(stored.settings, wanted);
        let again: StoredSettings = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
        assert_eq!(again.settings, wanted);
        let given = r#"{ "name": "mine", "kind": "openai", "later": 1 }"#;
        assert!(serde_json::from_str::<ProviderSettings>(given).is_err(), "in what is given they are refused");
    }

    #[test]
    fn a_key_is_stored_sealed_or_not_at_all() {
        let settings = ProviderSettings {
            api_key: Some(Secret::new("sk-canary")),
            ..ProviderSettings::new("mine", ProviderKind::Openai)
        };
        let stored = StoredSettings { settings, api_key: None, changed_at: Timestamp::UNIX_EPOCH };
        let text = serde_json::to_string(&stored).unwrap();
        assert!(!text.contains("canary") && !text.contains("api_key"), "{text}");
    }
}
