//! gaggle: exactly one Goose.

pub mod election;
pub mod membership;
pub mod node;
pub mod shell;
pub mod vocabulary;
