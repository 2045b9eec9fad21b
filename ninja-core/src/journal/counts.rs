//! Rows of counters: documents that commits add to instead of replacing them, so that many who count never overwrite each other.
//!
//! A row is a document of kind [`super::store::DocKind::Count`]; its bytes are its numbers, eight each, big-endian and signed. A
//! row that is not there has none, and a row that is shorter than what is added has zeros there.

use super::store::StoreError;

/// Reads a row.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<i64>, StoreError> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    match rest.is_empty() {
        true => Ok(numbers.iter().map(|number| i64::from_be_bytes(*number)).collect()),
        false => Err(StoreError::Corrupt("a row of counters has half a number".to_owned())),
    }
}

/// Writes a row.
pub(super) fn write(row: &[i64]) -> Vec<u8> {
    row.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Adds to a row.
pub(crate) fn add(row: &mut Vec<i64>, numbers: &[i64]) {
    row.resize(row.len().max(numbers.len()), 0);
    for (number, more) in row.iter_mut().zip(numbers) {
        *number = number.saturating_add(*more);
    }
}
