//! Scripted stories: see [`script::Scenario`].

pub mod script;
mod transcript;

pub use script::Scenario;
