//! Reads what is left of a damaged log: every frame that is whole, and where others are missing.

use std::path::Path;

use super::{
    Stamp,
    frame::{Found, HEADER_BYTES, Header, is_torn, read_frame},
    segment::file_name,
    survey::{list, read},
};
use crate::journal::{change::Change, reader::Malformed, store::StoreError};

/// What is left of a log.
#[derive(Default)]
pub(in crate::journal) struct Salvaged {
    /// Every change that reads, in order.
    pub(in crate::journal) changes: Vec<(Stamp, Change)>,
    /// What does not, each with the name of its file.
    pub(in crate::journal) damage: Vec<(String, String)>,
}

/// Reads every frame that is whole. A torn tail is no damage: nobody was promised what was in it.
pub(in crate::journal) fn salvage(directory: &Path) -> Result<Salvaged, StoreError> {
    let mut salvaged = Salvaged::default();
    if !directory.exists() {
        salvaged.damage.push(("log".to_owned(), "the folder is missing".to_owned()));
        return Ok(salvaged);
    }
    let ids = list(directory)?;
    let newest = ids.last().copied();
    for id in ids {
        let name = file_name(id);
        let bytes = read(&directory.join(&name))?;
        match Header::read(&bytes)? {
            Some(header) => salvaged.segment(&name, &bytes, header, Some(id) == newest),
            None if Some(id) == newest && bytes.len() <= HEADER_BYTES => {}
            None => salvaged.damage.push((name, "its header does not read, so nothing of it does".to_owned())),
        }
    }
    Ok(salvaged)
}

impl Salvaged {
    fn segment(&mut self, name: &str, bytes: &bytes::Bytes, header: Header, newest: bool) {
        let (mut at, mut next) = (HEADER_BYTES, header.first);
        loop {
            match read_frame(bytes, at, header) {
                Found::Frame { stamp, body, end } => {
                    if stamp.position > next {
                        let what = format!("positions {next} to {} are lost", stamp.position - 1);
                        self.damage.push((name.to_owned(), what));
                    }
                    (at, next) = (end, stamp.position + 1);
                    match Change::decode(body) {
                        Ok(change) => self.changes.push((stamp, change)),
                        Err(Malformed) => {
                            self.damage.push((name.to_owned(), format!("position {} does not read", stamp.position)));
                        }
                    }
                }
                Found::End => return,
                Found::Bad if newest && is_torn(bytes, at, next, header) => return,
                Found::Bad => match following(bytes, at + 1, next, header) {
                    Some(found) => at = found,
                    None => {
                        self.damage.push((name.to_owned(), format!("nothing reads from byte {at} on")));
                        return;
                    }
                },
            }
        }
    }
}

/// Returns where the next whole frame begins whose position is at least `position`.
fn following(segment: &bytes::Bytes, from: usize, position: u64, header: Header) -> Option<usize> {
    let plausible = position..position.saturating_add(segment.len() as u64);
    (from..segment.len()).find(|at| {
        let field = segment.get(at + 8..).and_then(|rest| rest.split_first_chunk::<8>());
        field.is_some_and(|(field, _)| plausible.contains(&u64::from_be_bytes(*field)))
            && matches!(read_frame(segment, *at, header), Found::Frame { .. })
    })
}
