//! What HAProxy's agent-check reads of a node.

use super::views::{Moment, Role};
use crate::vocabulary::snapshot::Phase;

/// The line, with its end: HAProxy reads up to there. The first word is the operating state, the
/// second one the administrative state.
///
/// A Duck is in maintenance and not down: there is nothing wrong with it, so nobody is to be woken.
/// That holds for one that leaves, too. Whoever has said "down" must say "up" again, and whoever has
/// said "maint" must say "ready": so each answer but the one for a node that cannot tell says both.
pub(in crate::shell::http) fn line(moment: &Moment<'_>) -> &'static str {
    // By the lease alone, which ends by itself, whatever becomes of the driver.
    if Role::of(moment.snapshot, moment.now) == Role::Goose {
        return "up ready\n";
    }
    match moment.snapshot.phase {
        Phase::Serving | Phase::Leaving if moment.has_pulse() => "up maint\n",
        _ => "down\n",
    }
}
