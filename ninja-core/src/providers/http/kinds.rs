//! The kinds of provider, one row each: where they are, what is assumed of them.

use reqwest::Url;

use super::protocol::Protocol;
use crate::providers::{
    ProviderError, ProviderKind, anthropic::Messages, gemini::Gemini, ollama::Ollama, openai_chat::Chat,
    openai_responses::Responses,
};

/// A window that every model in use has: what is assumed where nobody tells.
pub(super) const WINDOW_TOKENS: u32 = 8_192;
/// Ollama's own default; what is longer it cuts at the front without a word, so assuming more would lose the task.
const OLLAMA_WINDOW_TOKENS: u32 = 4_096;
/// Where Ollama listens unless told otherwise.
const OLLAMA_PORT: u16 = 11_434;

/// What distinguishes a kind.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    /// The address if none is configured.
    pub(super) base_url: &'static str,
    /// The path that an address must end with; appended if it does not.
    pub(super) path: Option<&'static str>,
    /// The path of another API at the same server, which an address is often given with; taken away.
    pub(super) other_path: Option<&'static str>,
    /// The model if nobody names one, at the vendor's own address.
    pub(super) vendor_model: Option<&'static str>,
    /// The window if nobody tells it.
    pub(super) window_tokens: u32,
    /// What people call it; the host's name if there is none.
    pub(super) place: Option<&'static str>,
}

impl Wire {
    /// Returns the row of a kind.
    pub(super) fn of(kind: ProviderKind) -> Self {
        match kind {
            ProviderKind::Openai | ProviderKind::OpenaiResponses => Self {
                base_url: kind.usual_address(),
                path: None,
                other_path: None,
                // Small, cheap and able to use tools; a task that needs more names it.
                vendor_model: Some("gpt-5.4-mini"),
                window_tokens: WINDOW_TOKENS,
                place: None,
            },
            ProviderKind::Anthropic => Self {
                base_url: kind.usual_address(),
                path: Some("v1/"),
                other_path: None,
                vendor_model: Some("claude-haiku-4-5"),
                window_tokens: WINDOW_TOKENS,
                place: None,
            },
            ProviderKind::Gemini => Self {
                base_url: kind.usual_address(),
                path: Some("v1beta/"),
                other_path: None,
                vendor_model: Some("gemini-3.6-flash"),
                window_tokens: WINDOW_TOKENS,
                place: None,
            },
            ProviderKind::Deepseek => Self {
                base_url: kind.usual_address(),
                path: None,
                other_path: None,
                vendor_model: Some("deepseek-flash"),
                window_tokens: WINDOW_TOKENS,
                place: None,
            },
            ProviderKind::Ollama => Self {
                base_url: kind.usual_address(),
                path: None,
                other_path: Some("v1/"),
                vendor_model: None,
                window_tokens: OLLAMA_WINDOW_TOKENS,
                place: Some("Ollama"),
            },
        }
    }

    /// Returns the address that paths are appended to; it ends with a slash.
    pub(super) fn base_url(&self, base_url: Option<&str>) -> Result<Url, ProviderError> {
        let text = base_url.unwrap_or(self.base_url);
        let refuse = || ProviderError::Rejected("the base_url is not an http or https address".into());
        let mut url = Url::parse(text.trim()).map_err(|_| refuse())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refuse());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        if let Some(shorter) = self.other_path.and_then(|other| url.path().strip_suffix(other)) {
            let shorter = shorter.to_owned();
            url.set_path(&shorter);
        }
        if let Some(path) = self.path
            && !url.path().ends_with(&format!("/{path}"))
        {
            url.set_path(&format!("{}{path}", url.path()));
        }
        Ok(url)
    }

    /// Returns whether `url` is at the vendor's own host, and so that nobody else can be there.
    pub(super) fn is_vendor(&self, url: &Url) -> bool {
        let is_theirs = |vendor: Url| vendor.host() == url.host() && url.scheme() == "https";
        self.vendor_model.is_some() && Url::parse(self.base_url).is_ok_and(is_theirs)
    }

    /// Returns what people call the place that answers.
    pub(super) fn place(&self, url: &Url) -> String {
        self.place.map_or_else(|| host_and_port(url), str::to_owned)
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Returns what a kind speaks, at `url`.
pub(super) fn protocol(kind: ProviderKind, url: &Url, is_vendor: bool) -> Result<Box<dyn Protocol>, ProviderError> {
    Ok(match kind {
        ProviderKind::Openai => Box::new(Chat::new(url, is_vendor)?),
        ProviderKind::OpenaiResponses => Box::new(Responses::new(url, is_vendor)?),
        ProviderKind::Anthropic => Box::new(Messages::new(url)?),
        ProviderKind::Gemini => Box::new(Gemini::new(url)),
        ProviderKind::Deepseek => Box::new(Chat::deepseek(url)?),
        ProviderKind::Ollama => Box::new(Ollama::new(url)?),
    })
}

/// Returns the window of a model at its vendor's own address, where no listing tells it. By prefix, and rather too
/// small: too large a window loses a task, too small a one shortens its history.
pub(super) fn vendor_window(model: &str) -> Option<u32> {
    const WINDOWS: [(&str, u32); 9] = [
        ("claude", 200_000),
        ("deepseek", 128_000),
        ("gemini", 1_000_000),
        ("gpt-4.1", 1_000_000),
        ("gpt-4o", 128_000),
        ("gpt-5", 128_000),
        ("gpt-6", 128_000),
        ("o3", 200_000),
        ("o4", 200_000),
    ];
    WINDOWS.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, window)| *window)
}

/// Returns whether a model at its vendor's own address takes images, as the vendors' pages say: no listing tells it.
pub(super) fn vendor_takes_images(model: &str) -> bool {
    const SEE: [&str; 11] =
        ["chatgpt-4o", "claude", "gemini", "gpt-4-turbo", "gpt-4.1", "gpt-4o", "gpt-5", "gpt-6", "o1", "o3", "o4"];
    const BLIND: [&str; 9] = [
        "claude-2",
        "claude-instant",
        "o1-mini",
        "o1-preview",
        "o3-mini",
        "-audio",
        "-realtime",
        "-search",
        "-embedding",
    ];
    SEE.iter().any(|prefix| model.starts_with(prefix)) && !BLIND.iter().any(|part| model.contains(part))
}

/// Returns the address of Ollama from the value of `OLLAMA_HOST`, which may leave out scheme, host or port and may be
/// the address that the server listens on.
pub(in crate::providers) fn ollama_url(host: Option<&str>) -> String {
    let text = host.map(str::trim).filter(|host| !host.is_empty()).unwrap_or("127.0.0.1");
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let rest = rest.trim_end_matches('/');
    let rest = if rest.starts_with(':') { format!("127.0.0.1{rest}") } else { rest.to_owned() };
    let Ok(mut url) = Url::parse(&format!("{scheme}://{rest}")) else { return text.to_owned() };
    let has_port = url.port().is_some() || rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    // Setting a host or port fails for addresses without a host only; such a one is refused when it is used.
    if !has_port && scheme == "http" && url.set_port(Some(OLLAMA_PORT)).is_err() {
        return text.to_owned();
    }
    if matches!(url.host_str(), Some("0.0.0.0" | "[::]")) && url.set_host(Some("127.0.0.1")).is_err() {
        return text.to_owned();
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_what_it_lacks() {
        let openai = Wire::of(ProviderKind::Openai);
        assert_eq!(openai.base_url(None).unwrap().as_str(), "https://api.openai.com/v1/");
        assert_eq!(openai.base_url(Some("http://h:1/v1")).unwrap().as_str(), "http://h:1/v1/");
        assert_eq!(openai.base_url(Some("https://h/x/v1/?api-version=2")).unwrap().path(), "/x/v1/");
        let ollama = Wire::of(ProviderKind::Ollama);
        assert_eq!(ollama.base_url(Some("http://h:1")).unwrap().as_str(), "http://h:1/");
        assert_eq!(ollama.base_url(Some("http://h:1/x/v1")).unwrap().as_str(), "http://h:1/x/");
        let anthropic = Wire::of(ProviderKind::Anthropic);
        assert_eq!(anthropic.base_url(Some("http://h:1")).unwrap().as_str(), "http://h:1/v1/");
        assert_eq!(anthropic.base_url(Some("http://h:1/v1")).unwrap().as_str(), "http://h:1/v1/");
        for wrong in ["", "h:1", "file:///etc", "h"] {
            assert!(openai.base_url(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_vendor_is_known_by_its_host() {
        let wire = Wire::of(ProviderKind::Openai);
        assert!(wire.is_vendor(&wire.base_url(None).unwrap()));
        assert!(!wire.is_vendor(&wire.base_url(Some("http://127.0.0.1:1/v1")).unwrap()));
        assert!(!wire.is_vendor(&wire.base_url(Some("http://api.openai.com/v1")).unwrap()), "anybody could be there");
        assert!(!Wire::of(ProviderKind::Ollama).is_vendor(&Url::parse("http://127.0.0.1:11434/").unwrap()));
    }

    #[test]
    fn the_vendors_models_that_take_images_are_known() {
        for model in ["gpt-5.4-mini", "claude-haiku-4-5", "gemini-3.6-flash", "o4-mini", "o1"] {
            assert!(vendor_takes_images(model), "{model}");
        }
        for model in ["deepseek-flash", "o3-mini", "gpt-3.5-turbo", "gpt-4", "claude-2.1", "gpt-4o-audio-preview"] {
            assert!(!vendor_takes_images(model), "{model}");
        }
    }

    #[test]
    fn ollama_is_found_however_its_host_is_written() {
        for (host, url) in [
            (None, "http://127.0.0.1:11434/"),
            (Some(""), "http://127.0.0.1:11434/"),
            (Some("0.0.0.0"), "http://127.0.0.1:11434/"),
            (Some("0.0.0.0:80"), "http://127.0.0.1/"),
            (Some(":5050"), "http://127.0.0.1:5050/"),
            (Some("gpu"), "http://gpu:11434/"),
            (Some("http://gpu:5050/"), "http://gpu:5050/"),
            (Some("https://gpu"), "https://gpu/"),
        ] {
            assert_eq!(ollama_url(host), url, "{host:?}");
        }
    }
}
