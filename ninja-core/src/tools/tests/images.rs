//! `read_file` of images: shown whole, and known by their content alone.

use super::*;
use crate::providers::IMAGE_BYTES_MAX;

/// The beginning of a PNG of 640 by 480 pixels.
pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0rest";

#[tokio::test]
async fn an_image_is_shown_whatever_its_name() {
    let bench = Bench::new().await;
    for name in ["chart.png", "chart", "notes.txt"] {
        bench.put(name, PNG);
        let output = bench.call("read_file", json!({ "path": format!("./{name}"), "limit": 3 })).await.unwrap();
        let told = json!({ "media_type": "image/png", "width": 640, "height": 480, "bytes": PNG.len() });
        assert_eq!((output.ok, output.output), (true, told));
        assert_eq!(output.images, [ShownFile { name: name.to_owned(), bytes: PNG.into() }]);
    }
}

#[tokio::test]
async fn what_is_called_an_image_and_is_none_is_not_shown() {
    let bench = Bench::new().await;
    bench.put("text.png", "no picture");
    let output = bench.call("read_file", json!({ "path": "text.png" })).await.unwrap();
    assert_eq!((output.output, output.images), (json!({ "content": "no picture", "bytes": 10 }), Vec::new()));
    bench.put("bytes.png", b"\x89PNG\0");
    assert!(bench.refused("read_file", json!({ "path": "bytes.png" })).await.contains("a binary file of 5 bytes"));
}

#[tokio::test]
async fn an_image_that_is_too_large_is_refused_with_advice() {
    let bench = Bench::new().await;
    bench.put("large", PNG);
    let file = fs::OpenOptions::new().write(true).open(bench.workspace.path().join("large")).unwrap();
    file.set_len(IMAGE_BYTES_MAX).unwrap();
    let output = bench.call("read_file", json!({ "path": "large" })).await.unwrap();
    assert_eq!(output.images[0].bytes.len() as u64, IMAGE_BYTES_MAX);
    file.set_len(IMAGE_BYTES_MAX + 1).unwrap();
    let told = bench.refused("read_file", json!({ "path": "large" })).await;
    assert!(told.contains("(image/png) of 3932161 bytes; models are shown up to 3932160"), "{told}");
}
