//! `bug-fix`.

use ninja_core::api::ErrorCode;
use serde_json::json;

use super::host::{Job, LocalRun, Script};

const SHOP: &str = "def total(prices, discount):\n    \"\"\"What the prices come to, less a discount in percent.\"\"\"\n    return sum(prices)\n";
const SHOP_TEST: &str = "import unittest\nfrom shop import total\n\n\nclass TestTotal(unittest.TestCase):\n    def test_discount(self):\n        self.assertEqual(total([30, 50], 25), 60)\n\n    def test_none(self):\n        self.assertEqual(total([30, 50], 0), 80)\n";
const FIX: &str = "return sum(prices) * (100 - discount) / 100";
const PATCH: &str = "--- a/shop.py\n+++ b/shop.py\n@@ -1,3 +1,3 @@\n def total(prices, discount):\n     \"\"\"What the prices come to, less a discount in percent.\"\"\"\n-    return sum(prices)\n+    return sum(prices) * (100 - discount) / 100\n";

fn job<'a>() -> Job<'a> {
    Job::new("bug-fix", "The discount is ignored.", &[("shop.py", SHOP), ("test_shop.py", SHOP_TEST)])
}

fn edit(path: &str, find: &str, replace: &str) -> String {
    json!({ "cause": "c", "edits": [{ "path": path, "find": find, "replace": replace }] }).to_string()
}

/// A run whose log others cut.
pub(crate) fn recorded() -> (Job<'static>, Script) {
    (job(), vec![("Mend its cause", edit("shop.py", "return sum(prices)", FIX))])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_fix_becomes_a_patch_and_the_changed_file() {
    let (job, script) = recorded();
    let done = job.run(script).await.succeeded();
    assert_eq!(done.artifact("fix.patch").await, PATCH);
    assert_eq!(done.artifact("fixed/shop.py").await, SHOP.replace("return sum(prices)", FIX));
    assert_eq!(done.paths(), ["fix.patch", "fixed/shop.py", "report.md"]);
    insta::assert_snapshot!("bug_fix_report", done.artifact("report.md").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_that_the_model_does_not_find_is_found_by_the_search() {
    let slip = "def middle(low, high):\n    return (low - high) // 2\n";
    let job = Job::new("bug-fix", "middle(2, 8) is -3 but should be 5", &[("m.py", slip)]);
    let done = job.run(vec![("Mend its cause", edit("m.py", "// 2", "// 3"))]).await.succeeded();
    assert_eq!(done.artifact("fixed/m.py").await, slip.replace(" - ", " + "));
    assert!(done.artifact("fixed/test_reproduction.py").await.contains("self.assertEqual(middle(2, 8), 5)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_patches_end_as_a_contract_that_does_not_hold() {
    for (what, replace) in [
        ("special-cases the test", "return 60 if prices == [30, 50] and discount == 25 else sum(prices)"),
        ("ends the process", "import os; os._exit(0)"),
        ("replaces the judge", "import unittest; unittest.TestCase.assertEqual = print; return 0"),
    ] {
        let done = job().run(vec![("Mend its cause", edit("shop.py", "return sum(prices)", replace))]).await;
        let told = done.failed(ErrorCode::ContractFailed);
        assert!(told.contains("no source file was changed"), "{what}: {told}");
        assert_eq!(done.paths(), ["report.md"], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_failing_test_it_says_so() {
    let job = Job::new("bug-fix", "It is wrong somehow.", &[("m.py", "def one():\n    return 1\n")]);
    let told = job.run(Vec::new()).await.failed(ErrorCode::ToolFailed);
    assert!(told.contains("no test fails on the present code"), "{told}");
}

#[test]
fn a_mutated_operator_is_mended_with_the_local_model() {
    let code = "def below_zero(steps):\n    \"\"\"Whether a balance that begins at zero ever falls below it.\n\n    >>> below_zero([1, 2, -4, 5])\n    True\n    >>> below_zero([1, 2, 3])\n    False\n    \"\"\"\n    balance = 0\n    for step in steps:\n        balance -= step\n        if balance < 0:\n            return True\n    return False\n";
    let job = Job::new("bug-fix", "below_zero gives wrong answers", &[("balance.py", code)]);
    let Some(run) = LocalRun::of(&job) else { return };
    let run = run.succeeded();
    assert_eq!(run.made("fixed/balance.py"), code.replace("-= step", "+= step"));
    assert!(run.made("report.md").contains("local / smollm2"));
}
