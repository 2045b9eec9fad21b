//! What follows from pins and is asked of them at every model call, worked out once. It is stored nowhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::ToolDefinition;

/// The tools that an agent may ask for.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// As the model sees them, shared by every call.
    pub tools: Arc<[ToolDefinition]>,
    /// How large they are in a prompt, estimated.
    pub tokens: u64,
}

/// The offers of one set of pins by agent. A set that is copied makes them anew.
#[derive(Debug, Default)]
pub struct Offers(Mutex<BTreeMap<String, Offer>>);

impl Offers {
    /// Returns an agent's offer, made where nobody asked for it before.
    pub fn of(&self, agent: &str, make: impl FnOnce() -> Offer) -> Offer {
        let mut offers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offer) = offers.get(agent) {
            return offer.clone();
        }
        let offer = make();
        offers.insert(agent.to_owned(), offer.clone());
        offer
    }
}

impl Clone for Offers {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// They follow from the pins that they belong to, so between equal pins they make no difference.
impl PartialEq for Offers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
