//! Which part may know which: the arrows of ARCHITECTURE.md, read out of the manifests and the sources.
//!
//! Text-based on purpose: it sees what is written, behind every feature. Tests may import what they like.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// A crate of ours and which of ours it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("ninja-core", &[]),
    ("ninja-sdk", &["ninja-core"]),
    ("ninja-tui", &["ninja-sdk"]),
    ("ninja-daemon", &["ninja-core", "ninja-sdk", "ninja-tui"]),
    ("xtask", &[]),
];

/// A module of `ninja-core` and all that it may import of the crate, besides itself.
const MODULES: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("egress", &[]),
    ("files", &["providers"]),
    ("vault", &["api"]),
    ("machine", &["api", "journal::record"]),
    ("journal::record", &["api", "providers", "workspace"]),
    // The feed reads records off the disk and sends what they project to.
    ("journal", &["api", "machine::project", "providers", "workspace"]),
];

/// A module of `ninja-core` and all that may import it, besides itself.
const IMPORTED_BY: &[(&str, &[&str])] = &[("actors", &["engine"])];

/// Statics that may hold something mutable, each with the reason. Two engines must run in one process.
const STATICS: &[(&str, &str)] = &[
    ("sandbox/bubblewrap/slot.rs", "the table of open descriptors belongs to the process, so its lock does as well"),
    ("sandbox/bubblewrap/cgroup.rs", "names of control groups are the machine's: two engines must not choose the same"),
    ("sandbox/bubblewrap/detect.rs", "names of folders for temporary files are the machine's as well"),
];

#[test]
fn crates_depend_downwards_only() -> Result<()> {
    let mut wrong = Vec::new();
    for package in packages()? {
        let name = text(&package, "name");
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else { continue };
        let dependencies = package.get("dependencies").and_then(Value::as_array).cloned().unwrap_or_default();
        for dependency in dependencies.iter().filter(|dependency| text(dependency, "kind") != "dev") {
            let other = text(dependency, "name");
            if CRATES.iter().any(|(ours, _)| *ours == other) && !allowed.contains(&other) {
                wrong.push(format!("{name} depends on {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_crate_has_its_place() -> Result<()> {
    let packages = packages()?;
    let found: BTreeSet<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let known: BTreeSet<&str> = CRATES.iter().map(|(name, _)| *name).chain(["ninja-tests"]).collect();
    assert_eq!(found, known);
    Ok(())
}

#[test]
fn modules_of_the_engine_import_downwards_only() -> Result<()> {
    let mut wrong = Vec::new();
    for source in core_sources()? {
        for import in imports(&source) {
            for (module, allowed) in MODULES.iter().filter(|(module, _)| within(&source.module, module)) {
                if !within(&import, module) && !allowed.iter().any(|allowed| within(&import, allowed)) {
                    wrong.push(format!("{} imports {import}; it may import {allowed:?}", source.module));
                }
            }
            for (module, allowed) in IMPORTED_BY.iter().filter(|(module, _)| within(&import, module)) {
                let may = |name: &&str| within(&source.module, name);
                if !may(module) && !allowed.iter().any(may) {
                    wrong.push(format!("{} imports {import}, which only {allowed:?} may", source.module));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn core_has_no_process_wide_state() -> Result<()> {
    const CELLS: &[&str] = &["Mutex", "RwLock", "OnceLock", "OnceCell", "LazyLock", "LazyCell", "Atomic", "RefCell"];
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for source in core_sources()? {
        let lines = source.text.lines().map(str::trim_start);
        let is_static = |line: &&str| {
            let item =
                line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            item.starts_with("static ") && CELLS.iter().any(|cell| line.contains(cell))
                || item.starts_with("static mut ")
        };
        let is_macro = |line: &&str| line.starts_with("lazy_static!") || line.starts_with("thread_local!");
        for line in lines.filter(|line| is_static(line) || is_macro(line)) {
            match STATICS.iter().find(|(path, _)| *path == source.path) {
                Some((path, _)) => _ = used.insert(*path),
                None => wrong.push(format!("{}: {line}", source.path)),
            }
        }
    }
    assert!(wrong.is_empty(), "state belongs to an engine, not to the process:\n{}", wrong.join("\n"));
    let idle: Vec<_> = STATICS.iter().map(|(path, _)| *path).filter(|path| !used.contains(path)).collect();
    assert!(idle.is_empty(), "these exceptions are no longer needed: {idle:?}");
    Ok(())
}

#[test]
fn imports_are_read_through_groups_and_relative_paths() {
    let source = Source {
        path: "a/b.rs".to_owned(),
        module: "a::b".to_owned(),
        text: "use super::c::{D, e::{F, G}};\nuse crate::{h, i::J as K};\nuse self::l::M;\nlet x = crate::n::o();"
            .to_owned(),
    };
    assert_eq!(imports(&source), ["a::c::D", "a::c::e::F", "a::c::e::G", "h", "i::J", "a::b::l::M", "n::o"]);
}

/// A file of `ninja-core` without its comments and tests.
struct Source {
    /// Relative to `src/`.
    path: String,
    /// As `a::b`, empty for the crate's root.
    module: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn packages() -> Result<Vec<Value>> {
    let args = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("failed to read the metadata")?;
    metadata.get("packages").and_then(Value::as_array).cloned().context("there are no packages")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn core_sources() -> Result<Vec<Source>> {
    let src = root().join("ninja-core/src");
    let (mut sources, mut folders) = (Vec::new(), vec![src.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let file = entry?.path();
            if file.is_dir() {
                folders.push(file);
            } else if let Some(path) = file.strip_prefix(&src)?.to_str().filter(|path| path.ends_with(".rs")) {
                sources.extend(Source::read(path, &fs::read_to_string(&file)?));
            }
        }
    }
    assert!(sources.len() > 20, "the sources were not found");
    Ok(sources)
}

impl Source {
    /// Reads a file, unless it is one of tests.
    fn read(path: &str, text: &str) -> Option<Self> {
        let mut module: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        if module.iter().any(|name| name.ends_with("tests") || *name == "testing") {
            return None;
        }
        if matches!(module.last(), Some(&("mod" | "lib"))) {
            module.pop();
        }
        let product = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code: Vec<&str> = product.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        Some(Self { path: path.to_owned(), module: module.join("::"), text: code.join("\n") })
    }
}

/// Returns whether `path` is `module` or lies in it.
fn within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns every path into the crate that a source names, from the crate's root and without groups.
fn imports(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source.text.as_str();
    while let Some((at, keyword)) = next_root(rest) {
        let before = rest.get(..at).unwrap_or_default();
        rest = rest.get(at + keyword.len()..).unwrap_or_default();
        // `pub(crate)` and a name that merely ends in the word are no paths.
        let is_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if is_word && rest.starts_with("::") {
            read_tree(&mut rest, base_of(source, keyword), &mut found);
        }
    }
    found
}

fn next_root(text: &str) -> Option<(usize, &'static str)> {
    ["crate", "super", "self"].into_iter().filter_map(|word| Some((text.find(word)?, word))).min()
}

fn base_of(source: &Source, keyword: &str) -> Vec<String> {
    let mut base: Vec<String> = match keyword {
        "crate" => Vec::new(),
        _ => source.module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect(),
    };
    if keyword == "super" {
        base.pop();
    }
    base
}

/// Reads `::a::b` or `::{a, b::c}` from the front of `rest`.
fn read_tree(rest: &mut &str, mut path: Vec<String>, found: &mut Vec<String>) {
    while let Some(after) = rest.trim_start().strip_prefix("::") {
        let after = after.trim_start();
        if let Some(group) = after.strip_prefix('{') {
            *rest = group;
            return read_group(rest, &path, found);
        }
        *rest = after;
        read_name(rest, &mut path);
    }
    found.push(path.join("::"));
}

fn read_group(rest: &mut &str, path: &[String], found: &mut Vec<String>) {
    loop {
        *rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if rest.is_empty() {
            return;
        }
        if let Some(after) = rest.strip_prefix('}') {
            *rest = after;
            return;
        }
        let mut path = path.to_vec();
        read_name(rest, &mut path);
        read_tree(rest, path, found);
        // A new name (`as …`) changes nothing.
        *rest = rest.trim_start_matches(|c: char| !matches!(c, ',' | '}'));
    }
}

fn read_name(rest: &mut &str, path: &mut Vec<String>) {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = if end == 0 { after.get(1..).unwrap_or_default() } else { after };
    match name {
        "super" => _ = path.pop(),
        "self" | "" => {}
        name => path.push(name.to_owned()),
    }
}
