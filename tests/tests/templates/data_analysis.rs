//! `data-analysis`: the run whose log others cut. What the template makes of files is tested in `tests/data_analysis.rs`.

use ninja_core::providers::Scripted;
use ninja_tests::first_choice;

use super::host::Job;

const CSV: &str =
    "shop,day,amount\nnorth,2024-01-01,10\nnorth,2024-01-02,20\nsouth,2024-01-01,40\nsouth,2024-01-03,5\n";

/// A run whose log others cut.
pub(crate) fn recorded() -> (Job<'static>, fn() -> Scripted) {
    let job = Job::new("data-analysis", "What is the average amount by shop?", &[("sales.csv", CSV)]);
    (job, || Scripted::new(first_choice))
}
