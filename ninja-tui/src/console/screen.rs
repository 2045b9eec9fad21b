//! The terminal while the console has it: raw, on its other screen, and given back however the console ends.

use std::{io, panic, thread};

use crossterm::{
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute,
};
use ratatui::DefaultTerminal;
use tokio::sync::mpsc;

use super::message::Message;

/// The terminal. Dropping it gives it back.
pub(super) struct Screen {
    pub(super) terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal. A panic of this thread gives it back before it is reported; one of another thread is a message,
    /// since an engine in this process outlives those and a report would be written across the screen.
    pub(super) fn take(messages: mpsc::Sender<Message>) -> io::Result<Self> {
        let report = panic::take_hook();
        // Sets a hook of its own, which knows no threads and is replaced below.
        let screen = Self { terminal: ratatui::try_init()? };
        let drawing = thread::current().id();
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == drawing {
                restore();
                report(info);
            } else {
                messages.try_send(Message::Trouble(format!("a part of this process failed: {info}"))).ok();
            }
        }));
        execute!(io::stdout(), EnableBracketedPaste)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // A terminal that is gone needs nothing back.
    execute!(io::stdout(), DisableBracketedPaste).ok();
    ratatui::try_restore().ok();
}
