//! Which blobs are needed: what values are stored as, and what records, documents and lists name.
//!
//! The journal does not know what it keeps, so whoever does brings [`References`]. Called by `compact` and `examine`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;

use super::{
    item::Item,
    store::StoreError,
    value::{SPILL_BYTES, hash_of},
};
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

/// Gathers what is needed, item by item.
pub(super) struct Needed {
    references: References,
    /// Blobs that values are stored as.
    spilled: HashSet<BlobHash>,
    /// Blobs that are named, and who named them first.
    named: BTreeMap<BlobHash, String>,
    lists: BTreeSet<BlobHash>,
}

impl Needed {
    pub(super) fn by(references: References) -> Self {
        Self { references, spilled: HashSet::new(), named: BTreeMap::new(), lists: BTreeSet::new() }
    }

    /// Returns whether a blob is known to be needed as a value.
    pub(super) fn is_value(&self, hash: BlobHash) -> bool {
        self.spilled.contains(&hash)
    }

    /// Takes note of what an item needs.
    ///
    /// # Errors
    ///
    /// Fails where the item does not read, so that nobody knows what it names.
    pub(super) fn see(&mut self, item: &Item) -> Result<(), StoreError> {
        match item {
            Item::Doc { bytes, .. }
            | Item::Task { head: bytes, .. }
            | Item::Record { bytes, .. }
            | Item::Feed { bytes, .. } => {
                if bytes.len() > SPILL_BYTES {
                    self.spilled.insert(hash_of(bytes));
                }
            }
            Item::BlobPart { .. } => {}
        }
        for reference in (self.references.of_item)(item)? {
            let (Reference::Blob(hash) | Reference::List(hash)) = reference;
            self.named.entry(hash).or_insert_with(|| item.to_string());
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
                self.named.entry(hash).or_insert_with(|| format!("blob {list}"));
            }
        }
        Ok(())
    }

    /// Returns whether anything needs a blob.
    pub(super) fn has(&self, hash: BlobHash) -> bool {
        self.spilled.contains(&hash) || self.named.contains_key(&hash)
    }

    /// Returns the blobs that are named, and who named them first.
    pub(super) fn named(&self) -> &BTreeMap<BlobHash, String> {
        &self.named
    }
}
