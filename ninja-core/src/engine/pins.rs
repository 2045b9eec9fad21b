//! What submissions pin, made once for each template: agents, tools and templates are read at start and do not change while
//! the engine runs, so neither does their encoding nor its address.
//!
//! Called by `submit`. Knows nothing of requests.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use super::{Inner, submit::hash};
use crate::{
    api::{Agent, BlobHash},
    journal::record::{Offers, PinnedTool, Pins},
    planner::Template,
};

/// What the planner's model is told.
const PLANNER_PROMPT: &str = include_str!("../../../config/planner.md");

/// The pins of each template by its name, and those of plans without one.
#[derive(Default)]
pub(super) struct PinSets(Mutex<HashMap<Option<String>, Arc<PinSet>>>);

/// What every submission with one template pins.
pub(super) struct PinSet {
    /// The pins.
    pub(super) pins: Arc<Pins>,
    /// The address of their encoding.
    pub(super) hash: BlobHash,
    blobs: Vec<Bytes>,
    stored: AtomicBool,
}

impl PinSet {
    fn new(pins: Pins, template_files: Vec<Bytes>) -> Self {
        let bytes = Bytes::from(serde_json::to_vec(&pins).expect("pins have string keys only"));
        let hash = hash(&bytes);
        let blobs = std::iter::once(bytes).chain(template_files).collect();
        Self { pins: Arc::new(pins), hash, blobs, stored: AtomicBool::new(false) }
    }

    /// Returns a set of its own for a submission that brings an agent.
    pub(super) fn with_agent(&self, agent: Agent) -> Self {
        let mut pins = Pins::clone(&self.pins);
        pins.agents.insert(agent.name.clone(), agent);
        Self::new(pins, self.blobs.iter().skip(1).cloned().collect())
    }

    /// Returns what must be committed with a submission: the encoding and the template's files, until a commit that had
    /// them was synced. They are some 20 KB, many times the rest of a submission.
    pub(super) fn blobs(&self) -> Vec<Bytes> {
        if self.stored.load(Ordering::Acquire) { Vec::new() } else { self.blobs.clone() }
    }

    /// Notes that a commit with the blobs was synced.
    pub(super) fn note_stored(&self) {
        self.stored.store(true, Ordering::Release);
    }
}

impl Inner {
    /// Returns what a submission with this template pins, so that editing agents or templates alters no task that runs.
    pub(super) fn pin_set(&self, template: Option<&Template>) -> Arc<PinSet> {
        let mut sets = self.pins.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = template.map(|template| template.name.clone());
        Arc::clone(sets.entry(name).or_insert_with(|| Arc::new(self.make_pin_set(template))))
    }

    fn make_pin_set(&self, template: Option<&Template>) -> PinSet {
        let tools = self.services.tools.iter().map(|tool| {
            let definition = tool.definition();
            (definition.name.clone(), PinnedTool { definition, class: tool.effect_class() })
        });
        let scripts = template.map(|template| &template.scripts);
        let files = scripts.into_iter().flatten().map(|(path, bytes)| (path.clone(), hash(bytes)));
        let pins = Pins {
            agents: self.agents.clone(),
            tools: tools.collect(),
            template_files: files.collect(),
            planner_prompt: PLANNER_PROMPT.to_owned(),
            default_agent: self.config.default_agent.clone(),
            offers: Offers::default(),
        };
        PinSet::new(pins, scripts.into_iter().flat_map(|scripts| scripts.values().cloned()).collect())
    }
}
