//! The admin token: the client sends it, the server compares it, nobody sees it.

use std::fmt;

/// The admin token: a secret, never shown.
#[derive(Clone)]
pub struct Token(String);

/// Why a text is no admin token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an admin token is one line of 16 to 512 visible ASCII characters")]
pub struct TokenError;

impl Token {
    /// The token `text`, without the white space around it.
    ///
    /// # Errors
    /// [`TokenError`] if it is too short, too long, or cannot stand in a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let sound = (16..=512).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        if sound { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }

    /// The secret itself, for a client's header.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub(super) fn matches(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == given.len() && differences == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
