//! `measure`: our column of the table that compares code bases, estimated from the text of the repository.

use std::{fmt::Display, fs, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    places,
    rust_text::{block_length, strip_literals},
    shell,
};

/// One Rust file.
struct Source {
    path: String,
    lines: Vec<String>,
    /// The same lines without comments and literals, so that braces and words are what they seem.
    code: Vec<String>,
    /// How many lines come before its tests; none in a file of tests.
    product: usize,
}

/// Runs the command.
pub(crate) fn run() -> Result<ExitCode> {
    let files = read_sources()?;
    let lock = fs::read_to_string(places::repository().join("Cargo.lock"))?;
    let sum = |count: fn(&Source) -> usize| files.iter().map(count).sum::<usize>();
    let mut sizes: Vec<(usize, &str)> = files.iter().map(|file| (file.lines.len(), file.path.as_str())).collect();
    let mut functions: Vec<usize> = files.iter().flat_map(Source::functions).collect();
    sizes.sort_unstable();
    functions.sort_unstable();
    let (largest, name) = sizes.last().copied().unwrap_or_default();
    let long = functions.iter().filter(|lines| **lines > 70).count();
    let (public, documented) = (sum(|file| file.public_items().count()), sum(Source::documented_items));
    let opened = sum(|file| file.lines.first().is_some_and(|line| line.starts_with("//!")).into());

    row("median file, lines", "≤150", percentile(&sizes, 50).map_or(0, |size| size.0));
    row("largest file", "≤500", format!("{largest} ({name})"));
    row("function p95, lines", "≤45", percentile(&functions, 95).unwrap_or(0));
    row("functions >70 lines", "≤0.5%", percent(long, functions.len()));
    row("public item docs", "100%", percent(documented, public));
    row("module docs (whole repo)", "100%", percent(opened, files.len()));
    row("unwrap per kloc, non-test", "0", per_kloc(sum(Source::unwraps), sum(|file| file.product)));
    row("tests per kloc", "≥12", per_kloc(sum(Source::tests), sum(|file| file.lines.len())));
    row("locked packages", "falling", lock.matches("[[package]]").count());
    Ok(ExitCode::SUCCESS)
}

fn read_sources() -> Result<Vec<Source>> {
    let root = places::repository();
    let listed = shell::output(shell::command("git", &["ls-files", "-co", "--exclude-standard", "*.rs"]))?;
    let there = listed.lines().filter(|path| root.join(path).is_file());
    let mut sources = Vec::new();
    for path in there {
        let text = fs::read_to_string(root.join(path)).with_context(|| format!("failed to read {path}"))?;
        sources.push(Source::new(path, &text));
    }
    let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let lies_in =
            |module: &String| source.path.strip_prefix(module).is_some_and(|rest| rest.starts_with(['.', '/']));
        if tests.iter().any(lies_in) {
            source.product = 0;
        }
    }
    Ok(sources)
}

fn row(name: &str, goal: &str, value: impl Display) {
    println!("{name:<27}{goal:>8}  {value}");
}

fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied()
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1}% ({part} of {whole})", part as f64 * 100.0 / whole.max(1) as f64)
}

fn per_kloc(count: usize, lines: usize) -> String {
    format!("{:.1} ({count} in {lines} lines)", count as f64 * 1000.0 / lines.max(1) as f64)
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code: Vec<String> = strip_literals(text).lines().map(str::to_owned).collect();
        let is_test = path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"));
        let is_module = |pair: &[String]| matches!(pair, [mark, item] if mark == "#[cfg(test)]" && item.ends_with('{'));
        let marked = code.windows(2).position(is_module).unwrap_or(code.len());
        let lines = text.lines().map(str::to_owned).collect();
        Self { path: path.to_owned(), lines, code, product: if is_test { 0 } else { marked } }
    }

    /// Returns the files of the modules that are compiled for tests alone, without `.rs`.
    fn test_modules(&self) -> impl Iterator<Item = String> {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or_default();
        let own = match name {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            name => format!("{folder}/{}", name.trim_end_matches(".rs")),
        };
        let declared = self.code.windows(2).filter_map(|pair| match pair {
            [mark, item] if mark == "#[cfg(test)]" => item.split("mod ").nth(1)?.strip_suffix(';'),
            _ => None,
        });
        declared.map(move |module| format!("{own}/{module}"))
    }

    /// Returns the length of each function that has a body, from its first line to its closing brace.
    fn functions(&self) -> Vec<usize> {
        let starts = self.code.iter().enumerate().filter(|(_, line)| declares(line, &["fn"]));
        starts.filter_map(|(start, _)| block_length(self.code.get(start..).unwrap_or_default())).collect()
    }

    /// Returns where public items are declared; a `pub mod x;` is documented in its own file.
    fn public_items(&self) -> impl Iterator<Item = usize> {
        let items = ["fn", "struct", "enum", "trait", "const", "static", "type"];
        let is_item = move |line: &&String| line.trim_start().starts_with("pub ") && declares(line, &items);
        (0..).zip(self.code.iter().take(self.product)).filter(move |(_, line)| is_item(line)).map(|(at, _)| at)
    }

    fn documented_items(&self) -> usize {
        let above = |at: &usize| {
            let mut lines = self.lines.get(..*at).unwrap_or_default().iter().rev().map(|line| line.trim_start());
            lines.find(|line| !line.starts_with("#[")).is_some_and(|line| line.starts_with("///"))
        };
        self.public_items().filter(above).count()
    }

    fn unwraps(&self) -> usize {
        self.code.iter().take(self.product).map(|line| line.matches(".unwrap()").count()).sum()
    }

    fn tests(&self) -> usize {
        self.code.iter().filter(|line| line.trim() == "#[test]" || line.trim().starts_with("#[tokio::test")).count()
    }
}

/// Returns whether a line declares one of `items`: nothing but qualifiers may stand before the word.
fn declares(line: &str, items: &[&str]) -> bool {
    let qualifies = |word: &&str| matches!(*word, "pub" | "async" | "unsafe" | "default") || word.starts_with("pub(");
    let mut words = line.split_whitespace().skip_while(qualifies);
    match (words.next(), words.next()) {
        (Some("const"), Some("fn")) => items.contains(&"fn"),
        (Some(word), _) => items.contains(&word),
        (None, _) => false,
    }
}
