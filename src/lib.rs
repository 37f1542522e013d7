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
//! | `keeper` | a process that tells the voters of a crash: `Config::keeper` | nix, signal-hook |
//! | `testing` | a fake Goose and a small cluster for your tests: `gaggle::testing`. For dev-dependencies | nothing |
//! | `cli` (on by default) | the command line, with `http` and `keeper` | clap and what goes with it |
//!
//! A program that embeds a node wants `default-features = false`, which leaves all of them out. Features
//! only add. Rust 1.88 or later, on Unix; the keeper is there on Linux.
//!
//! What stands at the crate's root is its interface. The modules that the map names are its machine
//! room: hidden from this page, public for the project's own tests, and free to change in any release.
//!
//! # A map
//!
//! ```text
//!  commands   what a person types               src/commands
//!     │
//!     │ library  what stands at the crate's root  src/library
//!     │  │
//!  shell      sockets, clocks, disk, HTTP       src/shell      sim: the same core in a
//!     │                                                        simulated world, with checkers
//!  config     settings: given, then checked     src/config
//!     │
//!  node       composes the two below            src/node
//!     │
//!  membership │ election                        src/membership │ src/election
//!     │
//!  wire       messages, datagrams, records      src/wire
//!     │
//!  vocabulary time, ids, timing, events         src/vocabulary
//! ```
//!
//! Imports point downward only, and the core (everything from the node down) has no socket, no
//! operating-system clock, no thread, no async and no randomness of its own. A test fails when
//! that is not so (`tests/layering`).
//!
//! # Where to add something
//!
//! | what | where |
//! |---|---|
//! | a setting | `config/flags.rs` (the entry), `config/raw.rs` (as given), `config/checked.rs` (the rule), `node/setup.rs` (what the core sees); `library/config.rs` if a program may say it |
//! | an HTTP resource | `shell/http/api/table.rs` (the entry), `shell/http/api/views.rs` (the answer), its schema in `shell/http/api/openapi.json` |
//! | an election message | `wire/message.rs` (all that is true of it), `election/mod.rs` (who handles it), its handler, its name in the simulator's `sim/cluster/coverage.rs`, the guide |
//! | a simulated fault | `sim/swarm/faults.rs` (a row, and how it begins and ends), `sim/cluster/action.rs` (what it does), and the part of the cluster that it breaks |
//! | a promise | a checker in `sim/checkers`, and a bug in `vocabulary/mutant.rs` that it finds |
//!
//! # One packet, 12 files
//!
//! A Goose asks a voter to renew its grant. On the voter's machine:
//!
//! 1. `shell/socket.rs` takes the datagram from the kernel, with the address it came from.
//! 2. `shell/driver.rs` is the one task that owns the core. It reads the clocks once and calls
//!    `node::NodeCore::handle_datagram`.
//! 3. `node/mod.rs` has the datagram received, and then has everything flow that follows from it.
//! 4. `node/exchange.rs` has the datagram opened and checked. What is foreign, stale or malformed is
//!    counted and dropped.
//! 5. `node/admission.rs` is the door: what a datagram must show before anybody looks at what it
//!    says.
//! 6. `wire/seal.rs` opens the datagram, if the cluster has a key.
//! 7. `wire/datagram.rs` decodes the envelope and the message in it.
//! 8. `election/mod.rs` gives the message to the voter, as it would give an answer to the
//!    contender. (A packet of gossip goes to `membership/mod.rs` instead.)
//! 9. `election/voter/grants.rs` judges the request, rule by rule, and grants.
//! 10. `election/outbox.rs` keeps the answer until it is asked for.
//! 11. `node/send.rs` puts the answer into an envelope.
//! 12. `node/outputs.rs` keeps it until the driver asks. The driver publishes the lease, and then the
//!     socket sends the answer.
//!
//! A claim changes the voter's record, and the answer waits for the disk: `node/persistence.rs`
//! hands the record out, `shell/store.rs` writes it, and `election/voter/mod.rs` answers once it is
//! durable.
//!
//! # One timer, 9 files
//!
//! It is time to probe a member:
//!
//! 1. `shell/timer.rs` sleeps until the one deadline that the node has at any moment.
//! 2. `shell/driver.rs` reads the clocks, which decide what is due, and calls
//!    `node::NodeCore::handle_timeout`.
//! 3. `node/mod.rs` has membership, election and itself do what is due.
//! 4. `membership/mod.rs` does it, one timer after another.
//! 5. `membership/timers.rs` gives out the timers that have expired. Its next one is part of what
//!    the driver sleeps on.
//! 6. `membership/swim.rs` hands the timer to the foca library, which picks a member.
//! 7. `membership/codec.rs` encodes the ping.
//! 8. `membership/output.rs` keeps the packet until it is asked for.
//! 9. `node/send.rs` puts it into an envelope, as it does with every message.
//!
//! # Terms
//!
//! The [guide](guide::terms) has the words that other systems use for these.
//!
//! | term | what it is | where |
//! |---|---|---|
//! | ballot | a number that a contender draws for one attempt; a voter never goes back below the highest it has granted | `election/ballots.rs` |
//! | blank | a voter without a record to stand by | `election/voter/blank.rs` |
//! | boot | one start of a process: a start number and a random number | `vocabulary/identity.rs` |
//! | buddy notice | a suspect hears of the suspicion from the node that suspects it | `membership/repair/buddy.rs` |
//! | campaign | what a program holds while it means to lead; dropping the last one of a term gives it up | `library/campaign.rs` |
//! | certificate | a release that the outgoing Goose hands to its successor, which shows it to the voters | `election/contender/lease.rs` |
//! | claim | the first request for grants under a fresh ballot, for a short lease | `election/contender` |
//! | contender | the part of a node that polls voters, claims, and holds the lease | `election/contender` |
//! | deference | a voter lets a lower contender wait a moment for a higher one | `election/deference.rs` |
//! | drain | giving the lease away while work is alive: ask it to end, wait, give | `node/drain.rs` |
//! | Duck | a node that is not the Goose | `election/contender/mod.rs` |
//! | envelope | what stands before every message: cluster, sender, addressee | `wire/datagram.rs` |
//! | founding | the first moment of a cluster: every voter finds its disk empty and hears the same of all others | `election/founding.rs` |
//! | founding map | which random number names each voter's empty disk | `wire/record.rs` |
//! | Goose | the one node that holds a valid lease | `election/contender/lease.rs` |
//! | grant | one voter's part of a lease | `election/voter/grants.rs` |
//! | healthy | nobody complains that the node could not do the work it would lead for; if somebody does, it votes and does not lead | `node/health.rs` |
//! | keeper | a helper process that ends the work of a dead node and tells the voters | `shell/keeper` |
//! | last will | ready-made releases that the keeper sends once its node is dead | `node/last_will.rs` |
//! | leader freshness | how lately the Goose was seen, as gossip carries it to all who poll nobody | `election/leader_freshness.rs` |
//! | lease | the right to be Goose until a moment on the holder's own clock | `vocabulary/timing.rs` |
//! | lineage | the number of one founding, by which clusters that are called alike differ | `vocabulary/lineage.rs` |
//! | member | a node as gossip knows it: alive, suspect, down or left | `membership/members.rs` |
//! | metadata | what people call a member, where it serves HTTP, and its tags; asked for, not gossiped | `membership/metadata.rs` |
//! | mutant | a bug that is put in to see that a checker finds it | `vocabulary/mutant.rs` |
//! | nemesis | what breaks things at random in the simulator, and mends them | `sim/swarm/faults.rs` |
//! | outbox | what the election wants done, in order | `election/outbox.rs` |
//! | preemption | the Goose hands over to a higher node that has come to stay | `election/preemption.rs` |
//! | push/pull | two members compare what they hold by digest, and one fetches what it lacks | `membership/push_pull` |
//! | quarantine | a restarted voter grants nothing new until all that it may have granted has run out | `election/voter/mod.rs` |
//! | record | what a voter must not forget, in its state folder | `wire/record.rs` |
//! | release | the holder says that it acts no more; voters free their votes | `election/contender/release.rs` |
//! | repair | what the gossip library leaves broken, mended | `membership/repair` |
//! | seed | an address through which a node finds its cluster | `membership/seeding.rs` |
//! | stand-in | a node that does what a test says, and holds no lease | `shell/stand_in.rs` |
//! | standby | a contender that keeps polling the voters, so that it can claim at once | `election/contender` |
//! | setback | work that failed here; the node stands back while others try | `shell/setback.rs` |
//! | swarm | what one run of the simulator is about: which faults, how many nodes | `sim/swarm/theme.rs` |
//! | tenure | one leadership of one process | `election/contender/lease.rs` |
//! | term | the ballot at which a leadership began: the fencing token | `election/contender/lease.rs` |
//! | tombstone | a note that a process has ended for good (`election/voter/grants.rs`), or that a member is forgotten | `membership/tombstones.rs` |
//! | twin | a second live process under the id of a voter | `node/admission.rs` |
//! | voter | the part of a node that grants leases, one at a time, and stands by them across crashes | `election/voter` |
//! | voter progress | what a contender knows of one voter | `election/contender/voter_progress.rs` |
//! | voter set | who votes: of the founding, and changed by the Goose one at a time | `vocabulary/configuration.rs` |
//! | work | what a program does under the lease | `election/work.rs` |
//!
//! # The lease, in numbers
//!
//! A holder counts a grant of ℓ for D(ℓ) = (ℓ/(1+ε) − δ)(1−ε) on its own clock, from the moment
//! it *sent* the request; the voter counts ℓ on its own, from a later moment. With ε = 0.5 % and
//! δ = 20 ms a lease of 600 ms counts for 574. So a holder stops before any voter of its
//! majority frees its vote, and any two majorities share a voter: never two at once. See
//! `vocabulary/timing.rs`.

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
