//! What is done when the command ends by itself: a table of its exit codes.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// What is done about one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnExit {
    /// Another node takes over; this one tries again later.
    StepDown,
    /// It is started again here.
    Restart,
    /// Another node takes over; this one votes on, and never starts it again.
    Done,
    /// This node hands over, leaves, and exits with the code.
    Stop,
}

/// Of several rules for a code the first holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExitTable {
    rules: Vec<(RangeInclusive<u8>, OnExit)>,
    otherwise: OnExit,
}

impl ExitTable {
    /// The same for every code.
    pub(super) fn always(otherwise: OnExit) -> Self {
        Self { rules: Vec::new(), otherwise }
    }

    /// What is done about `code`.
    pub(super) fn of(&self, code: u8) -> OnExit {
        let rule = self.rules.iter().find(|(codes, _)| codes.contains(&code));
        rule.map_or(self.otherwise, |(_, action)| *action)
    }
}

/// Why a text is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExitTableError {
    #[error(
        "\"{0}\" is neither a word nor CODE=WORD: words are step-down, restart, done and stop, and codes \
         like 3 or 70-78, from 0 to 255, the lower one first"
    )]
    Entry(String),
    #[error(
        "\"{0}\" is a second word without a code, and only one can be for all other codes: give a code \
         with it, like 0={0}, or leave it out"
    )]
    Twice(String),
}

impl FromStr for ExitTable {
    type Err = ExitTableError;
    fn from_str(text: &str) -> Result<Self, ExitTableError> {
        let mut table = Self::always(OnExit::StepDown);
        let mut is_said = false;
        for entry in text.split(',').map(str::trim) {
            let error = || ExitTableError::Entry(entry.to_owned());
            match entry.split_once('=') {
                Some((codes, word)) => {
                    let codes = codes_of(codes).ok_or_else(error)?;
                    table.rules.push((codes, word_of(word).ok_or_else(error)?));
                }
                None => {
                    table.otherwise = word_of(entry).ok_or_else(error)?;
                    if std::mem::replace(&mut is_said, true) {
                        return Err(ExitTableError::Twice(entry.to_owned()));
                    }
                }
            }
        }
        Ok(table)
    }
}

fn codes_of(text: &str) -> Option<RangeInclusive<u8>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

fn word_of(text: &str) -> Option<OnExit> {
    Some(match text.trim() {
        "step-down" => OnExit::StepDown,
        "restart" => OnExit::Restart,
        "done" => OnExit::Done,
        "stop" => OnExit::Stop,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_holds_and_a_bare_word_is_for_all_others() {
        let table: ExitTable = "0=stop, 70-78=restart,75=done,step-down".parse().unwrap();
        let expected = [
            (0, OnExit::Stop),
            (70, OnExit::Restart),
            (75, OnExit::Restart),
            (79, OnExit::StepDown),
        ];
        for (code, action) in expected {
            assert_eq!(table.of(code), action, "{code}");
        }
        let bare: ExitTable = "stop".parse().unwrap();
        assert_eq!((bare.of(0), bare.of(255)), (OnExit::Stop, OnExit::Stop));
        for wrong in ["", "go", "256=stop", "3=", "=stop", "5-3=stop", "stop,,", "stop,done"] {
            assert!(wrong.parse::<ExitTable>().is_err(), "{wrong}");
        }
    }
}
