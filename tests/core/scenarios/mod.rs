//! The scenarios of the protocol, by their numbers.
//!
//! Each is a story of a few lines on the real nodes in virtual time. It asserts its promise in
//! so many words; the judges of the simulator watch it from beginning to end; and what happened
//! is compared with a transcript in `golden/` that somebody has read. After a change that is
//! meant, `GAGGLE_GOLDEN=rewrite cargo test --test core scenarios::` writes them anew, to be read
//! again.
//!
//! Where each number is tested (9 and 44 are more than one story; some numbers are unused):
//!
//! | number | what | where |
//! |---|---|---|
//! | 1-8, 10-12 | links are cut, one way or both, or flap | `partitions.rs` |
//! | 9 | every directed topology of 3 voters and 3 contenders | `tests/core/topologies.rs`, all of them by `examples/topologies.rs` |
//! | 13 | kill -9 | `restarts.rs` with the simulator's keeper; real processes: `tests/processes/keeper.rs` |
//! | 14 | the keeper is killed first, then the Goose | real processes only: `tests/processes/keeper.rs` |
//! | 15 | a descriptor leaks to a child, or is closed while its owner lives | as 14 |
//! | 16 | a workload outlives its node | as 14, once there are workloads (`exec`) |
//! | 18 | stopped for five seconds | `restarts.rs`; real processes: `tests/processes/clusters.rs` |
//! | 21-24 | voters restart, lose their disks, or cannot write | `restarts.rs`, `records.rs`, `tests/library/disk.rs` |
//! | 26, 27 | two processes of one id, voters or not | `claims.rs` |
//! | 28, 30-32 | late and repeated messages | `messages.rs`; against sealed nodes: `tests/core/replay.rs` |
//! | 29 | a keeper's late release | `restarts.rs` |
//! | 33-36 | wall clocks, slew, suspend, mixed leases | `clocks.rs` |
//! | 37, 38 | a claim that fails, a split vote | `claims.rs` |
//! | 39 | a dead Goose rejoins | `restarts.rs` |
//! | 40 | preemption and a flapping higher node | `claims.rs` |
//! | 41 | a hand-over loses any of its messages | `messages.rs`, and in every order in `tests/core/model.rs` |
//! | 42 | another genesis set | `claims.rs` |
//! | 43 | reconfiguration with crashes | with reconfiguration, which is not built yet |
//! | 44 | a crowd under churn | `crowds.rs` with 120 nodes; with 2,000: `cargo bench --bench scale -- --nodes 5 --nodes 2000 --trial failover` |
//! | 45 | too little processor time | `clocks.rs` |
//! | 46 | duplicates, reordering, delays beyond a lease | `messages.rs`; by chance in `tests/core/simulation.rs` |
//! | 47 | no gossip at all | `claims.rs` |

mod claims;
mod clocks;
mod crowds;
mod drained;
mod electorate;
mod fleet;
mod golden;
mod health;
mod messages;
mod partitions;
mod records;
mod rescue;
mod restarts;
mod stage;
mod work;
