//! Uploaded files over HTTP: what is taken, whose it is, how it is fetched, and the inputs that attack.

use ninja_core::api::{ErrorCode, Principal, Role, UserId};
use ninja_core::providers::Scripted;
use reqwest::{
    StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Daemon, exchange};

const UPLOAD: &str = "/api/v1/files/upload";
const MULTIPLE: &str = "/api/v1/files/upload-multiple";

async fn daemon() -> Daemon {
    Daemon::start(Scripted::answering("x")).await
}

async fn upload(daemon: &Daemon, name: &str, bytes: &[u8]) -> Value {
    let form = Form::new().part("file", Part::bytes(bytes.to_vec()).file_name(name.to_owned()));
    let response = daemon.request("POST", UPLOAD).multipart(form).send().await.unwrap();
    let status = response.status().as_u16();
    let mut body: Value = response.json().await.unwrap();
    body["status"] = status.into();
    body
}

fn address(file: &Value) -> String {
    format!("/api/v1/files/download/{}/{}", file["owner"].as_str().unwrap(), file["filename"].as_str().unwrap())
}

/// Sends these bytes as the body of an upload, and returns the status and the code of the answer.
async fn raw(daemon: &Daemon, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = daemon.request("POST", path).header("content-type", content_type).body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// Nothing of what was refused is anywhere.
async fn assert_nothing_is_kept(daemon: &Daemon) {
    let listed: Value = daemon.request("GET", "/api/v1/files").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["items"], json!([]));
    let data = daemon.socket.parent().unwrap();
    assert_eq!(std::fs::read_dir(data.join("scratch")).unwrap().count(), 0, "scratch is empty");
    let shards = std::fs::read_dir(data.join("blobs")).unwrap().flatten();
    let blobs: usize = shards.map(|shard| std::fs::read_dir(shard.path()).unwrap().count()).sum();
    assert_eq!(blobs, 0, "no blob was kept");
}

#[tokio::test]
async fn a_file_is_uploaded_listed_told_of_fetched_and_deleted() {
    let daemon = daemon().await;
    let mut names = Vec::new();
    for number in 0..5 {
        let file = upload(&daemon, &format!("{number}.csv"), format!("a,{number}\n").as_bytes()).await;
        assert_eq!(file["status"], 201);
        names.push(file);
    }
    let page = |query: &str| exchange(daemon.request("GET", &format!("/api/v1/files{query}")));
    insta::assert_json_snapshot!("files_listed", page("?limit=2").await);
    let first: Value = daemon.request("GET", "/api/v1/files?limit=2").send().await.unwrap().json().await.unwrap();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = page(&format!("?limit=3&cursor={cursor}")).await;
    let called: Vec<&str> =
        second["body"]["items"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!((called, &second["body"]["next_cursor"]), (vec!["2.csv", "1.csv", "0.csv"], &Value::Null));

    let file = &names[3];
    let (id, filename) = (file["id"].as_str().unwrap(), file["filename"].as_str().unwrap());
    assert_eq!(filename, format!("{id}.csv"));
    for name in [id, filename] {
        let told = exchange(daemon.request("GET", &format!("/api/v1/files/info/{name}"))).await;
        insta::allow_duplicates! { insta::assert_json_snapshot!("file_told_of", told) };
    }
    let fetched = daemon.request("GET", &address(file)).send().await.unwrap();
    let headers = fetched.headers().clone();
    assert_eq!(fetched.text().await.unwrap(), "a,3\n");
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"3.csv\"; filename*=UTF-8''3.csv");
    assert_eq!(headers["accept-ranges"], "bytes");
    assert_eq!(headers["etag"], format!("\"{}\"", file["sha256"].as_str().unwrap()));
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    assert!(headers["last-modified"].to_str().unwrap().ends_with(" GMT"));

    let delete = || daemon.request("DELETE", &format!("/api/v1/files/{filename}"));
    assert_eq!(delete().send().await.unwrap().status(), StatusCode::NO_CONTENT);
    insta::assert_json_snapshot!("file_gone", exchange(delete()).await);
    for path in [address(file), format!("/api/v1/files/info/{id}")] {
        assert_eq!(exchange(daemon.request("GET", &path)).await["status"], 404, "{path}");
    }
    assert_eq!(page("").await["body"]["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn parts_and_conditions_are_answered() {
    let daemon = daemon().await;
    let file = upload(&daemon, "a.txt", b"0123456789").await;
    let (path, tag) = (address(&file), format!("\"{}\"", file["sha256"].as_str().unwrap()));
    for (asked, status, body, range) in [
        (vec![("range", "bytes=2-4")], 206, "234", Some("bytes 2-4/10")),
        (vec![("range", "bytes=-3")], 206, "789", Some("bytes 7-9/10")),
        (vec![("range", "bytes=8-99")], 206, "89", Some("bytes 8-9/10")),
        (vec![("range", "bytes=0-1,4-5")], 200, "0123456789", None),
        (vec![("range", "bytes=9000000000000000000-")], 416, "", Some("bytes */10")),
        (vec![("range", "bytes=2-4"), ("if-range", tag.as_str())], 206, "234", Some("bytes 2-4/10")),
        (vec![("range", "bytes=2-4"), ("if-range", "\"x\"")], 200, "0123456789", None),
        (vec![("if-none-match", tag.as_str())], 304, "", None),
        (vec![("if-match", "\"x\"")], 412, "", None),
    ] {
        for method in ["GET", "HEAD"] {
            let request = asked
                .iter()
                .fold(daemon.request(method, &path), |request, (name, value)| request.header(*name, *value));
            let response = request.send().await.unwrap();
            let (came, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.unwrap();
            if method == "HEAD" {
                let whole =
                    matches!(came, 304 | 412) && came == status || came == 200 && matches!(status, 200 | 206 | 416);
                assert!(whole && text.is_empty(), "HEAD {asked:?} {came}");
                if came == 200 {
                    assert_eq!(headers["content-length"], "10", "HEAD says how long a whole answer is");
                }
                continue;
            }
            assert_eq!(came, status, "{asked:?}");
            assert_eq!(headers.get("content-range").map(|range| range.to_str().unwrap()), range, "{asked:?}");
            if status < 400 {
                assert_eq!(text, body, "{asked:?}");
            }
            if status == 206 {
                assert_eq!(headers["content-length"], body.len().to_string());
            }
        }
    }
    insta::assert_json_snapshot!(
        "no_such_part",
        exchange(daemon.request("GET", &path).header("range", "bytes=10-")).await
    );
    let many = format!("bytes={}", (0..1_000).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(","));
    let response = daemon.request("GET", &path).header("range", many).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, "0123456789"));
}

#[tokio::test]
async fn artifacts_are_answered_in_parts_too() {
    let daemon = daemon().await;
    let plan = json!({ "steps": [{ "id": "w", "kind": "tool", "tool": "write_file", "args": { "path": "out/a.txt", "content": "hello" } }] });
    let task = daemon.submit(json!({ "plan": plan })).await;
    assert_eq!(daemon.settled(&task).await["status"], "succeeded");
    let path = format!("/api/v1/tasks/{task}/artifacts/out/a.txt");
    let response = daemon.request("GET", &path).header("range", "bytes=1-2").send().await.unwrap();
    let headers = response.headers().clone();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (206, "el"));
    assert_eq!(headers["content-disposition"], "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt");
    let again = daemon.request("GET", &path).header("if-none-match", &headers["etag"]).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let head = daemon.request("HEAD", &path).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "5"));
}

#[tokio::test]
async fn every_route_that_is_read_answers_head() {
    let daemon = daemon().await;
    for path in ["/api/v1/files", "/api/v1/tasks", "/health"] {
        let got = daemon.request("GET", path).send().await.unwrap();
        let length = got.headers()["content-length"].clone();
        let head = daemon.request("HEAD", path).send().await.unwrap();
        assert_eq!((head.status(), &head.headers()["content-length"]), (got.status(), &length), "{path}");
        assert!(head.bytes().await.unwrap().is_empty());
    }
    let refused = daemon.http.head(format!("{}/api/v1/files", daemon.url)).send().await.unwrap();
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn somebody_elses_file_is_not_there() {
    let daemon = daemon().await;
    let owner = daemon.engine.local_owner();
    let [one, other] = [1, 2].map(|number| UserId::from_uuid(uuid(number)));
    let user = |user: UserId| Principal { user, role: Role::User, ..owner.clone() };
    let content = || futures::stream::iter([Ok("a,b\n".into())]);
    let file = daemon.engine.upload_file(&user(one), "a.csv", content()).await.unwrap();
    // The daemon's own caller is an administrator: may read, under the right name only.
    let path = |user: UserId| format!("/api/v1/files/download/{user}/{}", file.filename);
    assert_eq!(exchange(daemon.request("GET", &path(one))).await["status"], 200);
    assert_eq!(exchange(daemon.request("GET", &path(owner.user))).await["status"], 404);
    let listed: Value = daemon.request("GET", "/api/v1/files").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["items"], json!([]), "a list is of one's own");

    let by = user(other);
    let engine = &daemon.engine;
    let refusals = [
        engine.file(&by, &file.filename).await.map(drop),
        engine.open_file(&by, one, &file.filename).await.map(drop),
        engine.open_file(&by, other, &file.filename).await.map(drop),
        engine.delete_file(&by, &file.filename).await,
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().code, ErrorCode::NotFound);
    }
    assert_eq!(engine.list_files(&by, Default::default()).await.unwrap().items, []);
    let request = ninja_core::api::SubmitTask { files: vec![file.id], goal: "x".to_owned(), ..Default::default() };
    assert_eq!(engine.submit_task(&by, request).await.unwrap_err().code, ErrorCode::NotFound);
    assert!(engine.file(&user(one), &file.filename).await.is_ok());
}

#[tokio::test]
async fn names_that_attack_are_plain_or_refused() {
    let daemon = daemon().await;
    for (given, kept) in [
        ("../../x.txt", "x.txt"),
        ("..\\x.txt", "x.txt"),
        ("%252e%252e%252fx.txt", "%252e%252e%252fx.txt"),
        ("CON.txt", "_CON.txt"),
        ("a\u{202e}txt.csv", "atxt.csv"),
        ("a\"b.txt", "a\"b.txt"),
    ] {
        let file = upload(&daemon, given, b"x").await;
        assert_eq!((&file["status"], &file["name"]), (&json!(201), &json!(kept)), "{given}");
        assert_eq!(daemon.request("GET", &address(&file)).send().await.unwrap().status(), 200);
    }
    for (given, status, code) in [
        (format!("{}.txt", "x".repeat(300)), 422, "invalid_request"),
        ("CON".to_owned(), 415, "unsupported_media_type"),
        ("..".to_owned(), 422, "invalid_request"),
        ("run.exe".to_owned(), 415, "unsupported_media_type"),
    ] {
        let refused = upload(&daemon, &given, b"x").await;
        assert_eq!((&refused["status"], &refused["code"]), (&json!(status), &json!(code)), "{given}");
    }
    let kind = "multipart/form-data; boundary=x";
    for (head, expected) in
        [("filename=\"a\0.txt\"", 400), ("filename=\"a\r\nX: y.txt\"", 400), ("filename=\"\"", 400), ("nothing", 400)]
    {
        let body = format!("--x\r\nContent-Disposition: form-data; name=\"file\"; {head}\r\n\r\nx\r\n--x--\r\n");
        let (status, _) = raw(&daemon, UPLOAD, kind, body).await;
        assert_eq!(status, expected, "{head:?}");
    }
    for name in ["..%2f..%2fowner.key", "%252e%252e", "owner.key", "file_x.csv", "a%00.csv", "CON"] {
        let owner = daemon.engine.local_owner().user;
        for path in [format!("info/{name}"), format!("download/{owner}/{name}")] {
            let came = exchange(daemon.request("GET", &format!("/api/v1/files/{path}"))).await;
            assert_eq!(came["status"], 404, "{path}");
        }
    }
    let data = exchange(daemon.request("GET", "/api/v1/files/download/nobody/x.csv")).await;
    assert_eq!(data["status"], 400);
}

#[tokio::test]
async fn bodies_that_attack_leave_nothing_behind() {
    let daemon = daemon().await;
    let part = |name: &str, bytes: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{bytes}\r\n")
    };
    let good = "multipart/form-data; boundary=x";
    let other_parts = "--x\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n".repeat(10_000);
    let endless_head =
        format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}", "a".repeat(2_000_000));
    for (kind, body, status, code) in [
        ("multipart/form-data", part("a.txt", "x"), 415, "unsupported_media_type"),
        ("multipart/form-data; boundary=x; boundary=y", part("a.txt", "x"), 415, "unsupported_media_type"),
        ("multipart/form-data; boundary=", part("a.txt", "x"), 400, "invalid_request"),
        ("application/json", "{\"file\": \"/etc/passwd\"}".to_owned(), 415, "unsupported_media_type"),
        (good, String::new(), 400, "invalid_request"),
        (good, "--x--\r\n".to_owned(), 400, "invalid_request"),
        (good, part("a.txt", "x"), 400, "invalid_request"),
        (good, other_parts, 400, "invalid_request"),
        (good, endless_head, 400, "invalid_request"),
        (good, part("a.png", "<html><script>alert(1)</script>") + "--x--\r\n", 415, "unsupported_media_type"),
        (good, part("a.zip", "PK\u{3}\u{4}") + "--x--\r\n", 415, "unsupported_media_type"),
        (good, part("a.csv", "\0") + "--x--\r\n", 415, "unsupported_media_type"),
    ] {
        let came = raw(&daemon, UPLOAD, kind, body.clone()).await;
        assert_eq!(came, (status, code.to_owned()), "{kind} {:?}", &body[..body.len().min(100)]);
    }
    assert_nothing_is_kept(&daemon).await;
    let empty = upload(&daemon, "a.txt", b"").await;
    assert_eq!((&empty["status"], &empty["bytes"]), (&json!(201), &json!(0)), "an empty text is a text");
    let body = daemon.request("GET", &address(&empty)).send().await.unwrap().bytes().await.unwrap();
    assert!(body.is_empty());
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_behind() {
    let daemon = daemon().await;
    let mut stream = tokio::net::TcpStream::connect(daemon.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: multipart/form-data; boundary=x\r\n\r\n",
        daemon.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let start = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    let piece = "a".repeat(100_000);
    for text in [start, &piece] {
        stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.unwrap();
    }
    let scratch = daemon.socket.parent().unwrap().join("scratch");
    let count = || std::fs::read_dir(&scratch).unwrap().count();
    let arrives = async {
        while count() == 0 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), arrives).await.unwrap();
    drop(stream);
    let goes = async {
        while count() > 0 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), goes).await.unwrap();
    assert_nothing_is_kept(&daemon).await;

    // A chunk that is none ends the upload at once.
    let mut stream = tokio::net::TcpStream::connect(daemon.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(format!("{:x}\r\n{start}\r\nno number\r\n", start.len()).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    assert_nothing_is_kept(&daemon).await;
}

#[tokio::test]
async fn of_several_files_each_is_stored_or_refused() {
    let daemon = daemon().await;
    let part = |name: &str, bytes: &str| Part::text(bytes.to_owned()).file_name(name.to_owned());
    let send = |form: Form| daemon.request("POST", MULTIPLE).multipart(form);
    let mixed = Form::new()
        .part("files", part("a.csv", "a,b\n"))
        .part("files", part("b.png", "<html>"))
        .part("files", part("c.md", "# c\n"));
    insta::assert_json_snapshot!("some_stored", exchange(send(mixed)).await);
    let both = Form::new().part("files", part("d.txt", "d")).part("files", part("e.txt", "e"));
    assert_eq!(exchange(send(both)).await["status"], 201);

    let many = (0..21).fold(Form::new(), |form, number| form.part("files", part(&format!("{number}.txt"), "x")));
    let came = exchange(send(many)).await;
    let items = came["body"]["items"].as_array().unwrap();
    assert_eq!((&came["status"], items.len()), (&json!(207), 21));
    assert!(items[..20].iter().all(|item| item["result"]["stored"].is_object()));
    assert_eq!(items[20]["result"]["refused"]["code"], "too_large");

    let wrong = Form::new().part("files", part("f.txt", "f")).part("file", part("g.txt", "g"));
    let came = exchange(send(wrong)).await;
    let results = &came["body"]["items"];
    assert_eq!((&came["status"], results.as_array().unwrap().len()), (&json!(201), 1), "other fields are passed over");
    assert_eq!(exchange(send(Form::new().part("file", part("g.txt", "g")))).await["status"], 400);
    let unnamed = Form::new().part("files", part("f.txt", "f")).text("files", "x");
    let came = exchange(send(unnamed)).await;
    let results = &came["body"]["items"];
    assert_eq!((&came["status"], &results[1]["result"]["refused"]["code"]), (&json!(207), &json!("invalid_request")));
    let long = Form::new().text("note", "x".repeat(100_000)).part("files", part("f.txt", "f"));
    assert_eq!(exchange(send(long)).await["status"], 422, "not as long as that");
    // What was stored before the form broke is told of.
    let head = "--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"h.txt\"\r\n\r\n";
    let broken = format!("{head}h\r\n{head}broken");
    let request =
        daemon.request("POST", MULTIPLE).header("content-type", "multipart/form-data; boundary=x").body(broken);
    let came = exchange(request).await;
    assert_eq!(came["status"], 207, "{came}");
    assert!(came["body"]["items"][0]["result"]["stored"].is_object(), "{came}");
    assert_eq!(came["body"]["items"][1]["result"]["refused"]["code"], "invalid_request", "{came}");
}

#[tokio::test]
async fn lists_of_files_are_read_strictly() {
    let daemon = daemon().await;
    for (query, status) in [
        ("?limit=0", 422),
        ("?limit=201", 422),
        ("?limit=-1", 400),
        ("?limit=1e9", 400),
        ("?cursor=x", 422),
        ("?cursor=task_00000000000070008000000000000000", 422),
        ("?owner=x", 400),
        ("?limit=1&limit=2", 400),
    ] {
        let came = exchange(daemon.request("GET", &format!("/api/v1/files{query}"))).await;
        assert_eq!((&came["status"], &came["body"]["code"]), (&json!(status), &json!("invalid_request")), "{query}");
    }
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}
