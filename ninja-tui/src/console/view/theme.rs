//! How things look: the sixteen colours that every terminal has, or none. What a colour says is always said by a mark or a
//! word as well.

use ninja_sdk::api::{StepStatus, TaskStatus};
use ratatui::style::{Color, Modifier, Style};

use crate::console::log::Tone;

/// The look.
#[derive(Debug, Clone, Copy)]
pub(in crate::console) struct Theme {
    /// Whether the person wants colours.
    pub(in crate::console) colour: bool,
}

impl Theme {
    fn paint(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn good(self) -> Style {
        self.paint(Color::Green)
    }

    pub(super) fn bad(self) -> Style {
        self.paint(Color::Red)
    }

    pub(super) fn notice(self) -> Style {
        self.paint(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) fn active(self) -> Style {
        self.paint(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn key(self) -> Style {
        self.paint(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// A line across the screen that must be seen.
    pub(super) fn banner(self) -> Style {
        self.paint(Color::Yellow).add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// The selected line; dimmer where its pane has not the focus.
    pub(super) fn selected(self, has_focus: bool) -> Style {
        match has_focus {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new().add_modifier(Modifier::UNDERLINED),
        }
    }

    /// The border of a pane.
    pub(super) fn border(self, has_focus: bool) -> Style {
        if has_focus { self.active() } else { self.dim() }
    }

    pub(super) fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => self.plain(),
            Tone::Good => self.good(),
            Tone::Bad => self.bad(),
            Tone::Notice => self.notice(),
        }
    }

    /// Returns the mark and the style of a task's status.
    pub(super) fn task(self, status: TaskStatus) -> (&'static str, Style) {
        match status {
            TaskStatus::Queued => ("·", self.dim()),
            TaskStatus::Planning => ("~", self.active()),
            TaskStatus::Running => ("▶", self.active()),
            TaskStatus::Waiting => ("?", self.notice()),
            TaskStatus::Succeeded => ("✓", self.good()),
            TaskStatus::Failed => ("✗", self.bad()),
            TaskStatus::Cancelled => ("-", self.dim()),
        }
    }

    /// Returns the mark and the style of a step's status.
    pub(super) fn step(self, status: StepStatus) -> (&'static str, Style) {
        match status {
            StepStatus::Pending => ("·", self.dim()),
            StepStatus::Running => ("▶", self.active()),
            StepStatus::Waiting => ("?", self.notice()),
            StepStatus::Succeeded => ("✓", self.good()),
            StepStatus::Failed => ("✗", self.bad()),
            StepStatus::Skipped => ("⤳", self.dim()),
            StepStatus::Cancelled => ("-", self.dim()),
        }
    }
}
