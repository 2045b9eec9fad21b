//! Archives that attack whoever unpacks them.

use super::{
    check,
    make::{Raw, docx, gzip, odt, raw_end, raw_zip, tar, tar_entry, with_checksum, zip},
    refused_type, too_large,
};

const MIB: usize = 1024 * 1024;

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let zeros = vec![0; 20 * MIB];
    for (name, bomb) in [
        ("a.zip", zip(&[("a", &zeros)])),
        ("a.zip", zip(&[("a", &zeros[..9 * MIB]), ("b", &zeros[..9 * MIB])])),
        ("a.gz", gzip(&zeros)),
        ("a.tar.gz", gzip(&tar(&[("a", &zeros)]))),
        ("a.gz", gzip(&gzip(&zeros))),
        ("a.zip", zip(&[("a.gz", &gzip(&zeros))])),
        ("a.docx", docx(&zeros)),
    ] {
        assert!(bomb.len() < MIB, "{name} has {} bytes", bomb.len());
        let detail = too_large(name, &bomb);
        assert!(detail.contains("unpacks to more than 16 MiB"), "{name}: {detail}");
    }
    check("a.zip", &zip(&[("a", &zeros[..15 * MIB])])).unwrap();
}

#[test]
fn what_holds_too_many_is_refused() {
    let names: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(too_large("a.zip", &zip(&entries)).contains("10000 entries"));
    check("a.zip", &zip(&entries[..10_000])).unwrap();
    assert!(too_large("a.tar", &tar(&entries)).contains("10000 entries"));
    assert!(too_large("a.tgz", &gzip(&tar(&entries))).contains("10000 entries"));
    let half = zip(&entries[..5_001]);
    assert!(too_large("a.zip", &zip(&[("a.zip", &half), ("b.zip", &half)])).contains("10000 entries"));
}

#[test]
fn archives_hold_archives_and_those_none() {
    let text = [("a.txt", &b"hello"[..])];
    let packed = [zip(&text), tar(&text), gzip(b"hello"), gzip(&tar(&text)), docx(b"<w/>")];
    for inner in &packed {
        let one = [("inner", inner.as_slice())];
        check("a.zip", &zip(&one)).unwrap();
        check("a.tar", &tar(&one)).unwrap();
        check("a.tar.gz", &gzip(&tar(&one))).unwrap();
        for (name, two) in
            [("a.zip", zip(&[("x", &zip(&one))])), ("a.tar", tar(&[("x", &zip(&one))])), ("a.gz", gzip(&zip(&one)))]
        {
            assert!(too_large(name, &two).contains("one level is looked through"), "{name}");
        }
    }
    // The inner one is looked through like any other.
    let slip = raw_zip(&[Raw::stored("../x", b"")]);
    assert!(refused_type("a.zip", &zip(&[("a.zip", &slip)])).contains("leave the folder"));
    let laughs = docx(b"<!DOCTYPE x><w/>");
    assert!(refused_type("a.zip", &zip(&[("a.docx", &laughs)])).contains("<!DOCTYPE"));
}

#[test]
fn nothing_leaves_its_folder_and_nothing_is_a_link() {
    for name in ["../x", "a/../../x", "/etc/passwd", "..", "\\x", "a\\..\\..\\x", "C:\\x", "c:x"] {
        assert!(refused_type("a.zip", &raw_zip(&[Raw::stored(name, b"")])).contains("leave the folder"), "zip {name}");
        assert!(refused_type("a.tar", &tar(&[(name, b"")])).contains("leave the folder"), "tar {name}");
    }
    let unicode_name = [&0x7075u16.to_le_bytes()[..], &9u16.to_le_bytes(), &[1, 0, 0, 0, 0], b"../x"].concat();
    let renamed = Raw { extra: unicode_name, ..Raw::stored("x", b"") };
    assert!(refused_type("a.zip", &raw_zip(&[renamed])).contains("leave the folder"));
    let link = Raw { attributes: 0o120_777 << 16, ..Raw::stored("x", b"/etc/passwd") };
    assert!(refused_type("a.zip", &raw_zip(&[link])).contains("a link"));
    for kind in [b'1', b'2', b'K'] {
        assert!(refused_type("a.tar", &tar_entry("x", kind, b"")).contains("a link"), "{kind}");
    }
    for kind in [b'3', b'4', b'6'] {
        assert!(refused_type("a.tgz", &gzip(&tar_entry("x", kind, b""))).contains("a device"), "{kind}");
    }
    let longer = [tar_entry("././@LongLink", b'L', b"../../x\0"), tar(&[("x", b"")])].concat();
    assert!(refused_type("a.tar", &longer).contains("leave the folder"));
    let added = [tar_entry("x", b'x', b"14 path=../..\n"), tar(&[("x", b"")])].concat();
    assert!(refused_type("a.tar", &added).contains("leave the folder"));
    let harmless = [tar_entry("x", b'x', b"11 path=ab\n30 mtime=1700000000.123456789\n"), tar(&[("x", b"y")])].concat();
    check("a.tar", &harmless).unwrap();
}

#[test]
fn entries_that_overlap_are_refused() {
    // The quoted overlap: the content of each entry is the next entry, header and all.
    let kernel = Raw::stored("b", b"kernel");
    let outer = Raw::stored("a", &kernel.local());
    let at = u32::try_from(outer.local().len() - kernel.local().len()).unwrap();
    let inner = Raw { header_at: Some(at), ..kernel.clone() };
    let bomb = raw_zip(&[outer.clone(), inner]);
    assert!(refused_type("a.zip", &bomb).contains("overlap"));
    // The full overlap: many entries, one content.
    let same = Raw { header_at: Some(0), ..Raw::stored("a", b"kernel") };
    assert!(refused_type("a.zip", &raw_zip(&[same.clone(), same.clone()])).contains("twice"));
    let other_name = Raw { name: b"b".to_vec(), ..same.clone() };
    assert!(refused_type("a.zip", &raw_zip(&[same, other_name])).contains("not what its directory says"));
}

#[test]
fn archives_that_two_readers_read_differently_are_refused() {
    let one = Raw::stored("a", b"content");
    let good = raw_zip(std::slice::from_ref(&one));
    check("a.zip", &good).unwrap();
    let local = u32::try_from(one.local().len()).unwrap();
    let directory = u32::try_from(good.len()).unwrap() - local - 22;
    let body = &good[..good.len() - 22];
    let with_end = |end: Vec<u8>| [body, &end].concat();
    check("a.zip", &with_end(raw_end(1, directory, local, b"a comment"))).unwrap();
    let ends_in_comment = with_end(raw_end(1, directory, local, &raw_end(0, 0, 0, b"")));
    let wide = [&one.local()[..], &[0; 20], &good[local as usize..]].concat();
    for (bad, why) in [
        (with_end(raw_end(0, 0, local + directory, b"")), "something stands before them"),
        (with_end(raw_end(2, directory, local, b"")), "damaged"),
        (with_end(raw_end(0xffff, directory, local, b"")), "10000 entries"),
        (with_end(raw_end(1, directory - 1, local, b"")), "not where its end says"),
        (ends_in_comment, "not where its end says"),
        (wide, "not where its end says"),
        ([good.as_slice(), b"x"].concat(), "something follows its end"),
        (raw_zip(&[Raw { packed: u32::MAX, ..one.clone() }]), "larger than the archive"),
        (raw_zip(&[Raw { header_at: Some(u32::MAX), ..one.clone() }]), "larger than the archive"),
        (raw_zip(&[Raw { local_name: b"b".to_vec(), ..one.clone() }]), "not what its directory says"),
        (raw_zip(&[Raw { local_packed: 6, ..one.clone() }]), "not as large"),
        (raw_zip(&[Raw { packed: 6, local_packed: 6, ..one.clone() }]), "another size"),
        (raw_zip(&[Raw { packed: 60, local_packed: 60, unpacked: 60, ..one.clone() }]), "reaches into its directory"),
        (raw_zip(&[Raw { flags: 1, ..one.clone() }]), "encrypted"),
        (raw_zip(&[Raw { method: 12, ..one.clone() }]), "another way"),
        (raw_zip(&[Raw { name: Vec::new(), local_name: Vec::new(), ..one.clone() }]), "whose name is none"),
    ] {
        let detail = check("a.zip", &bad).unwrap_err().to_string();
        assert!(detail.contains(why), "{detail}, not {why}");
    }
    let prefixed = [b"PK\x03\x04 in front".as_slice(), &good].concat();
    assert!(refused_type("a.zip", &prefixed).contains("not where its end says"));
}

#[test]
fn tar_archives_that_two_readers_read_differently_are_refused() {
    let files = tar(&[("a", b"hello")]);
    for (bad, why) in [
        ([tar_entry("x", b'x', b"10 size=0\n"), files.clone()].concat(), "the size of another one"),
        ([tar_entry("x", b'x', b"22 GNU.sparse.major=1\n"), files.clone()].concat(), "holes"),
        ([tar_entry("x", b'x', b"99 path=a\n"), files.clone()].concat(), "cannot be read"),
        ([tar_entry("x", b'x', &vec![b' '; 65 * 1024]), files.clone()].concat(), "more than there can be"),
        ([files.clone(), files.clone()].concat(), "something follows its end"),
        (tar_entry("x", b'S', b""), "not all programs know"),
        (files[..512 + 3].to_vec(), "ends within a file"),
        (files[..1024 + 100].to_vec(), "ends within a header"),
    ] {
        let detail = refused_type("a.tar", &bad);
        assert!(detail.contains(why), "{detail}, not {why}");
    }
    let mut huge = tar_entry("x", b'0', b"");
    huge[124..136].copy_from_slice(b"77777777777\0");
    assert!(refused_type("a.tar", &with_checksum(huge)).contains("ends within a file"));
    check("a.tar", &files[..1024]).unwrap();
}

#[test]
fn documents_declare_nothing() {
    let laughs =
        b"<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY l2 \"&lol;&lol;\">]><w>&l2;</w>";
    let wide: Vec<u8> =
        [0xfffe].into_iter().chain(laughs.iter().map(|byte| u16::from(*byte))).flat_map(u16::to_be_bytes).collect();
    let padded = [&vec![b' '; 70 * 1024 - 4][..], laughs].concat();
    for part in [&laughs[..], &wide, &padded] {
        let sheet = zip(&[("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<w/>"), ("xl/s.xml", part)]);
        assert!(refused_type("a.xlsx", &sheet).contains("<!DOCTYPE"));
        assert!(refused_type("a.zip", &sheet).contains("<!DOCTYPE"));
        let media_type = "application/vnd.oasis.opendocument.text";
        assert!(refused_type("a.odt", &odt(media_type, part)).contains("<!ENTITY"));
    }
    assert!(refused_type("a.pptx", &docx(b"<w/>")).contains("another zip archive"));
    assert!(refused_type("a.docx", &zip(&[("word/document.xml", b"<w/>")])).contains("another zip archive"));
    assert!(refused_type("a.odt", &odt("application/zip", b"")).contains("another zip archive"));
    assert!(
        refused_type("a.odt", &odt("application/vnd.oasis.opendocument.text ", b"")).contains("another zip archive")
    );
}
