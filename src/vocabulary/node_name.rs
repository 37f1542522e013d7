//! What people call a node, beside its id. The protocol does not need it, and two nodes may have
//! the same one: wherever a name is read, its id stands beside it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::identity::NodeId;

/// The longest name, in characters: as long as a label of a host name may be, and one more.
pub const NAME_MAX: usize = 64;

/// The name of a node: 1 to [`NAME_MAX`] printable ASCII characters without spaces, so that it is
/// one word of a line and one cell of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Why a text is no [`NodeName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no name of a node: use 1 to {NAME_MAX} printable ASCII characters without spaces, \
     or leave it out for the name of the host"
)]
pub struct NodeNameError(String);

fn is_legal(letter: char) -> bool {
    letter.is_ascii_graphic()
}

impl NodeName {
    /// The name `text`.
    ///
    /// # Errors
    /// [`NodeNameError`] if it is empty, too long, or has a character that a name may not have.
    pub fn new(text: &str) -> Result<Self, NodeNameError> {
        if (1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_legal) {
            return Ok(Self(text.to_owned()));
        }
        let shown =
            text.chars().take(NAME_MAX).map(|letter| if is_legal(letter) { letter } else { '?' });
        Err(NodeNameError(shown.collect()))
    }

    /// As much of `text` as a name may be; none if nothing is left. For names that nobody chose.
    pub fn fitting(text: &str) -> Option<Self> {
        let kept: String = text.chars().filter(|letter| is_legal(*letter)).take(NAME_MAX).collect();
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;
    fn try_from(text: String) -> Result<Self, NodeNameError> {
        Self::new(&text)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A node in a sentence: `3 (db-2)`, or the id alone if no name is known, or if the name is
/// nothing but the id.
pub fn called(id: NodeId, name: Option<&str>) -> String {
    match name {
        Some(name) if name != id.to_string() => format!("{id} ({name})"),
        _ => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_bounded_length() {
        let longest = "n".repeat(NAME_MAX);
        for text in ["db-2", "db-2.eu.example", "7", longest.as_str()] {
            assert_eq!(NodeName::new(text).map(String::from), Ok(text.to_owned()));
        }
        let too_long = "n".repeat(NAME_MAX + 1);
        for text in ["", " ", "db 2", "db\t2", "d\u{f6}rk", "\u{1b}[2J", too_long.as_str()] {
            assert!(NodeName::new(text).is_err(), "{text:?}");
            let shown = NodeName::new(text).unwrap_err().to_string();
            assert!(shown.is_ascii() && !shown.contains('\u{1b}'), "{shown}");
        }
    }

    #[test]
    fn a_host_name_that_does_not_fit_is_cut() {
        let fitting = |text: &str| NodeName::fitting(text).map(String::from);
        assert_eq!(fitting(&"n".repeat(NAME_MAX + 5)), Some("n".repeat(NAME_MAX)));
        assert_eq!(fitting("d\u{f6}rk 2"), Some("drk2".to_owned()));
        assert_eq!(fitting("\n"), None);
    }

    #[test]
    fn a_node_is_called_by_its_id_and_its_name() {
        let three = NodeId::new(3).unwrap();
        assert_eq!(called(three, Some("db-2")), "3 (db-2)");
        assert_eq!(called(three, None), "3");
        assert_eq!(called(three, Some("3")), "3");
    }
}
