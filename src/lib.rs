//! gaggle: exactly one Goose.

pub mod node;
pub mod shell;
pub mod vocabulary;
