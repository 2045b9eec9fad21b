//! What the servers of a provider told of their models, and the window that follows from it, and whether they take images.
//!
//! A window is what is configured, else what is told, else what is known or assumed; and never more than the model was made
//! for or its server gave it. Asked by the provider; knows nothing of HTTP.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{kinds::WINDOW_TOKENS, listing::ServedModel, protocol::Details};

/// What is known of the windows of one provider's models.
#[derive(Debug)]
pub(super) struct Windows {
    /// What a person wrote.
    configured: Option<u32>,
    /// By the name without what stands for nothing, see [`key`].
    told: Mutex<BTreeMap<String, Told>>,
}

/// What was told of one model.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    /// By the list of models.
    listed: Option<u32>,
    /// The same, of images.
    takes_images: Option<bool>,
    /// When it was asked for alone.
    details: Option<Details>,
    /// After its newest call: the window that its server had given it.
    loaded: Option<u32>,
}

impl Windows {
    pub(super) fn new(configured: Option<u32>) -> Self {
        Self { configured, told: Mutex::default() }
    }

    /// Takes what a list tells.
    pub(super) fn take_list(&self, models: &[ServedModel]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|name, _| models.iter().any(|model| key(&model.name) == name));
        for model in models {
            let told = told.entry(key(&model.name).to_owned()).or_default();
            (told.listed, told.takes_images) = (model.window_tokens, model.takes_images);
        }
    }

    /// Takes what was told of one model alone.
    pub(super) fn take_details(&self, model: &str, details: Details) {
        self.change(model, |told| told.details = Some(details));
    }

    /// Takes the window with which a model was found loaded; `None` where it is not, or nobody says.
    pub(super) fn take_loaded(&self, model: &str, tokens: Option<u32>) {
        self.change(model, |told| told.loaded = tokens);
    }

    /// Returns what was told of a model alone.
    pub(super) fn details(&self, model: &str) -> Option<Details> {
        self.of(model).details
    }

    /// Returns whether a model takes images, if that was told.
    pub(super) fn takes_images(&self, model: &str) -> Option<bool> {
        let told = self.of(model);
        told.details.and_then(|details| details.takes_images).or(told.takes_images)
    }

    /// Returns the window to ask for, where servers are asked for one. `assumed` is for the model that nothing is told of.
    pub(super) fn asked_tokens(&self, model: &str, assumed: u32) -> u32 {
        let told = self.of(model);
        let details = told.details.unwrap_or_default();
        // Who tells what the model was made for can be asked for more than the little that it takes by itself.
        let assumed = details.trained_tokens.map_or(assumed, |_| assumed.max(WINDOW_TOKENS));
        let wanted = self.configured.or(told.listed).or(details.preset_tokens).unwrap_or(assumed);
        wanted.min(details.trained_tokens.unwrap_or(u32::MAX))
    }

    /// Returns the window that a prompt and its answer have.
    pub(super) fn tokens(&self, model: &str, assumed: u32) -> u32 {
        self.asked_tokens(model, assumed).min(self.of(model).loaded.unwrap_or(u32::MAX))
    }

    /// Says what a person should know: that a window is not as large as it was configured, or as it was asked for.
    pub(super) fn note(&self, model: &str, assumed: u32) -> Option<String> {
        let (asked, told) = (self.asked_tokens(model, assumed), self.of(model));
        if let Some(loaded) = told.loaded.filter(|loaded| *loaded < asked) {
            return Some(format!("its server loaded it with {loaded} tokens of the {asked} that were asked for"));
        }
        let configured = self.configured.filter(|configured| *configured > asked)?;
        Some(format!("context_window is {configured}, but the model takes no more than {asked} tokens"))
    }

    fn of(&self, model: &str) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(key(model)).copied().unwrap_or_default()
    }

    fn change(&self, model: &str, change: impl FnOnce(&mut Told)) {
        change(self.told.lock().unwrap_or_else(PoisonError::into_inner).entry(key(model).to_owned()).or_default());
    }
}

/// Returns what a model is known by: Ollama lists `m:latest` where people say `m`.
fn key(model: &str) -> &str {
    model.strip_suffix(":latest").unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(configured: Option<u32>, listed: Option<u32>, details: Option<(u32, Option<u32>)>) -> Windows {
        let windows = Windows::new(configured);
        windows.take_list(&[ServedModel { name: "m".into(), window_tokens: listed, takes_images: None }]);
        if let Some((trained, preset_tokens)) = details {
            let trained_tokens = Some(trained);
            windows.take_details("m", Details { trained_tokens, preset_tokens, takes_images: None });
        }
        windows
    }

    #[test]
    fn a_window_is_what_is_wanted_but_not_more_than_the_model_was_made_for() {
        for (configured, listed, details, wanted) in [
            (None, None, None, 4_096),
            (Some(16_384), None, None, 16_384),
            (None, Some(2_048), None, 2_048),
            (Some(100), Some(2_048), None, 100),
            (None, None, Some((40_960, None)), 8_192),
            (None, None, Some((2_048, None)), 2_048),
            (None, None, Some((40_960, Some(32_768))), 32_768),
            (None, None, Some((40_960, Some(99_999))), 40_960),
            (Some(131_072), None, Some((40_960, None)), 40_960),
            (Some(16_384), None, Some((40_960, Some(2_048))), 16_384),
        ] {
            let windows = windows(configured, listed, details);
            let row = format!("{configured:?} {listed:?} {details:?}");
            assert_eq!((windows.asked_tokens("m", 4_096), windows.tokens("m", 4_096)), (wanted, wanted), "{row}");
            assert_eq!(windows.note("m", 4_096).is_some(), configured == Some(131_072), "{row}");
        }
    }

    #[test]
    fn what_a_server_gave_counts_until_it_gives_more() {
        let windows = windows(Some(16_384), None, Some((40_960, None)));
        windows.take_loaded("m", Some(4_096));
        assert_eq!((windows.asked_tokens("m", 1), windows.tokens("m", 1)), (16_384, 4_096));
        let note = windows.note("m", 1).unwrap();
        assert_eq!(note, "its server loaded it with 4096 tokens of the 16384 that were asked for");
        for more in [Some(16_384), None] {
            windows.take_loaded("m", Some(4_096));
            windows.take_loaded("m", more);
            assert_eq!((windows.tokens("m", 1), windows.note("m", 1)), (16_384, None), "{more:?}");
        }
    }

    #[test]
    fn a_model_is_the_same_with_and_without_latest() {
        for (listed, asked) in [("m:latest", "m"), ("m", "m:latest"), ("m:latest", "m:latest")] {
            let windows = Windows::new(None);
            windows.take_details(asked, Details { trained_tokens: Some(1_024), ..Details::default() });
            windows.take_list(&[ServedModel { name: listed.into(), window_tokens: None, takes_images: Some(true) }]);
            assert_eq!((windows.tokens(asked, 4_096), windows.takes_images(asked)), (1_024, Some(true)), "{asked}");
            assert_eq!(windows.tokens("m:7b", 4_096), 4_096);
        }
    }

    #[test]
    fn what_a_model_tells_of_images_comes_before_what_a_list_does() {
        let windows = Windows::new(None);
        windows.take_list(&[ServedModel { name: "m".into(), window_tokens: None, takes_images: Some(true) }]);
        assert_eq!((windows.takes_images("m"), windows.takes_images("n")), (Some(true), None));
        windows.take_details("m", Details { takes_images: Some(false), ..Details::default() });
        assert_eq!(windows.takes_images("m"), Some(false));
    }

    #[test]
    fn a_model_that_is_no_longer_listed_is_forgotten() {
        let windows = windows(None, Some(2_048), None);
        windows.take_list(&[]);
        assert_eq!(windows.tokens("m", 4_096), 4_096);
    }
}
