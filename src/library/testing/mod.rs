//! For the tests of programs that embed a node: a Goose that a test makes and unmakes, and a small real
//! cluster.
//!
//! Needs the feature `testing`, which belongs into dev-dependencies only, because a fake Goose holds no
//! lease:
//!
//! ```toml
//! [dependencies]
//! gaggle = { version = "0.2", default-features = false }
//!
//! [dev-dependencies]
//! gaggle = { version = "0.2", default-features = false, features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! A [`FakeGoose`] is quick and exact: it lives on the clock of the tokio runtime, which a test may
//! pause, and everything about leases happens when the test says so. What the code under test holds is
//! a [`Node`](crate::Node) like any other.
//!
//! ```
//! use std::time::Duration;
//!
//! use gaggle::testing::FakeGoose;
//!
//! # // The attribute does this; a page cannot.
//! # let mut builder = tokio::runtime::Builder::new_current_thread();
//! # builder.enable_all().start_paused(true).build().unwrap().block_on(async {
//! // #[tokio::test(start_paused = true)]
//! let fake = FakeGoose::new();
//! let node = fake.node();
//! fake.grant();
//! let campaign = node.until_goose().await.unwrap();
//!
//! fake.freeze(); // nothing is renewed any more
//! let lost = campaign.run(std::future::pending::<()>()).await.unwrap_err();
//! assert_eq!(lost.reason, gaggle::LostReason::NotRenewed);
//! assert!(campaign.is_valid(), "dropped before the lease was over");
//!
//! tokio::time::sleep(Duration::from_secs(1)).await;
//! assert!(!campaign.is_valid() && !node.is_goose());
//! # });
//! ```
//!
//! **Paused time and threads.** While a task of `spawn_blocking` runs, tokio does not advance paused time
//! by itself: a test that waits for both hangs. Advance it by hand there, with `tokio::time::advance`. A
//! `std::thread` belongs to no runtime, so whatever it asks ([`Work::check`](crate::Work::check), say) is
//! answered by the real clock: let such a test run in real time.
//!
//! **Without a keeper.** A keeper is the program executed again, and in a test the harness owns `main`. So
//! `Config::keeper(true)` is refused there: leave it out of the settings that your tests share, and say it
//! in `main`.
//!
//! A [`Cluster`] is the real thing: nodes with sockets on loopback, an election, real time.

mod cluster;
mod fake_goose;

pub use cluster::Cluster;
pub use fake_goose::FakeGoose;
