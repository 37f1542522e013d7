//! The admin token: a secret that opens the orders to other machines, in a file of its own.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file that is longer holds no token.
const FILE_SIZE_MAX: u64 = 16 * 1024;

/// The admin token, never shown.
#[derive(Clone)]
pub struct Token(String);

/// Why a text is no admin token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an admin token is one line of 16 to 512 visible ASCII characters")]
pub struct TokenError;

/// Why there is no token in a file.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error(
        "the admin token file {} cannot be read: {source}: correct --admin-token-file, or write \
         a token there",
        file.display()
    )]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error(
        "the admin token file {} holds no token: {reason}: write one there",
        file.display()
    )]
    Token {
        /// Which file.
        file: PathBuf,
        /// What is wrong with its text.
        reason: TokenError,
    },
}

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

    /// The token in `file`.
    ///
    /// # Errors
    /// As [`TokenFileError`] says.
    pub fn read(file: &Path) -> Result<Self, TokenFileError> {
        let failure = |source| TokenFileError::Read { file: file.to_owned(), source };
        let mut text = String::new();
        let opened = std::fs::File::open(file).map_err(failure)?;
        opened.take(FILE_SIZE_MAX + 1).read_to_string(&mut text).map_err(failure)?;
        if text.len() as u64 > FILE_SIZE_MAX {
            let reason = format!("it is longer than {FILE_SIZE_MAX} bytes");
            return Err(failure(std::io::Error::new(std::io::ErrorKind::FileTooLarge, reason)));
        }
        Self::new(&text).map_err(|reason| TokenFileError::Token { file: file.to_owned(), reason })
    }

    /// The secret itself, for a client's header.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is `given`, in a time that depends on the lengths only.
    pub fn matches(&self, given: &[u8]) -> bool {
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
