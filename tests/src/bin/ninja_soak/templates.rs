//! Tasks of the built-in templates, and what the model says in them. Its answers follow from the prompt alone, so every
//! run of a template makes the same files.

#![expect(clippy::indexing_slicing, reason = "only JSON is indexed, which gives null where there is nothing")]

use ninja_sdk::api::SubmitTask;
use serde_json::{Map, Value, json};

/// A template, its goal and its files.
pub(crate) struct TemplateJob {
    /// The template.
    pub(crate) name: &'static str,
    /// What is wanted.
    pub(crate) goal: &'static str,
    /// Names and contents.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

const CSV: &str =
    "shop,day,amount\nnorth,2024-01-01,10\nnorth,2024-01-02,20\nsouth,2024-01-01,40\nsouth,2024-01-03,5\n";
const SHOP: &str = "def total(prices, discount):\n    \"\"\"What the prices come to, less a discount in percent.\"\"\"\n    return sum(prices)\n";
const SHOP_TEST: &str = "import unittest\nfrom shop import total\n\n\nclass TestTotal(unittest.TestCase):\n    def test_discount(self):\n        self.assertEqual(total([30, 50], 25), 60)\n\n    def test_none(self):\n        self.assertEqual(total([30, 50], 0), 80)\n";
const STACK: &str = "class Stack:\n    \"\"\"A stack.\"\"\"\n\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        self.items.append(item)\n\n    def pop(self):\n        return self.items.pop()\n";
const BRIDGE: &str =
    "# Forth Bridge\n\nThe Forth Bridge opened in 1890. It was designed by John Fowler and Benjamin Baker.\n";

/// Every template with something for it to do.
pub(crate) const TEMPLATES: [TemplateJob; 5] = [
    TemplateJob { name: "data-analysis", goal: "What is the average amount by shop?", files: &[("sales.csv", CSV)] },
    TemplateJob { name: "static-site", goal: "A site for Hill Farm", files: &[("prices.csv", "kind,price\nCox,3\n")] },
    TemplateJob {
        name: "bug-fix",
        goal: "The discount is ignored.",
        files: &[("shop.py", SHOP), ("test_shop.py", SHOP_TEST)],
    },
    TemplateJob { name: "code-with-tests", goal: "A class Stack with push and pop", files: &[] },
    TemplateJob {
        name: "research-report",
        goal: "When did the Forth Bridge open and who designed it?",
        files: &[("bridge.md", BRIDGE)],
    },
];

impl TemplateJob {
    /// Returns the request, without its files.
    pub(crate) fn request(&self, tag: &str) -> SubmitTask {
        let template = Some(self.name.to_owned());
        SubmitTask { goal: format!("{} ({tag})", self.goal), template, ..SubmitTask::default() }
    }
}

/// Answers a prompt that has no script in it.
pub(crate) fn answer(request: &Value, told: &str) -> String {
    let says = |part: &str| told.contains(part);
    match () {
        () if says("Mend its cause") => {
            let (find, replace) = ("return sum(prices)", "return sum(prices) * (100 - discount) / 100");
            json!({ "cause": "c", "edits": [{ "path": "shop.py", "find": find, "replace": replace }] }).to_string()
        }
        () if says("Say what is right") => {
            let setup = "s = Stack()\ns.push(4)\ns.push(5)";
            json!({ "cases": [
                { "setup": setup, "expression": "s.pop()", "expected": "5" },
                { "expression": "Stack().pop()", "raises": "IndexError" },
            ] })
            .to_string()
        }
        () if says("Write the words") => {
            let sections = json!([{ "heading": "Our apples", "text": "We press juice." }]);
            json!({ "title": "Hill Farm", "tagline": "Apples from old trees.", "sections": sections }).to_string()
        }
        () if says("Passages") => {
            "## Opening\nThe Forth Bridge opened in 1890 [1]. Gustave Eiffel designed it [1].".to_owned()
        }
        () if says("Choose how to answer") => first_choice(request),
        () if says("What is wanted") => json!({ "code": STACK }).to_string(),
        () => "The file was read. The highest value is 987654321.".to_owned(),
    }
}

/// Takes the first of the values that the schema offers for each field.
fn first_choice(request: &Value) -> String {
    let schema = &request["response_format"]["json_schema"]["schema"];
    let first = |(name, property): (&String, &Value)| (name.clone(), property["enum"][0].clone());
    let fields: Map<_, _> = schema["properties"].as_object().into_iter().flatten().map(first).collect();
    Value::Object(fields).to_string()
}
