//! What distinguishes one API from another.

use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use super::{error::ErrorContext, images::EncodedImages, listing::ServedModel};
use crate::providers::{Answer, ChatRequest, DeltaSink, ProviderError, Secret, Timeouts};

/// An API that models are called through.
pub(in crate::providers) trait Protocol: Send + Sync {
    /// Returns its name, as answers that carry something are marked with.
    fn name(&self) -> &'static str;

    /// Returns where a call goes.
    fn call_url(&self, call: &Call<'_>) -> Result<Url, ProviderError>;

    /// Returns the body of a call.
    fn body(&self, call: &Call<'_>) -> Vec<u8>;

    /// Returns the place of an answer that is still to come.
    fn draft(&self) -> Box<dyn Draft>;

    /// Returns how an answer is cut into pieces.
    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// Puts the key where it belongs, and what else every request says.
    fn sign(&self, request: RequestBuilder, key: Option<&Secret>) -> RequestBuilder {
        match key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    /// Returns where models are listed, seen from the provider's address.
    fn list_path(&self) -> &'static str;

    /// Reads a list of models; `None` where it is none.
    fn read_list(&self, list: &Value) -> Option<Vec<ServedModel>>;

    /// Returns how a server is asked for what it does with a model, where it cuts what is too long without a word.
    fn inspection(&self) -> Option<&dyn Inspection> {
        None
    }
}

/// How a server is asked what it does with a model.
pub(in crate::providers) trait Inspection: Send + Sync {
    /// Returns where a model's name is sent to learn what it was made for.
    fn details_path(&self) -> &'static str;

    /// Reads what came.
    fn read_details(&self, told: &Value) -> Details;

    /// Returns where the models are listed that are loaded.
    fn loaded_path(&self) -> &'static str;

    /// Reads the window with which a model is loaded; `None` where it is not, or the server does not tell.
    fn read_loaded(&self, list: &Value, model: &str) -> Option<u32>;
}

/// What a server tells of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::providers) struct Details {
    /// The largest window that it was made for.
    pub(in crate::providers) trained_tokens: Option<u32>,
    /// The window that was written into its file.
    pub(in crate::providers) preset_tokens: Option<u32>,
    /// Whether it takes images.
    pub(in crate::providers) takes_images: Option<bool>,
}

/// One call.
pub(in crate::providers) struct Call<'a> {
    /// The name of the protocol.
    pub(in crate::providers) protocol: &'static str,
    pub(in crate::providers) request: &'a ChatRequest,
    /// The bytes of the request's images, for as long as it is written.
    pub(in crate::providers) images: &'a EncodedImages,
    /// The window of its model.
    pub(in crate::providers) window_tokens: u32,
    /// Whether the answer is to come as it is produced.
    pub(in crate::providers) is_streamed: bool,
}

/// How an answer is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::providers) enum Framing {
    /// Server-sent events.
    Events,
    /// Lines, each a JSON value.
    Lines,
}

/// An answer of which some has come.
pub(in crate::providers) trait Draft: Send {
    /// Takes in one event, or an answer that came whole. Returns whether it was the last.
    fn take_in(&mut self, data: &str, listener: &Listener<'_>) -> Result<bool, ProviderError>;

    /// Returns whether the stream may end here, for those that have no last event.
    fn may_end(&self) -> bool {
        false
    }

    /// Returns the answer.
    fn finish(self: Box<Self>, listener: &Listener<'_>) -> Result<Answer, ProviderError>;
}

/// Who waits for an answer.
pub(in crate::providers) struct Listener<'a> {
    /// The name of the protocol.
    pub(in crate::providers) protocol: &'static str,
    pub(in crate::providers) request: &'a ChatRequest,
    pub(in crate::providers) deltas: &'a DeltaSink,
    pub(in crate::providers) context: &'a ErrorContext<'a>,
    pub(in crate::providers) timeouts: Timeouts,
}
