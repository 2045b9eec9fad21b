//! Whether a file ends before its picture does, by what each format ends with. What follows the end is no matter: cameras
//! write more there.

use std::io::{Read, Seek, SeekFrom};

use super::{IMAGE_BYTES_MAX, MediaType, header::read};

/// Chunks of a PNG that are looked at: more than one that is shown has, since each is of at least twelve bytes.
const CHUNKS_MAX: u64 = IMAGE_BYTES_MAX / 12;
/// Bytes of a JPEG that are read at a time.
const PIECE_BYTES: u64 = 64 * 1_024;

/// Returns whether a file ends early, from where its header was read: behind that a JPEG has no thumbnail, whose end would
/// be taken for its own. GIFs tell while they are looked through.
pub(super) fn is_cut(file: &mut (impl Read + Seek), media_type: MediaType) -> bool {
    let whole = match media_type {
        MediaType::Png => png(file),
        MediaType::Jpeg => jpeg(file),
        MediaType::Webp => webp(file),
        MediaType::Gif => Some(()),
    };
    whole.is_none()
}

/// Goes from chunk to chunk up to the last. One of more chunks than that is too large to be shown.
fn png(file: &mut (impl Read + Seek)) -> Option<()> {
    file.seek(SeekFrom::Start(8)).ok()?;
    for _ in 0..CHUNKS_MAX {
        let length = u32::from_be_bytes(read(file)?);
        let kind: [u8; 4] = read(file)?;
        if kind == *b"IEND" {
            return Some(());
        }
        // The content and its checksum.
        file.seek(SeekFrom::Current(i64::from(length) + 4)).ok()?;
    }
    Some(())
}

/// Looks for the marker of the end, which stands nowhere within a picture. What is read in vain up to the largest file that is
/// shown is left to whoever says so.
fn jpeg(file: &mut impl Read) -> Option<()> {
    let (mut piece, mut before, mut seen) = (Vec::new(), 0, 0);
    while seen <= IMAGE_BYTES_MAX {
        piece.clear();
        file.by_ref().take(PIECE_BYTES).read_to_end(&mut piece).ok()?;
        for byte in &piece {
            if (before, *byte) == (0xff, 0xd9) {
                return Some(());
            }
            before = *byte;
        }
        if piece.is_empty() {
            return None;
        }
        seen += piece.len() as u64;
    }
    Some(())
}

/// Compares the size that the file tells with the one that it has.
fn webp(file: &mut (impl Read + Seek)) -> Option<()> {
    file.seek(SeekFrom::Start(4)).ok()?;
    let told = u64::from(u32::from_le_bytes(read(file)?));
    (file.seek(SeekFrom::End(0)).ok()? >= told + 8).then_some(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::ImageShape;

    /// Whole pictures, of one pixel each, as other programs write them; the JPEG has a thumbnail, which has an end of its own.
    fn whole() -> [(&'static str, Vec<u8>); 4] {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
            \0\0\0\x0dIDAT\x78\x9c\x63\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99\x3d\x1d\0\0\0\0IEND";
        let jpeg = b"\xff\xd8\xff\xe1\0\x06\xff\xd8\xff\xd9\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\
            \xff\xda\0\x08\x01\x01\0\0\x3f\0\xd2\xff\0\xff\xd9";
        let webp = b"RIFF\x12\0\0\0WEBPVP8L\x06\0\0\0\x2f\0\0\0\0\0";
        let gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b";
        [("png", png.to_vec()), ("jpeg", jpeg.to_vec()), ("webp", webp.to_vec()), ("gif", gif.to_vec())]
    }

    #[test]
    fn what_ends_early_is_known_wherever_it_is_cut() {
        for (name, bytes) in whole() {
            let shape = |bytes: &[u8]| ImageShape::read(&mut Cursor::new(bytes));
            assert!(!shape(&bytes).unwrap().is_cut, "{name}");
            let longer = [bytes.as_slice(), &[0; 100]].concat();
            assert!(!shape(&longer).unwrap().is_cut, "{name} with more behind it");
            for end in 0..bytes.len() {
                assert!(shape(&bytes[..end]).is_none_or(|shape| shape.is_cut), "{name} of {end} bytes");
            }
        }
    }
}
