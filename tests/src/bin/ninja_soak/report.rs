//! What a run came to, as Markdown.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, time::Duration};

use crate::{
    audit::Blobs,
    run::{Run, Window},
    sample::{Count, Sample},
};

/// Rows of the table over time.
const ROWS: u32 = 24;
const ROW_MIN: Duration = Duration::from_secs(10);
const ROW_MAX: Duration = Duration::from_secs(300);
/// The head of the table over time.
pub(crate) const HEADER: &str = "\
| until | starts | memory MB | descriptors | threads | processes | tasks | alive | blobs | segments | tree | snapshots | workspaces | temporary |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";
/// Different lines of the daemon's log that are shown.
const LOG_LINES: usize = 20;

/// Blobs before and after what nothing names was collected, where it was.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Audit {
    /// As the daemon left them.
    pub(crate) left: Blobs,
    /// After `ninja db compact`.
    pub(crate) compacted: Option<Blobs>,
}

/// Returns the report.
pub(crate) fn markdown(run: &Run, title: &str, audit: &Audit) -> String {
    let tally = run.soak.tally();
    let mut out = format!("# Soak\n\n{title}\n\n");
    let mut starts = run.daemon.starts.clone();
    starts.sort();
    let middle = starts.get(starts.len() / 2).copied().unwrap_or_default();
    let last = starts.last().copied().unwrap_or_default();
    line(
        &mut out,
        &format!(
            "{} tasks came to their end in {}, over {} starts (to serving: median {} ms, longest {} ms; longest drain {} ms); {} questions to the model.",
            *run.soak.ended.borrow(),
            minutes(run.began.elapsed()),
            starts.len(),
            middle.as_millis(),
            last.as_millis(),
            run.daemon.longest_drain.as_millis(),
            run.soak.model.requests(),
        ),
    );
    ended(&mut out, &tally.ended);
    out.push_str("\n| done | times |\n| --- | --- |\n");
    for (what, times) in &tally.done {
        line(&mut out, &format!("| {what} | {times} |"));
    }
    over_time(&mut out, &run.samples);
    windows(&mut out, &run.windows);
    blobs(&mut out, audit, run.soak.deletes);
    log(&mut out, &run.daemon.log());
    out.push_str("\n## Verdict\n\n");
    for violation in &tally.violations {
        line(&mut out, &format!("- {violation}"));
    }
    match tally.violations.len() as u64 + tally.more_violations {
        0 => out.push_str("Nothing was lost, nothing happened twice, nothing leaked.\n"),
        count => line(&mut out, &format!("\n**{count} violations.**")),
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn files(count: Count) -> String {
    format!("{} / {}", count.files, megabytes(count.bytes))
}

fn ended(out: &mut String, ended: &BTreeMap<(&'static str, &'static str), u64>) {
    out.push_str("\n| kind | succeeded | failed | cancelled |\n| --- | --- | --- | --- |\n");
    let mut kinds: Vec<&str> = ended.keys().map(|(kind, _)| *kind).collect();
    kinds.dedup();
    for kind in kinds {
        let count = |status| ended.get(&(kind, status)).copied().unwrap_or(0);
        line(out, &format!("| {kind} | {} | {} | {} |", count("succeeded"), count("failed"), count("cancelled")));
    }
}

/// One row for each few minutes: the most of what goes up and down, the last of what stays.
fn over_time(out: &mut String, samples: &[Sample]) {
    out.push_str(
        "\n## Over time\n\nThe most in each row's time; files and tasks at its end. Files as number / MB.\n\n",
    );
    line(out, HEADER);
    let whole = samples.last().map_or(Duration::ZERO, |sample| sample.at);
    let step = (whole / ROWS).clamp(ROW_MIN, ROW_MAX);
    for samples in samples.chunk_by(|a, b| number_of(a, step) == number_of(b, step)) {
        line(out, &row(samples));
    }
}

/// Returns the row of the last few minutes, where these samples are the first of the next.
pub(crate) fn row_that_is_full(samples: &[Sample]) -> Option<String> {
    let (last, before) = samples.split_last()?;
    let full = number_of(before.last()?, ROW_MAX);
    let begin = before.iter().position(|sample| number_of(sample, ROW_MAX) == full)?;
    (number_of(last, ROW_MAX) != full).then(|| before.get(begin..).map(row)).flatten()
}

fn number_of(sample: &Sample, step: Duration) -> u64 {
    sample.at.as_secs() / step.as_secs()
}

fn row(samples: &[Sample]) -> String {
    let last = samples.last().cloned().unwrap_or_default();
    let most = |of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or(0);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        minutes(last.at),
        last.starts,
        megabytes(most(|sample| sample.memory)),
        most(|sample| sample.descriptors),
        most(|sample| sample.threads),
        most(|sample| sample.processes),
        last.tasks,
        most(|sample| sample.alive),
        files(last.blobs),
        files(last.segments),
        files(last.tree),
        last.snapshots.files,
        most(|sample| sample.workspaces),
        files(last.temporary),
    )
}

fn windows(out: &mut String, windows: &[Window]) {
    out.push_str("\n## One process before and after its work, at rest\n\n");
    out.push_str("| from | to | tasks ended | memory MB | descriptors | threads | segments |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for Window { before, after, ended } in windows {
        line(
            out,
            &format!(
                "| {} | {} | {ended} | {} → {} | {} → {} | {} → {} | {} → {} |",
                minutes(before.at),
                minutes(after.at),
                megabytes(before.memory),
                megabytes(after.memory),
                before.descriptors,
                after.descriptors,
                before.threads,
                after.threads,
                before.segments.files,
                after.segments.files,
            ),
        );
    }
}

fn blobs(out: &mut String, audit: &Audit, deletes: bool) {
    out.push_str("\n## Blobs\n\n");
    if !deletes {
        out.push_str("This daemon deletes no tasks, so what they name stays.\n\n");
    }
    let told = |blobs: &Blobs| {
        format!(
            "{} MB named, {} MB named by nothing; {} uploads",
            files(blobs.named),
            files(blobs.unnamed),
            blobs.uploads
        )
    };
    line(out, &format!("- as the daemon left them: {}", told(&audit.left)));
    match &audit.compacted {
        Some(blobs) => line(out, &format!("- after `ninja db compact`: {}", told(blobs))),
        None => out.push_str("- this `ninja` does not collect them: what nothing names is counted and not judged\n"),
    }
}

/// The daemon's complaints, those alike counted together.
fn log(out: &mut String, path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut alike: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines() {
        // Whatever differs from one to the next: numbers, ids, times.
        let plain = line.split_whitespace().filter(|word| !word.chars().any(|c| c.is_ascii_digit()));
        *alike.entry(plain.collect::<Vec<_>>().join(" ")).or_default() += 1;
    }
    let mut sorted: Vec<_> = alike.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    out.push_str("\n## What the daemon logged\n\nNumbers and ids left out.\n\n");
    for (text, count) in sorted.into_iter().take(LOG_LINES) {
        writeln!(out, "- {count} × {}", text.chars().take(300).collect::<String>()).ok();
    }
}

/// Returns the lines that tell of a panic.
pub(crate) fn panics(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
}
