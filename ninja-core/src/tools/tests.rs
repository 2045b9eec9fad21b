//! Every tool by table, with hostile paths and files, and code in a sandbox that only records what it is asked.

#![expect(clippy::disallowed_methods, reason = "tests ask the environment for their counterparts")]

mod check;
mod images;
mod web;

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    api::{EffectClass, StepId, TaskId},
    egress::EgressConfig,
    sandbox::{
        Bubblewrap, Mount, NoSandbox, OutputText, ProcessEnd, ProcessOutput, ProcessSpec, Sandbox, SandboxError,
        SandboxLimits,
    },
    workspace::{Manifest, WorkspaceDir, Workspaces, blob_folder::BlobFolder},
};

/// Says what it is told to say, and keeps what it was asked.
#[derive(Default)]
struct Recorder {
    asked: Mutex<Vec<ProcessSpec>>,
    end: Mutex<Option<ProcessEnd>>,
    stdout: Mutex<OutputText>,
}

impl Sandbox for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        unimplemented!()
    }

    fn run<'a>(
        &'a self,
        spec: ProcessSpec,
        _: CancellationToken,
    ) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>> {
        self.asked.lock().unwrap().push(spec);
        let end = self.end.lock().unwrap().unwrap_or(ProcessEnd::Exited(0));
        let stdout = self.stdout.lock().unwrap().clone();
        Box::pin(async move { Ok(ProcessOutput { end, stdout, stderr: OutputText::default(), killed: 2 }) })
    }
}

struct Bench {
    root: tempfile::TempDir,
    workspace: WorkspaceDir,
    mounts: Vec<Mount>,
    sandbox: Box<dyn Sandbox>,
    tools: ToolSet,
    step: StepId,
    cancel: CancellationToken,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Box::new(NoSandbox { reason: "apt install bubblewrap".into() })).await
    }

    async fn with(sandbox: Box<dyn Sandbox>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let workspaces = Workspaces::new(root.path().join("work"), Arc::new(BlobFolder::new()));
        let step: StepId = "one".parse().unwrap();
        let workspace = workspaces.prepare(task(), &step, &Manifest::default()).await.unwrap();
        fs::write(root.path().join("data.csv"), "a,b\n1,2\n").unwrap();
        fs::create_dir_all(root.path().join("folder/deep")).unwrap();
        fs::write(root.path().join("folder/deep/x.txt"), "needle in a mount\n").unwrap();
        symlink("/etc/passwd", root.path().join("folder/link")).unwrap();
        let mount = |host: &str, inside: &str| Mount { host: root.path().join(host), inside: PathBuf::from(inside) };
        let mounts = vec![
            mount("data.csv", "/workspace/inputs/data.csv"),
            mount("folder", "/workspace/inputs/folder"),
            mount("folder", "/ninja/template"),
        ];
        Self {
            root,
            workspace,
            mounts,
            sandbox,
            tools: ToolSet::builtin(EgressConfig::default()),
            step,
            cancel: CancellationToken::new(),
        }
    }

    async fn call(&self, tool: &str, args: Value) -> Result<ToolOutput, ToolError> {
        let definition = self.tools.get(tool).unwrap().definition();
        if !jsonschema::is_valid(&definition.schema, &args) {
            return Err(ToolError::InvalidArgs("the schema refuses them".to_owned()));
        }
        let run = ToolRun {
            args: &args,
            key: "task/one/1".into(),
            task: task(),
            step: &self.step,
            workspace: &self.workspace,
            mounts: &self.mounts,
            env: &[("EXTRA".to_owned(), "1".to_owned())],
            limits: SandboxLimits::default(),
            sandbox: self.sandbox.as_ref(),
            cancel: self.cancel.clone(),
        };
        self.tools.get(tool).unwrap().run(run).await
    }

    /// Calls a tool that does what it is asked.
    async fn done(&self, tool: &str, args: Value) -> Value {
        let output = self.call(tool, args).await.unwrap();
        assert!(output.ok, "{output:?}");
        output.output
    }

    /// Calls a tool that cannot, and returns why.
    async fn refused(&self, tool: &str, args: Value) -> String {
        let output = self.call(tool, args).await.unwrap();
        assert!(!output.ok, "{output:?}");
        output.output["error"].as_str().unwrap().to_owned()
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.workspace.path().join(name), content).unwrap();
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.workspace.path().join(name)).unwrap()
    }
}

fn task() -> TaskId {
    TaskId::from_uuid(uuid::Uuid::from_u128(7))
}

#[tokio::test]
async fn files_are_read_whole_or_in_parts() {
    let bench = Bench::new().await;
    bench.put("a.txt", "äöü");
    bench.put("empty", "");
    for (args, expected) in [
        (json!({"path": "a.txt"}), json!({"content": "äöü", "bytes": 6})),
        (json!({"path": "/workspace/a.txt"}), json!({"content": "äöü", "bytes": 6})),
        (json!({"path": "./a.txt", "limit": 3}), json!({"content": "ä", "bytes": 6, "next_offset": 2})),
        (json!({"path": "a.txt", "offset": 2, "limit": 4}), json!({"content": "öü", "bytes": 6})),
        (json!({"path": "a.txt", "offset": 100}), json!({"content": "", "bytes": 6})),
        (json!({"path": "empty"}), json!({"content": "", "bytes": 0})),
        (json!({"path": "inputs/data.csv"}), json!({"content": "a,b\n1,2\n", "bytes": 8})),
        (
            json!({"path": "inputs/folder/deep/x.txt", "limit": 6}),
            json!({"content": "needle", "bytes": 18, "next_offset": 6}),
        ),
    ] {
        assert_eq!(bench.done("read_file", args.clone()).await, expected, "{args}");
    }
    bench.put("big", "x".repeat(100_000));
    let first = bench.done("read_file", json!({"path": "big"})).await;
    assert_eq!((first["content"].as_str().unwrap().len(), &first["next_offset"]), (32_768, &json!(32_768)));
}

#[tokio::test]
async fn what_cannot_be_read_is_explained() {
    let bench = Bench::new().await;
    bench.put("binary", b"a\0b");
    fs::create_dir(bench.workspace.path().join("folder")).unwrap();
    symlink("/etc/passwd", bench.workspace.path().join("link")).unwrap();
    symlink("/etc", bench.workspace.path().join("etc")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.workspace.path().join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    for (path, reason) in [
        ("none", "there is no file `none`; list_files"),
        ("binary", "binary file of 3 bytes"),
        ("folder", "it is a folder"),
        ("link", "symbolic link"),
        ("etc/passwd", "symbolic link"),
        ("fifo", "not a regular file"),
        ("../../etc/passwd", "`..` are not allowed"),
        ("/etc/passwd", "must be relative"),
        ("/workspace/../../etc/passwd", "`..` are not allowed"),
        ("inputs/../../../data.csv", "`..` are not allowed"),
        ("inputs/none.csv", "there is no file"),
        ("inputs/folder/link", "symbolic link"),
        ("inputs/data.csv/x", "`inputs/data.csv/x`: "),
        ("", "it is empty"),
        ("a\0b", "NUL"),
    ] {
        let told = bench.refused("read_file", json!({ "path": path })).await;
        assert!(told.contains(reason), "{path:?}: {told}");
    }
}

#[tokio::test]
async fn files_are_written_and_inputs_are_not() {
    let bench = Bench::new().await;
    let written = bench.done("write_file", json!({"path": "a/ü/b.md", "content": "hällo"})).await;
    assert_eq!(written, json!({"path": "a/ü/b.md", "bytes": 6}));
    assert_eq!(bench.get("a/ü/b.md"), "hällo");
    bench.done("write_file", json!({"path": "a/ü/b.md", "content": ""})).await;
    assert_eq!(bench.get("a/ü/b.md"), "");
    symlink(bench.root.path().join("data.csv"), bench.workspace.path().join("link")).unwrap();
    symlink(bench.root.path(), bench.workspace.path().join("out")).unwrap();
    bench.done("write_file", json!({"path": "link", "content": "mine"})).await;
    for (path, reason) in [
        ("inputs/data.csv", "read-only"),
        ("inputs/new", "read-only"),
        ("../x", "not allowed"),
        ("/tmp/x", "must be relative"),
        ("out/x", "symbolic link"),
        ("a", "folder"),
        ("link/x", "a file, not a folder"),
    ] {
        let told = bench.refused("write_file", json!({"path": path, "content": "x"})).await;
        assert!(told.contains(reason), "{path:?}: {told}");
    }
    assert_eq!(fs::read_to_string(bench.root.path().join("data.csv")).unwrap(), "a,b\n1,2\n");
    assert!(!bench.root.path().join("x").exists());
}

#[tokio::test]
async fn edits_are_exact() {
    let bench = Bench::new().await;
    bench.put("f", "one two two\nthree $1 .* ");
    for (old, new, all, expected) in [
        ("one", "1", false, Ok(1)),
        ("two", "2", false, Err("occurs 2 times")),
        ("two", "2", true, Ok(2)),
        ("$1 .*", "$0", false, Ok(1)),
        ("four", "4", false, Err("does not occur")),
        ("three", "", false, Ok(1)),
    ] {
        let args = json!({"path": "f", "old": old, "new": new, "all": all});
        match expected {
            Ok(count) => assert_eq!(bench.done("edit_file", args).await, json!({"path": "f", "replaced": count})),
            Err(reason) => assert!(bench.refused("edit_file", args).await.contains(reason), "{old}"),
        }
    }
    assert_eq!(bench.get("f"), "1 2 2\n $0 ");
    bench.put("latin", b"\xe4");
    assert!(bench.refused("edit_file", json!({"path": "latin", "old": "a", "new": "b"})).await.contains("not UTF-8"));
    assert!(
        bench
            .refused("edit_file", json!({"path": "inputs/data.csv", "old": "a", "new": "b"}))
            .await
            .contains("read-only")
    );
    let empty = bench.call("edit_file", json!({"path": "f", "old": "", "new": "b"})).await;
    assert!(matches!(empty, Err(ToolError::InvalidArgs(_))), "{empty:?}");
}

#[tokio::test]
async fn lists_show_the_workspace_and_the_inputs() {
    let bench = Bench::new().await;
    fs::create_dir_all(bench.workspace.path().join("a/b")).unwrap();
    bench.put("a/f", "12");
    symlink("/etc", bench.workspace.path().join("l")).unwrap();
    let paths = |output: &Value| -> Vec<String> {
        output["files"].as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    };
    let all = bench.done("list_files", json!({})).await;
    assert_eq!(
        paths(&all),
        [
            "a/",
            "a/b/",
            "a/f",
            "inputs/data.csv",
            "inputs/folder/deep/",
            "inputs/folder/deep/x.txt",
            "inputs/folder/link",
            "l"
        ]
    );
    assert_eq!(all["files"][2], json!({"path": "a/f", "bytes": 2}));
    for folder in ["a", "a/", "./a", "/workspace/a"] {
        assert_eq!(paths(&bench.done("list_files", json!({"path": folder})).await), ["a/", "a/b/", "a/f"], "{folder}");
    }
    for root in [".", "/workspace", "/workspace/", ""] {
        assert_eq!(bench.done("list_files", json!({"path": root})).await, all, "{root:?}");
    }
    assert!(bench.refused("list_files", json!({"path": "none"})).await.contains("nothing in `none`"));
    assert!(bench.refused("list_files", json!({"path": "../.."})).await.contains("not allowed"));
    (0..1_100).for_each(|number| bench.put(&format!("n{number}"), ""));
    let many = bench.done("list_files", json!({})).await;
    assert_eq!((many["files"].as_array().unwrap().len(), &many["missing"]), (1_000, &json!(108)));
}

#[tokio::test]
async fn searches_find_lines() {
    let bench = Bench::new().await;
    fs::create_dir(bench.workspace.path().join("src")).unwrap();
    bench.put("src/a.rs", "fn one() {}\r\nfn zwölf() {}\n");
    bench.put("b.txt", "no fn here");
    bench.put("binary", b"fn \0");
    symlink("/etc/passwd", bench.workspace.path().join("link")).unwrap();
    let found = bench.done("search_files", json!({"pattern": r"^fn \w+", "glob": "*.rs"})).await;
    assert_eq!(
        found["matches"],
        json!([{"path": "src/a.rs", "line": 1, "text": "fn one() {}"}, {"path": "src/a.rs", "line": 2, "text": "fn zwölf() {}"}])
    );
    let inputs = bench.done("search_files", json!({"pattern": "needle", "path": "inputs"})).await;
    assert_eq!(inputs["matches"][0]["path"], "inputs/folder/deep/x.txt");
    let all = bench.done("search_files", json!({"pattern": "fn|root"})).await;
    assert_eq!((all["matches"].as_array().unwrap().len(), &all["passed_over"]), (3, &json!(["binary"])));
    assert!(bench.refused("search_files", json!({"pattern": "("})).await.contains("not understood"));
    assert!(bench.refused("search_files", json!({"pattern": "(a{999}){999}{999}"})).await.contains("not understood"));
    bench.put("many", "hit\n".repeat(1_000));
    let many = bench.done("search_files", json!({"pattern": "hit"})).await;
    assert_eq!((many["matches"].as_array().unwrap().len(), &many["truncated"]), (200, &json!(true)));
    bench.cancel.cancel();
    let cancelled = bench.call("search_files", json!({"pattern": "hit"})).await;
    assert_eq!(cancelled, Err(ToolError::Cancelled { killed: 0 }));
}

#[tokio::test]
async fn code_is_an_argument_or_standard_input_never_a_line() {
    let recorder = Arc::new(Recorder::default());
    let bench = Bench::with(Box::new(Shared(recorder.clone()))).await;
    let nasty = "echo '; rm -rf / #\" $(id) \n`id`";
    bench.done("shell", json!({"command": nasty, "timeout_seconds": 5})).await;
    bench.done("python", json!({"code": nasty})).await;
    bench.done("python", json!({"script": "scripts/x.py"})).await;
    let asked = recorder.asked.lock().unwrap();
    assert_eq!(asked[0].argv, ["/bin/bash", "-c", nasty]);
    assert_eq!((asked[0].limits.wall_seconds, asked[1].limits.wall_seconds), (5, 600));
    assert_eq!(
        (&asked[1].argv[..], &asked[1].stdin[..]),
        (&["/usr/bin/python3".to_owned(), "-".to_owned()][..], nasty.as_bytes())
    );
    assert_eq!(asked[2].argv, ["/usr/bin/python3", "/ninja/template/scripts/x.py"]);
    assert!(asked[0].env.contains(&("EXTRA".into(), "1".into())) && asked[0].mounts.len() == 3);
}

#[tokio::test]
async fn how_code_ended_is_told() {
    for (end, stdout, ok, expected) in [
        (ProcessEnd::Exited(0), "hi", true, json!({"exit": 0, "stdout": "hi"})),
        (ProcessEnd::Exited(0), "{\"a\": 1}\n", true, json!({"exit": 0, "json": {"a": 1}})),
        (ProcessEnd::Exited(3), "{}", false, json!({"exit": 3, "json": null, "error": null})),
        (ProcessEnd::Signaled(11), "", false, json!({"exit": 139})),
        (
            ProcessEnd::Signaled(25),
            "",
            false,
            json!({"exit": 153, "error": "it wrote more than allowed: 256 MiB in a file, 512 MiB or 10,000 files in all"}),
        ),
        (
            ProcessEnd::OutOfMemory,
            "",
            false,
            json!({"exit": 137, "error": "it used more than 1024 MiB of memory and was killed"}),
        ),
        (ProcessEnd::TimedOut, "", false, json!({"exit": 137, "error": "it was not done after 600 s and was killed"})),
    ] {
        let recorder = Recorder { end: Mutex::new(Some(end)), ..Recorder::default() };
        *recorder.stdout.lock().unwrap() = OutputText { text: stdout.into(), truncated: false };
        let bench = Bench::with(Box::new(recorder)).await;
        let output = bench.call("python", json!({"code": "x"})).await.unwrap();
        assert_eq!((output.ok, output.killed), (ok, 2), "{end:?}");
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&output.output[field], value, "{end:?}");
        }
    }
    let cancelled = Recorder { end: Mutex::new(Some(ProcessEnd::Cancelled)), ..Recorder::default() };
    let bench = Bench::with(Box::new(cancelled)).await;
    assert_eq!(bench.call("shell", json!({"command": "x"})).await, Err(ToolError::Cancelled { killed: 2 }));
}

#[tokio::test]
async fn bad_arguments_are_refused() {
    let bench = Bench::new().await;
    for (tool, args, reason) in [
        ("shell", json!({}), "schema"),
        ("shell", json!({"command": 1}), "schema"),
        ("shell", json!("ls"), "schema"),
        ("shell", json!({"command": "x", "cwd": "/"}), "schema"),
        ("read_file", json!({"path": "a", "offset": -1}), "schema"),
        ("python", json!({}), "either `code` or `script`"),
        ("python", json!({"code": "a", "script": "b"}), "either `code` or `script`"),
    ] {
        let Err(ToolError::InvalidArgs(told)) = bench.call(tool, args.clone()).await else { panic!("{tool} {args}") };
        assert!(told.contains(reason), "{tool} {args}: {told}");
    }
}

#[tokio::test]
async fn without_a_sandbox_code_is_refused_and_files_are_not() {
    let bench = Bench::new().await;
    let refused = ToolError::NoSandbox("apt install bubblewrap".into());
    assert_eq!(bench.call("shell", json!({"command": "ls"})).await, Err(refused.clone()));
    assert_eq!(bench.call("python", json!({"code": "1"})).await, Err(refused));
    bench.done("write_file", json!({"path": "a", "content": "b"})).await;
    assert!(matches!(bench.call("ask", json!({"question": "?"})).await, Err(ToolError::Internal(_))));
}

#[tokio::test]
async fn the_catalogue_is_what_plans_and_agents_name() {
    let tools = ToolSet::builtin(EgressConfig::default());
    let names: Vec<&str> = tools.names().collect();
    let files = ["edit_file", "list_files", "read_file", "search_files", "write_file"];
    let others = ["ask", "check_file", "check_url", "delegate", "python", "shell", "web_fetch"];
    let mut expected = [&files[..], &others].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (tool, name) in tools.iter().zip(names) {
        assert_eq!(tool.definition().name, name);
        let class = match name {
            "edit_file" | "python" | "shell" | "write_file" => EffectClass::Workspace,
            _ => EffectClass::Pure,
        };
        assert_eq!(tools.get(name).unwrap().effect_class(), class, "{name}");
    }
}

#[tokio::test]
async fn code_and_files_work_together() {
    let sandbox = match Bubblewrap::detect_in("/usr/local/bin:/usr/bin:/bin".as_ref()).await {
        Ok(sandbox) => sandbox,
        Err(error) if std::env::var_os("CI").is_none() => return eprintln!("skipped: needs bubblewrap ({error})"),
        Err(error) => panic!("{error}"),
    };
    let bench = Bench::with(Box::new(sandbox)).await;
    fs::write(bench.root.path().join("folder/sum.py"), "import csv, json, sys\nrows = list(csv.DictReader(open('inputs/data.csv')))\nprint(json.dumps({'sum': sum(int(r['b']) for r in rows), 'extra': __import__('os').environ['EXTRA']}))\n").unwrap();
    bench.done("write_file", json!({"path": "greet.py", "content": "def hello(): return 'hällo'"})).await;
    let output = bench
        .done("python", json!({"code": "import greet\nopen('out.txt', 'w').write(greet.hello())\nprint(1)"}))
        .await;
    assert_eq!((&output["json"], &output["stderr"]), (&json!(1), &json!("")));
    assert_eq!(bench.done("read_file", json!({"path": "out.txt"})).await["content"], "hällo");
    let script = bench.done("python", json!({"script": "sum.py"})).await;
    assert_eq!(script["json"], json!({"sum": 2, "extra": "1"}));
    let failed = bench.call("shell", json!({"command": "echo a; echo b >&2; exit 4"})).await.unwrap();
    assert_eq!(failed.output, json!({"exit": 4, "stdout": "a\n", "stderr": "b\n", "truncated": false}));
    let slow = bench.call("shell", json!({"command": "sleep 1000", "timeout_seconds": 1})).await.unwrap();
    assert!(slow.output["error"].as_str().unwrap().contains("after 1 s"), "{slow:?}");
    bench.done("shell", json!({"command": "ln -s /etc/passwd planted; mkfifo pipe; ls inputs"})).await;
    assert!(bench.refused("read_file", json!({"path": "planted"})).await.contains("symbolic link"));
    assert!(bench.refused("read_file", json!({"path": "pipe"})).await.contains("not a regular file"));
}

/// A recorder that a test can look into.
struct Shared(Arc<Recorder>);

impl Sandbox for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn check(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        self.0.check()
    }

    fn run<'a>(
        &'a self,
        spec: ProcessSpec,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<ProcessOutput, SandboxError>> {
        self.0.run(spec, cancel)
    }
}
