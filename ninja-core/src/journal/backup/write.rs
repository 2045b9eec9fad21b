//! Writing a backup.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::{BackupError, FORMAT, line::Line};
use crate::{
    api::{BlobHash, Timestamp},
    journal::{
        calls::io_error,
        item::{ItemCounts, Tally},
        store::{Store, StoreError},
    },
};

/// Writes everything that a store holds, as of one moment while this runs. `at` is the time that the header shows. Blocks.
///
/// Where it fails half way, the last line says so and the file is no backup.
///
/// # Errors
///
/// Fails where something in the store is damaged, or `out` takes no more.
pub fn write(store: &dyn Store, at: Timestamp, out: &mut dyn Write) -> Result<ItemCounts, BackupError> {
    let mut lines = Lines { out, hasher: Sha256::new() };
    let written = write_items(store, at, &mut lines);
    let last = match &written {
        Ok(counts) => {
            let sha256 = BlobHash::from_bytes(lines.hasher.clone().finalize().into());
            lines.put(&Line::Trailer { counts: *counts, sha256 })
        }
        Err(error) => lines.put(&Line::Failed { detail: error.to_string().into() }),
    };
    let counts = written?;
    last.and_then(|()| lines.out.flush()).map_err(|source| BackupError::File { doing: "write", source })?;
    Ok(counts)
}

fn write_items(store: &dyn Store, at: Timestamp, lines: &mut Lines<'_>) -> Result<ItemCounts, StoreError> {
    let failed = |error| io_error("write the backup", error);
    let mut tally = Tally::default();
    lines.put(&Line::Header { format: FORMAT, ninja: env!("CARGO_PKG_VERSION").into(), at }).map_err(failed)?;
    store.export(&mut |item| {
        tally.see(&item).map_err(StoreError::Corrupt)?;
        lines.put(&Line::of(&item)).map_err(failed)
    })?;
    tally.finish().map_err(StoreError::Corrupt)
}

struct Lines<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Lines<'_> {
    fn put(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut json = serde_json::to_vec(line)?;
        json.push(b'\n');
        self.hasher.update(&json);
        self.out.write_all(&json)
    }
}
