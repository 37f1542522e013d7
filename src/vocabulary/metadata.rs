//! What people want to know of a node and the protocol does not need: its name, where its HTTP
//! server is, and the tags that somebody gave it.
//!
//! They are fixed for the life of a process, so a process names a version of them. They are
//! not part of the member record, which gossip repeats in every packet: whoever lacks those of a
//! member asks for them once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::identity::{NodeId, Process};
use super::node_name::NodeName;

/// The most tags a node may have.
pub const TAGS_MAX: usize = 8;
/// The longest key of a tag, in bytes.
pub const TAG_KEY_MAX: usize = 32;
/// The longest value of a tag, in bytes.
pub const TAG_VALUE_MAX: usize = 64;

/// The tag by which a node tells the others how it serves HTTP. It is no part of the metadata's form,
/// which members of all versions read, but a tag that nobody may give: an older member shows it, and
/// whoever knows where a member serves HTTP by its metadata knows by the same whether to speak TLS.
pub const HTTP_TAG: &str = "gaggle.http";
/// Its value where that is over TLS. Elsewhere there is no such tag.
pub const HTTP_OVER_TLS: &str = "tls";

/// The tags of a node: a few short texts, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Tags(BTreeMap<String, String>);

/// Why something is no tag, or not one more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// No key and value.
    #[error("\"{0}\" is no tag: write it like zone=eu-1")]
    Malformed(String),
    /// Not a key.
    #[error(
        "\"{0}\" is no key of a tag: use 1 to {TAG_KEY_MAX} lower-case letters, digits, '-', '_' \
         or '.'"
    )]
    Key(String),
    /// Not a value.
    #[error(
        "the tag {0} has no fitting value: use 1 to {TAG_VALUE_MAX} printable ASCII characters, \
         without commas, and no space at either end"
    )]
    Value(String),
    /// A key twice.
    #[error("the tag {0} is given twice: leave one of the two out")]
    Repeated(String),
    /// Too many.
    #[error("{0} tags are too many: give {TAGS_MAX} at most")]
    TooMany(usize),
}

impl Tags {
    /// The tags that these texts describe, each like `zone=eu-1`.
    ///
    /// # Errors
    /// [`TagError`] names the first that is none, or says that there are too many.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, TagError> {
        Self::new(texts.into_iter().map(Self::split).collect::<Result<Vec<_>, _>>()?)
    }

    /// The key and the value of a text like `zone=eu-1`; neither is judged.
    ///
    /// # Errors
    /// [`TagError::Malformed`] if nothing parts them.
    pub fn split(text: &str) -> Result<(&str, &str), TagError> {
        let malformed = || TagError::Malformed(text.chars().take(TAG_VALUE_MAX).collect());
        text.trim().split_once('=').ok_or_else(malformed)
    }

    /// The tags with these keys and values.
    ///
    /// # Errors
    /// As [`Tags::parse`].
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, TagError> {
        let mut tags = BTreeMap::new();
        for (key, value) in pairs {
            if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(TagError::Repeated(key.chars().take(TAG_KEY_MAX).collect()));
            }
        }
        Self::try_from(tags)
    }

    /// Whether they say that HTTP is served over TLS.
    pub fn tell_tls(&self) -> bool {
        self.0.get(HTTP_TAG).is_some_and(|value| value == HTTP_OVER_TLS)
    }

    /// Those that somebody gave the node, as people see them.
    pub fn given(&self) -> BTreeMap<String, String> {
        let given = self.iter().filter(|(key, _)| *key != HTTP_TAG);
        given.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Each key and its value, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = TagError;

    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, TagError> {
        let legal = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter)
        };
        let printable = |letter: char| (' '..='~').contains(&letter) && letter != ',';
        for (key, value) in &tags {
            if !(1..=TAG_KEY_MAX).contains(&key.len()) || !key.chars().all(legal) {
                return Err(TagError::Key(key.chars().take(TAG_VALUE_MAX).collect()));
            }
            let sized = (1..=TAG_VALUE_MAX).contains(&value.len()) && value.trim() == value;
            if !sized || !value.chars().all(printable) {
                return Err(TagError::Value(key.clone()));
            }
        }
        if tags.len() > TAGS_MAX {
            return Err(TagError::TooMany(tags.len()));
        }
        Ok(Self(tags))
    }
}

impl From<Tags> for BTreeMap<String, String> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

impl fmt::Display for Tags {
    /// Like `rack=7 zone=eu-1`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.iter().enumerate() {
            write!(formatter, "{}{key}={value}", if place > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// Everything that is told of a node beside its member record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metadata {
    /// Where its HTTP server is reached, if it has one.
    pub http: Option<SocketAddr>,
    /// What somebody said of it.
    pub tags: Tags,
    /// What people call it.
    pub name: Option<NodeName>,
}

/// A member asks another for the details of some.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetadataQuery {
    /// Echoed by the answer, so that a forged answer does not count.
    pub nonce: u64,
    /// Whose details it lacks, the most wanted first.
    pub wanted: Vec<NodeId>,
    /// It lacks those of many others as well: what is known of anybody will do.
    pub more: bool,
}

/// The answer to a [`MetadataQuery`], which stays out where nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetadataReply {
    /// Of the query.
    pub nonce: u64,
    /// What is known, as much as fits.
    pub entries: Vec<(Process, Metadata)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Result<Tags, TagError> {
        Tags::parse(texts.iter().copied())
    }

    #[test]
    fn tags_are_read_and_shown() {
        let tags = parsed(&["zone=eu-1", " rack=7 b=c "]).unwrap();
        assert_eq!(tags.to_string(), "rack=7 b=c zone=eu-1");
        assert_eq!(Tags::default().to_string(), "");
        let longest = format!("{}={}", "k".repeat(TAG_KEY_MAX), "v".repeat(TAG_VALUE_MAX));
        assert!(parsed(&[&longest]).is_ok());
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let long_key = format!("{}=v", "k".repeat(TAG_KEY_MAX + 1));
        let long_value = format!("k={}", "v".repeat(TAG_VALUE_MAX + 1));
        for text in ["", "zone", "=v", "k=", "Zone=1", "k k=1", "k=\u{7}", "k=ä", "k=a,b", "k= v"]
        {
            assert!(parsed(&[text]).is_err(), "{text:?}");
        }
        assert!(parsed(&[&long_key]).is_err() && parsed(&[&long_value]).is_err());
        assert_eq!(parsed(&["a=1", "a=1"]), Err(TagError::Repeated("a".to_owned())));
        let many: Vec<String> = (0..=TAGS_MAX).map(|number| format!("k{number}=1")).collect();
        assert_eq!(Tags::parse(many.iter().map(String::as_str)), Err(TagError::TooMany(9)));
    }
}
