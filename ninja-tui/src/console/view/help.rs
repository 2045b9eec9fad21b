//! The help: the key table, scope by scope.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span, Text},
    widgets::{Block, Clear},
};

use super::Theme;
use crate::console::{
    keys::{Scope, TABLE},
    text::{pad, wrap},
};

/// The widest that a row's keys are.
const KEYS_COLUMNS: usize = 12;

/// Draws the help; returns how far it can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, theme: Theme, area: Rect, scroll: usize) -> usize {
    let block = Block::bordered().border_style(theme.border(true)).title(" Help: keys ");
    let inner = block.inner(area);
    let lines = lines(theme, usize::from(inner.width));
    let scroll_max = lines.len().saturating_sub(usize::from(inner.height));
    let scroll = scroll.min(scroll_max);
    let block = match scroll_max - scroll {
        0 => block,
        below => block.title_bottom(format!(" {below} more lines below: j ")),
    };
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    frame.render_widget(Text::from(lines.into_iter().skip(scroll).collect::<Vec<_>>()), inner);
    scroll_max
}

fn lines(theme: Theme, columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for scope in Scope::ALL {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(scope.title(), theme.bold()));
        for binding in TABLE.iter().filter(|binding| binding.scope == scope) {
            let does = wrap(binding.does, columns.saturating_sub(KEYS_COLUMNS + 2));
            for (number, text) in does.into_iter().enumerate() {
                let keys = if number == 0 { binding.all_keys() } else { String::new() };
                lines.push(Line::from(vec![
                    Span::styled(format!("  {}", pad(&keys, KEYS_COLUMNS)), theme.key()),
                    Span::raw(text),
                ]));
            }
        }
    }
    lines
}
