//! Where to send. Gossip and configuration *say* where a node is; a datagram *shows* it.
//!
//! Answers go to where the question came from. For what a node sends of its own accord, the table
//! keeps a few addresses of every node, and prefers them in this order:
//!
//! ```text
//!   gossiped ▶ configured (or what its name is looked up to) ▶ welcome, record ▶ proven
//! ```
//!
//! An address is *sound* once the node has shown that it receives there, and until a question that
//! was sent there stays without an answer for one and a half renewals. The first sound one is used.
//! While none is, two are: the one that answered last, and the next of the others in turn. So a
//! Goose whose voters are cut off at one address reaches them at another before its lease ends. The
//! price is one more datagram to a node for as long as none of its addresses is sound. An address
//! that is preferred to the one in use is tried again now and then.
//!
//! What shows that a node receives somewhere is its echo (see [`super::proof`]): every datagram
//! carries a token that depends on where it was sent, and an answer names the one that came with
//! its question. The source of a datagram becomes one of these addresses only if the datagram
//! echoes what was sent to exactly there: nobody can have this node send to a third party by
//! forging a source.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::membership::Membership;
use crate::node::setup::Setup;
use crate::vocabulary::identity::{Boot, NodeId, Process, normalised};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::time::HolderTime;

/// The most nodes whose addresses are kept; far more than voters and standbys.
const ADDRESSES_MAX: usize = 1024;
/// The most addresses of one name.
const NAMED_MAX: usize = 4;
/// The most proven addresses of one node: two networks, and the balancer that it was found by.
const PROVEN_MAX: usize = 3;
/// The most addresses of one node whose state is kept: all of today's, and some of yesterday's.
const ROUTES_MAX: usize = 16;
/// A preferred address that is silent is tried again this often.
const RETRY_INTERVAL: Duration = Duration::from_secs(3);
/// The name of a voter that is found nowhere is looked up this often at most.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(1);

/// Whom something is for. `boot` none: whichever process the node is now. `gossip`: what
/// membership says of the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub(super) id: NodeId,
    pub(super) boot: Option<Boot>,
    pub(super) gossip: Option<(Process, SocketAddr)>,
}

/// What was seen of one address of a node.
#[derive(Clone, Copy, Debug)]
struct Route {
    address: SocketAddr,
    /// When the node last showed that it receives there.
    shown: Option<HolderTime>,
    /// When the first question was sent there of those that no answer has followed.
    asked: Option<HolderTime>,
    /// That was too long ago.
    is_silent: bool,
    /// When something was last sent there.
    tried: Option<HolderTime>,
}

impl Route {
    fn is_sound(&self) -> bool {
        self.shown.is_some() && !self.is_silent
    }
}

/// A host name that somebody gave for a node.
#[derive(Clone, Debug)]
struct Name {
    text: String,
    looked_up: Option<HolderTime>,
}

#[derive(Debug, Default)]
struct Entry {
    name: Option<Name>,
    /// By configuration.
    named: Vec<SocketAddr>,
    /// By a record or a welcome.
    told: Option<SocketAddr>,
    /// The newest first.
    proven: Vec<(Boot, SocketAddr)>,
    /// From where its last datagram came, and when.
    source: Option<(Boot, SocketAddr, HolderTime)>,
    routes: Vec<Route>,
    /// It answered a question of ours, or was asked one.
    matters: bool,
}

impl Entry {
    /// Whoever was never configured or asked is found again by gossip.
    fn is_dispensable(&self) -> bool {
        self.name.is_none() && self.named.is_empty() && self.told.is_none() && !self.matters
    }

    /// Where it may be, the preferred address first.
    fn candidates(&self, sought: &Sought) -> Vec<SocketAddr> {
        let is_newer = |known: Boot| {
            sought.gossip.is_some_and(|(process, _)| process.boot.start > known.start)
        };
        let is_meant = |known: Boot| match sought.boot {
            Some(boot) => boot == known,
            None => !is_newer(known),
        };
        let gossip = sought.gossip.map(|(_, address)| address);
        let proven = self.proven.iter().filter(|(boot, _)| is_meant(*boot));
        let all = gossip.into_iter().chain(self.named.iter().copied()).chain(self.told);
        let mut candidates: Vec<SocketAddr> = Vec::new();
        for address in all.chain(proven.map(|(_, address)| *address)) {
            if !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        candidates
    }

    fn route(&self, address: SocketAddr) -> Option<&Route> {
        self.routes.iter().find(|route| route.address == address)
    }

    fn route_mut(&mut self, address: SocketAddr) -> &mut Route {
        let known = self.routes.iter().position(|route| route.address == address);
        let place = known.unwrap_or_else(|| {
            if self.routes.len() >= ROUTES_MAX {
                let oldest = (0..ROUTES_MAX).min_by_key(|place| self.routes[*place].tried);
                self.routes.swap_remove(oldest.unwrap_or_default());
            }
            let (shown, asked, tried) = (None, None, None);
            self.routes.push(Route { address, shown, asked, is_silent: false, tried });
            self.routes.len() - 1
        });
        &mut self.routes[place]
    }

    fn is_sound(&self, address: SocketAddr) -> bool {
        self.route(address).is_some_and(Route::is_sound)
    }

    fn tried(&self, address: SocketAddr) -> Option<HolderTime> {
        self.route(address).and_then(|route| route.tried)
    }

    /// The one of `candidates` to use, if only one could be.
    fn first(&self, candidates: &[SocketAddr]) -> Option<SocketAddr> {
        let sound = candidates.iter().find(|address| self.is_sound(**address));
        let shown = |address: &&SocketAddr| self.route(**address).and_then(|route| route.shown);
        // Of those that never showed anything, the first.
        let last = candidates.iter().rev().max_by_key(shown);
        sound.or(last).copied()
    }

    /// What else to try beside `first`. Nothing, if that is sound and preferred to all others; if it
    /// is not preferred but in use, now and then one that is; in doubt, the next in turn.
    fn second(
        &self,
        first: SocketAddr,
        candidates: &[SocketAddr],
        now: HolderTime,
        patience: Duration,
    ) -> Option<SocketAddr> {
        let lately = |at: HolderTime| now.since(at) < patience * 2;
        let route = self.route(first).filter(|route| route.is_sound());
        let in_use = route.is_some_and(|route| route.shown.is_some_and(lately));
        let preferred = candidates.iter().position(|address| *address == first).unwrap_or_default();
        let is_best = route.is_some() && preferred == 0;
        let others = if in_use || is_best { &candidates[..preferred] } else { candidates };
        let is_due = |at: HolderTime| !in_use || now.since(at) >= RETRY_INTERVAL;
        let others = others.iter().filter(|address| **address != first);
        let others = others.filter(|address| self.tried(**address).is_none_or(is_due));
        others.min_by_key(|address| self.tried(**address)).copied()
    }

    /// Questions that were asked too long ago show that nobody receives there.
    fn judge_silence(&mut self, now: HolderTime, patience: Duration) {
        for route in &mut self.routes {
            route.is_silent |= route.asked.is_some_and(|at| now.since(at) >= patience);
        }
    }

    /// Its name, if it is time to look it up: nobody is known to receive anywhere.
    fn name_due(&mut self, candidates: &[SocketAddr], now: HolderTime) -> Option<String> {
        let is_found = candidates.iter().any(|address| self.is_sound(*address));
        let name = self.name.as_mut().filter(|_| !is_found)?;
        if name.looked_up.is_some_and(|at| now.since(at) < LOOK_UP_INTERVAL) {
            return None;
        }
        name.looked_up = Some(now);
        Some(name.text.clone())
    }
}

/// Where something unasked goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ways {
    pub(super) first: Option<SocketAddr>,
    /// Besides, for the first is in doubt, or another would be preferred.
    pub(super) second: Option<SocketAddr>,
    /// Look this name up, for the node is found nowhere.
    pub(super) look_up: Option<String>,
}

/// What is known of addresses, by node.
#[derive(Debug)]
pub(super) struct Addresses {
    entries: BTreeMap<NodeId, Entry>,
    /// So long a question may be without an answer until its address is in doubt.
    patience: Duration,
}

impl Addresses {
    /// What is known at the start: what was configured, and what the record remembers.
    pub(super) fn new(setup: &Setup, remembered: &[(NodeId, SocketAddr)]) -> Self {
        // The second renewal in a row without an answer is the last that is sent to one address
        // alone. The third, which goes to two, still comes long before the lease ends.
        let patience = setup.timing.renew_interval * 3 / 2;
        let mut addresses = Self { entries: BTreeMap::new(), patience };
        for (id, address) in remembered {
            addresses.advertise(*id, *address);
        }
        for (id, address) in &setup.voter_addresses {
            if let Some(entry) = addresses.entry(*id) {
                entry.named = vec![normalised(*address)];
            }
        }
        for (id, name) in setup.voter_names.iter().filter(|(id, _)| *id != setup.id) {
            if let Some(entry) = addresses.entry(*id) {
                entry.name = Some(Name { text: name.clone(), looked_up: None });
            }
        }
        addresses
    }

    pub(super) fn table(&self) -> TableSize {
        TableSize { name: "addresses", size: self.entries.len(), size_max: ADDRESSES_MAX }
    }

    fn entry(&mut self, id: NodeId) -> Option<&mut Entry> {
        if self.entries.len() >= ADDRESSES_MAX && !self.entries.contains_key(&id) {
            self.entries.retain(|_, entry| !entry.is_dispensable());
            if self.entries.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        Some(self.entries.entry(id).or_default())
    }

    /// A record or a welcome says where a node is.
    pub(super) fn advertise(&mut self, id: NodeId, address: SocketAddr) {
        if let Some(entry) = self.entry(id) {
            entry.told = Some(address);
        }
    }

    /// A name was looked up: whoever was given by it is at one of these addresses. A name that has
    /// none just now may have one again.
    pub(super) fn resolved(&mut self, name: &str, addresses: &[SocketAddr]) {
        let is_named =
            |entry: &&mut Entry| entry.name.as_ref().is_some_and(|known| known.text == name);
        for entry in self.entries.values_mut().filter(is_named).filter(|_| !addresses.is_empty()) {
            entry.named = addresses.iter().take(NAMED_MAX).copied().map(normalised).collect();
        }
    }

    /// A datagram of this process came from there. `is_echo`: it echoes what was sent to exactly
    /// there, so the process receives there.
    pub(super) fn came_from(
        &mut self,
        process: Process,
        source: SocketAddr,
        is_echo: bool,
        now: HolderTime,
    ) {
        let Some(entry) = self.entry(process.id) else { return };
        entry.source = Some((process.boot, source, now));
        if is_echo {
            entry.proven.retain(|known| *known != (process.boot, source));
            entry.proven.insert(0, (process.boot, source));
            entry.proven.truncate(PROVEN_MAX);
            entry.route_mut(source).shown = Some(now);
        }
    }

    /// The node answered something that was sent to one of its addresses: the one to which
    /// `is_echoed` applies.
    pub(super) fn answered(
        &mut self,
        id: NodeId,
        now: HolderTime,
        is_echoed: impl Fn(SocketAddr) -> bool,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let mut routes = entry.routes.iter_mut();
        if let Some(route) = routes.find(|route| is_echoed(route.address)) {
            (route.shown, route.asked, route.is_silent) = (Some(now), None, false);
        }
    }

    /// A node through which the way in was found is remembered.
    pub(super) fn matters(&mut self, id: NodeId) {
        if let Some(entry) = self.entry(id) {
            entry.matters = true;
        }
    }

    /// Whether a node is known to receive at this address.
    pub(super) fn is_sound_at(&self, id: NodeId, address: SocketAddr) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.is_sound(address))
    }

    /// Where the last datagram of this process came from, and when.
    pub(super) fn heard_from(&self, process: Process) -> Option<(SocketAddr, HolderTime)> {
        let (boot, address, at) = self.entries.get(&process.id)?.source?;
        (boot == process.boot).then_some((address, at))
    }

    /// Where an answer to this process goes.
    pub(super) fn for_answer(&self, process: Process) -> Option<SocketAddr> {
        let entry = self.entries.get(&process.id)?;
        let source = entry.source.filter(|(boot, ..)| *boot == process.boot);
        source.map(|(_, address, _)| address)
    }

    /// Where something unasked goes. A question expects an answer.
    pub(super) fn for_push(&mut self, sought: &Sought, is_question: bool, now: HolderTime) -> Ways {
        let patience = self.patience;
        if is_question {
            self.matters(sought.id);
        }
        let Some(entry) = self.entries.get_mut(&sought.id) else {
            let first = sought.gossip.map(|(_, address)| address);
            return Ways { first, ..Ways::default() };
        };
        entry.judge_silence(now, patience);
        let candidates = entry.candidates(sought);
        let first = entry.first(&candidates);
        let second = first.and_then(|first| entry.second(first, &candidates, now, patience));
        for address in first.into_iter().chain(second) {
            let route = entry.route_mut(address);
            route.tried = Some(now);
            route.asked = route.asked.or_else(|| is_question.then_some(now));
        }
        let look_up = if is_question { entry.name_due(&candidates, now) } else { None };
        Ways { first, second, look_up }
    }

    /// Where gossip goes besides `address`, which is where it has a process: the election knows
    /// better.
    pub(super) fn detour(&self, to: Process, address: SocketAddr) -> Option<SocketAddr> {
        let entry = self.entries.get(&to.id).filter(|entry| !entry.is_sound(address))?;
        let (boot, gossip) = (Some(to.boot), Some((to, address)));
        let candidates = entry.candidates(&Sought { id: to.id, boot, gossip });
        candidates.into_iter().find(|address| entry.is_sound(*address))
    }

    /// Everywhere that a node may be.
    pub(super) fn all(&self, sought: &Sought) -> Vec<SocketAddr> {
        let entry = self.entries.get(&sought.id);
        let gossip = || sought.gossip.map(|(_, address)| address).into_iter().collect();
        entry.map_or_else(gossip, |entry| entry.candidates(sought))
    }

    /// Where a node is, for people and for the record.
    pub(super) fn best(&self, sought: &Sought) -> Option<SocketAddr> {
        let gossip = sought.gossip.map(|(_, address)| address);
        let Some(entry) = self.entries.get(&sought.id) else { return gossip };
        entry.first(&entry.candidates(sought))
    }
}

/// Where nodes are, this one included: for people, for the record, and for newcomers.
pub(super) struct Directory<'a> {
    pub(super) me: NodeId,
    /// Where this node is.
    pub(super) own: SocketAddr,
    pub(super) addresses: &'a Addresses,
    pub(super) membership: &'a Membership,
}

impl Directory<'_> {
    pub(super) fn address_of(&self, id: NodeId) -> Option<SocketAddr> {
        if id == self.me {
            return Some(self.own);
        }
        let gossip = self.membership.address_of(id);
        self.addresses.best(&Sought { id, boot: None, gossip })
    }

    /// Those of these nodes whose address is known, with it.
    pub(super) fn addresses_of(&self, ids: &[NodeId]) -> Vec<(NodeId, SocketAddr)> {
        ids.iter().filter_map(|id| Some((*id, self.address_of(*id)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::configuration::ClusterName;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn at(milliseconds: u64) -> HolderTime {
        HolderTime(milliseconds * 1_000_000)
    }

    fn setup() -> Setup {
        Setup::new(ClusterName::new("test").unwrap(), id(9), address("10.0.0.9:8000"))
    }

    const BOOT: Boot = Boot { start: 1, nonce: 1 };

    fn peer() -> Process {
        Process { id: id(1), boot: BOOT }
    }

    /// A voter that gossips at one address and was proven at another.
    fn two_networks() -> (Addresses, Sought, SocketAddr, SocketAddr) {
        let mut addresses = Addresses::new(&setup(), &[]);
        let (first, second) = (address("10.0.0.1:8000"), address("10.1.0.1:8000"));
        addresses.came_from(peer(), second, true, at(0));
        addresses.came_from(peer(), first, true, at(0));
        let gossip = Some((peer(), first));
        (addresses, Sought { id: id(1), boot: Some(BOOT), gossip }, first, second)
    }

    fn ask(addresses: &mut Addresses, sought: &Sought, now: u64) -> Vec<SocketAddr> {
        let ways = addresses.for_push(sought, true, at(now));
        ways.first.into_iter().chain(ways.second).collect()
    }

    fn answer(addresses: &mut Addresses, place: SocketAddr, now: u64) {
        addresses.answered(id(1), at(now), |address| address == place);
    }

    #[test]
    fn the_gossiped_address_is_used_while_it_answers_and_another_once_it_is_silent() {
        let (mut addresses, sought, first, second) = two_networks();
        for now in [100, 220, 340] {
            assert_eq!(ask(&mut addresses, &sought, now), [first]);
            answer(&mut addresses, first, now + 1);
        }
        // The first network is cut. Lan renews every 120 ms, and its lease counts for 574 ms.
        assert_eq!(ask(&mut addresses, &sought, 460), [first]);
        assert_eq!(ask(&mut addresses, &sought, 580), [first]);
        assert_eq!(ask(&mut addresses, &sought, 700), [second, first]);
        answer(&mut addresses, second, 701);
        assert_eq!(ask(&mut addresses, &sought, 820), [second]);
        answer(&mut addresses, second, 821);
        // It is tried again, and preferred once it answers.
        assert_eq!(ask(&mut addresses, &sought, 3600), [second, first]);
        answer(&mut addresses, second, 3601);
        answer(&mut addresses, first, 3601);
        assert_eq!(ask(&mut addresses, &sought, 3720), [first]);
    }

    #[test]
    fn while_nothing_answers_each_address_has_its_turn() {
        let (mut addresses, mut sought, first, second) = two_networks();
        addresses.advertise(id(1), address("10.2.0.1:8000"));
        sought.gossip = Some((peer(), address("10.3.0.1:8000")));
        let mut asked = Vec::new();
        for now in (0..20).map(|round| 100 + 120 * round) {
            let ways = ask(&mut addresses, &sought, now);
            assert!(ways.len() <= 2, "{ways:?}");
            asked.extend(ways);
        }
        for place in [first, second, address("10.2.0.1:8000"), address("10.3.0.1:8000")] {
            let times = asked.iter().filter(|other| **other == place).count();
            assert!(times > 1, "{place} is asked {times} times of {asked:?}");
        }
        answer(&mut addresses, address("10.2.0.1:8000"), 3000);
        assert_eq!(ask(&mut addresses, &sought, 3001)[0], address("10.2.0.1:8000"));
    }

    #[test]
    fn nothing_goes_to_a_source_that_proves_nothing() {
        let mut addresses = Addresses::new(&setup(), &[(id(1), address("10.0.0.1:8000"))]);
        addresses.came_from(peer(), address("192.0.2.1:53"), false, at(0));
        let sought = Sought { id: id(1), boot: Some(BOOT), gossip: None };
        assert_eq!(addresses.for_answer(peer()), Some(address("192.0.2.1:53")));
        for now in (0..20).map(|round| 120 * round) {
            assert_eq!(ask(&mut addresses, &sought, now), [address("10.0.0.1:8000")]);
        }
    }

    #[test]
    fn a_proof_of_an_earlier_process_is_none() {
        let (addresses, mut sought, _, second) = two_networks();
        let later = Process { id: id(1), boot: Boot { start: 2, nonce: 2 } };
        sought.gossip = Some((later, address("10.0.0.2:8000")));
        assert!(addresses.all(&sought).contains(&second), "{:?}", addresses.all(&sought));
        sought.boot = None;
        assert_eq!(addresses.all(&sought), [address("10.0.0.2:8000")]);
        sought.boot = Some(later.boot);
        assert_eq!(addresses.all(&sought), [address("10.0.0.2:8000")]);
    }

    #[test]
    fn a_name_is_looked_up_until_somebody_answers_and_again_when_it_is_silent() {
        let mut setup = setup();
        setup.voter_names = vec![(id(1), "a.example:8000".to_owned())];
        let mut addresses = Addresses::new(&setup, &[]);
        let sought = Sought { id: id(1), boot: None, gossip: None };
        let look_up = |addresses: &mut Addresses, now| {
            addresses.for_push(&sought, true, at(now)).look_up.is_some()
        };
        assert!(look_up(&mut addresses, 0));
        assert!(!look_up(&mut addresses, 999));
        assert!(look_up(&mut addresses, 1000));
        let place = address("10.0.0.1:8000");
        addresses.resolved("b.example:8000", &[address("10.0.0.2:8000")]);
        addresses.resolved("a.example:8000", &[place]);
        addresses.resolved("a.example:8000", &[]);
        assert_eq!(ask(&mut addresses, &sought, 1100), [place]);
        answer(&mut addresses, place, 1101);
        assert!(!look_up(&mut addresses, 5000));
        assert!(look_up(&mut addresses, 5180));
        // All voters moved at once.
        let moved = address("10.0.0.7:8000");
        addresses.resolved("a.example:8000", &[moved]);
        assert_eq!(ask(&mut addresses, &sought, 5300), [moved]);
    }

    #[test]
    fn gossip_follows_the_election_where_its_own_address_is_silent() {
        let (mut addresses, sought, first, second) = two_networks();
        assert_eq!(addresses.detour(peer(), first), None);
        for now in [0, 120, 240] {
            ask(&mut addresses, &sought, now);
        }
        assert_eq!(addresses.detour(peer(), first), Some(second));
    }

    /// However many strangers there are, voters have room.
    #[test]
    fn strangers_give_way() {
        let mut addresses = Addresses::new(&setup(), &[]);
        for number in 1..=2000 {
            let process = Process { id: id(number + 100), boot: BOOT };
            addresses.came_from(process, address("10.0.0.1:8000"), true, at(0));
        }
        assert!(addresses.table().size <= ADDRESSES_MAX);
        addresses.advertise(id(1), address("10.0.0.1:8000"));
        assert_eq!(addresses.all(&Sought { id: id(1), boot: None, gossip: None }).len(), 1);
    }
}
