//! What is run when the role changes, as settings say it.

use std::time::Duration;

use super::raw::OnHookFailure;
use crate::vocabulary::timing::{Timing, counted};

/// How long a hook may run, unless told otherwise.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// A hand-over is given up when the work has not ended after half as long again.
pub const HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// What to run, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// The words of the command for a Goose; none if there are no words.
    pub on_goose: Vec<String>,
    /// The same for one that is to be Duck.
    pub on_duck: Vec<String>,
    /// A hook that runs for longer is killed.
    pub limit: Duration,
    /// What follows when the hook of the election fails.
    pub on_failure: OnHookFailure,
    /// The demotion's hook starts when no more than this is left of the lease.
    pub lead: Duration,
}

impl Hooks {
    /// Half of what is left of a lease once two renewals in a row are missing.
    #[must_use]
    pub fn lead_of(timing: &Timing) -> Duration {
        counted(timing.lease).saturating_sub(timing.renew_interval * 2) / 2
    }
}
