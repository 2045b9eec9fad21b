//! An operator's own folder: a copy of a built-in template, changed, and a new one beside it.

use std::path::Path;

use ninja_core::api::ErrorCode;
use ninja_tests::ScriptedEngine;

use super::host::{Job, answering};

const COUNT: &str = "name = \"count\"\n\n[[steps]]\nid = \"count\"\nkind = \"tool\"\ntool = \"shell\"\nargs = { command = \"wc -w < inputs/a.txt > words\" }\n\n[[contract]]\nkind = \"file\"\npath = \"words\"\npattern = \"^3$\"\n";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_templates_add_to_the_built_in_ones_and_replace_them() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("static-site");
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/templates/static-site")), &site);
    let page = std::fs::read_to_string(site.join("scripts/page.py")).unwrap();
    std::fs::write(site.join("scripts/page.py"), page.replace("Skip to content", "Straight to the content")).unwrap();
    std::fs::create_dir(folder.path().join("count")).unwrap();
    std::fs::write(folder.path().join("count/template.toml"), COUNT).unwrap();
    let start = || {
        let templates = folder.path().to_owned();
        ScriptedEngine::start_with(answering(Vec::new()), |options| options.config.templates_dir = Some(templates))
    };

    let done = Job::new("static-site", "A farm", &[]).run_on(start().await).await.succeeded();
    assert!(done.artifact("site/index.html").await.contains("Straight to the content"));
    let done = Job::new("count", "", &[("a.txt", "one two three")]).run_on(start().await).await.succeeded();
    assert_eq!(done.artifact("words").await, "3\n");
    let done = Job::new("count", "", &[("a.txt", "one two")]).run_on(start().await).await;
    done.failed(ErrorCode::ContractFailed);
}
