//! What the gossip library leaves broken, and how it is mended here.
//!
//! 1. **Refuted suspicions.** The library announces a member's death to it even when the
//!    suspicion was refuted meanwhile, so healthy nodes rename themselves by the hundred under
//!    loss. Mended by [`is_still_suspected`]: such a timer is dropped. A later failed probe
//!    schedules it again.
//! 2. **Buddy notices.** A suspect that was unreachable while the suspicion was gossiped never
//!    hears of it. Mended by [`BuddyNotices`]: whoever suspects a member tells it so itself, at
//!    once, after a third and after two thirds of the time it has to defend itself.
//! 3. **Isolation.** A node that was cut off suspects everybody, declares everybody down, and
//!    spreads that when it returns. Mended by [`Isolation`]: while nothing at all is received,
//!    nobody is declared down; and with the first packet after that the library is started anew
//!    with what was known before. With only one other member there is no telling, so it does
//!    not apply. Nor does it for ever: after [`ISOLATION_MAX`] the others are shown as down, for
//!    whoever is really the last one should not show the dead as doubtful. What it then thinks
//!    is forgotten all the same if anybody is heard again.
//! 4. **Disconnection.** After a rename or an idle spell the library waits for packets that
//!    never come. Mended by the watchdog: [`super::Membership::is_connected`] says whether
//!    anybody knows us, and while nobody does the node asks its seeds again, for ever.
//! 5. **Mutual death notices.** Whoever hears from a member that it holds for dead tells it so,
//!    and that notice is answered with another one if the other side thinks the same of us. Two
//!    nodes whose knowledge of each other's address names a later process (a forged or very old
//!    one) then exchange notices as fast as the network carries them. Mended by
//!    [`Notices`]: a node is told of its death ten times a second at most.
//! 6. **Goodbyes that miss somebody.** A node that leaves tells those that it knows; whoever is
//!    just letting it in is not among them, and holds it for alive until it is found dead. So a
//!    node that has left stays for a moment and answers with its goodbye whoever asks it
//!    anything or lets it in.

use std::collections::BTreeMap;
use std::time::Duration;

use foca::{AccumulatingRuntime, Member, State, Timer};

use super::codec::message_of;
use super::identity::MemberIdentity;
use super::swim_members::SwimMembers;
use super::timers::Timers;
use super::{Membership, library};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;

/// A node is told that it is held for dead this often at most.
const NOTICE_INTERVAL: Duration = Duration::from_millis(100);
/// For so long at most nobody is declared down because nothing is received: longer than any
/// restart of a switch or of a machine's network that people would not call an outage.
pub(super) const ISOLATION_MAX: Duration = Duration::from_secs(30);
/// So many notices to suspects wait at most; a suspicion plans three.
const BUDDIES_MAX: usize = 512;
/// So many nodes' last notices are remembered.
const NOTICES_MAX: usize = 1024;

/// Mend 5: whom a notice of its death was sent to lately.
#[derive(Debug, Default)]
pub(super) struct Notices {
    sent: BTreeMap<NodeId, HolderTime>,
}

impl Notices {
    /// Whether a packet to `to` may be sent: any but one more notice of its death.
    pub(super) fn permit(&mut self, to: NodeId, packet: &[u8], now: HolderTime) -> bool {
        if message_of(packet) != Some(foca::Message::TurnUndead) {
            return true;
        }
        if self.sent.get(&to).is_some_and(|sent| now.since(*sent) < NOTICE_INTERVAL) {
            return false;
        }
        if self.sent.len() >= NOTICES_MAX {
            self.sent.clear();
        }
        self.sent.insert(to, now);
        true
    }
}

/// Mend 2: which suspects are still to be told, and when.
#[derive(Debug, Default)]
pub(super) struct BuddyNotices {
    planned: BTreeMap<(HolderTime, u64), (MemberIdentity, u16)>,
    inserted: u64,
}

impl BuddyNotices {
    /// A suspicion has begun that lasts for `wait`.
    pub(super) fn plan(
        &mut self,
        suspect: MemberIdentity,
        incarnation: u16,
        now: HolderTime,
        wait: Duration,
    ) {
        if mutant::is(Mutant::NoBuddyNotice) {
            return;
        }
        for thirds in 0..3 {
            if self.planned.len() < BUDDIES_MAX {
                self.inserted += 1;
                let at = now.plus(wait * thirds / 3);
                self.planned.insert((at, self.inserted), (suspect, incarnation));
            }
        }
    }

    pub(super) fn next_deadline(&self) -> HolderTime {
        self.planned.first_key_value().map_or(HolderTime::NEVER, |((at, _), _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: HolderTime) -> Option<(MemberIdentity, u16)> {
        if self.next_deadline() > now {
            return None;
        }
        self.planned.pop_first().map(|(_, suspect)| suspect)
    }
}

/// Mend 3: what was known before nothing was heard any more.
#[derive(Debug, Default)]
pub(super) struct Isolation {
    before: Option<Vec<Member<MemberIdentity>>>,
}

impl Isolation {
    /// Nothing was heard for a while; `members` is what is known.
    pub(super) fn begin<'a>(&mut self, members: impl Iterator<Item = &'a Member<MemberIdentity>>) {
        if mutant::is(Mutant::IsolatedAccuses) {
            return;
        }
        // Whoever was suspected in the last moments was so because of the isolation.
        let trusted = |member: &Member<MemberIdentity>| match member.state() {
            State::Suspect => Member::new(*member.id(), member.incarnation(), State::Alive),
            State::Alive | State::Down => member.clone(),
        };
        self.before.get_or_insert_with(|| members.map(trusted).collect());
    }

    /// Whether nobody is to be declared down.
    pub(super) fn gates(&self, last_received: HolderTime, now: HolderTime) -> bool {
        self.before.is_some() && now.since(last_received) <= ISOLATION_MAX
    }

    /// Something was heard. If that ends an isolation: what was known before it.
    pub(super) fn end(&mut self) -> Option<Vec<Member<MemberIdentity>>> {
        self.before.take()
    }
}

/// Mend 1: whether the suspicion behind this timer still stands.
pub(super) fn is_still_suspected(
    suspect: &MemberIdentity,
    incarnation: u16,
    swim_members: &SwimMembers,
) -> bool {
    swim_members.get(suspect).is_some_and(|held| {
        held.member.incarnation() == incarnation && held.member.state() == State::Suspect
    })
}

/// Mend 3: whether so little was received that the fault is probably here.
pub(super) fn is_isolated(
    others: usize,
    last_received: HolderTime,
    probe_period: Duration,
    now: HolderTime,
) -> bool {
    others >= 2 && now.since(last_received) > probe_period * 5 / 2
}

/// Whether a timer may take effect.
pub(super) fn permits(
    timer: &Timer<MemberIdentity>,
    swim_members: &SwimMembers,
    isolated: bool,
) -> bool {
    match timer {
        Timer::ChangeSuspectToDown { .. } if mutant::is(Mutant::RefutedStillAccused) => !isolated,
        Timer::ChangeSuspectToDown { member_id, incarnation, .. } => {
            !isolated && is_still_suspected(member_id, *incarnation, swim_members)
        }
        _ => true,
    }
}

impl super::Membership {
    /// Whether this packet is a ping of a member with no news: then there is little news
    /// anywhere, and the answer is short. If it is not, and is lost for its length, others are
    /// asked to ping too, and the accused is told.
    pub fn asks_in_brief(&self, packet: &[u8]) -> bool {
        let ping = matches!(message_of(packet), Some(foca::Message::Ping(_)));
        ping && self.foca.updates_backlog() == 0
    }
}

impl Membership {
    /// Mend 3: whatever this node has come to think of others while it heard nobody is no news
    /// to anybody. The library has no way to unsay it, so it is started anew, under the same
    /// name, with what was known before.
    pub(super) fn start_anew(&mut self, now: HolderTime, mut before: Vec<Member<MemberIdentity>>) {
        before.retain(|member| !self.tombstones.names(member.id()));
        let own = *self.foca.identity();
        let material = (&self.codec, &self.hear, &mut self.random);
        self.foca = library(own, &self.timing, before.len(), material);
        self.runtime = AccumulatingRuntime::new();
        self.timers = Timers::default();
        self.parked = None;
        self.connected = false;
        let outcome = self.foca.apply_many(before.into_iter(), false, &mut self.runtime);
        self.note(now, outcome);
        // What was learnt so is told to nobody, and so is not written down by the codec.
        self.codec.take_written();
        self.reload();
        self.drain(now);
    }

    pub(super) fn watch_isolation(&mut self, now: HolderTime) {
        // By node: a member that moved may be in the library's list twice.
        let others = self.view.others();
        if is_isolated(others, self.last_received, self.timing.probe_period, now) {
            self.isolation.begin(self.foca.iter_membership_state());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::GossipCodec;
    use super::*;
    use crate::vocabulary::identity::{Boot, Process};

    fn identity(number: u64) -> MemberIdentity {
        let id = NodeId::new(number).unwrap();
        let process = Process { id, boot: Boot { start: 1, nonce: 1 } };
        MemberIdentity::new(process, "127.0.0.1:8000".parse().unwrap(), true)
    }

    fn packet(message: foca::Message<MemberIdentity>) -> Vec<u8> {
        let (src, dst) = (identity(1), identity(2));
        let mut bytes = Vec::new();
        let header = foca::Header { src, src_incarnation: 0, dst, message };
        foca::Codec::encode_header(&mut GossipCodec::new(src), &header, &mut bytes).unwrap();
        bytes
    }

    fn at(milliseconds: u64) -> HolderTime {
        HolderTime(milliseconds * 1_000_000)
    }

    #[test]
    fn a_node_is_told_of_its_death_ten_times_a_second_and_of_all_else_at_once() {
        let mut notices = Notices::default();
        let (two, three) = (identity(2).process.id, identity(3).process.id);
        let (death, other) = (packet(foca::Message::TurnUndead), packet(foca::Message::Broadcast));
        assert!(notices.permit(two, &death, at(0)));
        assert!(!notices.permit(two, &death, at(99)));
        assert!(notices.permit(two, &other, at(99)));
        assert!(notices.permit(three, &death, at(99)), "another node");
        assert!(notices.permit(two, &death, at(100)));
    }

    #[test]
    fn what_is_remembered_of_notices_is_bounded() {
        let mut notices = Notices::default();
        let death = packet(foca::Message::TurnUndead);
        for number in 1..5000 {
            notices.permit(NodeId::new(number).unwrap(), &death, at(number));
            assert!(notices.sent.len() <= NOTICES_MAX);
        }
    }
}
