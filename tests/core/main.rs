//! The core alone and in the simulator: no sockets, no clocks, no threads of its own, so the
//! same seed gives the same run. What these tests want of the machine is processor time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod addresses;
mod checker;
mod fuzz;
mod membership;
mod model;
mod nodes;
mod replay;
mod scenarios;
mod simulation;
mod topologies;
mod wire_format;
