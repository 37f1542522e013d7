//! Real `gaggle` processes on hosts of their own: each host is a network namespace with an
//! address on a private bridge.
//!
//! ```text
//!  sandbox: a network, mounts and processes of its own, one for each test; gone when it ends
//!  ┌───────────────────────────────────────────────────────────────────────┐
//!  │  host 1: 10.77.0.1   host 2: 10.77.0.2   host 3: 10.77.0.3   ...      │
//!  │        └────────┬────────────┴───────────────────┘                    │
//!  │               bridge 10.77.0.254: the observer, whom no cut concerns  │
//!  └───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! ```text
//! cargo test --test processes hosts::                        what the gate runs: under a minute
//! cargo test --test processes hosts::disks -- --nocapture    one module, with what it saw
//! GAGGLE_HOSTS=long cargo test --test processes hosts::      longer watches, larger crowds
//! GAGGLE_ROUNDS=100 cargo test --test processes hosts::addresses -- --nocapture    the figures
//! GAGGLE_BINARY=/path/gaggle cargo test ...                  judges another build
//! ```
//!
//! Needs Linux, root, and `ip`, `nft`, `unshare`, `nsenter`, `setpriv`; some tests need more
//! (haproxy, libfaketime, loop devices). What cannot run here is skipped and says so on standard
//! error. Nothing of the machine's own network is touched: see [`sandbox`].
//!
//! [`judge`] reads what workers and nodes wrote. Of the library it uses the judge of histories alone.

mod judge;
mod network;
mod node;
mod sandbox;

mod addresses;
mod balancers;
mod clocks;
mod crowd;
mod cuts;
mod disks;
mod dns;
mod init;
mod limits;
mod networks;
mod pipes;
mod ports;
mod readme;
mod seeds;
mod systemd;
mod twins;
mod users;

/// No test unless this process was told to be a worker.
#[test]
fn worker() {
    crate::harness::work::work();
}

/// Whether the longer run was asked for.
fn long() -> bool {
    std::env::var("GAGGLE_HOSTS").is_ok_and(|value| value == "long")
}
