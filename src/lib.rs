//! gaggle: exactly one Goose.

#[cfg(feature = "cli")]
pub mod commands;
pub mod node;
pub mod shell;
pub mod vocabulary;
