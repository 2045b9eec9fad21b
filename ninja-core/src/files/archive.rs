//! What is bounded of an archive, whatever its format: entries, bytes once unpacked, and archives in archives.
//!
//! An archive is read through to its end and nothing of it is kept: what it announces may be a lie, so what comes out is counted.

use std::{
    cell::Cell,
    io::{self, Cursor, Read, Seek, SeekFrom},
};

use flate2::read::MultiGzDecoder;

use super::{Refused, content::HEAD_BYTES, package::Package, tar, zip};

/// Entries, those of archives in it included.
const ENTRIES_MAX: u32 = 10_000;
/// How much larger than itself an archive may be once it is unpacked.
const RATIO_MAX: u64 = 100;
/// What any archive may unpack to: a small one of repeated text is no attack.
const UNPACKED_FREE: u64 = 16 * 1024 * 1024;
/// What none may exceed.
const UNPACKED_MAX: u64 = 1024 * 1024 * 1024;
/// An archive may hold archives, and those none.
const DEPTH_MAX: u32 = 1;
/// A zip archive in an archive is held in memory while it is looked through.
const INNER_ZIP_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The formats that are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Archive {
    /// Entries behind each other and a directory at the end.
    Zip,
    /// Entries behind each other.
    Tar,
    /// One thing, compressed; a tar archive in it is looked through.
    Gzip,
    /// A tar archive, compressed.
    TarGzip,
}

impl Archive {
    /// Returns whether a file may be one, by its first bytes.
    pub(super) fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Zip => head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06"),
            Self::Tar => tar::begins(head),
            Self::Gzip | Self::TarGzip => head.starts_with(b"\x1f\x8b\x08"),
        }
    }

    fn of(head: &[u8]) -> Option<Self> {
        [Self::Zip, Self::Gzip, Self::Tar].into_iter().find(|archive| archive.begins(head))
    }
}

/// Looks an archive through.
///
/// # Errors
///
/// Refuses what is damaged, would leave the folder that it is unpacked in, is more than the limits, or is no document of `package`.
pub(super) fn check(
    file: &mut (impl Read + Seek),
    archive: Archive,
    package: Package,
    label: &str,
) -> Result<(), Refused> {
    let packed = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let budget = Budget::of(packed);
    let walk = Walk { budget: &budget, depth: 0 };
    match archive {
        Archive::Zip => walk.zip(file, package, label),
        Archive::Tar => walk.tar(&mut budget.meter(file)),
        Archive::Gzip => walk.gzip(file, false),
        Archive::TarGzip => walk.gzip(file, true),
    }
}

/// What is left of what an archive may hold.
pub(super) struct Budget {
    entries: Cell<u32>,
    bytes: Cell<u64>,
    bytes_max: u64,
}

impl Budget {
    fn of(packed: u64) -> Self {
        let bytes_max = packed.saturating_mul(RATIO_MAX).clamp(UNPACKED_FREE, UNPACKED_MAX);
        Self { entries: Cell::new(ENTRIES_MAX), bytes: Cell::new(bytes_max), bytes_max }
    }

    /// Returns how many more entries there may be.
    pub(super) fn entries_left(&self) -> u32 {
        self.entries.get()
    }

    /// Counts an entry.
    pub(super) fn take_entry(&self) -> Result<(), Refused> {
        match self.entries.get().checked_sub(1) {
            Some(left) => {
                self.entries.set(left);
                Ok(())
            }
            None => Err(too_many_entries()),
        }
    }

    fn take_bytes(&self, count: usize) -> Result<(), Refused> {
        match self.bytes.get().checked_sub(count as u64) {
            Some(left) => {
                self.bytes.set(left);
                Ok(())
            }
            None => Err(Refused::too_large(format!(
                "the archive unpacks to more than {} MiB: at most {RATIO_MAX} times its size, and never more than {} MiB",
                self.bytes_max >> 20,
                UNPACKED_MAX >> 20
            ))),
        }
    }

    /// Counts what is read.
    pub(super) fn meter<R: Read>(&self, inner: R) -> Metered<'_, R> {
        Metered { inner, budget: self }
    }
}

/// Says that there are too many.
pub(super) fn too_many_entries() -> Refused {
    Refused::too_large(format!("an archive holds at most {ENTRIES_MAX} entries"))
}

/// A reader whose bytes are counted.
pub(super) struct Metered<'a, R> {
    inner: R,
    budget: &'a Budget,
}

impl<R> Metered<'_, R> {
    /// Returns what is read from.
    pub(super) fn inner(&self) -> &R {
        &self.inner
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.budget.take_bytes(count).map_err(io::Error::other)?;
        Ok(count)
    }
}

/// How deep in an archive something is looked through.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    budget: &'a Budget,
    depth: u32,
}

impl Walk<'_> {
    fn zip(self, file: &mut (impl Read + Seek), package: Package, label: &str) -> Result<(), Refused> {
        let entries = zip::read_directory(file, self.budget)?;
        let rules = package.check(&entries, label)?;
        for entry in &entries {
            let mut scan = rules.scan(&entry.name);
            zip::read_entry(file, entry, self.budget, &mut |content| {
                self.entry(content, &mut |piece| scan.look_at(piece))
            })?;
            scan.end(label)?;
        }
        Ok(())
    }

    fn tar(self, reader: &mut dyn Read) -> Result<(), Refused> {
        tar::walk(reader, self.budget, &mut |content| self.entry(content, &mut |_| Ok(())))
    }

    fn gzip(self, reader: &mut dyn Read, must_be_tar: bool) -> Result<(), Refused> {
        let mut content = self.budget.meter(MultiGzDecoder::new(reader));
        let head = read_head(&mut content)?;
        match tar::begins(&head) {
            true => self.tar(&mut head.as_slice().chain(content)),
            false if must_be_tar => Err(Refused::of_type("there is no tar archive in this gzip file")),
            false => self.rest(&head, &mut content, &mut |_| Ok(())),
        }
    }

    /// Looks at the content of an entry, which may be an archive itself.
    fn entry(self, content: &mut dyn Read, each: &mut dyn FnMut(&[u8]) -> Result<(), Refused>) -> Result<(), Refused> {
        let head = read_head(content)?;
        self.rest(&head, content, each)
    }

    fn rest(
        self,
        head: &[u8],
        content: &mut dyn Read,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let Some(archive) = Archive::of(head) else {
            each(head)?;
            return drain(content, each);
        };
        if self.depth == DEPTH_MAX {
            return Err(Refused::too_large(
                "the archive holds archives that hold archives; one level is looked through",
            ));
        }
        let inner = Self { depth: self.depth + 1, ..self };
        let mut whole = head.chain(content);
        match archive {
            Archive::Tar => inner.tar(&mut whole)?,
            Archive::Gzip | Archive::TarGzip => inner.gzip(&mut whole, false)?,
            Archive::Zip => {
                let mut bytes = Vec::new();
                (&mut whole).take(INNER_ZIP_BYTES_MAX + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 > INNER_ZIP_BYTES_MAX {
                    let most = INNER_ZIP_BYTES_MAX >> 20;
                    return Err(Refused::too_large(format!("a zip archive in an archive has at most {most} MiB")));
                }
                inner.zip(&mut Cursor::new(bytes), Package::Any, "a zip archive in an archive")?;
            }
        }
        // What a format ignores behind its end is counted all the same.
        drain(&mut whole, &mut |_| Ok(()))
    }
}

fn read_head(content: &mut dyn Read) -> Result<Vec<u8>, Refused> {
    let mut head = Vec::new();
    Read::take(content, HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Reads to the end.
fn drain(content: &mut dyn Read, each: &mut dyn FnMut(&[u8]) -> Result<(), Refused>) -> Result<(), Refused> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let count = match content.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match buffer.get(..count) {
            Some(piece) if count > 0 => each(piece)?,
            _ => return Ok(()),
        }
    }
}
