//! What is taken and what is refused, over files that are made here.

mod archives;
mod make;

use std::io::Cursor;

use proptest::prelude::*;

use super::{Kind, Refused};
use make::{docx, gzip, odt, png, tar, zip};

fn check(name: &str, bytes: &[u8]) -> Result<(), Refused> {
    Kind::of_name(name)?.0.check(&mut Cursor::new(bytes))
}

fn refused_type(name: &str, bytes: &[u8]) -> String {
    match check(name, bytes) {
        Err(Refused::Type(detail)) => detail,
        other => panic!("{name}: {other:?}"),
    }
}

fn too_large(name: &str, bytes: &[u8]) -> String {
    match check(name, bytes) {
        Err(Refused::TooLarge(detail)) => detail,
        other => panic!("{name}: {other:?}"),
    }
}

/// A file of every kind of content.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let wide: Vec<u8> = "\u{feff}a;ü\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bitmap = [&b"BM"[..], &[0; 12], &40u32.to_le_bytes(), &2i32.to_le_bytes(), &(-2i32).to_le_bytes()].concat();
    vec![
        ("a.txt", Vec::new()),
        ("a.md", b"# Title\n<br>\n".to_vec()),
        ("a.csv", "a;ü\n".into()),
        ("b.csv", wide),
        ("c.csv", b"caf\xe9;1,5\r\n".to_vec()),
        ("a.json", b"\xef\xbb\xbf {\"a\": 1}".to_vec()),
        ("a.jsonl", b"[1]\n[2]\n".to_vec()),
        ("a.html", b"\n<!doctype html><p>".to_vec()),
        (
            "a.svg",
            b"<?xml version=\"1.0\"?><!-- x --><svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>".to_vec(),
        ),
        ("a.py", b"#!/usr/bin/env python3\nprint(1)\n".to_vec()),
        ("a.rs", b"fn main() {}\n".to_vec()),
        ("Makefile", b"all:\n\ttrue\n".to_vec()),
        ("a.pdf", b"%PDF-1.7\n%%EOF\n".to_vec()),
        ("a.png", png(2, 2)),
        ("a.bmp", bitmap),
        ("a.wav", b"RIFF\x04\0\0\0WAVEfmt ".to_vec()),
        ("a.mp3", b"ID3\x04\0\0\0\0\0\0".to_vec()),
        ("b.mp3", b"\xff\xfb\x90\x64".to_vec()),
        ("a.mp4", b"\0\0\0\x18ftypisom".to_vec()),
        ("a.webm", b"\x1a\x45\xdf\xa3rest".to_vec()),
        ("a.parquet", b"PAR1....PAR1".to_vec()),
        ("a.sqlite", b"SQLite format 3\0rest".to_vec()),
        ("a.zip", zip(&[("d/", b""), ("d/a.txt", b"hello hello hello hello"), ("b", b"")])),
        ("a.docx", docx(b"<w:document/>")),
        ("a.odt", odt("application/vnd.oasis.opendocument.text", b"<office:document/>")),
        ("a.tar", tar(&[("./d/", b""), ("./d/a.txt", b"hello"), (&"x".repeat(90), b"")])),
        ("a.tar.gz", gzip(&tar(&[("a.txt", b"hello")]))),
        ("a.tgz", gzip(&tar(&[("a.txt", b"hello")]))),
        ("a.csv.gz", gzip(b"a,b\n1,2\n")),
    ]
}

#[test]
fn what_is_what_its_name_says_is_taken() {
    for (name, bytes) in samples() {
        check(name, &bytes).unwrap_or_else(|refused| panic!("{name}: {refused}"));
    }
}

#[test]
fn what_is_something_else_is_refused_with_what_was_expected() {
    for (name, bytes, expected) in [
        ("a.png", &b"<html><script>alert(1)</script>"[..], "a PNG image; its content is markup, such as HTML"),
        ("a.png", b"GIF89a", "its content is a GIF image"),
        ("a.png", b"", "its content is empty"),
        ("a.csv", b"\x7fELF\x02\x01\x01\0", "CSV; its content is a program (ELF)"),
        ("a.txt", b"MZ\x90\0\x03\0", "a program (Windows)"),
        ("a.csv", b"\xcf\xfa\xed\xfe", "a program (Mach-O)"),
        ("a.csv", b"#!/bin/sh\nrm -rf /\n", "a script"),
        ("Makefile", b"#!/bin/sh\n", "a script"),
        ("a.json", b"<html>", "markup"),
        ("a.html", b"no markup", "HTML; its content is text"),
        ("a.svg", b"<html><p>", "markup"),
        ("a.txt", b"a\0b", "something else"),
        ("a.txt", b"caf\xe9 \x01 latin 1", "text that is not in UTF-8"),
        ("a.json", b"\"caf\xe9\"", "text that is not in UTF-8"),
        ("a.rs", b"\xff\xfef\0n\0", "text in UTF-16"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document of the old kind"),
        ("a.zip", b"Rar!\x1a\x07\0", "a RAR archive"),
        ("a.parquet", b"PAR1\0\0\0\0", "something else"),
        ("a.mp3", b"\xff\xd8\xff\xe0", "a JPEG image"),
    ] {
        let detail = refused_type(name, bytes);
        assert!(detail.contains(expected), "{name}: {detail}");
    }
    let detail = refused_type("a.svg", b"<!DOCTYPE svg [<!ENTITY a \"b\">]><svg>&a;</svg>");
    assert!(detail.contains("entities"), "{detail}");
    assert!(refused_type("a.exe", b"").contains("`.exe` are not taken; the extensions are: txt, "));
}

#[test]
fn every_content_under_every_other_name_is_refused_unless_it_is_text() {
    let binary = ["png", "pdf", "bmp", "wav", "mp4", "webm", "parquet", "sqlite", "zip", "docx", "odt", "tar"];
    for (name, bytes) in samples() {
        let own = name.rsplit('.').next().unwrap();
        for other in binary.iter().filter(|other| **other != own) {
            // Every document of parts is a zip archive too.
            if *other == "zip" && matches!(own, "docx" | "odt") {
                continue;
            }
            assert!(check(&format!("x.{other}"), &bytes).is_err(), "{name} as {other}");
        }
    }
}

#[test]
fn an_archive_behind_something_else_is_found() {
    let hidden = zip(&[("META-INF/MANIFEST.MF", b"Main-Class: X")]);
    for (name, front) in samples().into_iter().filter(|(name, _)| {
        ["png", "pdf", "bmp", "wav", "mp3", "mp4", "webm", "sqlite"].iter().any(|end| name.ends_with(end))
    }) {
        for behind in [&b""[..], b"some more bytes"] {
            let both = [&front, hidden.as_slice(), behind].concat();
            assert!(refused_type(name, &both).contains("a zip archive is hidden"), "{name}");
        }
    }
    let innocent = [png(1, 1), b"PK\x05\x06 in a comment, and nothing of an archive".to_vec()].concat();
    check("a.png", &innocent).unwrap();
}

#[test]
fn images_are_bounded_in_pixels() {
    check("a.png", &png(8_000, 8_000)).unwrap();
    for (width, height) in [(50_000, 50_000), (8_001, 8_000), (u32::MAX, 1), (u32::MAX, u32::MAX)] {
        assert!(too_large("a.png", &png(width, height)).contains("64 megapixels"), "{width} x {height}");
    }
    let bitmap =
        [&b"BM"[..], &[0; 12], &40u32.to_le_bytes(), &50_000i32.to_le_bytes(), &i32::MIN.to_le_bytes()].concat();
    too_large("a.bmp", &bitmap);
    refused_type("a.png", &png(0, 1));
}

fn names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(samples().into_iter().map(|(name, _)| name).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(name in names(), bytes in prop::collection::vec(any::<u8>(), 0..1024)) {
        let _ = check(name, &bytes);
    }

    /// Damage where it hurts: in files that begin as they should.
    #[test]
    fn damaged_files_are_taken_or_refused(
        sample in prop::sample::select(samples()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let (name, mut bytes) = sample;
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let _ = check(name, &bytes);
    }
}
