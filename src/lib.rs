//! gaggle: exactly one Goose.

#[cfg(feature = "cli")]
pub mod commands;
pub mod election;
pub mod membership;
pub mod node;
pub mod shell;
#[cfg(feature = "simulation")]
pub mod sim;
pub mod vocabulary;
