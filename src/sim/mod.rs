//! A second shell around the node: a whole cluster in one thread, in invented time.
//!
//! One seed decides everything: the size of the cluster, which faults there are, when each
//! datagram arrives and when each clock is read. So a failure that takes a week to happen once
//! happens here every time its seed is run.
//!
//! Four products over one small cluster, each of which knows those below it and none beside it:
//!
//! ```text
//!   swarm       random runs: a seed draws a plan, and a nemesis breaks what the plan names
//!   scenario    scripted stories, told as transcripts
//!     │
//!   cluster     machines, disks, clocks, work, keepers, a network, and what may be done to them
//!     │
//!   checkers    judges in true time, which nodes cannot see
//!
//!   exhaustive  bare elections, in every topology and in every order of events
//!
//!   postbox     a handful of nodes and their mail, for tests that play the rest themselves
//! ```
//!
//! Assumptions: the node is driven through its public functions only, exactly as the shell
//! does; nothing here reads a clock of the operating system or draws ambient randomness; no
//! order depends on a hash.

pub mod checkers;
pub mod cluster;
pub mod exhaustive;
pub mod postbox;
pub mod prng;
pub mod scenario;
pub mod swarm;
