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
//! use gaggle::{Config, Node, State};
//! use tokio::signal::unix::{SignalKind, signal};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new("10.0.0.1:8000")
//!     .voters(["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"])
//!     .state(State::dir("/var/lib/my-service/gaggle"));
//! let node = Node::start(config).await?;
//!
//! let mut terminated = signal(SignalKind::terminate())?;
//! let mut leading = tokio::spawn(lead(node.clone()));
//! tokio::select! {
//!     _ = terminated.recv() => {}
//!     _ = tokio::signal::ctrl_c() => {}
//!     outcome = &mut leading => outcome?, // the work is done, or has panicked
//!     ended = node.ended() => ended?,     // the node has failed
//! }
//! node.shutdown().await?; // the work is dropped, and others lead within milliseconds
//! # Ok(())
//! # }
//!
//! async fn lead(node: Node) {
//!     // It fails once the node has been told to shut down.
//!     while let Ok(campaign) = node.until_goose().await {
//!         // Dropped before the lease ends, and before it is handed over.
//!         match campaign.run(work(campaign.term())).await {
//!             Ok(()) => return,
//!             Err(lost) => eprintln!("{lost}"),
//!         }
//!     }
//! }
//! # async fn work(_: u64) {}
//! ```
//!
//! Two ways lead to the lease, and they are not the same:
//!
//! | | for | what its drop does |
//! |---|---|---|
//! | [`Node::until_goose`] waits, and gives a [`Campaign`] | the one loop that does the Goose's work | the last one of a term **steps down** |
//! | [`Node::leadership`] answers at once, with a [`Leadership`] or none | request handlers, and whoever else only looks | nothing |
//!
//! Work comes in two kinds. [`Leadership::run`] runs a future and drops it in time. What cannot be
//! dropped (a thread, a blocking call) takes a [`Work`] from [`Leadership::begin`], asks
//! [`Work::check`] before every step, and is waited for.
//!
//! [`Node::is_goose`] is true at the moment of the answer and no longer; and what the Goose does to the
//! outside world while its process is frozen can only be stopped by whoever receives it. So hand
//! [`Leadership::term`] along with every write, and let the receiver refuse a term that is lower than
//! one it has seen.
//!
//! The examples `embed`, `axum_redirect`, `job_runner`, `thread_worker`, `singleton_job` and
//! `fenced_writer` run as they are. The [`guide`] says the rest: what is promised and provided what, how
//! to run it, how it works, and on [its page on the library](guide::library) what a crash costs.
//!
//! # Features
//!
//! | feature | what it brings | what it takes |
//! |---|---|---|
//! | `http` | the HTTP server: `Config::http` | hyper |
//! | `tls` | HTTP over TLS: `Config::http_tls`, with `http` | rustls, ring, tokio-rustls |
//! | `keeper` | a process that tells the voters of a crash: `Config::keeper` | nix, signal-hook |
//! | `testing` | a fake Goose and a small cluster for your tests: `gaggle::testing`. For dev-dependencies | nothing |
//! | `cli` (on by default) | the command line, with `http`, `tls` and `keeper` | clap and what goes with it |
//!
//! A program that embeds a node wants `default-features = false`, which leaves all of them out. Features
//! only add. Rust 1.88 or later, on Unix; the keeper is there on Linux.
//!
//! What stands at the crate's root is its interface. The other modules are its machine room: hidden from
//! this page, public for the project's own tests, and free to change in any release. Who wants to change
//! them finds a [map](guide::map) of the code, its walks and its words in the guide.

#![cfg_attr(docsrs, feature(doc_cfg))]

// The machine room. Whoever turns the simulator on, to work on it, finds it in the documentation.
#[cfg(feature = "cli")]
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod commands;
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod config;
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod election;
#[cfg(doc)]
pub mod guide;
mod library;
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod membership;
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod node;
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod shell;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod sim;
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod vocabulary;
#[cfg_attr(not(feature = "simulation"), doc(hidden))]
pub mod wire;

pub use config::SettingsError;
#[cfg(feature = "keeper")]
pub use library::keeper;
#[cfg(feature = "testing")]
pub use library::testing;
pub use library::{
    Campaign, Config, EndError, Error, Event, Events, Goose, Leadership, LeadershipLost,
    LostReason, Member, MemberState, Node, NodeEnded, Role, Standing, StartError, StartFailure,
    State, Status, VoterChange, Voters, Work,
};
pub use vocabulary::identity::{NodeId, NodeIdError};
pub use vocabulary::timing::Profile;
