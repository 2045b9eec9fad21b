//! Drawing, and nothing else: the state in, cells out. `theme.rs` says how things look, `chrome.rs` draws what is around
//! the panes, `list.rs`, `task.rs` and `detail.rs` the panes, `help.rs` the help.

mod chrome;
mod detail;
mod help;
mod list;
mod task;
mod theme;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
};

pub(super) use theme::Theme;

use super::app::{App, Extent, Focus, Mode};

/// Below this many columns the list and a task are shown one at a time.
const WIDE: u16 = 116;
/// The list's share of a wide screen, in percent.
const LIST_PERCENT: u16 = 42;

/// Draws the state; returns how far its panes can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, theme: Theme) -> Extent {
    let banners = chrome::banners(app, theme);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(u16::try_from(banners.len()).unwrap_or(u16::MAX)),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [header, banner, body, footer] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(chrome::header(app, theme, header.width), header);
    frame.render_widget(ratatui::text::Text::from(banners), banner);
    let page = usize::from(body.height.saturating_sub(4));
    let mut extent = Extent { page, is_wide: body.width >= WIDE, ..Extent::default() };
    if let Mode::Help(scroll) = app.mode {
        extent.help_max = help::draw(frame, theme, body, scroll);
    } else {
        extent.scroll_max = draw_panes(frame, app, theme, body);
    }
    chrome::draw_footer(frame, app, theme, footer);
    extent
}

fn draw_panes(frame: &mut Frame<'_>, app: &App, theme: Theme, area: Rect) -> usize {
    if area.width >= WIDE {
        let columns = [Constraint::Percentage(LIST_PERCENT), Constraint::Fill(1)];
        let [left, right] = Layout::horizontal(columns).areas(area);
        list::draw(frame, app, theme, left);
        return task::draw(frame, app, theme, right);
    }
    match app.focus {
        Focus::List => {
            list::draw(frame, app, theme, area);
            0
        }
        Focus::Steps | Focus::Detail => task::draw(frame, app, theme, area),
    }
}
