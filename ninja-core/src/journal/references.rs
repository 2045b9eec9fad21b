//! Which blobs are named: by records, by documents, by lists. What a large value is stored as is not among them.
//!
//! The journal does not know what it keeps, so whoever does brings [`References`]. Called by `compact` and `examine`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{item::Item, store::StoreError};
use crate::api::BlobHash;

/// A blob that something names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Bytes.
    Blob(BlobHash),
    /// Bytes that name other blobs.
    List(BlobHash),
}

/// How references are found.
#[derive(Debug, Clone, Copy)]
pub struct References {
    /// Reads those of an item; fails where it does not read.
    pub of_item: fn(&Item) -> Result<Vec<Reference>, StoreError>,
    /// Reads those of a list; fails where it is none.
    pub of_list: fn(&[u8]) -> Result<Vec<BlobHash>, StoreError>,
}

/// Gathers what is named, item by item.
pub(super) struct Named {
    references: References,
    /// Blobs that are named, and who named them first.
    blobs: BTreeMap<BlobHash, String>,
    lists: BTreeSet<BlobHash>,
}

impl Named {
    pub(super) fn by(references: References) -> Self {
        Self { references, blobs: BTreeMap::new(), lists: BTreeSet::new() }
    }

    /// Takes note of what an item names.
    ///
    /// # Errors
    ///
    /// Fails where the item does not read, so that nobody knows what it names.
    pub(super) fn see(&mut self, item: &Item) -> Result<(), StoreError> {
        for reference in (self.references.of_item)(item)? {
            let (Reference::Blob(hash) | Reference::List(hash)) = reference;
            self.blobs.entry(hash).or_insert_with(|| item.to_string());
            if reference == Reference::List(hash) {
                self.lists.insert(hash);
            }
        }
        Ok(())
    }

    /// Takes note of what lists name. One that cannot be had is left out where `read` says `None`.
    pub(super) fn read_lists(
        &mut self,
        read: &dyn Fn(BlobHash) -> Result<Option<Bytes>, StoreError>,
    ) -> Result<(), StoreError> {
        for list in std::mem::take(&mut self.lists) {
            let Some(bytes) = read(list)? else { continue };
            for hash in (self.references.of_list)(&bytes)? {
                self.blobs.entry(hash).or_insert_with(|| format!("blob {list}"));
            }
        }
        Ok(())
    }

    /// Returns the blobs that are named, and who named them first.
    pub(super) fn blobs(&self) -> &BTreeMap<BlobHash, String> {
        &self.blobs
    }
}
