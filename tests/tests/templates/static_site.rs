//! `static-site`.

use ninja_core::api::ErrorCode;
use serde_json::json;

use super::host::{Job, LocalRun, Script, answering};

const GOAL: &str = "A site for Hill Farm, which grows apples";
const ABOUT: &str =
    "# About <us>\n\nWe *grow* apples. See [prices](prices.csv), [gone](gone.md) and <script>alert(1)</script>.\n";
const PRICES: &str = "kind,price\nRusset,3\n\"<b>Cox</b>\",4\n";

/// A run whose log others cut.
pub(crate) fn recorded() -> (Job<'static>, Script) {
    let words = json!({
        "title": "Hill Farm",
        "tagline": "Apples from old trees.",
        "sections": [{ "heading": "Our <apples>", "text": "We press juice. <script>alert(1)</script>" }],
    });
    let job = Job::new("static-site", GOAL, &[("about.md", ABOUT), ("prices.csv", PRICES)]);
    (job, vec![("Write the words", words.to_string())])
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_files_become_a_site() {
    let (job, script) = recorded();
    let done = job.run(script).await.succeeded();
    assert_eq!(done.paths(), ["site/about.html", "site/index.html", "site/prices.html", "site/style.css"]);
    for name in ["index", "about", "prices"] {
        insta::assert_snapshot!(format!("site_{name}"), done.artifact(&format!("site/{name}.html")).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_makes_no_page_and_a_wrong_parameter_are_refused() {
    let job = Job::new("static-site", GOAL, &[("page.php", "<?php ?>")]);
    assert!(job.run(Vec::new()).await.failed(ErrorCode::ToolFailed).contains("page.php"));
    let host = ninja_tests::ScriptedEngine::start(answering(Vec::new())).await;
    let mut job = Job::new("static-site", GOAL, &[]);
    job.params.insert("theme".to_owned(), json!("pink"));
    let refused = job.submit(&host).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidRequest);
    assert!(refused.detail.contains("theme"), "{refused}");
}

#[test]
fn a_site_is_made_with_the_local_model() {
    let Some(run) = LocalRun::of(&Job::new("static-site", GOAL, &[("about.md", ABOUT)])) else { return };
    let run = run.succeeded();
    assert!(run.made("site/index.html").contains("<html lang=\"en\">"));
    assert!(run.made("site/about.html").contains("&lt;script&gt;"));
}
