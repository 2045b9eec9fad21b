//! The built-in templates end to end: with a scripted model the files that come out are compared byte by byte; with the
//! local model the contract holds or the task says that it does not.
//!
//! [`cuts`] lets each of these runs begin again from every record of its log. Branches of the scripts are tested beside the scripts.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "templates/bug_fix.rs"]
mod bug_fix;
#[path = "templates/code_with_tests.rs"]
mod code_with_tests;
#[path = "templates/cuts.rs"]
mod cuts;
#[path = "templates/data_analysis.rs"]
mod data_analysis;
#[path = "templates/host.rs"]
mod host;
#[path = "templates/own_folder.rs"]
mod own_folder;
#[path = "templates/research_report.rs"]
mod research_report;
#[path = "templates/static_site.rs"]
mod static_site;
