//! What the first bytes of a file say: whether it is an image, and how large. A file's name says nothing.

use std::io::{Read, Seek, SeekFrom};

use super::{ImageShape, MediaType, ending, gif};

/// What the headers of all formats but JPEG fit into.
const HEAD_BYTES: u64 = 30;
/// A JPEG has its size behind thumbnails, colour profiles and comments, of which one in use has some dozens.
const SEGMENTS_MAX: usize = 1_000;

impl ImageShape {
    /// Reads what a file is, from its start; `None` where it is no image of a format that models take.
    pub fn read(file: &mut (impl Read + Seek)) -> Option<Self> {
        file.rewind().ok()?;
        let mut head = Vec::new();
        file.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
        let (media_type, (width, height)) = match head.as_slice() {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => (MediaType::Png, png(&head)?),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => (MediaType::Gif, gif::size(&head)?),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => (MediaType::Webp, webp(&head)?),
            [0xff, 0xd8, 0xff, ..] => (MediaType::Jpeg, jpeg(file)?),
            _ => return None,
        };
        if width == 0 || height == 0 {
            return None;
        }
        let (is_animated, is_cut) = match media_type {
            MediaType::Gif => gif::look_through(file).map_or((false, true), |is_animated| (is_animated, false)),
            // One of the flags of a file that announces more than a picture.
            MediaType::Webp if head.get(12..16) == Some(b"VP8X") => {
                (head.get(20).is_some_and(|flags| flags & 2 != 0), ending::is_cut(file, media_type))
            }
            MediaType::Png | MediaType::Jpeg | MediaType::Webp => (false, ending::is_cut(file, media_type)),
        };
        Some(Self { media_type, width, height, is_animated, is_cut })
    }
}

fn png(head: &[u8]) -> Option<(u32, u32)> {
    let is_header = head.get(12..16)? == b"IHDR";
    is_header.then_some((u32::from_be_bytes(array(head, 16)?), u32::from_be_bytes(array(head, 20)?)))
}

/// Reads the size out of the first chunk: lossy, lossless, or one that announces others.
fn webp(head: &[u8]) -> Option<(u32, u32)> {
    match head.get(12..16)? {
        b"VP8 " if head.get(23..26)? == [0x9d, 0x01, 0x2a] => {
            let side = |at| Some(u32::from(u16::from_le_bytes(array(head, at)?) & 0x3fff));
            Some((side(26)?, side(28)?))
        }
        b"VP8L" if *head.get(20)? == 0x2f => {
            let bits = u32::from_le_bytes(array(head, 21)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let side = |at| Some(u32::from_le_bytes([*head.get(at)?, *head.get(at + 1)?, *head.get(at + 2)?, 0]) + 1);
            Some((side(24)?, side(27)?))
        }
        _ => None,
    }
}

/// Goes from segment to segment up to the one that begins a frame.
fn jpeg(file: &mut (impl Read + Seek)) -> Option<(u32, u32)> {
    file.seek(SeekFrom::Start(2)).ok()?;
    for _ in 0..SEGMENTS_MAX {
        let marker = next_marker(file)?;
        match marker {
            // Those that say how the picture is coded share their range with three others.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let frame: [u8; 7] = read(file)?;
                let [_, _, _, height @ .., w1, w2] = frame;
                return Some((u16::from_be_bytes([w1, w2]).into(), u16::from_be_bytes(height).into()));
            }
            // These stand alone.
            0x01 | 0xd0..=0xd7 => {}
            // The picture itself, or its end: too late for a size.
            0xd9 | 0xda => return None,
            _ => {
                let length = u16::from_be_bytes(read(file)?);
                file.seek(SeekFrom::Current(i64::from(length).checked_sub(2).filter(|rest| *rest >= 0)?)).ok()?;
            }
        }
    }
    None
}

/// Reads a marker, before which any number of fill bytes may stand.
fn next_marker(file: &mut impl Read) -> Option<u8> {
    let [0xff] = read(file)? else { return None };
    for _ in 0..SEGMENTS_MAX {
        match read(file)? {
            [0xff] => {}
            [marker] => return Some(marker),
        }
    }
    None
}

pub(super) fn read<const N: usize>(file: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) fn array<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn shape(bytes: &[u8]) -> Option<(MediaType, u32, u32)> {
        ImageShape::read(&mut Cursor::new(bytes)).map(|shape| (shape.media_type, shape.width, shape.height))
    }

    /// The beginnings of files that other programs wrote, 640 by 480 pixels each.
    fn heads() -> [(MediaType, Vec<u8>); 6] {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";
        let gif = b"GIF89a\x80\x02\xe0\x01\xf7\0\0";
        let lossy = b"RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0\x30\x01\0\x9d\x01\x2a\x80\x02\xe0\x01";
        let lossless = b"RIFF\x10\0\0\0WEBPVP8L\x05\0\0\0\x2f\x7f\xc2\x77\0\0\0\0\0\0";
        let extended = b"RIFF\x10\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\x7f\x02\0\xdf\x01\0";
        let jpeg = b"\xff\xd8\xff\xe0\0\x06JFIF\xff\xff\xfe\0\x04no\xff\xc2\0\x11\x08\x01\xe0\x02\x80\x03";
        [
            (MediaType::Png, png.to_vec()),
            (MediaType::Gif, gif.to_vec()),
            (MediaType::Webp, lossy.to_vec()),
            (MediaType::Webp, lossless.to_vec()),
            (MediaType::Webp, extended.to_vec()),
            (MediaType::Jpeg, jpeg.to_vec()),
        ]
    }

    #[test]
    fn every_format_tells_its_size() {
        for (media_type, head) in heads() {
            assert_eq!(shape(&head), Some((media_type, 640, 480)), "{}", String::from_utf8_lossy(&head));
        }
    }

    #[test]
    fn what_is_cut_before_its_size_is_no_image() {
        for (media_type, head) in heads() {
            for end in 0..10 {
                assert_eq!(shape(&head[..end.min(head.len())]), None, "{media_type:?} of {end} bytes");
            }
        }
    }

    #[test]
    fn a_webp_says_whether_it_moves() {
        for (flags, is_animated) in [(0x10, false), (0x12, true)] {
            let mut extended = heads()[4].1.clone();
            extended[20] = flags;
            assert_eq!(ImageShape::read(&mut Cursor::new(extended)).unwrap().is_animated, is_animated);
        }
    }

    #[test]
    fn other_files_are_no_images() {
        let empty_png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\x01\xe0";
        let others: [&[u8]; 7] = [
            b"",
            b"a,b\n1,2\n",
            b"%PDF-1.7",
            b"BM\0\0",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            empty_png,
            b"RIFF\x10\0\0\0WAVEfmt ",
        ];
        for other in others {
            assert_eq!(shape(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(index in 0..6_usize, rest in prop::collection::vec(any::<u8>(), 0..200), at in 0..30_usize) {
            let mut bytes = heads()[index].1.clone();
            bytes.truncate(at.max(3));
            bytes.extend(rest);
            if let Some((_, width, height)) = shape(&bytes) {
                prop_assert!(width > 0 && height > 0);
            }
        }
    }
}
