//! Random runs: one seed, one run, and judges that nothing escapes.
//!
//! ```text
//!   seed ──▶ Plan: size, timings, network, clocks, kinds of fault
//!              │
//!            run: turmoil (the nemesis strikes), then peace, then judgement ──▶ Report
//! ```

pub mod faults;
mod foreign_nodes;
pub mod mutants;
pub mod options;
pub mod plan;
pub mod run;
pub mod theme;
