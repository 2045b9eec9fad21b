//! What counts as text: UTF-8, or UTF-16 that says so by its first two bytes, without NUL; and what spreadsheets of old write, a byte a
//! letter, without anything that controls.

use std::io::{self, Read};

/// Few reads a megabyte.
const PIECE_BYTES: usize = 64 * 1024;
/// What UTF-16 begins with.
const WIDE_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// Returns whether bytes begin as UTF-16 does.
pub(super) fn is_wide(head: &[u8]) -> bool {
    WIDE_MARKS.iter().any(|mark| head.starts_with(mark))
}

/// Returns whether a reader holds UTF-8 without NUL.
pub(super) fn is_utf8(reader: &mut impl Read) -> io::Result<bool> {
    let (mut buffer, mut kept) = (vec![0; PIECE_BYTES], 0);
    loop {
        let count = read_some(reader, buffer.get_mut(kept..).unwrap_or_default())?;
        let Some(bytes) = buffer.get(..kept + count) else { return Ok(false) };
        if bytes.contains(&0) {
            return Ok(false);
        }
        let rest = match std::str::from_utf8(bytes) {
            Ok(_) => bytes.len()..bytes.len(),
            // A character that goes on in the next piece.
            Err(error) if error.error_len().is_none() && count > 0 => error.valid_up_to()..bytes.len(),
            Err(_) => return Ok(false),
        };
        if count == 0 {
            return Ok(true);
        }
        kept = rest.len();
        buffer.copy_within(rest, 0);
    }
}

/// Returns whether a reader, from its mark on, holds UTF-16 without NUL.
pub(super) fn is_utf16(reader: &mut impl Read) -> io::Result<bool> {
    let mut mark = [0; 2];
    reader.read_exact(&mut mark)?;
    let is_little = mark == [0xff, 0xfe];
    let (mut buffer, mut odd, mut high) = (vec![0; PIECE_BYTES], None, None);
    loop {
        let count = read_some(reader, &mut buffer)?;
        if count == 0 {
            return Ok(odd.is_none() && high.is_none());
        }
        for byte in buffer.iter().take(count).copied() {
            let Some(first) = odd.take() else {
                odd = Some(byte);
                continue;
            };
            let unit = if is_little { u16::from_le_bytes([first, byte]) } else { u16::from_be_bytes([first, byte]) };
            let is_character = match high.take() {
                Some(high) => char::decode_utf16([high, unit]).all(|decoded| decoded.is_ok()),
                None if (0xd800..0xdc00).contains(&unit) => {
                    high = Some(unit);
                    true
                }
                None => unit != 0 && char::from_u32(unit.into()).is_some(),
            };
            if !is_character {
                return Ok(false);
            }
        }
    }
}

/// Returns whether a reader holds text of a byte a letter, such as Latin-1. Which code it is nobody can say, but what is no text has bytes
/// that control: all other types of files have some.
pub(super) fn is_one_byte(reader: &mut impl Read) -> io::Result<bool> {
    let is_letter = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r' | b' '..=b'~' | 0x80..);
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = read_some(reader, &mut buffer)?;
        match buffer.get(..count) {
            Some(bytes) if count > 0 && bytes.iter().all(is_letter) => {}
            _ => return Ok(count == 0),
        }
    }
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes in prop::collection::vec(any::<u8>(), 0..64), text in ".{0,40}", step in 1usize..5) {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let whole = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
                prop_assert_eq!(is_utf8(&mut Slow(bytes, step)).unwrap(), whole);
            }
            let wide: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
            prop_assert_eq!(is_utf16(&mut Slow(&wide, step)).unwrap(), !text.contains('\0'));
        }
    }

    #[test]
    fn half_characters_are_no_text() {
        for bad in
            [&b"\xff\xfea"[..], b"\xff\xfe\x00\xd8", b"\xff\xfe\x00\xdc", b"\xfe\xff\x00\x00", b"\xfe\xff\xd8\x00\x00a"]
        {
            assert!(!is_utf16(&mut &*bad).unwrap(), "{bad:?}");
        }
        assert!(is_utf16(&mut &b"\xfe\xff\xd8\x3d\xde\x00"[..]).unwrap());
        assert!(!is_utf8(&mut &b"caf\xc3"[..]).unwrap());
        assert!(is_one_byte(&mut &b"caf\xe9\r\n\x80"[..]).unwrap());
        for bad in 0..=0x1f {
            assert_eq!(is_one_byte(&mut &[b'a', bad][..]).unwrap(), (9..=13).contains(&bad), "{bad}");
        }
    }
}
