//! gaggle: exactly one Goose.

pub mod election;
pub mod node;
pub mod shell;
pub mod vocabulary;
