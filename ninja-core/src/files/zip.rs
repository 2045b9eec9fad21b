//! Zip archives, read strictly: what two readers could take for two archives is refused.
//!
//! The directory at the end is the one truth, and what stands before each entry has to repeat it. Entries lie behind each other from the
//! first byte on and never within each other, since overlapping ones are how a small archive unpacks to a huge one. A file of at most
//! 50 MB has no use for the 64-bit fields, and whoever sets them lies. Crates that unpack are lenient by design and hide what this looks for:
//! names that stand twice, bytes before the first entry, headers that say something else.

use std::{
    collections::HashSet,
    io::{BufReader, Read, Seek, SeekFrom},
};

use flate2::read::DeflateDecoder;

use super::{
    Refused,
    archive::{Budget, too_many_entries},
};

const END_MARK: &[u8; 4] = b"PK\x05\x06";
const DIRECTORY_MARK: &[u8; 4] = b"PK\x01\x02";
const ENTRY_MARK: &[u8; 4] = b"PK\x03\x04";
/// The end without its comment.
const END_BYTES: usize = 22;
/// The end with the longest comment.
const END_BYTES_MAX: u64 = 22 + 65_535;
const DIRECTORY_BYTES: usize = 46;
const ENTRY_BYTES: usize = 30;
/// Longer than any path that can be unpacked.
const NAME_BYTES_MAX: usize = 1_024;
/// In place of a number it says that a 64-bit field has it.
const ELSEWHERE: u32 = u32::MAX;
/// The number of an extra field with 64-bit sizes, and of one with another name.
const EXTRA_SIZES: u16 = 0x0001;
const EXTRA_NAME: u16 = 0x7075;
/// Flags: encrypted, sizes behind the content, encrypted directory.
const FLAG_ENCRYPTED: u16 = 1;
const FLAG_SIZES_FOLLOW: u16 = 1 << 3;
const FLAG_MASKED: u16 = 1 << 13;

/// An entry, as the directory says.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path.
    pub(super) name: String,
    raw_name: Vec<u8>,
    flags: u16,
    is_deflated: bool,
    packed: u32,
    unpacked: u32,
    header_at: u64,
    content_at: u64,
}

/// Returns whether a file ends as a zip archive does. Readers look for one from the end, whatever the file begins with.
pub(super) fn ends_as_archive(file: &mut (impl Read + Seek)) -> Result<bool, Refused> {
    let (tail, tail_at) = read_tail(file)?;
    for at in positions(&tail) {
        let end = tail.get(at..).unwrap_or_default();
        let directory = end.get(12..16).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let comment = u16_at(end, 20);
        let is_last = comment.is_some_and(|comment| usize::from(comment) + END_BYTES == end.len());
        // Some readers bear bytes behind the comment where the directory is where the end says.
        let begins_at = directory.and_then(|bytes| (tail_at + at as u64).checked_sub(bytes.into()));
        if is_last || (directory > Some(0) && begins_at.is_some_and(|at| is_directory(file, at))) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_directory(file: &mut (impl Read + Seek), at: u64) -> bool {
    let mut mark = [0; 4];
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut mark)).is_ok() && mark == *DIRECTORY_MARK
}

fn positions(tail: &[u8]) -> impl Iterator<Item = usize> {
    tail.windows(END_MARK.len()).enumerate().filter(|(_, window)| *window == END_MARK).map(|(at, _)| at)
}

/// Returns the last bytes of a file, and where they begin.
fn read_tail(file: &mut (impl Read + Seek)) -> Result<(Vec<u8>, u64), Refused> {
    let length = file.seek(SeekFrom::End(0))?;
    let at = length.saturating_sub(END_BYTES_MAX);
    file.seek(SeekFrom::Start(at))?;
    let mut tail = Vec::new();
    Read::take(file, END_BYTES_MAX).read_to_end(&mut tail)?;
    Ok((tail, at))
}

/// Reads the directory, and checks it against what stands before each entry.
///
/// # Errors
///
/// Refuses whatever is not said twice, lies within something else, is encrypted, is a link, or would leave its folder.
pub(super) fn read_directory(file: &mut (impl Read + Seek), budget: &Budget) -> Result<Vec<Entry>, Refused> {
    let End { entries: count, directory_at, bytes } = read_end(file)?;
    if u32::from(count) > budget.entries_left() {
        return Err(too_many_entries());
    }
    file.seek(SeekFrom::Start(directory_at))?;
    let mut directory = BufReader::new(Read::take(&mut *file, bytes.into()));
    let (mut entries, mut names) = (Vec::new(), HashSet::new());
    for _ in 0..count {
        budget.take_entry()?;
        let entry = read_entry_of_directory(&mut directory)?;
        if !names.insert(entry.raw_name.clone()) {
            return Err(ambiguous("a name stands in it twice"));
        }
        entries.push(entry);
    }
    if directory.read(&mut [0])? != 0 {
        return Err(ambiguous("its directory is longer than it says"));
    }
    for entry in &mut entries {
        check_header(file, entry)?;
    }
    check_places(&entries, directory_at)?;
    Ok(entries)
}

/// What the end says.
struct End {
    entries: u16,
    directory_at: u64,
    bytes: u32,
}

fn read_end(file: &mut (impl Read + Seek)) -> Result<End, Refused> {
    let (tail, tail_at) = read_tail(file)?;
    let at = positions(&tail).last().ok_or_else(|| ambiguous("it has no end"))?;
    let mut fields = Fields(tail.get(at + END_MARK.len()..).unwrap_or_default());
    let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
    let (entries_here, entries) = (fields.u16()?, fields.u16()?);
    let (bytes, directory_at, comment) = (fields.u32()?, fields.u32()?, fields.u16()?);
    if fields.0.len() != usize::from(comment) {
        return Err(ambiguous("something follows its end"));
    }
    if (disk, directory_disk) != (0, 0) || entries_here != entries {
        return Err(ambiguous("it is a part of another one"));
    }
    if u64::from(directory_at) + u64::from(bytes) != tail_at + at as u64 {
        return Err(ambiguous("its directory is not where its end says"));
    }
    Ok(End { entries, directory_at: directory_at.into(), bytes })
}

fn read_entry_of_directory(directory: &mut impl Read) -> Result<Entry, Refused> {
    let fixed: [u8; DIRECTORY_BYTES] = read(directory)?;
    let mut fields = Fields(&fixed);
    if fields.bytes(4)? != DIRECTORY_MARK {
        return Err(ambiguous("its directory is damaged"));
    }
    fields.bytes(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.bytes(8)?;
    let (packed, unpacked) = (fields.u32()?, fields.u32()?);
    let (name_bytes, extra_bytes, comment_bytes) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let disk = fields.u16()?;
    fields.bytes(2)?;
    let (attributes, header_at) = (fields.u32()?, fields.u32()?);
    let raw_name = read_vec(directory, name_bytes)?;
    let extra = read_vec(directory, extra_bytes)?;
    read_vec(directory, comment_bytes)?;
    if [packed, unpacked, header_at].contains(&ELSEWHERE) || disk != 0 {
        return Err(ambiguous("an entry claims to be larger than the archive"));
    }
    if flags & (FLAG_ENCRYPTED | FLAG_MASKED) != 0 {
        return Err(Refused::of_type("the archive is encrypted; what is in it cannot be looked at"));
    }
    let is_deflated = match method {
        0 => false,
        8 => true,
        _ => return Err(Refused::of_type("the archive is compressed in another way than the usual one (deflate)")),
    };
    // The upper half is the mode of Unix, where an archive has one.
    if !matches!(attributes >> 16 & 0xf000, 0 | 0x4000 | 0x8000) {
        return Err(Refused::of_type("the archive holds a link or a device"));
    }
    check_path(&raw_name)?;
    if let Some(other_name) = extra_field(&extra, EXTRA_NAME) {
        check_path(other_name.get(5..).unwrap_or_default())?;
    }
    let name = String::from_utf8_lossy(&raw_name).into_owned();
    let (header_at, content_at) = (header_at.into(), 0);
    Ok(Entry { name, raw_name, flags, is_deflated, packed, unpacked, header_at, content_at })
}

/// Checks that what stands before the content repeats the directory, for readers that never look at that.
fn check_header(file: &mut (impl Read + Seek), entry: &mut Entry) -> Result<(), Refused> {
    file.seek(SeekFrom::Start(entry.header_at))?;
    let fixed: [u8; ENTRY_BYTES] = read(file)?;
    let mut fields = Fields(&fixed);
    let is_header = fields.bytes(4)? == ENTRY_MARK;
    fields.bytes(2)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.bytes(8)?;
    let (packed, unpacked) = (fields.u32()?, fields.u32()?);
    let (name_bytes, extra_bytes) = (fields.u16()?, fields.u16()?);
    let name = read_vec(file, name_bytes)?;
    let extra = read_vec(file, extra_bytes)?;
    let told = (flags & FLAG_ENCRYPTED, flags & FLAG_SIZES_FOLLOW, method == 8);
    let in_directory = (0, entry.flags & FLAG_SIZES_FOLLOW, entry.is_deflated);
    if !is_header || told != in_directory || method > 8 || name != entry.raw_name {
        return Err(ambiguous("an entry is not what its directory says"));
    }
    let sizes_differ = match extra_field(&extra, EXTRA_SIZES) {
        // Some writers use the wide fields always. They have to say the same.
        Some(wide) if (packed, unpacked) == (ELSEWHERE, ELSEWHERE) => {
            wide != [u64::from(entry.unpacked), u64::from(entry.packed)].map(u64::to_le_bytes).as_flattened()
                && flags & FLAG_SIZES_FOLLOW == 0
        }
        _ if flags & FLAG_SIZES_FOLLOW != 0 => {
            (packed, unpacked) != (0, 0) && (packed, unpacked) != (entry.packed, entry.unpacked)
        }
        _ => (packed, unpacked) != (entry.packed, entry.unpacked),
    };
    if sizes_differ {
        return Err(ambiguous("an entry is not as large as its directory says"));
    }
    let before = ENTRY_BYTES + usize::from(name_bytes) + usize::from(extra_bytes);
    entry.content_at = entry.header_at + before as u64;
    Ok(())
}

/// Checks that entries lie behind each other, from the first byte of the file to the directory.
fn check_places(entries: &[Entry], directory_at: u64) -> Result<(), Refused> {
    let mut places: Vec<(u64, u64)> =
        entries.iter().map(|entry| (entry.header_at, entry.content_at + u64::from(entry.packed))).collect();
    places.sort_unstable();
    let (mut end, mut is_apart) = (0, places.first().map_or(directory_at, |(from, _)| *from) == 0);
    for (from, to) in places {
        is_apart &= from >= end;
        end = to;
    }
    match (is_apart, end <= directory_at) {
        (true, true) => Ok(()),
        (true, false) => Err(ambiguous("an entry reaches into its directory")),
        (false, _) => Err(ambiguous("its entries overlap, or something stands before them")),
    }
}

/// Unpacks an entry for `each`, which has to read it to its end. Nothing is kept.
///
/// # Errors
///
/// Refuses content that is not as large as it said, and those of `each`.
pub(super) fn read_entry(
    file: &mut (impl Read + Seek),
    entry: &Entry,
    budget: &Budget,
    each: &mut dyn FnMut(&mut dyn Read) -> Result<(), Refused>,
) -> Result<(), Refused> {
    file.seek(SeekFrom::Start(entry.content_at))?;
    let packed = Read::take(file, entry.packed.into());
    let (read, unpacked) = match entry.is_deflated {
        false => {
            let mut content = budget.meter(packed);
            each(&mut content)?;
            let read = u64::from(entry.packed) - content.inner().limit();
            (read, read)
        }
        true => {
            let mut content = budget.meter(DeflateDecoder::new(packed));
            each(&mut content)?;
            (content.inner().total_in(), content.inner().total_out())
        }
    };
    match (read, unpacked) == (entry.packed.into(), entry.unpacked.into()) {
        true => Ok(()),
        false => Err(ambiguous("an entry unpacks to another size than it says")),
    }
}

/// Checks that a path stays inside of the folder that an archive is unpacked in.
pub(super) fn check_path(path: &[u8]) -> Result<(), Refused> {
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    let leaves = path.first().is_some_and(is_separator)
        || path.get(1) == Some(&b':')
        || path.split(is_separator).any(|part| part == b"..");
    if path.is_empty() || path.len() > NAME_BYTES_MAX || path.contains(&0) {
        return Err(Refused::of_type("the archive holds an entry whose name is none"));
    }
    match leaves {
        true => Err(Refused::of_type("the archive holds an entry that would leave the folder it is unpacked in")),
        false => Ok(()),
    }
}

/// Finds an extra field.
fn extra_field(extra: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut fields = Fields(extra);
    while let (Ok(number), Ok(bytes)) = (fields.u16(), fields.u16()) {
        let field = fields.bytes(bytes.into()).ok()?;
        if number == wanted {
            return Some(field);
        }
    }
    None
}

fn ambiguous(why: &str) -> Refused {
    Refused::of_type(format!("this is no zip archive that all programs read alike: {why}"))
}

fn read<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], Refused> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_vec(reader: &mut impl Read, len: u16) -> Result<Vec<u8>, Refused> {
    let mut bytes = vec![0; len.into()];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

/// Numbers behind each other, the smallest byte first.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Refused> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(|| ambiguous("it is cut off"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16, Refused> {
        let bytes = self.bytes(2)?;
        bytes.try_into().map(u16::from_le_bytes).map_err(|_| ambiguous("it is cut off"))
    }

    fn u32(&mut self) -> Result<u32, Refused> {
        let bytes = self.bytes(4)?;
        bytes.try_into().map(u32::from_le_bytes).map_err(|_| ambiguous("it is cut off"))
    }
}
