//! A second shell around the node: a whole cluster in one thread, in invented time.
//!
//! One seed decides everything: the size of the cluster, which faults there are, when each
//! datagram arrives and when each clock is read. So a failure that takes a week to happen once
//! happens here every time its seed is run.
//!
//! ```text
//!   plan ──▶ world: a heap of events in true time ──▶ host: clocks, disk, NodeCore
//!              ▲    │                                   │
//!         nemesis   ├──▶ network: delay, loss, cuts ◀───┤
//!                   ├──▶ labour: work and its keeper ◀──┘
//!                   └──▶ checks: judges in true time, which nodes cannot see
//! ```
//!
//! Assumptions: the node is driven through its public functions only, exactly as the shell
//! does; nothing here reads a clock of the operating system or draws ambient randomness; no
//! order depends on a hash.

pub mod action;
pub mod checks;
pub mod clocks;
pub mod coverage;
mod delivery;
pub mod disk;
pub mod effects;
pub mod electorate;
pub mod fault_kind;
pub mod faults;
pub mod foreign_nodes;
pub mod host;
pub mod interceptor;
pub mod job;
mod keeper;
mod keys;
pub mod labour;
mod lag;
pub mod model;
pub mod mutants;
pub mod nemesis;
pub mod network;
pub mod options;
pub mod plan;
pub mod prng;
pub mod run;
pub mod scenario;
pub mod swarm;
pub mod tally;
pub mod topology;
pub mod trace;
mod transcript;
pub mod work;
pub mod world;
