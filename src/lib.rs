//! gaggle: exactly one Goose.
//!
//! Nodes gossip, and so form a cluster from nothing but a seed address. Exactly one of them is
//! the **Goose**; all others are **Ducks**. The Goose holds a lease that a majority of the
//! configured **voters** granted, and stops being Goose by itself before that lease ends. Its
//! **term** is a number that names this leadership of this process for ever, and that grows
//! from Goose to Goose: the fencing token for whatever the Goose works on.
//!
//! # In your program
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = gaggle::Config::new("10.0.0.1:8000")
//!     .voters(["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"])
//!     .state_dir("/var/lib/my-service/gaggle");
//! let node = gaggle::Node::start(config).await?;
//!
//! loop {
//!     let leadership = node.until_goose().await?;
//!     // Dropped before the lease ends, and before it is handed over.
//!     match leadership.run(work(leadership.term())).await {
//!         Ok(()) => break,
//!         Err(lost) => eprintln!("{lost}"),
//!     }
//! }
//! node.shutdown().await?; // hands over at once
//! # Ok(())
//! # }
//! # async fn work(_: u64) {}
//! ```
//!
//! [`Node`] and [`Leadership`] say what they promise. In short: [`Leadership::run`] ends your
//! work in time; [`Node::is_goose`] is true at the moment of the answer and no longer; and what
//! the Goose does to the outside world while its process is frozen can only be stopped by
//! whoever receives it. So hand [`Leadership::term`] along with every write, and let the
//! receiver refuse a term that is lower than one it has seen.
//!
//! The examples `singleton_job`, `fenced_writer` and `embed` run as they are.
//!
//! The [`guide`] says the rest: what is promised and provided what, how to run it, and how it works.
//!
//! # Features
//!
//! `http` is the HTTP server ([`Config::http`]), `cli` (on by default) the command line as well.
//! A program that embeds a node wants `default-features = false`, which leaves out clap and
//! hyper.
//!
//! What stands at the crate's root is its interface. The modules below are its machine room:
//! public for the curious and for tests, and free to change in any release.
//!
//! # A map
//!
//! ```text
//!  commands   command line, settings            src/commands
//!     │
//!     │ library  what stands at the crate's root  src/library
//!     │  │
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
//! 2. `node/exchange.rs`: the envelope is checked; what is foreign, stale or malformed is
//!    counted and dropped (what that is, `node/admission.rs` says).
//! 3. `election/mod.rs`: the message goes to the voter or to the contender of this node
//!    (gossip goes to [`membership::Membership`] instead).
//! 4. `election/voter/grants.rs`: the voter judges a request for a grant, rule by rule, and
//!    answers once its record is durable.
//! 5. `node/send.rs`: what came of it is put into envelopes, and the driver sends it, after
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
#[doc(hidden)]
pub mod fuzz;
#[cfg(doc)]
pub mod guide;
mod library;
pub mod membership;
pub mod node;
pub mod shell;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod sim;
pub mod vocabulary;

pub use library::{
    Config, EndError, Error, Event, Events, Goose, Leadership, LeadershipLost, Member, MemberState,
    Node, NodeEnded, Role, StartError, Status, Voters,
};
pub use vocabulary::identity::NodeId;
pub use vocabulary::timing::Profile;
