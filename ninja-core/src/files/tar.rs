//! Tar archives, read strictly: files and folders below one folder, nothing else.
//!
//! Names and sizes that a later header changes are where readers of tar disagree. A longer name is checked like any other; a size that is
//! said twice is refused, since no file that is taken needs it.

use std::io::{self, Read};

use super::{Refused, archive::Budget, zip::check_path};

const BLOCK_BYTES: usize = 512;
/// A longer name, or what else a header adds.
const ADDED_BYTES_MAX: u64 = 64 * 1024;
/// The places of the fields that are read.
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..262;
const PREFIX: std::ops::Range<usize> = 345..500;

/// Returns whether a file may be a tar archive, by its first block: its checksum is right.
pub(super) fn begins(head: &[u8]) -> bool {
    head.get(..BLOCK_BYTES).is_some_and(|block| field(block, CHECKSUM).iter().any(|byte| *byte != 0) && is_whole(block))
}

/// Reads an archive to its end, and hands `each` the content of every file, which has to read it to its end.
///
/// # Errors
///
/// Refuses links, devices, paths that leave the folder, sizes that are said twice, and those of `each`.
pub(super) fn walk(
    reader: &mut dyn Read,
    budget: &Budget,
    each: &mut dyn FnMut(&mut dyn Read) -> Result<(), Refused>,
) -> Result<(), Refused> {
    while let Some(block) = read_block(reader)? {
        if block.iter().all(|byte| *byte == 0) {
            return check_end(reader);
        }
        if !is_whole(&block) {
            return Err(damaged("a header is not what was written"));
        }
        budget.take_entry()?;
        let size = number(field(&block, SIZE))?;
        let kind = block.get(KIND).copied().unwrap_or_default();
        match kind {
            0 | b'0' | b'5' | b'7' => {
                check_path(&path_of(&block))?;
                let mut content = Read::take(&mut *reader, size);
                each(&mut content)?;
                if content.limit() != 0 {
                    return Err(damaged("it ends within a file"));
                }
            }
            b'L' => check_path(trim(&read_added(reader, size)?))?,
            b'x' | b'g' => check_added(&read_added(reader, size)?)?,
            b'1' | b'2' | b'K' => return Err(Refused::of_type("the archive holds a link")),
            b'3' | b'4' | b'6' => return Err(Refused::of_type("the archive holds a device or a pipe")),
            _ => return Err(damaged("it holds an entry of a kind that not all programs know")),
        }
        skip(reader, size.next_multiple_of(BLOCK_BYTES as u64) - size)?;
    }
    Ok(())
}

/// Reads a block; nothing where the archive ends without saying so, which some writers do.
fn read_block(reader: &mut dyn Read) -> Result<Option<[u8; BLOCK_BYTES]>, Refused> {
    let mut bytes = Vec::new();
    Read::take(reader, BLOCK_BYTES as u64).read_to_end(&mut bytes)?;
    match <[u8; BLOCK_BYTES]>::try_from(bytes) {
        Ok(block) => Ok(Some(block)),
        Err(bytes) if bytes.is_empty() => Ok(None),
        Err(_) => Err(damaged("it ends within a header")),
    }
}

/// Nothing but zeros follows the end: another archive there would be seen by some readers.
fn check_end(reader: &mut dyn Read) -> Result<(), Refused> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(piece) if count > 0 && piece.iter().all(|byte| *byte == 0) => {}
            Some(_) if count > 0 => return Err(damaged("something follows its end")),
            _ => return Ok(()),
        }
    }
}

fn path_of(block: &[u8]) -> Vec<u8> {
    let (prefix, name) = (trim(field(block, PREFIX)), trim(field(block, NAME)));
    match field(block, MAGIC) == b"ustar" && !prefix.is_empty() && block.get(263) == Some(&b'0') {
        true => [prefix, b"/", name].concat(),
        false => name.to_vec(),
    }
}

/// Reads what a header adds to the next one.
fn read_added(reader: &mut dyn Read, size: u64) -> Result<Vec<u8>, Refused> {
    if size > ADDED_BYTES_MAX {
        return Err(damaged("a header adds more than there can be"));
    }
    let mut added = Vec::new();
    Read::take(reader, size).read_to_end(&mut added)?;
    match added.len() as u64 == size {
        true => Ok(added),
        false => Err(damaged("it ends within a header")),
    }
}

/// Checks lines of the form `LENGTH KEY=VALUE`.
fn check_added(mut added: &[u8]) -> Result<(), Refused> {
    while !added.is_empty() {
        let line = || damaged("a header adds what cannot be read");
        let space = added.iter().position(|byte| *byte == b' ').ok_or_else(line)?;
        let length = added.get(..space).and_then(|digits| std::str::from_utf8(digits).ok());
        let length: usize = length.and_then(|digits| digits.parse().ok()).ok_or_else(line)?;
        let (record, rest) = added.split_at_checked(length).ok_or_else(line)?;
        let (_, pair) = record.split_at_checked(space + 1).ok_or_else(line)?;
        let equals = pair.iter().position(|byte| *byte == b'=').ok_or_else(line)?;
        let (key, value) = pair.split_at_checked(equals).ok_or_else(line)?;
        match key {
            b"path" => {
                check_path(value.strip_prefix(b"=").and_then(|value| value.strip_suffix(b"\n")).ok_or_else(line)?)?
            }
            b"size" => return Err(damaged("a header says the size of another one")),
            _ if key.starts_with(b"GNU.sparse.") => return Err(damaged("it holds a file with holes")),
            _ => {}
        }
        added = rest;
    }
    Ok(())
}

fn is_whole(block: &[u8]) -> bool {
    let sum: u64 =
        block.iter().enumerate().map(|(at, byte)| u64::from(if CHECKSUM.contains(&at) { b' ' } else { *byte })).sum();
    number(field(block, CHECKSUM)).is_ok_and(|told| told == sum)
}

/// Reads an octal number, between blanks and up to a NUL.
fn number(field: &[u8]) -> Result<u64, Refused> {
    let digits = trim(field).trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = text.and_then(|text| if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() });
    number.ok_or_else(|| damaged("a header says a size that no file has"))
}

fn field(block: &[u8], range: std::ops::Range<usize>) -> &[u8] {
    block.get(range).unwrap_or_default()
}

/// Cuts text off at its first NUL.
fn trim(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn skip(reader: &mut dyn Read, bytes: u64) -> Result<(), Refused> {
    let skipped = io::copy(&mut Read::take(reader, bytes), &mut io::sink())?;
    match skipped == bytes {
        true => Ok(()),
        false => Err(damaged("it ends within a file")),
    }
}

fn damaged(why: &str) -> Refused {
    Refused::of_type(format!("this is no tar archive that all programs read alike: {why}"))
}
