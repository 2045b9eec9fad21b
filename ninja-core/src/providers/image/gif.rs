//! GIFs: their size, and whether they move, which only their blocks tell.

use std::io::{Read, Seek, SeekFrom};

use super::header::{array, read};

/// Pieces that are looked at: more than the first picture of a file that is shown can have.
const PIECES_MAX: usize = 100_000;

/// Reads the size out of the first bytes.
pub(super) fn size(head: &[u8]) -> Option<(u32, u32)> {
    Some((u16::from_le_bytes(array(head, 6)?).into(), u16::from_le_bytes(array(head, 8)?).into()))
}

/// Returns whether a second picture follows the first; `None` where the file ends before its pictures do. One of more pieces than
/// are looked at counts as moving, which fewer vendors take: nobody knows what follows.
pub(super) fn look_through(file: &mut (impl Read + Seek)) -> Option<bool> {
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
                let [.., flags]: [u8; 9] = read(file)?;
                skip_palette(file, flags)?;
                skip(file, 1)?;
            }
            [0x3b] if pictures > 0 => return Some(pictures > 1),
            _ => return None,
        }
        if !skip_pieces(file, &mut pieces)? {
            return Some(true);
        }
    }
}

/// Skips the palette that flags announce.
fn skip_palette(file: &mut impl Seek, flags: u8) -> Option<()> {
    if flags & 0x80 == 0 { Some(()) } else { skip(file, 3 << ((flags & 7) + 1)) }
}

/// Skips pieces, each after its length, up to the empty one. Returns whether it came there before there were too many.
fn skip_pieces(file: &mut (impl Read + Seek), left: &mut usize) -> Option<bool> {
    while let Some(fewer) = left.checked_sub(1) {
        *left = fewer;
        match read(file)? {
            [0] => return Some(true),
            [length] => skip(file, length.into())?,
        }
    }
    Some(false)
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

    fn moves(parts: &[&[u8]]) -> Option<bool> {
        look_through(&mut Cursor::new(parts.concat()))
    }

    #[test]
    fn what_has_a_second_picture_moves_and_what_has_no_end_is_cut() {
        let [first, second] = PICTURES;
        let comment = b"\x21\xfe\x02hi\0".as_slice();
        for (parts, wanted) in [
            (vec![first, b"\x3b"], Some(false)),
            (vec![second, comment, b"\x3b"], Some(false)),
            (vec![first, comment, second, b"\x3b"], Some(true)),
            (vec![second, first, b"\x3b more"], Some(true)),
            (vec![first, second], None),
            (vec![first], None),
            (vec![&first[..first.len() - 3]], None),
            (vec![first, b"\0\x3b"], None),
            (vec![b"\x3b"], None),
            (vec![], None),
        ] {
            assert_eq!(moves(&[[SCREEN].as_slice(), &parts].concat()), wanted, "{parts:?}");
        }
        assert_eq!(moves(&[b"GIF89a\x01"]), None);
    }

    #[test]
    fn what_is_not_looked_through_to_its_end_counts_as_moving() {
        let endless = b"\x01x".repeat(PIECES_MAX + 1);
        assert_eq!(moves(&[SCREEN, PICTURES[0], b"\x21\xfe", &endless, b"\0\x3b"]), Some(true));
    }
}
