//! The thin shell around the core: the operating system's clocks, one UDP socket, the state
//! folder, and the task that owns the core.
//!
//! It decides nothing. Assumption: a tokio runtime with its time and network drivers on.

/// The commit that this was built from, or "unknown".
pub const COMMIT: &str = env!("BUILT_FROM_COMMIT");

#[cfg(all(feature = "keeper", target_os = "linux"))]
pub mod address;
pub mod clock;
#[cfg(feature = "http")]
pub mod control_socket;
pub(crate) mod descriptor;
mod driver;
pub mod handle;
#[cfg(all(feature = "cli", unix))]
pub mod health;
pub mod history;
#[cfg(all(feature = "cli", unix))]
pub mod hooks;
pub mod host_name;
#[cfg(feature = "http")]
pub mod http;
pub(crate) mod journal;
#[cfg(all(feature = "keeper", target_os = "linux"))]
pub mod keeper;
pub mod last_will_sender;
pub mod open;
mod order;
mod own_address;
#[cfg(feature = "http")]
pub mod process_usage;
mod published_lease;
pub mod pulse;
mod reload;
#[cfg(feature = "http")]
pub mod reloader;
#[cfg(all(feature = "cli", unix))]
pub mod setback;
pub mod socket;
#[cfg(all(feature = "cli", unix))]
mod spawned;
#[cfg(feature = "testing")]
pub mod stand_in;
pub mod start;
pub mod store;
mod sync;
mod timer;
pub mod work;
