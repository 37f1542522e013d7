//! The small cluster that stories and random runs share.
//!
//! ```text
//!   World: plans and faults ──▶ Cluster: an agenda of events in true time
//!                                  │
//!     ┌──────────┬─────────────────┼──────────────────┬──────────────┐
//!   Host       Delivery           Keeper            Judges         Notes
//!   clocks     network           begins and ends    checkers       trace, tally,
//!   disk       interceptor       work under the     and coverage   story
//!   lag, keys  duplicates        lease
//!   Running: NodeCore
//! ```
//!
//! Each part owns its state and says what is to be done; [`driver::Cluster`] does it.

pub mod action;
mod agenda;
pub mod clocks;
pub mod coverage;
pub mod delay;
pub mod delivery;
pub mod disk;
pub mod driver;
pub mod foreign_node;
pub mod host;
pub mod interceptor;
pub mod judges;
pub mod keeper;
pub(super) mod keys;
mod lag;
mod machine;
pub mod network;
pub mod notes;
pub mod process;
pub mod tally;
pub mod trace;
pub mod work;
mod working;
pub mod world;
