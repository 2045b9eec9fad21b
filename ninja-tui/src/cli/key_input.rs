//! A key as a person types it, unseen, or as a program writes it. It never comes in an argument: those are seen by everybody on the
//! machine and kept in the history of the shell.

use std::io::{self, Read, Write};

use crossterm::{
    event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, read},
    terminal::{disable_raw_mode, enable_raw_mode},
};
use ninja_sdk::api::Secret;

/// More than any key has, and little enough to read whole.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Reads a key from the standard input, to its end.
pub(super) fn from_stdin() -> io::Result<Secret> {
    let mut text = String::new();
    io::stdin().lock().take(KEY_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}

/// Asks on the terminal and shows nothing of the answer. Nothing where the person leaves. Blocks its thread while the person types.
pub(super) fn ask(question: &str) -> io::Result<Option<Secret>> {
    let mut stderr = io::stderr();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let typed = read_unseen();
    writeln!(stderr)?;
    Ok(typed?.map(|text| Secret::new(text.trim())))
}

fn read_unseen() -> io::Result<Option<String>> {
    let _raw = Raw::enter()?;
    let mut text = String::new();
    loop {
        match read()? {
            Event::Key(key) => match press(&mut text, key) {
                Step::More => {}
                Step::Done => return Ok(Some(text)),
                Step::Left => return Ok(None),
            },
            Event::Paste(pasted) => text.push_str(&pasted),
            Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Resize(..) => {}
        }
    }
}

/// What a key on the keyboard does.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    More,
    Done,
    Left,
}

fn press(text: &mut String, KeyEvent { code, modifiers, kind, .. }: KeyEvent) -> Step {
    if kind == KeyEventKind::Release {
        return Step::More;
    }
    match (code, modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Enter, _) => return Step::Done,
        (KeyCode::Esc, _) | (KeyCode::Char('c' | 'd'), true) => return Step::Left,
        (KeyCode::Char('u'), true) => text.clear(),
        (KeyCode::Backspace, _) => _ = text.pop(),
        (KeyCode::Char(character), false) => text.push(character),
        _ => {}
    }
    Step::More
}

/// The terminal while it shows nothing of what is typed; as it was again when dropped.
struct Raw;

impl Raw {
    fn enter() -> io::Result<Self> {
        enable_raw_mode().map(|()| Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to mend.
        disable_raw_mode().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_typed_corrected_and_given_up() {
        let mut text = String::new();
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let control = |character| KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL);
        for (key, wanted) in [
            (plain(KeyCode::Char('x')), "x"),
            (control('u'), ""),
            (plain(KeyCode::Backspace), ""),
            (plain(KeyCode::Char('s')), "s"),
            (KeyEvent::new(KeyCode::Char('K'), KeyModifiers::SHIFT), "sK"),
            (plain(KeyCode::Char('l')), "sKl"),
            (plain(KeyCode::Backspace), "sK"),
            (plain(KeyCode::Left), "sK"),
            (control('a'), "sK"),
        ] {
            assert_eq!((press(&mut text, key), text.as_str()), (Step::More, wanted), "{key:?}");
        }
        assert_eq!(press(&mut text, plain(KeyCode::Enter)), Step::Done);
        for left in [control('c'), control('d'), plain(KeyCode::Esc)] {
            assert_eq!(press(&mut text, left), Step::Left);
        }
    }
}
