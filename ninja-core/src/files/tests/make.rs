//! Makes files: whole ones as other programs write them, and zip archives in which every field can lie.

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A PNG image as far as its size is looked at.
pub(super) fn png(width: u32, height: u32) -> Vec<u8> {
    let header = [&b"IHDR"[..], &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let chunks = [&13u32.to_be_bytes()[..], &header, &[0; 4], &[0; 4], b"IEND", &[0; 4]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks].concat()
}

/// A zip archive as the crate writes it.
pub(super) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let method = match *name {
            "mimetype" => CompressionMethod::Stored,
            _ => CompressionMethod::Deflated,
        };
        let options = SimpleFileOptions::default().compression_method(method);
        match name.ends_with('/') {
            true => writer.add_directory(*name, options).unwrap(),
            false => {
                writer.start_file(*name, options).unwrap();
                writer.write_all(bytes).unwrap();
            }
        }
    }
    writer.finish().unwrap().into_inner()
}

/// An office document with this part.
pub(super) fn docx(part: &[u8]) -> Vec<u8> {
    zip(&[("[Content_Types].xml", b"<Types/>"), ("_rels/.rels", b"<R/>"), ("word/document.xml", part)])
}

/// An open document with this content.
pub(super) fn odt(media_type: &str, content: &[u8]) -> Vec<u8> {
    zip(&[("mimetype", media_type.as_bytes()), ("content.xml", content)])
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// A tar archive of files and folders.
pub(super) fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in entries {
        archive.extend(tar_entry(name, if name.ends_with('/') { b'5' } else { b'0' }, bytes));
    }
    archive.extend([0; 1024]);
    archive
}

/// One entry of a tar archive, of any kind.
pub(super) fn tar_entry(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, format!("{:011o}\0", bytes.len()).as_bytes());
    put(156, &[kind]);
    put(157, b"target");
    put(257, b"ustar\x0000");
    block = with_checksum(block);
    block.extend(bytes);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// Writes the checksum of a header.
pub(super) fn with_checksum(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// An entry of a zip archive in which every field can be something else than what is there.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) name: Vec<u8>,
    pub(super) local_name: Vec<u8>,
    pub(super) content: Vec<u8>,
    pub(super) packed: u32,
    pub(super) local_packed: u32,
    pub(super) unpacked: u32,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) attributes: u32,
    pub(super) extra: Vec<u8>,
    /// Where the directory says that it stands, if not where it does.
    pub(super) header_at: Option<u32>,
}

impl Raw {
    /// An entry that is stored as it is.
    pub(super) fn stored(name: &str, content: &[u8]) -> Self {
        let length = u32::try_from(content.len()).unwrap();
        Self {
            name: name.into(),
            local_name: name.into(),
            content: content.to_vec(),
            packed: length,
            local_packed: length,
            unpacked: length,
            flags: 0,
            method: 0,
            attributes: 0,
            extra: Vec::new(),
            header_at: None,
        }
    }

    pub(super) fn local(&self) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04\x14\0".to_vec();
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(self.local_packed.to_le_bytes());
        bytes.extend(self.unpacked.to_le_bytes());
        bytes.extend(u16::try_from(self.local_name.len()).unwrap().to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(&self.local_name);
        bytes.extend(&self.content);
        bytes
    }

    fn directory(&self, header_at: u32) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02\x14\x03\x14\0".to_vec();
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(self.packed.to_le_bytes());
        bytes.extend(self.unpacked.to_le_bytes());
        bytes.extend(u16::try_from(self.name.len()).unwrap().to_le_bytes());
        bytes.extend(u16::try_from(self.extra.len()).unwrap().to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(self.attributes.to_le_bytes());
        bytes.extend(self.header_at.unwrap_or(header_at).to_le_bytes());
        bytes.extend(&self.name);
        bytes.extend(&self.extra);
        bytes
    }
}

/// A zip archive of such entries.
pub(super) fn raw_zip(entries: &[Raw]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        directory.extend(entry.directory(u32::try_from(bytes.len()).unwrap()));
        bytes.extend(entry.local());
    }
    let count = u16::try_from(entries.len()).unwrap();
    let end = raw_end(count, u32::try_from(directory.len()).unwrap(), u32::try_from(bytes.len()).unwrap(), b"");
    [bytes, directory, end].concat()
}

/// The end of a zip archive.
pub(super) fn raw_end(count: u16, directory_bytes: u32, directory_at: u32, comment: &[u8]) -> Vec<u8> {
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    end.extend([directory_bytes.to_le_bytes(), directory_at.to_le_bytes()].concat());
    end.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    end.extend(comment);
    end
}
