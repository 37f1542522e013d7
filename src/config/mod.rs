//! One configuration: the only way from what was said to what is started, for the binary, for the
//! library and for `gaggle check`.
//!
//! ```text
//! flag > environment > file > default ─┐
//!                                      ├─▶ Raw ──check──▶ Checked ──open──▶ Opened
//! methods of a program ────────────────┘     │ refused: nothing is open       │ shell::open
//!                                            ▼
//!                                       SettingsError
//! ```
//!
//! * [`Raw`]: values as given, each with its [`Origin`].
//! * [`flags`]: the table of all settings of a node; each is defined there and nowhere else.
//! * [`Checked`]: every rule that holds between them has been judged, once.
//! * `Opened` stands in [`crate::shell::open`], for it holds sockets: here nothing is opened but
//!   the files that settings name.
//!
//! Host names are looked up here only where an address must be known before the start; see
//! [`names`].
//!
//! This layer knows no parser of command lines: the commands make theirs from the table.

pub mod checked;
pub mod error;
#[cfg(feature = "cli")]
pub mod file;
pub mod flags;
pub mod health;
pub mod hooks;
#[cfg(feature = "tls")]
pub mod http_tls;
#[cfg(feature = "cli")]
pub mod key_file;
pub mod names;
#[cfg(feature = "cli")]
pub mod nearest;
pub mod program;
pub mod raw;
#[cfg(test)]
mod tests;
pub mod token;
mod voters;
pub mod words;

pub use checked::{Checked, Environment};
pub use error::Fault;
pub use raw::{Origin, Origins, Raw};

/// Judges `raw`; see [`Checked::of`].
///
/// # Errors
/// The first rule that is broken. Nothing was opened but the files that settings name.
pub fn check(raw: &Raw, environment: &Environment) -> Result<Checked, SettingsError> {
    Checked::of(raw, environment).map_err(|fault| SettingsError::new(fault, &raw.origins))
}

/// Why settings are refused, in the words of whoever gave them: a person reads of flags, and where
/// they were set if that was not on the command line; a program is told of methods of
/// [`Config`](crate::Config). Nothing was started.
#[derive(Debug)]
pub struct SettingsError {
    fault: Fault,
    hidden: String,
    program: bool,
}

impl SettingsError {
    /// `fault`, for whoever said what `origins` lists.
    #[doc(hidden)]
    pub fn new(fault: Fault, origins: &Origins) -> Self {
        let hidden = origins.hidden(fault.keys());
        Self { fault, hidden, program: origins.program }
    }

    /// Which rule is broken.
    #[doc(hidden)]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fault, hidden, program } = self;
        match program {
            true => formatter.write_str(&words::for_a_program(fault)),
            false => write!(formatter, "{fault}{hidden}"),
        }
    }
}

impl std::error::Error for SettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.fault)
    }
}
