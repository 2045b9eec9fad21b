//! The templates that every installation has, compiled in.

use bytes::Bytes;

use super::TemplateSource;

/// Makes a list of a template's files; a test compares it with the folder.
macro_rules! files {
    ($name:literal: $($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("../../../../config/templates/", $name, "/", $path)))),+].as_slice()
    };
}

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

/// Returns the built-in templates' files by name.
pub(super) fn sources() -> impl Iterator<Item = (&'static str, TemplateSource)> {
    let source = |files: &'static [(&str, &str)]| {
        files.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from_static(text.as_bytes()))).collect()
    };
    [("data-analysis", source(DATA_ANALYSIS))].into_iter()
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
