//! Where a command writes: results to stdout, everything else to stderr, JSON alone where JSON was asked for.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::Failure;
use crate::format::Paint;

/// What stands at the ends of this process's streams.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// A person can type.
    pub stdin: bool,
    /// A person reads the results.
    pub stdout: bool,
    /// A person reads the messages.
    pub stderr: bool,
    /// The person wants colours.
    pub colour: bool,
}

impl Terminal {
    /// Looks at this process's streams; `colour` is what the person said, as with `NO_COLOR`.
    pub fn detect(colour: bool) -> Self {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        Self { stdin: stdin.is_terminal(), stdout: stdout.is_terminal(), stderr: stderr.is_terminal(), colour }
    }
}

/// The two output streams of one command. A closed pipe silences it and stops nothing.
#[derive(Debug)]
pub struct Output {
    pub(crate) terminal: Terminal,
    pub(crate) json: bool,
    broken: AtomicBool,
}

impl Output {
    /// Writes for people, or JSON only.
    pub fn new(terminal: Terminal, json: bool) -> Self {
        Self { terminal, json, broken: AtomicBool::new(false) }
    }

    /// Writes a line of the result, unless JSON was asked for.
    pub fn say(&self, line: &str) {
        if !self.json {
            self.keep(write_line(&mut io::stdout().lock(), line));
        }
    }

    /// Writes one line of JSON.
    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.keep(write_line(&mut io::stdout().lock(), &line)),
            Err(_) => self.broken.store(true, Ordering::Relaxed),
        }
    }

    /// Writes a line that is not part of the result.
    pub fn note(&self, line: &str) {
        // When nobody hears it there is nowhere left to say so.
        write_line(&mut io::stderr().lock(), line).ok();
    }

    /// Writes a failure: one line what, one line what to do; as JSON on stdout too where JSON was asked for.
    pub fn failure(&self, failure: &Failure) {
        self.explain(failure);
        if self.json {
            self.json(&failure.json());
        }
    }

    /// Writes a failure for people only.
    pub(super) fn explain(&self, failure: &Failure) {
        let paint = Paint { on: self.terminal.stderr && self.terminal.colour };
        self.note(&format!("{} {}", paint.bad("error:"), failure.what()));
        if let Some(advice) = failure.advice() {
            self.note(&format!("{} {advice}", paint.dim("  try:")));
        }
    }

    /// Writes one line of JSON if JSON was asked for.
    pub fn json_if_wanted(&self, value: &impl Serialize) {
        if self.json {
            self.json(value);
        }
    }

    /// Returns what stands at the ends of the streams.
    pub fn terminal(&self) -> Terminal {
        self.terminal
    }

    /// Paints a word of the result as good news.
    pub fn good(&self, text: &str) -> String {
        self.paint().good(text)
    }

    /// Paints a word of the result as something to look at.
    pub fn notice(&self, text: &str) -> String {
        self.paint().notice(text)
    }

    /// Paints a word of the result as bad news.
    pub fn bad(&self, text: &str) -> String {
        self.paint().bad(text)
    }

    /// Returns the colours of the result.
    pub(crate) fn paint(&self) -> Paint {
        Paint { on: self.terminal.stdout && self.terminal.colour }
    }

    /// Returns whether a part of the result could not be written for another reason than a reader who left.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn keep(&self, result: io::Result<()>) {
        if result.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}

fn write_line(stream: &mut impl Write, line: &str) -> io::Result<()> {
    stream.write_all(line.as_bytes())?;
    stream.write_all(b"\n")?;
    stream.flush()
}
