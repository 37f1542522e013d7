//! Nodes inside a program: as the library starts them, on sockets, threads and runtimes of the
//! test's own, without a binary and without HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod campaigns;
mod disk;
mod embedded;
mod fake;
mod guard_loop;
#[cfg(feature = "cli")]
mod told;
