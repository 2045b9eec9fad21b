//! Log lines: what is logged, where to, and that a line is a line.
//!
//! Text of strangers ends up in them. A line feed in it would begin a line of its own, and what steers a terminal would hide
//! others, so every control character is written as its number.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
};

use tracing_subscriber::EnvFilter;

use crate::surroundings::Surroundings;

/// Where log lines go.
pub(super) enum LogTo {
    Stderr,
    /// A file in the data directory: the console has the screen.
    File,
}

/// The console's log, made with its first line.
const CONSOLE_LOG: &str = "console.log";

/// Logs: a daemon tells what it does, a command only what went wrong.
pub(super) fn log(surroundings: &Surroundings, usual: &str, to: LogTo) {
    let wanted = surroundings.log.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    // Somebody who embeds this has set up logging already, and theirs stays.
    match to {
        LogTo::Stderr => {
            let colour = surroundings.colour && io::stderr().is_terminal();
            log.with_ansi(colour).with_writer(move || Lines { to: io::stderr(), colour }).try_init().ok();
        }
        LogTo::File => {
            let path = surroundings.data_dir.join(CONSOLE_LOG);
            let lines = move || Lines { to: append_to(&path), colour: false };
            log.with_ansi(false).with_writer(lines).try_init().ok();
        }
    }
}

/// Opens the file for one line. A line that cannot be written is lost: there is no other place for it.
fn append_to(path: &Path) -> Box<dyn Write> {
    match File::options().create(true).append(true).open(path) {
        Ok(file) => Box::new(file),
        Err(_) => Box::new(io::sink()),
    }
}

/// How the subscriber draws lines. What a stranger wrote may look like that, and like nothing worse.
const DRAWN: [&str; 10] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[3m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[34m",
    "\u{1b}[35m",
    "\u{1b}[36m",
];

/// A place that is given one line at a time, and keeps it one.
struct Lines<W> {
    to: W,
    /// Whether lines are drawn in colours.
    colour: bool,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let mut plain = String::with_capacity(line.len());
        for (at, character) in text.char_indices() {
            let is_drawn = || text.get(at..).is_some_and(|rest| DRAWN.iter().any(|drawn| rest.starts_with(drawn)));
            match character {
                '\u{1b}' if self.colour && is_drawn() => plain.push(character),
                character if character.is_control() => plain.extend(character.escape_unicode()),
                character => plain.push(character),
            }
        }
        plain.push_str(end);
        self.to.write_all(plain.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

    use super::*;

    /// What a stranger would like to be logged.
    const NAME: &str = "eve\r\n2026-01-01 INFO ninja: all is well\u{1b}[2J\u{1b}]52;c;x\u{7}\u{9b}31m\0\u{85}";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(
        is_json: bool,
        log: SubscriberBuilder<
            tracing_subscriber::fmt::format::DefaultFields,
            tracing_subscriber::fmt::format::Format,
            tracing_subscriber::filter::LevelFilter,
            W,
        >,
    ) {
        let say = || {
            tracing::info!(name = NAME, shown = %NAME, "somebody came");
            tracing::info!("{NAME}");
        };
        match is_json {
            true => tracing::subscriber::with_default(log.json().finish(), say),
            false => tracing::subscriber::with_default(log.finish(), say),
        }
    }

    #[test]
    fn what_strangers_write_stays_on_its_line_and_steers_no_terminal() {
        for (is_json, colour) in [(false, false), (true, false), (false, true)] {
            let kept = Kept::default();
            let lines = {
                let kept = kept.clone();
                move || Lines { to: kept.clone(), colour }
            };
            logged(is_json, tracing_subscriber::fmt().with_ansi(colour).with_writer(lines));
            let bytes = kept.0.lock().unwrap().clone();
            let mut text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.contains("all is well"), "{text}");
            for drawn in DRAWN.iter().filter(|_| colour) {
                text = text.replace(drawn, "");
            }
            let control: Vec<char> = text.chars().filter(|c| c.is_control() && *c != '\n').collect();
            assert!(control.is_empty(), "{control:?} in {text:?}");
        }
    }
}
