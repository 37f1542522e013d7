//! gaggle: exactly one Goose.
//!
//! Nodes gossip, and so form a cluster from nothing but a seed address. Exactly one of them is
//! the **Goose**; all others are **Ducks**. The Goose holds a lease that a majority of the
//! configured **voters** granted, and stops being Goose by itself before that lease ends. Its
//! **term** is a number that names this leadership of this process for ever, and that grows
//! from Goose to Goose: the fencing token for whatever the Goose works on.
//!
//! # A map
//!
//! ```text
//!  commands   command line, settings            src/commands
//!     │
//!  shell      sockets, clocks, disk, HTTP       src/shell      sim: the same core in a
//!     │                                                        simulated world, with checkers
//!  node       composes the two below            src/node
//!     │
//!  membership │ election                        src/membership │ src/election
//!     │
//!  vocabulary time, ids, messages, records      src/vocabulary
//! ```
//!
//! Imports point downward only, and the core (everything below the shell) has no socket, no
//! operating-system clock, no thread, no async and no randomness of its own. A test fails when
//! that is not so (`tests/layering.rs`).
//!
//! # One packet, five files
//!
//! 1. `shell/driver.rs`: the one task that owns the core receives a datagram, reads the clocks,
//!    and calls [`node::NodeCore::handle_datagram`].
//! 2. `node/receive.rs`: the envelope is checked; what is foreign, stale or malformed is
//!    counted and dropped.
//! 3. `election/mod.rs`: the message goes to the voter or to the contender of this node
//!    (gossip goes to [`membership::Membership`] instead).
//! 4. `election/voter/grants.rs`: the voter judges a request for a grant, rule by rule, and
//!    answers once its record is durable.
//! 5. `node/flow.rs`: what came of it is put into envelopes, and the driver sends it, after
//!    publishing the new snapshot.
//!
//! # The lease, in numbers
//!
//! A holder counts a grant of ℓ for D(ℓ) = (ℓ/(1+ε) − δ)(1−ε) on its own clock, from the moment
//! it *sent* the request; the voter counts ℓ on its own, from a later moment. With ε = 0.5 % and
//! δ = 20 ms a lease of 600 ms counts for 574. So a holder stops before any voter of its
//! majority frees its vote, and any two majorities share a voter: never two at once. See
//! [`vocabulary::timing`].

#[cfg(feature = "cli")]
pub mod commands;
pub mod election;
#[cfg(feature = "simulation")]
pub mod fuzz;
pub mod membership;
pub mod node;
pub mod shell;
#[cfg(feature = "simulation")]
pub mod sim;
pub mod vocabulary;
