//! Failpoints: named places where a test makes an actor fail. Each engine has its own; nothing is armed outside tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Places that can be made to panic.
#[derive(Debug, Clone, Default)]
pub struct Failpoints(Option<Arc<Mutex<HashMap<String, u32>>>>);

impl Failpoints {
    /// Makes a set that can be armed.
    pub fn armed() -> Self {
        Self(Some(Arc::default()))
    }

    /// Makes the next `times` visits of `place` panic.
    pub fn arm(&self, place: impl Into<String>, times: u32) {
        if let Some(points) = &self.0 {
            points.lock().unwrap_or_else(PoisonError::into_inner).insert(place.into(), times);
        }
    }

    /// Returns how many panics are left at `place`.
    pub fn left(&self, place: &str) -> u32 {
        let points = self.0.as_ref().map(|points| points.lock().unwrap_or_else(PoisonError::into_inner));
        points.and_then(|points| points.get(place).copied()).unwrap_or(0)
    }

    /// Panics if `place` is armed.
    ///
    /// # Panics
    ///
    /// As said.
    pub fn visit(&self, place: &str) {
        let Some(points) = &self.0 else { return };
        let mut points = points.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = points.get_mut(place).filter(|left| **left > 0) {
            *left -= 1;
            drop(points);
            panic!("failpoint {place}");
        }
    }
}
