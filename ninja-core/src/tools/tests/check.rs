//! `check_file`, and what planners ask before they take a contract.

use super::{web::sha256, *};

#[tokio::test]
async fn a_file_is_checked_with_evidence() {
    let bench = Bench::new().await;
    bench.put("report.md", "# Title\n\nSales rose by \u{1b}[1m7 %.\n");
    bench.put("data.json", r#"{"rows": [1, 2]}"#);
    bench.put("empty", "");
    let report = sha256(bench.get("report.md").as_bytes());
    let data = sha256(bench.get("data.json").as_bytes());
    let schema = json!({"type": "object", "required": ["rows"]});
    for (args, expected) in [
        (json!({"path": "empty"}), json!({"path": "empty", "bytes": 0, "sha256": sha256(b"")})),
        (
            json!({"path": "./report.md", "min_bytes": 32, "pattern": "^Sales.*%"}),
            json!({"path": "report.md", "bytes": 32, "sha256": report, "matched": "Sales rose by 7 %"}),
        ),
        (
            json!({"path": "/workspace/data.json", "schema": schema}),
            json!({"path": "data.json", "bytes": 16, "sha256": data}),
        ),
        (
            json!({"path": "inputs/data.csv", "pattern": "a,b"}),
            json!({"path": "inputs/data.csv", "bytes": 8, "sha256": sha256(b"a,b\n1,2\n"), "matched": "a,b"}),
        ),
    ] {
        let mut told = bench.done("check_file", args.clone()).await;
        assert_eq!(told.as_object_mut().unwrap().remove("held"), Some(json!(true)));
        assert_eq!(told, expected, "{args}");
    }
}

#[tokio::test]
async fn a_broken_promise_about_a_file_says_why() {
    let bench = Bench::new().await;
    bench.put("a.txt", "short");
    bench.put("a.json", "{\"rows\": \"none\"}");
    fs::create_dir(bench.workspace.path().join("folder")).unwrap();
    symlink("/etc/passwd", bench.workspace.path().join("link")).unwrap();
    symlink("/etc", bench.workspace.path().join("etc")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.workspace.path().join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    let large = fs::File::create(bench.workspace.path().join("large")).unwrap();
    large.set_len((16 << 20) + 1).unwrap();
    let rows = json!({"properties": {"rows": {"type": "array"}}});
    for (args, why) in [
        (json!({"path": "none.md"}), "there is no file `none.md`"),
        (json!({"path": "a.txt", "min_bytes": 6}), "`a.txt` has 5 bytes, not at least 6"),
        (json!({"path": "a.txt", "pattern": "long"}), "nothing in `a.txt` matches `long`"),
        (json!({"path": "a.txt", "schema": true}), "`a.txt` is not JSON: "),
        (json!({"path": "a.json", "schema": rows}), "`a.json` does not fit the schema at /rows: "),
        (json!({"path": "a.json", "pattern": "x", "schema": rows}), "nothing in `a.json` matches"),
        (json!({"path": "large", "pattern": "x"}), "`large` is larger than 16 MiB"),
        (json!({"path": "folder"}), "it is a folder"),
        (json!({"path": "link"}), "symbolic link"),
        (json!({"path": "lin*"}), "symbolic link"),
        (json!({"path": "etc/passwd"}), "symbolic link"),
        (json!({"path": "etc/pass*"}), "there is no file `etc/pass*`"),
        (json!({"path": "fifo"}), "not a regular file"),
    ] {
        let output = bench.call("check_file", args.clone()).await.unwrap();
        assert!(!output.ok && output.output["why"].as_str().unwrap().contains(why), "{args}: {output:?}");
        assert_eq!(output.output["held"], json!(false));
    }
    let large = bench.done("check_file", json!({"path": "large", "min_bytes": 16 << 20})).await;
    assert_eq!((&large["bytes"], large["sha256"].as_str().unwrap().len()), (&json!((16 << 20) + 1), 64));
    // The value that does not fit stays in the file: it may be long, or secret.
    let told = bench.call("check_file", json!({"path": "a.json", "schema": rows})).await.unwrap();
    assert!(!told.output.to_string().contains("none"), "{told:?}");
}

#[tokio::test]
async fn a_star_means_all_files_of_one_folder() {
    let bench = Bench::new().await;
    fs::create_dir_all(bench.workspace.path().join("out/deep")).unwrap();
    for (name, content) in
        [("out/a.txt", "good"), ("out/b.txt", "good!"), ("out/deep/c.txt", "bad"), ("out/d.md", "bad")]
    {
        bench.put(name, content);
    }
    let told = bench.done("check_file", json!({"path": "out/*.txt", "pattern": "good", "min_bytes": 4})).await;
    let expected = json!({
        "held": true,
        "path": "out/*.txt",
        "bytes": 9,
        "files": [
            {"path": "out/a.txt", "bytes": 4, "sha256": sha256(b"good"), "matched": "good"},
            {"path": "out/b.txt", "bytes": 5, "sha256": sha256(b"good!"), "matched": "good"},
        ],
    });
    assert_eq!(told, expected);
    assert_eq!(bench.done("check_file", json!({"path": "out/*/c.txt"})).await["bytes"], 3);
    let broken = bench.call("check_file", json!({"path": "out/*", "pattern": "good"})).await.unwrap();
    assert!(broken.output["why"].as_str().unwrap().contains("nothing in `out/d.md` matches"), "{broken:?}");
    let none = bench.call("check_file", json!({"path": "out/*.pdf"})).await.unwrap();
    assert!(none.output["why"].as_str().unwrap().contains("there is no file `out/*.pdf`"), "{none:?}");
    for number in 0..201 {
        bench.put(&format!("{number}.many"), "");
    }
    let many = bench.call("check_file", json!({"path": "*.many"})).await.unwrap();
    assert!(many.output["why"].as_str().unwrap().contains("201 files match"), "{many:?}");
}

#[tokio::test]
async fn a_contract_that_makes_no_sense_is_refused_before() {
    for (path, fault) in [
        ("../x", "`..` are not allowed"),
        ("/etc/passwd", "must be relative"),
        ("", "it is empty"),
        ("**/x", "`*` may stand in one name"),
        ("*/*.md", "`*` may stand in one name"),
    ] {
        assert!(check_path_pattern(path).unwrap_err().contains(fault), "{path}");
        assert!(Bench::new().await.call("check_file", json!({ "path": path })).await.is_err());
    }
    assert_eq!((check_path_pattern("a/*.md"), check_path_pattern("a.[x]+(b)")), (Ok(()), Ok(())));
    for pattern in ["(", "a(?=b)", "\\1", "(?:a{1000}){1000}"] {
        assert!(check_pattern(pattern).unwrap_err().starts_with("the pattern cannot be used: "), "{pattern}");
    }
    assert_eq!(check_pattern("^# \\w+$"), Ok(()));
    for schema in
        [json!({"type": "no such"}), json!({"$ref": "https://example.com/s"}), json!({"pattern": "("}), json!(1)]
    {
        assert!(check_schema(&schema).unwrap_err().starts_with("the schema cannot be used: "), "{schema}");
    }
    assert_eq!((check_schema(&json!(true)), check_schema(&json!({"type": "array"}))), (Ok(()), Ok(())));
}

#[tokio::test]
async fn a_cancelled_check_reads_no_more() {
    let bench = Bench::new().await;
    bench.put("a", "x");
    bench.cancel.cancel();
    assert_eq!(bench.call("check_file", json!({"path": "a"})).await, Err(ToolError::Cancelled { killed: 0 }));
}
