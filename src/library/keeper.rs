//! The keeper of a node that is embedded in a program: this very program, executed again, which does
//! nothing until the first is dead, and then tells the voters so.
//!
//! Without one, the voters of a program that is killed or that crashes wait until its lease has run
//! out: up to 600 ms with the usual lease. With one the next Goose is there milliseconds later.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Before anything else: in the keeper this does not return.
//!     gaggle::keeper::run_if_asked();
//!
//!     let config = gaggle::Config::new("10.0.0.1:8000")
//!         .voters(["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"])
//!         .keeper(true);
//!     let runtime = tokio::runtime::Runtime::new()?;
//!     runtime.block_on(async {
//!         let node = gaggle::Node::start(config).await?;
//!         node.ended().await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! What the keeper knows are a few datagrams, ready to be sent, that release what this process holds.
//! It inherits no descriptor and no environment. It acts on nothing but the certain death of this
//! process; if it dies first, a crash costs a lease again, and that is logged. It is there on Linux
//! from 5.3 on.

use std::sync::atomic::{AtomicBool, Ordering};

use super::start_error::{StartError, StartFailure};
use crate::shell::last_will_sender::LastWillSender;

/// Whether this program would be a keeper if it were executed again.
static IS_PREPARED: AtomicBool = AtomicBool::new(false);

/// If this process was started to be a keeper, it is one from here on, and ends when its work is done:
/// this does not return then. Otherwise it returns at once, and
/// [`Config::keeper`](crate::Config::keeper) may be said.
///
/// To be called first thing in `main`, before threads are started, arguments are read and anything is
/// opened: whatever stands before it is done in the keeper, too. So write a plain `main` that builds its
/// runtime afterwards. Under `#[tokio::main]` the runtime is there before the first line: the keeper works
/// all the same, but holds the threads and the memory of a runtime that it never uses.
pub fn run_if_asked() {
    IS_PREPARED.store(true, Ordering::Relaxed);
    #[cfg(target_os = "linux")]
    if let Some(words) = crate::shell::keeper::words_of_embedded(std::env::args_os()) {
        let outcome = crate::shell::keeper::keep(&words);
        std::process::exit(i32::from(outcome.is_err()));
    }
}

/// Starts the keeper of this process. None: the system offers none, which is logged.
pub(super) fn start() -> Result<Option<Box<dyn LastWillSender>>, StartError> {
    if !IS_PREPARED.load(Ordering::Relaxed) {
        let text = "Config::keeper: this program would not know that it is to be the keeper: call \
                    gaggle::keeper::run_if_asked() first thing in main";
        return Err(StartError::Keeper(StartFailure::new(&text, None)));
    }
    Ok(started())
}

#[cfg(target_os = "linux")]
fn started() -> Option<Box<dyn LastWillSender>> {
    match crate::shell::keeper::Keeper::start_embedded() {
        Ok(keeper) => Some(Box::new(keeper)),
        Err(error) => {
            tracing::warn!("no keeper: {error}. If this node is killed, that costs a lease");
            None
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn started() -> Option<Box<dyn LastWillSender>> {
    tracing::warn!("no keeper on this platform: if this node is killed, that costs a lease");
    None
}
