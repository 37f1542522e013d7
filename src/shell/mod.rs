//! The thin shell around the core: the operating system's clocks, one UDP socket, the state
//! folder, and the task that owns the core.

pub mod handle;
#[cfg(feature = "http")]
pub mod http;
