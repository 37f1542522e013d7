//! Bare elections, gone through exhaustively: every topology of links, every order of events.

mod electorate;
pub mod model;
pub mod topology;
