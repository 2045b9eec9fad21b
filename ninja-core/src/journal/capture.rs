//! A point in time of the tree while it is written to: heads, the ends of feeds and of the audit log, and documents, copied between two groups.
//!
//! Entries and blobs are only ever added, and the records of forgotten tasks stay as long as there is a [`Hold`], so what a
//! head counts can be read at leisure afterwards. The writer pauses for as long as it takes to copy the rest to a file, which
//! no commit can come between.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, SyncSender},
    },
};

use super::{
    calls::io_error,
    keys,
    store::StoreError,
    tree::{self, Db, Tree},
    writer::WriterMsg,
};

/// Counts the holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds(Arc<AtomicUsize>);

impl Holds {
    /// Returns whether there are any.
    pub(super) fn are_there(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// Makes one. It must be there before its capture is asked for.
    pub(super) fn hold(&self, writer: Sender<WriterMsg>) -> Hold {
        self.0.fetch_add(1, Ordering::SeqCst);
        Hold { holds: self.clone(), writer }
    }
}

/// Keeps the records in the tree that a capture counts, whatever is forgotten meanwhile.
#[derive(Debug)]
pub(super) struct Hold {
    holds: Holds,
    writer: Sender<WriterMsg>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.0.fetch_sub(1, Ordering::SeqCst);
        // A writer that has ended has nothing to clear up.
        self.writer.send(WriterMsg::Released).ok();
    }
}

/// Asks the writer for a point in time.
pub(super) struct CaptureRequest {
    /// Where it goes.
    pub(super) file: File,
    /// Where the file goes back. Nobody may be there any more.
    pub(super) reply: SyncSender<Result<File, StoreError>>,
}

impl CaptureRequest {
    /// Copies and answers. Damage in the tree, even a panic, is the asker's trouble alone.
    pub(super) fn serve(self, tree: &Tree) {
        let Self { file, reply } = self;
        let captured = tree.read(|db| copy(db, file));
        let _: Result<_, _> = reply.send(captured);
    }
}

/// Makes the file for a capture: without a name, so that it goes with whoever holds it.
pub(super) fn nameless_file(directory: &Path, number: u64) -> Result<File, StoreError> {
    let path = directory.join(format!("capture-{number}"));
    let make = || {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    };
    make().map_err(|error| io_error("make a file for the backup", error))
}

/// Hands on every key and value of a capture.
pub(super) fn replay(
    mut file: File,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = |error| io_error("read the file for the backup", error);
    let len = file.metadata().map_err(failed)?.len();
    file.rewind().map_err(failed)?;
    let (mut entries, mut at) = (BufReader::new(file), 0);
    while at < len {
        let key = take(&mut entries).map_err(failed)?;
        let value = take(&mut entries).map_err(failed)?;
        at += (8 + key.len() + value.len()) as u64;
        each(&key, &value)?;
    }
    Ok(())
}

fn copy(db: &Db, file: File) -> Result<File, StoreError> {
    let failed = |error| io_error("write a file for the backup", error);
    let mut out = BufWriter::new(file);
    for prefix in [keys::all_docs(), keys::all_heads(), keys::all_feed_ends(), keys::audit_end()] {
        for entry in tree::scan(db, prefix.clone(), &prefix) {
            let (key, value) = entry?;
            put(&mut out, &key).and_then(|()| put(&mut out, &value)).map_err(failed)?;
        }
    }
    out.into_inner().map_err(|error| failed(error.into_error()))
}

fn put(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&len.to_be_bytes())?;
    out.write_all(bytes)
}

fn take(entries: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    entries.read_exact(&mut len)?;
    let mut bytes = vec![0; u32::from_be_bytes(len) as usize];
    entries.read_exact(&mut bytes)?;
    Ok(bytes)
}
