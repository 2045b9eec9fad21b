//! The one key table: handlers look keys up in it, footer and help are drawn from it, and the page in `docs/guide` repeats
//! it, which a test holds.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Open,
    Back,
    NextPane,
    Left,
    Right,
    Filter,
    Activity,
    Details,
    Files,
    Questions,
    Approve,
    Deny,
    Answer,
    Happened,
    DidNotHappen,
    Cancel,
    Help,
    Quit,
    Interrupt,
    Yes,
    No,
    Submit,
    Leave,
}

/// Where a key does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// An ambiguous effect is shown.
    Ambiguous,
    /// A question is shown.
    Question,
    /// The list has the focus.
    List,
    /// The followed task has the focus.
    Task,
    /// Everywhere but where text is typed or a confirmation is asked for.
    Everywhere,
    /// The help is shown.
    Help,
    /// Text is typed.
    Typing,
    /// A confirmation is asked for.
    Confirm,
    /// Really everywhere.
    Always,
}

impl Scope {
    /// Every scope, in the order of the help.
    pub(super) const ALL: [Self; 9] = [
        Self::Everywhere,
        Self::List,
        Self::Task,
        Self::Question,
        Self::Ambiguous,
        Self::Typing,
        Self::Confirm,
        Self::Help,
        Self::Always,
    ];

    /// Returns where it is, in words.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::List => "In the list of tasks",
            Self::Task => "In a task",
            Self::Question => "Where a question is shown",
            Self::Ambiguous => "Where it is about a call of unknown outcome",
            Self::Typing => "While typing",
            Self::Confirm => "When asked to confirm",
            Self::Help => "In this help",
            Self::Always => "Always",
        }
    }
}

/// A row of the table.
pub(super) struct Binding {
    pub(super) scope: Scope,
    keys: &'static [(KeyCode, bool)],
    pub(super) action: Action,
    /// One word for the footer; none where the key is not worth its room.
    pub(super) label: Option<&'static str>,
    /// A sentence for the help and the docs.
    pub(super) does: &'static str,
}

const fn key(character: char) -> (KeyCode, bool) {
    (KeyCode::Char(character), false)
}

const fn ctrl(character: char) -> (KeyCode, bool) {
    (KeyCode::Char(character), true)
}

const fn named(code: KeyCode) -> (KeyCode, bool) {
    (code, false)
}

const fn row(
    scope: Scope,
    keys: &'static [(KeyCode, bool)],
    action: Action,
    label: Option<&'static str>,
    does: &'static str,
) -> Binding {
    Binding { scope, keys, action, label, does }
}

/// The table. The first row that fits in the scopes asked for, scope by scope, is what a key does.
#[rustfmt::skip]
pub(super) const TABLE: &[Binding] = &[
    row(Scope::Everywhere, &[key('j'), named(KeyCode::Down)], Action::Down, None, "Down a line"),
    row(Scope::Everywhere, &[key('k'), named(KeyCode::Up)], Action::Up, None, "Up a line"),
    row(Scope::Everywhere, &[named(KeyCode::PageDown), ctrl('f')], Action::PageDown, None, "Down a page"),
    row(Scope::Everywhere, &[named(KeyCode::PageUp), ctrl('b')], Action::PageUp, None, "Up a page"),
    row(Scope::Everywhere, &[key('g'), named(KeyCode::Home)], Action::Top, None, "To the beginning"),
    row(Scope::Everywhere, &[key('G'), named(KeyCode::End)], Action::Bottom, None, "To the end"),
    row(Scope::Everywhere, &[named(KeyCode::Tab)], Action::NextPane, Some("pane"), "To the next pane"),
    row(Scope::Everywhere, &[key('h'), named(KeyCode::Left)], Action::Left, None, "To the pane on the left"),
    row(Scope::Everywhere, &[key('l'), named(KeyCode::Right)], Action::Right, None, "To the pane on the right; in the list, follow the task"),
    row(Scope::Everywhere, &[named(KeyCode::Esc)], Action::Back, Some("back"), "Back: leave the task, or take the filter away"),
    row(Scope::Everywhere, &[key('?')], Action::Help, Some("help"), "Show or leave this help"),
    row(Scope::Everywhere, &[key('q')], Action::Quit, Some("quit"), "Leave the console; tasks go on where a daemon runs"),
    row(Scope::List, &[named(KeyCode::Enter)], Action::Open, Some("follow"), "Follow the task"),
    row(Scope::List, &[key('/')], Action::Filter, Some("filter"), "Show only tasks whose goal, status or id contains a text"),
    row(Scope::List, &[key('c')], Action::Cancel, Some("cancel"), "Cancel the task, after a confirmation"),
    row(Scope::Task, &[key('1')], Action::Activity, Some("activity"), "What happens: events, tool calls and their results, the text that a model is writing"),
    row(Scope::Task, &[key('2'), named(KeyCode::Enter)], Action::Details, Some("details"), "Details: the goal, or the selected step with its output and error"),
    row(Scope::Task, &[key('3')], Action::Files, Some("files"), "Files that the task has made"),
    row(Scope::Task, &[key('4'), key('o')], Action::Questions, Some("questions"), "Open questions; once more for the next one"),
    row(Scope::Task, &[key('c')], Action::Cancel, Some("cancel"), "Cancel the task, after a confirmation"),
    row(Scope::Question, &[key('a')], Action::Approve, Some("approve"), "Approve"),
    row(Scope::Question, &[key('d')], Action::Deny, Some("deny"), "Deny, after a confirmation; of a call of unknown outcome: end the task"),
    row(Scope::Question, &[key('i')], Action::Answer, Some("answer"), "Type the answer to an agent's question, or what should be different in a plan"),
    row(Scope::Ambiguous, &[key('h')], Action::Happened, Some("happened"), "The call happened: go on, after a confirmation"),
    row(Scope::Ambiguous, &[key('n')], Action::DidNotHappen, Some("did not"), "It did not happen: make the call now, after a confirmation"),
    row(Scope::Typing, &[named(KeyCode::Enter)], Action::Submit, Some("done"), "Done: send the answer, or keep the filter"),
    row(Scope::Typing, &[named(KeyCode::Esc)], Action::Leave, Some("leave"), "Leave without it"),
    row(Scope::Confirm, &[key('y')], Action::Yes, Some("yes"), "Yes"),
    row(Scope::Confirm, &[key('n'), named(KeyCode::Esc)], Action::No, Some("no"), "No"),
    row(Scope::Help, &[key('q'), named(KeyCode::Enter)], Action::Back, Some("leave"), "Leave the help"),
    row(Scope::Always, &[ctrl('c')], Action::Interrupt, None, "Leave the console at once"),
];

/// Returns what a key does in these scopes, the first of which goes first.
pub(super) fn action(scopes: &[Scope], event: &KeyEvent) -> Option<Action> {
    if event.kind != KeyEventKind::Press || event.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let pressed = (event.code, event.modifiers.contains(KeyModifiers::CONTROL));
    let fits = |binding: &&Binding| binding.keys.contains(&pressed);
    scopes.iter().find_map(|scope| TABLE.iter().filter(|binding| binding.scope == *scope).find(fits)).map(|b| b.action)
}

impl Binding {
    /// Returns the key that the footer shows.
    pub(super) fn first_key(&self) -> String {
        self.keys.first().map(|key| name(*key)).unwrap_or_default()
    }

    /// Returns all keys, for the help.
    pub(super) fn all_keys(&self) -> String {
        self.keys.iter().map(|key| name(*key)).collect::<Vec<_>>().join(" ")
    }
}

fn name((code, ctrl): (KeyCode, bool)) -> String {
    match code {
        KeyCode::Up => "↑".to_owned(),
        KeyCode::Down => "↓".to_owned(),
        KeyCode::Left => "←".to_owned(),
        KeyCode::Right => "→".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::Char(character) if ctrl => format!("Ctrl-{}", character.to_ascii_uppercase()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the docs page has it.
    fn markdown() -> String {
        let mut page = String::new();
        for scope in Scope::ALL {
            page += &format!("\n### {}\n\n| key | what it does |\n| --- | --- |\n", scope.title());
            for binding in TABLE.iter().filter(|binding| binding.scope == scope) {
                let keys = binding.keys.iter().map(|key| format!("`{}`", name(*key))).collect::<Vec<_>>().join(" ");
                page += &format!("| {keys} | {} |\n", binding.does);
            }
        }
        page
    }

    #[test]
    fn the_docs_page_repeats_the_table() {
        let page = include_str!("../../../docs/guide/console.md");
        assert!(page.contains(markdown().trim()), "docs/guide/console.md should contain:\n{}", markdown());
    }

    #[test]
    fn no_key_means_two_things_in_one_scope() {
        for (index, one) in TABLE.iter().enumerate() {
            for other in TABLE.iter().skip(index + 1).filter(|other| other.scope == one.scope) {
                let both: Vec<_> = one.keys.iter().filter(|key| other.keys.contains(key)).collect();
                assert!(both.is_empty(), "{:?} and {:?}: {both:?}", one.action, other.action);
            }
        }
    }

    #[test]
    fn only_a_press_without_alt_counts_and_the_first_scope_goes_first() {
        let mut event = KeyEvent::new(KeyCode::Char('h'), KeyModifiers::NONE);
        assert_eq!(action(&[Scope::Ambiguous, Scope::Everywhere], &event), Some(Action::Happened));
        assert_eq!(action(&[Scope::Task, Scope::Everywhere], &event), Some(Action::Left));
        event.modifiers = KeyModifiers::ALT;
        assert_eq!(action(&[Scope::Everywhere], &event), None);
        event = KeyEvent::new_with_kind(KeyCode::Char('h'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(action(&[Scope::Everywhere], &event), None);
        let shifted = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(action(&[Scope::Everywhere], &shifted), Some(Action::Bottom));
    }
}
