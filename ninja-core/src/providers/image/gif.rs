//! GIFs: their size, and whether they move, which only their blocks tell.

use std::io::{Read, Seek, SeekFrom};

use super::header::{array, read};

/// Pieces that are looked at: more than the first picture of a file that is shown can have.
const PIECES_MAX: usize = 100_000;

/// Reads the size out of the first bytes.
pub(super) fn size(head: &[u8]) -> Option<(u32, u32)> {
    Some((u16::from_le_bytes(array(head, 6)?).into(), u16::from_le_bytes(array(head, 8)?).into()))
}

/// Returns whether a second picture follows the first. What cannot be read to there does not move.
pub(super) fn is_animated(file: &mut (impl Read + Seek)) -> bool {
    count_pictures(file).is_some_and(|pictures| pictures > 1)
}

/// Counts pictures up to the second; `None` where the blocks break off.
fn count_pictures(file: &mut (impl Read + Seek)) -> Option<u32> {
    file.seek(SeekFrom::Start(10)).ok()?;
    let [flags, _, _] = read(file)?;
    skip_palette(file, flags)?;
    let (mut pictures, mut pieces) = (0, PIECES_MAX);
    loop {
        match read(file)? {
            // An extension: its kind, then its pieces.
            [0x21] => skip(file, 1)?,
            [0x2c] => {
                pictures += 1;
                if pictures > 1 {
                    return Some(pictures);
                }
                let [.., flags]: [u8; 9] = read(file)?;
                skip_palette(file, flags)?;
                skip(file, 1)?;
            }
            _ => return Some(pictures),
        }
        skip_pieces(file, &mut pieces)?;
    }
}

/// Skips the palette that flags announce.
fn skip_palette(file: &mut impl Seek, flags: u8) -> Option<()> {
    if flags & 0x80 == 0 { Some(()) } else { skip(file, 3 << ((flags & 7) + 1)) }
}

/// Skips pieces, each after its length, up to the empty one.
fn skip_pieces(file: &mut (impl Read + Seek), left: &mut usize) -> Option<()> {
    loop {
        *left = left.checked_sub(1)?;
        match read(file)? {
            [0] => return Some(()),
            [length] => skip(file, length.into())?,
        }
    }
}

fn skip(file: &mut impl Seek, bytes: i64) -> Option<()> {
    file.seek(SeekFrom::Current(bytes)).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A screen with a palette of two colours, and an extension.
    const SCREEN: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff\x21\xf9\x04\0\0\0\0\0";
    /// A picture of one pixel, with a palette of its own and without.
    const PICTURES: [&[u8]; 2] = [
        b"\x2c\0\0\0\0\x01\0\x01\0\x80\0\0\0\xff\xff\xff\x02\x02\x44\x01\0",
        b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0",
    ];

    fn moves(parts: &[&[u8]]) -> bool {
        is_animated(&mut Cursor::new(parts.concat()))
    }

    #[test]
    fn what_has_a_second_picture_moves() {
        for first in PICTURES {
            assert!(!moves(&[SCREEN, first, b"\x3b"]), "one picture");
            assert!(!moves(&[SCREEN, first]), "no end");
            for second in PICTURES {
                assert!(moves(&[SCREEN, first, b"\x21\xfe\x02hi\0", second, b"\x3b"]));
            }
        }
    }

    #[test]
    fn a_file_without_end_comes_to_an_end() {
        let endless = b"\x01x".repeat(PIECES_MAX + 1);
        assert!(!moves(&[SCREEN, b"\x21\xfe", &endless, b"\0", PICTURES[0], PICTURES[1]]));
        assert!(!moves(&[b"GIF89a\x01"]));
    }
}
