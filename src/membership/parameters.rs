//! The numbers that gossip runs on, each with its reason, in one place.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Config, PeriodicParams};

use crate::vocabulary::timing::Timing;
use crate::wire::datagram::GOSSIP_SIZE_MAX;

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

/// The dead are forgotten after this. Long, so that members which were cut off are recognised
/// when they come back.
pub(super) const REMOVE_DOWN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Gossip for a cluster of about `members`.
pub(super) fn parameters(timing: &Timing, members: usize) -> Config {
    let probe_period = timing.probe_period;
    Config {
        probe_period,
        probe_rtt: timing.probe_round_trip,
        // Three others are enough to tell a dead member from a bad path to it.
        num_indirect_probes: count(3),
        // The usual 4·log10(N) leaves stragglers at a thousand members; 20 leaves hardly any,
        // and they are found by comparing digests.
        max_transmissions: NonZeroU8::new(20).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: suspicion(probe_period, members),
        remove_down_after: Some(REMOVE_DOWN_AFTER),
        max_packet_size: count(GOSSIP_SIZE_MAX),
        // A member that is wrongly declared down must learn of it, or it stays down for ever.
        notify_down_members: true,
        // What gossip missed is found by comparing digests (see `push_pull`). This is for a node
        // that cannot ask: only an announcement reaches a later process of a member, or one that
        // is taken for another, and makes it ask in turn. Without it one of a thousand bad days
        // ended with a node that no other let in.
        periodic_announce: Some(PeriodicParams {
            frequency: Duration::from_secs(5),
            num_members: count(1),
        }),
        // Two down members every five seconds: a healed partition merges within seconds.
        periodic_announce_to_down_members: Some(PeriodicParams {
            frequency: Duration::from_secs(5),
            num_members: count(2),
        }),
        // See `gossip_period`. It costs nothing while there is no news: the timer rests then.
        periodic_gossip: Some(PeriodicParams {
            frequency: gossip_period(timing),
            num_members: count(3),
        }),
    }
}

/// News goes one hop further in this time: a little less than a round trip may take, 50 ms on a
/// local network, 250 between sites. It reaches a thousand nodes in eight hops, long before the
/// time of a suspect to defend itself is over, and no faster than answers can come back.
fn gossip_period(timing: &Timing) -> Duration {
    timing.probe_round_trip * 5 / 8
}

/// How long a suspect may defend itself: four probe periods, and more in a larger cluster,
/// where both the accusation and the defence take longer to get around.
fn suspicion(probe_period: Duration, members: usize) -> Duration {
    let digits = members.max(10).ilog10();
    probe_period * 4 * digits.max(1)
}
