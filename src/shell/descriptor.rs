//! Descriptors that the runtime watches for input, and for nothing else.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that its owner never exchanges for another.
///
/// Assumption of the runtime, which the types below keep: each owns its descriptor, keeps it
/// open for as long as it lives, and always names the same one.
pub(crate) trait Steady: AsRawFd {}

impl Steady for OwnedFd {}
impl Steady for std::net::UdpSocket {}

/// Has the runtime watch `descriptor` for input.
///
/// # Errors
/// If the operating system refuses; the descriptor is closed then.
#[allow(deprecated, reason = "sound for what is Steady; its successor asks for unsafe")]
pub(crate) fn watch_input<T: Steady>(descriptor: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
