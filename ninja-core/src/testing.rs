//! Failpoints: named places where a test makes an actor fail. Each engine has its own; nothing is armed outside tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Places that can be made to panic, and that count how often they are come by.
#[derive(Debug, Clone, Default)]
pub struct Failpoints(Option<Arc<Mutex<HashMap<String, Place>>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Panics still to come.
    left: u32,
    visits: u64,
}

impl Failpoints {
    /// Makes a set that can be armed.
    pub fn armed() -> Self {
        Self(Some(Arc::default()))
    }

    /// Makes the next `times` visits of `place` panic.
    pub fn arm(&self, place: impl Into<String>, times: u32) {
        if let Some(points) = &self.0 {
            points.lock().unwrap_or_else(PoisonError::into_inner).entry(place.into()).or_default().left = times;
        }
    }

    /// Returns how many panics are left at `place`.
    pub fn left(&self, place: &str) -> u32 {
        self.at(place).left
    }

    /// Returns how often `place` was visited.
    pub fn visits(&self, place: &str) -> u64 {
        self.at(place).visits
    }

    fn at(&self, place: &str) -> Place {
        let points = self.0.as_ref().map(|points| points.lock().unwrap_or_else(PoisonError::into_inner));
        points.and_then(|points| points.get(place).copied()).unwrap_or_default()
    }

    /// Panics if `place` is armed.
    ///
    /// # Panics
    ///
    /// As said.
    pub fn visit(&self, place: &str) {
        let Some(points) = &self.0 else { return };
        let mut points = points.lock().unwrap_or_else(PoisonError::into_inner);
        let at = points.entry(place.to_owned()).or_default();
        at.visits += 1;
        if at.left > 0 {
            at.left -= 1;
            drop(points);
            panic!("failpoint {place}");
        }
    }
}
