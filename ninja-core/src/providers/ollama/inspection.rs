//! What Ollama tells of a model (<https://docs.ollama.com/api-reference/show-model-details>) and of what it loaded
//! (<https://docs.ollama.com/api/ps>).

use serde_json::Value;

use super::Ollama;
use crate::providers::http::protocol::{Details, Inspection};

impl Inspection for Ollama {
    fn details_path(&self) -> &'static str {
        "api/show"
    }

    fn read_details(&self, told: &Value) -> Details {
        let info = told.get("model_info");
        let trained_tokens = || {
            let architecture = info?.get("general.architecture")?.as_str()?;
            tokens(info?.get(format!("{architecture}.context_length"))?)
        };
        let abilities = told.get("capabilities").and_then(Value::as_array);
        Details {
            takes_images: abilities.map(|abilities| abilities.iter().any(|ability| ability == "vision")),
            trained_tokens: trained_tokens(),
            preset_tokens: told.get("parameters").and_then(Value::as_str).and_then(preset_tokens),
        }
    }

    fn loaded_path(&self) -> &'static str {
        "api/ps"
    }

    fn read_loaded(&self, list: &Value, model: &str) -> Option<u32> {
        let is_meant = |loaded: &&Value| {
            let name = loaded.get("name").and_then(Value::as_str).unwrap_or_default();
            name == model || name.strip_suffix(":latest") == Some(model)
        };
        let loaded = list.get("models")?.as_array()?.iter().find(is_meant)?;
        loaded.get("context_length").and_then(tokens)
    }
}

/// Reads `num_ctx` from the lines of a model's parameters.
fn preset_tokens(parameters: &str) -> Option<u32> {
    let value = |line: &str| line.trim().strip_prefix("num_ctx")?.trim().parse().ok();
    parameters.lines().find_map(value).filter(|tokens| *tokens > 0)
}

fn tokens(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|tokens| u32::try_from(tokens).ok()).filter(|tokens| *tokens > 0)
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use serde_json::json;

    use super::*;

    fn ollama() -> Ollama {
        Ollama::new(&Url::parse("http://127.0.0.1:9/").unwrap()).unwrap()
    }

    #[test]
    fn a_model_tells_what_it_was_made_for_and_set_to() {
        let info =
            json!({ "general.architecture": "qwen3", "qwen3.rope.context_length": 1, "qwen3.context_length": 40960 });
        for (told, wanted) in [
            (
                json!({ "model_info": info, "parameters": "stop \"<|im_end|>\"\nnum_ctx                        2048" }),
                (Some(40_960), Some(2_048)),
            ),
            (json!({ "model_info": info, "parameters": "num_ctx_of_another 5\nnum_ctx none" }), (Some(40_960), None)),
            (json!({ "model_info": { "general.architecture": "llama", "llama.context_length": 0 } }), (None, None)),
            (json!({ "model_info": { "llama.context_length": 4096 } }), (None, None)),
            (json!({ "error": "model not found" }), (None, None)),
        ] {
            let details = ollama().read_details(&told);
            assert_eq!((details.trained_tokens, details.preset_tokens), wanted, "{told}");
        }
    }

    #[test]
    fn a_model_tells_whether_it_takes_images() {
        for (told, takes_images) in [
            (json!({ "capabilities": ["completion", "vision"] }), Some(true)),
            (json!({ "capabilities": ["completion", "tools"] }), Some(false)),
            (json!({}), None),
        ] {
            assert_eq!(ollama().read_details(&told).takes_images, takes_images, "{told}");
        }
    }

    #[test]
    fn a_loaded_model_is_found_by_its_name_with_or_without_latest() {
        let list = json!({ "models": [
            { "name": "a:7b", "context_length": 1 }, { "name": "b:latest", "context_length": 4096 }, { "name": "old:1b" },
        ]});
        let loaded = |model: &str| ollama().read_loaded(&list, model);
        assert_eq!([loaded("b"), loaded("b:latest"), loaded("a:7b")], [Some(4_096), Some(4_096), Some(1)]);
        assert_eq!([loaded("a"), loaded("c"), loaded("old:1b")], [None, None, None]);
        assert_eq!(ollama().read_loaded(&json!([]), "a"), None);
    }
}
