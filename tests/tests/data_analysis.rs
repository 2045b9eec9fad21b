//! The data-analysis template on files nobody tuned it to, with a model that always takes the first choice it is offered.
//!
//! Figures are computed here again, from the same rows, by other code.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::io::Read;

use futures::stream;
use ninja_core::{
    api::{ErrorCode, SubmitTask, Task, TaskStatus},
    providers::Scripted,
};
use ninja_tests::{ScriptedEngine, first_choice};

async fn host() -> ScriptedEngine {
    ScriptedEngine::start(Scripted::new(first_choice)).await
}

async fn analyse(host: &ScriptedEngine, name: &str, content: Vec<u8>, question: &str) -> Task {
    let owner = host.engine.local_owner();
    let chunks: Vec<_> = content.chunks(64 * 1024).map(|chunk| Ok(chunk.to_vec().into())).collect();
    let file = host.engine.upload_file(&owner, name, stream::iter(chunks)).await.unwrap();
    let request = SubmitTask {
        goal: question.to_owned(),
        template: Some("data-analysis".to_owned()),
        files: vec![file.id],
        ..SubmitTask::default()
    };
    let task = host.engine.submit_task(&owner, request).await.unwrap();
    host.finish(task.id).await
}

async fn artifact(host: &ScriptedEngine, task: &Task, path: &str) -> String {
    let owner = host.engine.local_owner();
    let mut text = String::new();
    let (_, mut file) =
        host.engine.artifact(&owner, task.id, path).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    file.read_to_string(&mut text).unwrap();
    text
}

fn assert_succeeded(task: &Task) {
    assert_eq!((task.status, task.error.as_ref()), (TaskStatus::Succeeded, None));
}

/// Mean of one column by another, from a plain comma-separated file.
fn means(csv: &str, by: usize, value: usize) -> Vec<(String, f64)> {
    let mut groups: std::collections::BTreeMap<String, Vec<f64>> = Default::default();
    for line in csv.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if let Ok(number) = cells[value].parse() {
            groups.entry(cells[by].to_owned()).or_default().push(number);
        }
    }
    groups.into_iter().map(|(group, all)| (group, all.iter().sum::<f64>() / all.len() as f64)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_penguins_figures_are_right_and_wrong_prose_is_struck() {
    let host = host().await;
    let csv = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/penguins.csv")).unwrap();
    let question = "Which species has the highest average body mass?";
    let task = analyse(&host, "penguins.csv", csv.clone().into_bytes(), question).await;
    assert_succeeded(&task);
    let table = artifact(&host, &task, "table.csv").await;
    for (species, mean) in means(&csv, 0, 5) {
        let row = table.lines().find(|line| line.starts_with(&species)).unwrap_or_else(|| panic!("{species}: {table}"));
        let close = row.split(',').filter_map(|cell| cell.parse::<f64>().ok()).any(|cell| (cell - mean).abs() < 0.01);
        assert!(close, "{species}: {mean} is not in {row}");
    }
    let report = artifact(&host, &task, "report.md").await;
    for expected in ["penguins.csv", "344", "Gentoo", "5,076", "chart.svg", "struck"] {
        assert!(report.to_lowercase().contains(&expected.to_lowercase()), "{expected} is not in:\n{report}");
    }
    assert!(artifact(&host, &task, "chart.svg").await.contains("<svg"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_kind_are_read() {
    let host = host().await;
    let latin1: Vec<u8> =
        "Größe;Stück\nklein;1,5\ngroß;2,5\n".chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let cases: Vec<(&str, Vec<u8>, &str, &[&str])> = vec![
        (
            "semicolons.csv",
            b"city;price\nBern;1,50\nBern;2,50\nGenf;4,00\n".to_vec(),
            "average price by city",
            &["Genf", "4"],
        ),
        (
            "missing.csv",
            b"team,score\nred,10\nred,NA\nblue,\nblue,30\n".to_vec(),
            "mean score by team",
            &["blue", "30"],
        ),
        (
            "quoted.csv",
            b"name,note,amount\n\"Doe, Jane\",\"two\nlines\",3\n\"O\"\"Hara\",x,5\n".to_vec(),
            "total amount",
            &["8"],
        ),
        ("bom.csv", b"\xef\xbb\xbfkind,n\na,1\nb,2\n".to_vec(), "sum of n by kind", &["2"]),
        ("latin1.csv", latin1, "average Stück by Größe", &["groß", "2.5"]),
        ("one_column.csv", b"height\n1\n2\n3\n6\n".to_vec(), "What is the mean height?", &["3"]),
        (
            "tabs.tsv",
            b"region\tsales\nnorth\t1000\nsouth\t3000\n".to_vec(),
            "which region has the most sales",
            &["south"],
        ),
    ];
    for (name, content, question, expected) in cases {
        let task = analyse(&host, name, content, question).await;
        assert_succeeded(&task);
        let report = artifact(&host, &task, "report.md").await;
        for text in expected.iter().chain([&name]) {
            assert!(report.contains(text), "{name}: {text} is not in:\n{report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_rows_gets_a_clear_answer_and_one_without_anything_a_clear_error() {
    let host = host().await;
    let task = analyse(&host, "empty_table.csv", b"a,b,c\n".to_vec(), "mean of a").await;
    assert_succeeded(&task);
    let report = artifact(&host, &task, "report.md").await;
    assert!(report.contains("no rows"), "{report}");

    let task = analyse(&host, "empty.csv", Vec::new(), "mean of a").await;
    let error = task.error.unwrap();
    assert_eq!((task.status, error.code), (TaskStatus::Failed, ErrorCode::ToolFailed));
    assert!(error.detail.contains("empty"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_are_read() {
    let host = host().await;
    let mut csv = String::from("shop,day,amount\n");
    let mut total = 0_u64;
    for row in 0_u64.. {
        csv.push_str(&format!("shop{},2024-01-{:02},{}\n", row % 7, row % 28 + 1, row % 1_000));
        total += row % 1_000;
        if csv.len() >= 49_000_000 {
            break;
        }
    }
    let task = analyse(&host, "large.csv", csv.into_bytes(), "What is the total amount?").await;
    assert_succeeded(&task);
    let table = artifact(&host, &task, "table.csv").await;
    assert!(table.contains(&total.to_string()), "{total} is not in {table}");
}
