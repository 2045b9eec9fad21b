//! Stored forms of shared values: what they hold, once for each place that holds it. Only snapshots are stored like this.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A container of shared values that can be stored by its content.
pub(super) trait Shared: Sized {
    /// What is stored.
    type Content<'a>: Serialize
    where
        Self: 'a;
    /// What is read.
    type Owned<'de>: Deserialize<'de>;

    fn content(&self) -> Self::Content<'_>;
    fn from_owned(owned: Self::Owned<'_>) -> Self;
}

/// Stores a container by its content.
pub(super) fn serialize<T: Shared, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.content().serialize(serializer)
}

/// Reads a container.
pub(super) fn deserialize<'de, T: Shared, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::Owned::deserialize(deserializer).map(T::from_owned)
}

impl<T: Serialize + for<'de> Deserialize<'de>> Shared for Arc<T> {
    type Content<'a>
        = &'a T
    where
        Self: 'a;
    type Owned<'de> = T;

    fn content(&self) -> &T {
        self
    }

    fn from_owned(owned: T) -> Self {
        Arc::new(owned)
    }
}

impl<T: Serialize + for<'de> Deserialize<'de>> Shared for Vec<Arc<T>> {
    type Content<'a>
        = Vec<&'a T>
    where
        Self: 'a;
    type Owned<'de> = Vec<T>;

    fn content(&self) -> Vec<&T> {
        self.iter().map(AsRef::as_ref).collect()
    }

    fn from_owned(owned: Vec<T>) -> Self {
        owned.into_iter().map(Arc::new).collect()
    }
}

impl<T: Serialize + for<'de> Deserialize<'de>> Shared for Option<Arc<T>> {
    type Content<'a>
        = Option<&'a T>
    where
        Self: 'a;
    type Owned<'de> = Option<T>;

    fn content(&self) -> Option<&T> {
        self.as_deref()
    }

    fn from_owned(owned: Option<T>) -> Self {
        owned.map(Arc::new)
    }
}
