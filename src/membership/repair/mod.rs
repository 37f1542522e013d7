//! What SWIM, as the foca library does it, leaves broken, and how it is mended.
//!
//! 1. **Refuted suspicions.** The library announces a member's death to it even when the
//!    suspicion was refuted meanwhile, so healthy nodes rename themselves by the hundred under
//!    loss. Mended by [`permits`]: the timer of a suspicion that no longer stands is dropped. A
//!    later failed probe sets it again.
//! 2. **Buddy notices.** A suspect that was unreachable while the suspicion was gossiped never
//!    hears of it. Mended by [`buddy`]: a node that suspects a member tells that member itself, at
//!    once, after a third and after two thirds of the time that it has to defend itself.
//! 3. **Isolation.** A node that was cut off suspects all others, declares them down, and spreads
//!    that when it returns. Mended by [`isolation`]: it declares no member down while it receives
//!    nothing at all, and begins anew with the first packet after that.
//! 4. **Disconnection.** After a rename or an idle spell the library waits for packets that
//!    never come. Mended by the watchdog: [`super::Membership::is_connected`] says whether another
//!    node knows this one, and while none does this one asks its seeds again, for ever.
//! 5. **Mutual death notices.** A node that hears from a member that it holds for dead tells it
//!    so, and the member answers with such a notice if it thinks the same of the node. Two nodes
//!    whose knowledge of each other's address names a later process (a forged or very old one)
//!    then exchange notices as fast as the network carries them. Mended by [`death_notices`]: a
//!    node is told of its death ten times a second at most.
//! 6. **Goodbyes that miss a member.** A node that leaves tells those that it knows. A node that
//!    is just letting it in is not among them, and holds it for alive until it is found dead. So
//!    a node that has left stays for a moment, and answers every question with its goodbye.

pub(super) mod buddy;
pub(super) mod death_notices;
pub(super) mod isolation;

use foca::Timer;

use super::identity::MemberIdentity;
use super::members::Members;
use crate::vocabulary::mutant::{self, Mutant};

/// Mends 1 and 3: whether SWIM may be told of a timer. `isolated`: no member is to be
/// declared down.
pub(super) fn permits(timer: &Timer<MemberIdentity>, members: &Members, isolated: bool) -> bool {
    match timer {
        Timer::ChangeSuspectToDown { .. } if mutant::is(Mutant::RefutedStillAccused) => !isolated,
        Timer::ChangeSuspectToDown { member_id, incarnation, .. } => {
            !isolated && members.suspects(member_id, *incarnation)
        }
        _ => true,
    }
}
