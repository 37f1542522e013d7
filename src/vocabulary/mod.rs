//! The words that every other layer speaks: time, identities, voter sets, messages, the
//! durable record, the timing of leases, and the snapshot a node shows of itself.
//!
//! Nothing here decides anything. Assumptions: plain values only, no clock, no socket, no
//! randomness, and nothing above this layer is imported.

pub mod codec;
pub mod configuration;
pub mod datagram;
pub mod endurance;
pub mod event;
pub mod histogram;
pub mod identity;
pub mod inspection;
pub mod message;
pub mod metadata;
pub mod mutant;
pub mod record;
pub mod seal;
pub mod setup;
pub mod snapshot;
pub mod time;
pub mod timers;
pub mod timing;
pub mod work;
