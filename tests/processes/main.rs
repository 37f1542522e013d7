//! Whatever starts the binary: alone, in clusters on loopback, on hosts of their own, in front
//! of a terminal, a browser or a load balancer. These tests wait most of their time.
//!
//! They share one process, so none of them changes what belongs to all of it: the environment,
//! signal handlers, limits. One thing is shared: orphans become children of this process (see
//! [`keeper`]), so whoever asks whether a process is gone takes a zombie for a dead one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../harness/mod.rs"]
mod harness;

mod browser;
mod certificates;
mod clients;
mod clusters;
mod command_line;
mod electorate;
#[cfg(target_os = "linux")]
mod embedded;
#[cfg(target_os = "linux")]
mod ends;
mod errors;
#[cfg(target_os = "linux")]
mod exec;
mod flood;
mod foundings;
mod health;
#[cfg(target_os = "linux")]
mod hooks;
mod hostile;
#[cfg(target_os = "linux")]
mod hosts;
mod keeper;
mod keys;
mod names;
mod operators;
mod pace;
mod preflight;
mod pulse;
mod replacements;
mod routing;
mod tls;
mod tools;
mod versions;
