//! What the gossip library holds, by address, and a digest of it.
//!
//! The library keeps its members in a list and looks through all of it for every member that a
//! packet names, which at a thousand members is nearly all that a node does. It says of every
//! change that it makes (see [`super::codec`]), so this knows what it holds without looking
//! through it, and tells what would be no news before the library is asked. What is left, one look
//! for the sender of each packet, is a tenth of what a node among a thousand does.
//!
//! Assumption: the library holds one member per address, never this node itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use foca::{Member, State};

use super::identity::MemberIdentity;
use crate::vocabulary::codec::stable_hash;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SwimMembers {
    held: BTreeMap<SocketAddr, Held>,
    /// How many are not down.
    present: usize,
    /// The sum of the hashes of those who are not down.
    digest: u64,
}

/// A member, and the hash of its identity.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) member: Member<MemberIdentity>,
    pub(super) hash: u64,
}

impl Held {
    pub(super) fn is_present(&self) -> bool {
        self.member.state() != State::Down
    }
}

/// A hash of who somebody is, whatever is thought of it.
pub(super) fn hash(identity: &MemberIdentity) -> u64 {
    stable_hash(b"member", &identity.encode())
}

impl SwimMembers {
    /// The library holds this of a member now; what it held at that address before is returned.
    pub(super) fn note(
        &mut self,
        member: &Member<MemberIdentity>,
    ) -> Option<Member<MemberIdentity>> {
        let address = member.id().address;
        let before = self.held.get(&address);
        let hash = match before {
            Some(before) if before.member.id() == member.id() => before.hash,
            _ => hash(member.id()),
        };
        let held = Held { member: member.clone(), hash };
        self.count(&held, true);
        let before = self.held.insert(address, held)?;
        self.count(&before, false);
        Some(before.member)
    }

    /// The library no longer holds this member.
    pub(super) fn forget(&mut self, identity: &MemberIdentity) {
        if self.get(identity).is_some()
            && let Some(before) = self.held.remove(&identity.address)
        {
            self.count(&before, false);
        }
    }

    fn count(&mut self, held: &Held, comes: bool) {
        if !held.is_present() {
            return;
        }
        if comes {
            self.present += 1;
            self.digest = self.digest.wrapping_add(held.hash);
        } else {
            self.present -= 1;
            self.digest = self.digest.wrapping_sub(held.hash);
        }
    }

    /// How many are held, dead ones included.
    pub(super) fn size(&self) -> usize {
        self.held.len()
    }

    /// How many are not down.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// Equal for two nodes that hold the same for present, themselves included.
    pub(super) fn digest(&self, own: &MemberIdentity) -> u64 {
        self.digest.wrapping_add(hash(own))
    }

    /// Whether somebody at this address is held.
    pub(super) fn knows(&self, address: SocketAddr) -> bool {
        self.held.contains_key(&address)
    }

    /// Who is held at this address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<&Member<MemberIdentity>> {
        self.held.get(&address).map(|held| &held.member)
    }

    /// What is held of exactly this member.
    pub(super) fn get(&self, identity: &MemberIdentity) -> Option<&Held> {
        self.held.get(&identity.address).filter(|held| held.member.id() == identity)
    }

    /// Everybody, beginning behind this address and coming round to it.
    pub(super) fn around(&self, start: SocketAddr) -> impl Iterator<Item = &Held> {
        let (behind, before) = (self.held.range(start..), self.held.range(..start));
        behind.chain(before).map(|(_, held)| held)
    }

    /// Some address that is held, the same for the same number while nothing changes.
    pub(super) fn nth_address(&self, number: usize) -> Option<SocketAddr> {
        self.held.keys().nth(number % self.held.len().max(1)).copied()
    }

    /// Whether the library would change anything if it were told this. The rules are the
    /// library's: the later identity at an address wins, and SWIM's order of states.
    pub(super) fn is_news(&self, update: &Member<MemberIdentity>) -> bool {
        let Some(Held { member: known, .. }) = self.held.get(&update.id().address) else {
            return true;
        };
        if known.id() != update.id() {
            return known.id().age() <= update.id().age();
        }
        let (before, after) = (known.incarnation(), update.incarnation());
        match (known.state(), update.state()) {
            (State::Down, _) => false,
            (_, State::Down) => true,
            (State::Alive, State::Suspect) => after >= before,
            (_, State::Alive | State::Suspect) => after > before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::identity::{Boot, NodeId, Process};

    fn identity(number: u8, renewal: u32) -> MemberIdentity {
        let id = NodeId::new(u64::from(number)).unwrap();
        let process = Process { id, boot: Boot { start: 1, nonce: 1 } };
        let first = MemberIdentity::new(process, ([10, 0, 0, number], 8000).into(), true);
        MemberIdentity { renewal, ..first }
    }

    #[test]
    fn a_digest_depends_on_who_is_present_and_on_nothing_else() {
        let (mut here, mut there) = (SwimMembers::default(), SwimMembers::default());
        let own = identity(9, 0);
        here.note(&Member::alive(identity(1, 0)));
        here.note(&Member::alive(identity(2, 0)));
        there.note(&Member::new(identity(2, 0), 7, State::Suspect));
        there.note(&Member::down(identity(3, 0)));
        assert_ne!(here.digest(&own), there.digest(&own));
        there.note(&Member::alive(identity(1, 0)));
        assert_eq!(here.digest(&own), there.digest(&own));
        here.note(&Member::alive(identity(1, 1)));
        assert_ne!(here.digest(&own), there.digest(&own), "another name is another member");
        assert_eq!((here.present(), there.present(), there.size()), (2, 2, 3));
        here.forget(&identity(1, 0));
        assert_eq!(here.present(), 2, "it has another name by now");
        here.forget(&identity(1, 1));
        here.forget(&identity(2, 0));
        assert_eq!(here.digest(&own), hash(&own));
    }

    #[test]
    fn news_is_what_the_library_would_take_over() {
        use rand::{SeedableRng, rngs::ChaCha8Rng};

        use crate::membership::codec::GossipCodec;

        let own = identity(9, 0);
        let states = [State::Alive, State::Suspect, State::Down];
        let all = || {
            (0..2).flat_map(|renewal| {
                let of =
                    move |state| (0..3).map(move |at| Member::new(identity(1, renewal), at, state));
                states.into_iter().flat_map(of)
            })
        };
        let mut checked = 0;
        for (known, update) in all().flat_map(|known| all().map(move |it| (known.clone(), it))) {
            let mut runtime = foca::AccumulatingRuntime::new();
            let (random, codec) = (ChaCha8Rng::from_seed([1; 32]), GossipCodec::new(own));
            let mut library = foca::Foca::new(own, foca::Config::simple(), random, codec.clone());
            library.apply_many(std::iter::once(known.clone()), true, &mut runtime).unwrap();
            codec.take_written();
            library.apply_many(std::iter::once(update.clone()), true, &mut runtime).unwrap();
            let mut swim_members = SwimMembers::default();
            swim_members.note(&known);
            let taken = !codec.take_written().is_empty();
            // Of two that are the same the library writes the second down if it comes by name.
            assert_eq!(swim_members.is_news(&update), taken, "{known:?} then {update:?}");
            checked += 1;
        }
        assert_eq!(checked, 18 * 18);
    }
}
