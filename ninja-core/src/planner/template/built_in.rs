//! The templates that every installation has, compiled in.

use bytes::Bytes;

use super::TemplateSource;

/// Makes a list of a template's files; a test compares it with the folder.
macro_rules! files {
    ($name:literal: $($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("../../../../config/templates/", $name, "/", $path)))),+].as_slice()
    };
}

const BUG_FIX: &[(&str, &str)] = files![
    "bug-fix":
    "template.toml",
    "prompts/fix.md",
    "prompts/fix_again.md",
    "prompts/reproduce.md",
    "scripts/cases.py",
    "scripts/check.py",
    "scripts/docstrings.py",
    "scripts/examples.py",
    "scripts/finish.py",
    "scripts/mutants.py",
    "scripts/overfit.py",
    "scripts/patch.py",
    "scripts/policy.py",
    "scripts/prepare.py",
    "scripts/project.py",
    "scripts/proposal.py",
    "scripts/reading.py",
    "scripts/red.py",
    "scripts/report.py",
    "scripts/request.py",
    "scripts/runner.py",
    "scripts/sealed.py",
    "scripts/search.py",
    "scripts/suspects.py",
    "scripts/verify.py",
    "scripts/workbench.py",
];

const CODE_WITH_TESTS: &[(&str, &str)] = files![
    "code-with-tests":
    "template.toml",
    "prompts/cases.md",
    "prompts/code.md",
    "prompts/code_again.md",
    "scripts/assemble.py",
    "scripts/bench.py",
    "scripts/brief.py",
    "scripts/candidates.py",
    "scripts/cases.py",
    "scripts/check.py",
    "scripts/examples.py",
    "scripts/finish.py",
    "scripts/given.py",
    "scripts/known.py",
    "scripts/mutants.py",
    "scripts/outline.py",
    "scripts/policy.py",
    "scripts/report.py",
    "scripts/request.py",
    "scripts/runner.py",
    "scripts/sealed.py",
    "scripts/suite.py",
];

const DATA_ANALYSIS: &[(&str, &str)] = files![
    "data-analysis":
    "template.toml",
    "prompts/choose.md",
    "prompts/write.md",
    "scripts/cells.py",
    "scripts/chart.py",
    "scripts/columns.py",
    "scripts/compute.py",
    "scripts/cues.py",
    "scripts/dialect.py",
    "scripts/document.py",
    "scripts/evidence.py",
    "scripts/figures.py",
    "scripts/gather.py",
    "scripts/options.py",
    "scripts/plan.py",
    "scripts/profile.py",
    "scripts/prose.py",
    "scripts/report.py",
    "scripts/request.py",
    "scripts/results.py",
    "scripts/source.py",
    "scripts/statistic.py",
    "scripts/tables.py",
    "scripts/words.py",
];

const RESEARCH_REPORT: &[(&str, &str)] = files![
    "research-report":
    "template.toml",
    "prompts/write.md",
    "scripts/check.py",
    "scripts/claims.py",
    "scripts/document.py",
    "scripts/ranking.py",
    "scripts/read.py",
    "scripts/report.py",
    "scripts/request.py",
    "scripts/sources.py",
    "scripts/texts.py",
    "scripts/wording.py",
];

const STATIC_SITE: &[(&str, &str)] = files![
    "static-site":
    "template.toml",
    "prompts/words.md",
    "scripts/build.py",
    "scripts/check.py",
    "scripts/grounded.py",
    "scripts/markdown.py",
    "scripts/material.py",
    "scripts/outline.py",
    "scripts/page.py",
    "scripts/request.py",
];

/// Returns the built-in templates' files by name.
pub(super) fn sources() -> impl Iterator<Item = (&'static str, TemplateSource)> {
    let source = |files: &'static [(&str, &str)]| {
        files.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from_static(text.as_bytes()))).collect()
    };
    let all = [
        ("bug-fix", BUG_FIX),
        ("code-with-tests", CODE_WITH_TESTS),
        ("data-analysis", DATA_ANALYSIS),
        ("research-report", RESEARCH_REPORT),
        ("static-site", STATIC_SITE),
    ];
    all.into_iter().map(move |(name, files)| (name, source(files)))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn the_compiled_in_files_are_those_of_the_folder() {
        for (name, source) in sources() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/templates").join(name);
            let mut on_disk = TemplateSource::new();
            super::super::read_folder(&folder, "", &mut on_disk).unwrap();
            let shipped: BTreeSet<_> = on_disk.keys().filter(|path| !path.starts_with("tests/")).cloned().collect();
            assert_eq!(source.keys().cloned().collect::<BTreeSet<_>>(), shipped, "{name}");
        }
    }
}
