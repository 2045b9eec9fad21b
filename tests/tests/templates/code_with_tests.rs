//! `code-with-tests`.

use ninja_core::api::ErrorCode;
use serde_json::json;

use super::host::{Job, LocalRun, Script};

const STACK: &str = "class Stack:\n    \"\"\"A stack.\"\"\"\n\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        self.items.append(item)\n\n    def pop(self):\n        return self.items.pop()\n";
const STACK_TEST: &str = "\"\"\"Tests of solution.\"\"\"\n\nimport unittest\n\n\nclass TestSolution(unittest.TestCase):\n    def test_1(self):\n        from solution import Stack\n        s = Stack()\n        s.push(4)\n        s.push(5)\n        self.assertEqual(s.pop(), 5)\n\n    def test_2(self):\n        from solution import Stack\n        with self.assertRaises(IndexError):\n            Stack().pop()\n";

fn code(text: &str) -> String {
    json!({ "code": text }).to_string()
}

fn cases() -> String {
    let setup = "s = Stack()\ns.push(4)\ns.push(5)";
    json!({ "cases": [
        { "setup": setup, "expression": "s.pop()", "expected": "5" },
        { "expression": "Stack().pop()", "raises": "IndexError" },
        { "expression": "1 + 1", "expected": "2" },
    ] })
    .to_string()
}

/// A run whose log others cut.
pub(crate) fn recorded() -> (Job<'static>, Script) {
    let script = vec![("Write the Python module", code(STACK)), ("Say what is right", cases())];
    (Job::new("code-with-tests", "A class Stack with push and pop", &[]), script)
}

#[tokio::test(flavor = "multi_thread")]
async fn code_and_cases_become_a_module_with_tests_that_can_fail() {
    let (job, script) = recorded();
    let done = job.run(script).await.succeeded();
    assert_eq!(done.artifact("solution.py").await, STACK);
    assert_eq!(done.artifact("test_solution.py").await, STACK_TEST);
    assert_eq!(done.paths(), ["report.md", "solution.py", "test_solution.py"]);
    insta::assert_snapshot!("code_with_tests_report", done.artifact("report.md").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_that_were_given_decide_and_cannot_be_changed() {
    let given = "import unittest\nfrom words import count\n\n\nclass TestCount(unittest.TestCase):\n    def test_two(self):\n        self.assertEqual(count('a b'), 2)\n\n    def test_none(self):\n        self.assertEqual(count(''), 0)\n";
    let job = || Job::new("code-with-tests", "What the tests want", &[("test_words.py", given)]);
    let right = "def count(text):\n    return len(text.split())\n";
    let done = job().run(vec![("Write the Python module", code(right))]).await.succeeded();
    assert_eq!(
        (done.artifact("words.py").await.as_str(), done.artifact("test_words.py").await.as_str()),
        (right, given)
    );

    for wrong in ["def count(text):\n    return 2\n", "import os\nos._exit(0)\n\n\ndef count(text):\n    return 0\n"] {
        let script = vec![("does not pass", code(wrong)), ("Write the Python module", code(wrong))];
        job().run(script).await.failed(ErrorCode::ContractFailed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_that_says_what_is_right_it_does_not_succeed() {
    let done =
        Job::new("code-with-tests", "Something nice", &[]).run(vec![("Write the Python module", code(STACK))]).await;
    let told = done.failed(ErrorCode::ContractFailed);
    assert!(told.contains("there is no test"), "{told}");
}

#[test]
fn a_sum_is_written_with_the_local_model() {
    let Some(run) = LocalRun::of(&Job::new("code-with-tests", "a function add(a, b) that returns their sum", &[]))
    else {
        return;
    };
    let run = run.succeeded();
    assert_eq!(run.made("solution.py"), "def add(a, b):\n    return a + b\n");
    assert!(run.made("test_solution.py").contains("self.assertEqual(add(2, 3), 5)"));
}

#[test]
fn what_cannot_be_done_with_the_local_model_is_not_called_done() {
    let goal = "a function frob(a, b) that returns their frobnication";
    let Some(run) = LocalRun::of(&Job::new("code-with-tests", goal, &[])) else { return };
    assert_eq!(run.task.error.as_ref().map(|error| error.code), Some(ErrorCode::ContractFailed));
}
