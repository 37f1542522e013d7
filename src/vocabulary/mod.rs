//! The words that every other layer speaks: time, identities, voter sets, the timing of
//! leases, events, and the snapshot a node shows of itself.
//!
//! Nothing here decides anything. Assumptions: plain values only, no clock, no socket, no
//! randomness, and nothing above this layer is imported.

pub mod configuration;
pub mod endurance;
pub mod event;
pub mod goose;
pub mod hash;
pub mod health;
pub mod histogram;
pub mod identity;
pub mod inspection;
pub mod lineage;
pub mod metadata;
pub mod mutant;
pub mod node_name;
pub mod reject;
pub mod snapshot;
pub mod time;
pub mod timers;
pub mod timing;
pub mod voter_change;
pub mod work;
