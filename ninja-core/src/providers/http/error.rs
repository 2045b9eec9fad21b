//! Everything that fails, as a [`ProviderError`].
//!
//! What a provider writes into an error is its own text: only its message is used, shortened and without the key, since
//! some repeat the whole request. The errors of reqwest are never printed, for the same reason.

use std::{error::Error as StdError, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::providers::{ProviderError, Secret};

/// Enough for a sentence of a provider, too little to repeat a prompt.
const MESSAGE_CHARS_MAX: usize = 300;

/// What servers say of a prompt that is too long: OpenAI and most, llama.cpp, gateways, Anthropic, vLLM.
const SIZE_WORDS: [&str; 6] = [
    "context length",
    "context size",
    "context window",
    "prompt is too long",
    "too many tokens",
    "maximum model length",
];
/// What servers say of a picture that they cannot read: Ollama, llama.cpp, and those that read with Pillow.
const IMAGE_WORDS: [&str; 4] =
    ["failed to process inputs: image", "failed to load image", "failed to process image", "cannot identify image"];

/// The longest refusal that is read, and the longest time for it.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of the call that failed.
#[derive(Clone, Copy)]
pub(in crate::providers) struct ErrorContext<'a> {
    /// The provider's host.
    pub(in crate::providers) host: &'a str,
    /// Its key, which must not show.
    pub(in crate::providers) key: Option<&'a Secret>,
    /// Estimates the prompt's tokens: seldom needed, and no small matter for a long prompt with many tools.
    pub(in crate::providers) prompt_tokens: &'a (dyn Fn() -> u64 + Sync),
    /// The model's window.
    pub(in crate::providers) window_tokens: u64,
}

/// Maps what ends an event stream: an error of the bytes below, which is ours already, or bytes that are no text.
pub(super) fn map_event_stream(error: sse_stream::Error) -> ProviderError {
    match error {
        sse_stream::Error::Body(error) => error.downcast().map_or(ProviderError::Truncated, |error| *error),
        _ => ProviderError::Truncated,
    }
}

/// Reads and maps a response that is no success. What of its text does not come is no matter: the status says most.
pub(super) async fn read_refusal(mut response: reqwest::Response, context: &ErrorContext<'_>) -> ProviderError {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await
            && body.len() < REFUSAL_BYTES_MAX
        {
            body.extend_from_slice(&chunk);
        }
    };
    tokio::time::timeout(REFUSAL_TIMEOUT, read).await.ok();
    map_response(status, &headers, &String::from_utf8_lossy(&body), context)
}

fn map_response(status: StatusCode, headers: &HeaderMap, body: &str, context: &ErrorContext<'_>) -> ProviderError {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let text = match message(&body, context.key) {
        Some(message) => format!("{} from {}: {message}", status.as_u16(), context.host),
        None => format!("{} from {}", status.as_u16(), context.host),
    };
    match status.as_u16() {
        401 | 403 => ProviderError::Unauthorized(text),
        // An empty purse does not fill by waiting.
        429 if code(&body) == Some("insufficient_quota") => ProviderError::Rejected(text),
        429 => ProviderError::RateLimited { retry_after_ms: retry_after_ms(headers) },
        413 => prompt_too_large(&body, context),
        400 | 422 if speaks_of_size(&body) => prompt_too_large(&body, context),
        408 | 409 | 425 => ProviderError::Unavailable(text),
        500.. if speaks_of_image(&body) => ProviderError::Rejected(text),
        500.. => match retry_after_ms(headers) {
            Some(retry_after_ms) => ProviderError::Overloaded { detail: text, retry_after_ms },
            None => ProviderError::Unavailable(text),
        },
        _ => ProviderError::Rejected(text),
    }
}

/// Maps a connection that could not be made or broke off.
pub(super) fn map_transport(error: &reqwest::Error, context: &ErrorContext<'_>) -> ProviderError {
    if error.is_body() || error.is_decode() {
        return ProviderError::Truncated;
    }
    if error.is_builder() {
        return ProviderError::Rejected("the address or the key cannot be used in a request".into());
    }
    // The innermost cause names neither address nor headers.
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = if error.is_timeout() { "timed out".to_owned() } else { cause.to_string() };
    let cause = context.key.map_or(cause.clone(), |key| key.redact(&cause));
    let deed = if error.is_connect() { "cannot connect to" } else { "no answer from" };
    ProviderError::Unavailable(format!("{deed} {}: {}", context.host, shorten(&cause)))
}

/// Maps an error that comes as an event, after the response began as a success: its body tells the status, or nothing.
pub(in crate::providers) fn map_event(error: Value, context: &ErrorContext<'_>) -> ProviderError {
    let body = json!({ "error": error });
    let told = body.pointer("/error/code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = told.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(match code(&body) {
        Some("rate_limit_error" | "rate_limit_exceeded") => StatusCode::TOO_MANY_REQUESTS,
        Some("authentication_error" | "permission_error" | "invalid_api_key") => StatusCode::UNAUTHORIZED,
        Some("invalid_request_error" | "exceed_context_size_error" | "context_length_exceeded") => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    });
    map_response(status, &HeaderMap::new(), &body.to_string(), context)
}

fn prompt_too_large(body: &Value, context: &ErrorContext<'_>) -> ProviderError {
    let told = |field: &str| body.pointer(&format!("/error/{field}")).and_then(Value::as_u64);
    ProviderError::PromptTooLarge {
        tokens: told("n_prompt_tokens").unwrap_or_else(context.prompt_tokens),
        window: told("n_ctx").unwrap_or(context.window_tokens),
    }
}

/// Returns whether an error is about the prompt's size, which each server says in its own words.
fn speaks_of_size(body: &Value) -> bool {
    if matches!(code(body), Some("context_length_exceeded" | "exceed_context_size_error" | "request_too_large")) {
        return true;
    }
    let message = raw_message(body).unwrap_or_default().to_lowercase();
    SIZE_WORDS.iter().any(|words| message.contains(words))
}

/// Returns whether an error is about a picture that cannot be read: some servers say so as if they had failed, but the next
/// try would come to the same.
fn speaks_of_image(body: &Value) -> bool {
    let message = raw_message(body).unwrap_or_default().to_lowercase();
    IMAGE_WORDS.iter().any(|words| message.contains(words))
}

fn code(body: &Value) -> Option<&str> {
    let field = |name: &str| body.pointer(name).and_then(Value::as_str);
    field("/error/code").or_else(|| field("/error/type"))
}

fn message(body: &Value, key: Option<&Secret>) -> Option<String> {
    let text = raw_message(body)?;
    let text = key.map_or_else(|| text.to_owned(), |key| key.redact(text));
    let text = shorten(&text);
    (!text.is_empty()).then_some(text)
}

fn raw_message(body: &Value) -> Option<&str> {
    ["/error/message", "/error", "/message", "/detail", "/detail/0/msg"]
        .iter()
        .find_map(|path| body.pointer(path).and_then(Value::as_str))
}

/// Returns a text on one line, cut to the length of a sentence.
fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect();
    let cut = if text.chars().count() > MESSAGE_CHARS_MAX { "…" } else { "" };
    format!("{}{cut}", line.trim())
}

/// Returns what `Retry-After` asks for. A date counts from the response's own `Date`, so no clock of ours is asked.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = header("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(ms);
    }
    let text = header("retry-after")?;
    if let Ok(seconds) = text.parse::<f64>() {
        // A float becomes an integer by saturating: negative is none, endless is the most.
        return seconds.is_finite().then_some((seconds * 1000.0).ceil() as u64);
    }
    let (until, now) = (http_date(text)?, http_date(header("date")?)?);
    Some(u64::try_from(until.as_millisecond() - now.as_millisecond()).unwrap_or(0))
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const PROMPT: &str = "the whole prompt";

    fn context(key: &Secret) -> ErrorContext<'_> {
        ErrorContext { host: "h", key: Some(key), prompt_tokens: &|| 50, window_tokens: 40 }
    }

    fn response(status: u16, body: &Value, headers: &[(&'static str, &'static str)]) -> ProviderError {
        let headers = headers
            .iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).unwrap();
        map_response(status, &headers.collect(), &body.to_string(), &context(&Secret::new("sk-1234")))
    }

    #[test]
    fn each_status_has_its_meaning() {
        use ProviderError as E;
        let body = json!({ "error": { "message": "why" } });
        let text = |status: u16| format!("{status} from h: why");
        for status in [401, 403] {
            assert_eq!(response(status, &body, &[]), E::Unauthorized(text(status)));
        }
        for status in [302, 400, 402, 404, 422] {
            assert_eq!(response(status, &body, &[]), E::Rejected(text(status)));
        }
        for status in [408, 500, 502, 503, 504, 529] {
            assert_eq!(response(status, &body, &[]), E::Unavailable(text(status)));
        }
        let busy = E::Overloaded { detail: text(529), retry_after_ms: 2_000 };
        assert_eq!(response(529, &body, &[("retry-after", "2")]), busy);
        assert_eq!(response(413, &body, &[]), E::PromptTooLarge { tokens: 50, window: 40 });
        assert_eq!(response(429, &body, &[]), E::RateLimited { retry_after_ms: None });
        let quota = json!({ "error": { "message": "why", "code": "insufficient_quota" } });
        assert_eq!(response(429, &quota, &[]), E::Rejected(text(429)));
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let wait = |headers: &[(&'static str, &'static str)]| match response(429, &Value::Null, headers) {
            ProviderError::RateLimited { retry_after_ms } => retry_after_ms,
            other => panic!("{other}"),
        };
        let date = ("date", "Sun, 22 Nov 2026 22:00:00 GMT");
        assert_eq!(wait(&[("retry-after", "3")]), Some(3_000));
        assert_eq!(wait(&[("retry-after", "0.25")]), Some(250));
        assert_eq!(wait(&[("retry-after", "-1")]), Some(0));
        assert_eq!(wait(&[("retry-after", "3"), ("retry-after-ms", "20")]), Some(20));
        assert_eq!(wait(&[("retry-after", "Sun, 22 Nov 2026 22:01:30 GMT"), date]), Some(90_000));
        assert_eq!(wait(&[("retry-after", "Sun, 22 Nov 2026 21:00:00 GMT"), date]), Some(0));
        assert_eq!(wait(&[("retry-after", "Sun, 22 Nov 2026 22:01:30 GMT")]), None);
        assert_eq!(wait(&[("retry-after", "soon"), date]), None);
    }

    #[test]
    fn a_prompt_that_is_too_large_is_told_by_words_or_numbers() {
        let llama = json!({ "error": {
            "code": 400, "message": "request (9031 tokens) exceeds the available context size (8192 tokens)",
            "type": "exceed_context_size_error", "n_prompt_tokens": 9031, "n_ctx": 8192
        }});
        let told = ProviderError::PromptTooLarge { tokens: 9031, window: 8192 };
        assert_eq!(response(400, &llama, &[]), told);
        assert_eq!(map_event(llama["error"].clone(), &context(&Secret::new("k"))), told);
        for words in [
            "This model's maximum context length is 10 tokens.",
            "The decoder prompt (length 99) is longer than the maximum model length of 10.",
        ] {
            let words = json!({ "error": { "message": words } });
            assert_eq!(response(400, &words, &[]), ProviderError::PromptTooLarge { tokens: 50, window: 40 });
        }
    }

    #[test]
    fn a_picture_that_cannot_be_read_is_refused_however_the_server_says_so() {
        let secret = Secret::new("k");
        for (words, is_refused) in [
            ("failed to process inputs: image: unknown format", true),
            ("Failed to load image or audio file", true),
            ("cannot identify image file <_io.BytesIO object>", true),
            ("the image of the container is being pulled", false),
        ] {
            for error in [
                response(500, &json!({ "error": words }), &[("retry-after", "1")]),
                map_event(json!(words), &context(&secret)),
            ] {
                assert_eq!(matches!(error, ProviderError::Rejected(_)), is_refused, "{error}");
            }
        }
    }

    #[test]
    fn an_error_repeats_neither_key_nor_request() {
        let echo = json!({ "detail": [{ "msg": "bad key sk-1234", "input": PROMPT }] });
        let error = response(422, &echo, &[]).to_string();
        assert_eq!(error, "the provider refused the request: 422 from h: bad key [redacted]");
        let long = json!({ "error": { "message": "x\n".repeat(1_000) } });
        assert!(response(400, &long, &[]).to_string().chars().count() < 400);
        let html = map_response(StatusCode::BAD_GATEWAY, &HeaderMap::new(), PROMPT, &context(&Secret::new("k")));
        assert_eq!(html, ProviderError::Unavailable("502 from h".into()));
    }

    #[test]
    fn an_error_within_the_stream_keeps_its_meaning() {
        let secret = Secret::new("k");
        let event = |body: Value| map_event(body, &context(&secret));
        assert!(matches!(event(json!({ "message": "x", "type": "server_error" })), ProviderError::Unavailable(_)));
        assert!(matches!(event(json!("overloaded")), ProviderError::Unavailable(_)));
        assert!(matches!(event(json!({ "code": 429 })), ProviderError::RateLimited { .. }));
        assert!(matches!(event(json!({ "type": "invalid_request_error" })), ProviderError::Rejected(_)));
    }
}
