//! What a person does to the cluster by single keys.

use crate::commands::keyboard::Press;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The node above the chosen one.
    Up,
    /// The node below it.
    Down,
    /// This node.
    Node(u16),
    /// Kill it, with SIGKILL.
    Kill,
    /// Tell it to end, with SIGTERM.
    End,
    /// Freeze it, with SIGSTOP; or let it go on.
    Freeze,
    /// Cut it off from the others; or mend that.
    Cut,
    /// Start it, if it does not run.
    Start,
    /// End all.
    Quit,
}

/// What the keys are, for the screen.
pub(super) const HELP: &str =
    "↑↓ choose  k kill -9  t SIGTERM  f freeze  c cut off  s start again  q end all";

impl Key {
    /// What is meant by a key that was pressed, if anything is.
    pub(super) fn of(press: Press) -> Option<Self> {
        Some(match press {
            Press::Up => Self::Up,
            Press::Down => Self::Down,
            Press::End | Press::Letter('q') => Self::Quit,
            Press::Letter('k') => Self::Kill,
            Press::Letter('t') => Self::End,
            Press::Letter('f') => Self::Freeze,
            Press::Letter('c') => Self::Cut,
            Press::Letter('s' | 'r') => Self::Start,
            Press::Letter(digit) => Self::Node(u16::try_from(digit.to_digit(10)?).ok()?),
            Press::PageUp | Press::PageDown => return None,
        })
    }
}
