//! Finding the cluster: asking seeds, answering who asks, and noticing that nobody does.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::{NodeCore, Output};
use crate::election::Election;
use crate::membership::seeding::SeedingOutput;
use crate::vocabulary::configuration::Genesis;
use crate::vocabulary::datagram::{Addressee, Header, Reject};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process, normalised};
use crate::vocabulary::message::{Assurance, Join, Message, Welcome};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::setup::Setup;
use crate::vocabulary::time::{HolderTime, Now};

/// The question carries this many zeros, so that the answer is at most three times as long.
const JOIN_PADDING: usize = 400;
/// A node whose seeds have been silent for this long says so, once.
const SILENCE_NOTICED: Duration = Duration::from_secs(3);
/// Whoever announces itself to an earlier process of this node is asked this often at most.
const ASK_BACK_INTERVAL: Duration = Duration::from_millis(200);
/// A node that gossips and yet knows no Goose, or hears nothing, asks again this often.
const DOUBT_INTERVAL: Duration = Duration::from_secs(5);
/// Every so many of those times, a node that has nothing to ask looks after its seeds.
const SEEDS_LOOKED_AFTER: u32 = 2;
/// How many random members are asked besides the seeds.
const MEMBERS_ASKED: usize = 3;

/// How far the node has come in finding its cluster.
#[derive(Debug)]
pub(super) struct Joining {
    random: ChaCha8Rng,
    joined: bool,
    has_seeds: bool,
    silence_noticed_at: Option<HolderTime>,
    /// When somebody was last asked because it had asked, and the question's nonce.
    asked_back: Option<(HolderTime, u64)>,
    next_doubt: HolderTime,
    /// Counts the times at which there might have been a doubt.
    doubts: u32,
}

/// Why a node asks although gossip is in touch with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It knows no Goose, or hears nothing.
    Cluster,
    /// All seems well; but a seed that is no member may be in another island.
    Seeds,
}

impl Join {
    /// Whether it is as long as a question must be: an answer is never much longer.
    pub(super) fn is_padded(&self) -> bool {
        self.padding.len() >= JOIN_PADDING
    }
}

impl Joining {
    pub(super) fn new(now: HolderTime, setup: &Setup) -> Self {
        let mut seed = setup.entropy;
        // Another stream than the one that drew the boot.
        seed[0] ^= 0x6a;
        let has_seeds = !setup.seeds.is_empty() || !setup.voter_addresses.is_empty();
        let silence = now.plus(SILENCE_NOTICED);
        Self {
            random: ChaCha8Rng::from_seed(seed),
            joined: false,
            has_seeds,
            silence_noticed_at: has_seeds.then_some(silence),
            asked_back: None,
            next_doubt: now.plus(DOUBT_INTERVAL),
            doubts: 0,
        }
    }

    /// A number that nobody can guess.
    pub(super) fn draw(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// A seed for something else that needs chance.
    pub(super) fn entropy(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    pub(super) fn has_joined(&self) -> bool {
        self.joined
    }

    pub(super) fn next_check(&self) -> Option<HolderTime> {
        self.silence_noticed_at.min(Some(self.next_doubt)).or(Some(self.next_doubt))
    }
}

impl NodeCore {
    /// Whether the node looks for others: it does not know its cluster, or gossip has lost
    /// touch with everybody. The second is the watchdog without which a partition may leave a
    /// gossip cluster dead for ever.
    pub(super) fn is_seeking(&self) -> bool {
        self.leaving.is_none() && (self.genesis.is_none() || self.is_out_of_touch())
    }

    fn is_out_of_touch(&self) -> bool {
        !self.membership.is_connected() && !mutant::is(Mutant::NoWatchdog)
    }

    /// Whether it is time to ask although gossip is in touch with somebody. Two islands that
    /// gossip happily, each with itself, never notice; but without the voters' island there is
    /// no Goose, and whoever knows one says so in its welcome. If every node of the other island
    /// has moved, and so cannot be asked, it is for the voters' island to look after its seeds.
    fn doubt(&mut self, now: HolderTime) -> Option<Doubt> {
        if now < self.joining.next_doubt {
            return None;
        }
        let jittered = DOUBT_INTERVAL.mul_f64(self.joining.random.random_range(0.75..1.25));
        self.joining.next_doubt = now.plus(jittered);
        if self.leaving.is_some() {
            return None;
        }
        self.joining.doubts = self.joining.doubts.wrapping_add(1);
        let leaderless = self.election.as_ref().is_some_and(|it| it.goose().is_none());
        if leaderless || self.membership.is_silent(now) {
            return Some(Doubt::Cluster);
        }
        let due = self.joining.doubts.is_multiple_of(SEEDS_LOOKED_AFTER);
        (due && self.membership.is_connected()).then_some(Doubt::Seeds)
    }

    /// Asks for the way in, if it is needed and due.
    pub(super) fn seek(&mut self, now: Now) {
        // Asked first, for it also sets the time of the next doubt.
        let doubt = self.doubt(now.holder);
        let needed = doubt == Some(Doubt::Cluster) || self.is_seeking();
        let mut known = Vec::new();
        if needed {
            for (id, address) in &self.setup.voter_addresses {
                if *id != self.me.id {
                    known.push(*address);
                }
            }
            known.extend(self.known_voter_addresses());
            let sample = self.membership.sample(MEMBERS_ASKED);
            known.extend(sample.into_iter().map(|(_, address)| address));
            known.sort_unstable();
            known.dedup();
        }
        let is_member = |address| self.membership.is_present(address);
        let mut outputs = self.seeding.handle_timeout(now.holder, needed, &known, &is_member);
        if doubt == Some(Doubt::Seeds) && !needed && !mutant::is(Mutant::SeedsForsaken) {
            let voters = self.setup.voter_addresses.iter().map(|(_, address)| *address);
            outputs.extend(self.seeding.look_after(voters, &is_member));
        }
        for output in outputs {
            match output {
                SeedingOutput::Resolve(names) => self.outputs.push_back(Output::Resolve(names)),
                SeedingOutput::Ask { address, nonce } => self.ask(address, nonce),
            }
        }
        self.notice_joining(now);
    }

    /// Whether a question may be sent to a stranger for `size` bytes that it sent: it is never
    /// more than three times as long.
    pub(super) fn may_question(&self, size: usize) -> bool {
        self.is_started() && size >= JOIN_PADDING / 2
    }

    pub(super) fn ask(&mut self, address: SocketAddr, nonce: u64) {
        let join = Join { nonce, padding: vec![0; JOIN_PADDING] };
        let whoever = Addressee { id: None, boot: None };
        self.transmit(whoever, address, &Message::Join(join));
    }

    /// Somebody announces itself to an earlier process of this node. Two halves of a cluster
    /// may find each other again only so; but it may also be an old datagram of somebody who is
    /// gone. Its answer to a fresh question tells.
    pub(super) fn ask_back(&mut self, now: Now, from: SocketAddr) {
        let asked = self.joining.asked_back;
        let due = asked.is_none_or(|(asked, _)| now.holder.since(asked) >= ASK_BACK_INTERVAL);
        if due && self.leaving.is_none() {
            let nonce = self.seeding.question();
            self.joining.asked_back = Some((now.holder, nonce));
            self.ask(from, nonce);
        }
    }

    /// From here on these seeds are asked, host names or addresses with ports.
    pub fn replace_seeds(&mut self, seeds: &[String]) {
        self.seeding.replace(seeds);
        self.joining.has_seeds |= !seeds.is_empty();
    }

    fn known_voter_addresses(&self) -> Vec<SocketAddr> {
        let Some(election) = &self.election else { return Vec::new() };
        let others = election.configuration().voters.ids().iter().filter(|id| **id != self.me.id);
        others.filter_map(|id| self.addresses.best(*id, None)).collect()
    }

    /// The addresses of the names that [`Output::Resolve`] asked for.
    pub fn handle_resolved(&mut self, now: Now, addresses: &[SocketAddr]) {
        self.enter(now);
        if self.is_started() {
            let normal: Vec<SocketAddr> = addresses.iter().copied().map(normalised).collect();
            self.seeding.handle_resolved(&normal);
            self.seek(now);
        }
        self.settle(now);
    }

    /// Notes that the node has arrived, or that nobody answers.
    pub(super) fn notice_joining(&mut self, now: Now) {
        let alone = !self.joining.has_seeds;
        let arrived =
            self.genesis.is_some() && (alone || self.membership.is_connected() || self.term() > 0);
        if arrived && !self.joining.joined {
            self.joining.joined = true;
            self.joining.silence_noticed_at = None;
            self.index += 1;
            self.event(Event::Joined);
        }
        let silent = self.joining.silence_noticed_at.take_if(|at| *at <= now.holder).is_some();
        if silent && !self.joining.joined {
            let seeds = self.seeding.seeds();
            self.event(Event::Warning(Warning::SeedsSilent { seeds }));
        }
    }

    /// Answers "which cluster is this?".
    pub(super) fn welcome(
        &mut self,
        now: Now,
        from: SocketAddr,
        joiner: Process,
        join: &Join,
    ) -> Result<(), Reject> {
        // The answer must not be worth an attacker's while.
        if !join.is_padded() {
            return Err(Reject::Malformed);
        }
        if joiner.id == self.me.id {
            return Err(Reject::Unexpected);
        }
        let (Some(genesis), Some(election)) = (&self.genesis, &self.election) else {
            return Err(Reject::NotReady);
        };
        let configuration = election.configuration().clone();
        let mut voters: Vec<(NodeId, SocketAddr)> = Vec::new();
        for id in configuration.voters.ids() {
            let address = if *id == self.me.id {
                Some(self.setup.address)
            } else {
                self.addresses.best(*id, self.membership.address_of(*id))
            };
            voters.extend(address.map(|address| (*id, address)));
        }
        let welcome = Welcome {
            nonce: join.nonce,
            member: self.membership.encoded_identity(),
            genesis: genesis.clone(),
            assurance: self.assurance(),
            configuration,
            voters,
            goose: election.goose().map(|known| known.goose),
        };
        self.leader_freshness = election.leader_freshness(now.holder);
        self.transmit(Addressee::process(joiner), from, &Message::Welcome(Box::new(welcome)));
        Ok(())
    }

    /// This node takes its cluster to have been founded otherwise than another node says. Whoever
    /// has promised nothing yet follows the one that is surer, or else the more careful one.
    ///
    /// A node that asked only because it was asked follows nobody who is no surer than itself, for
    /// a stray process must not talk a whole cluster into its own settings. But it asks one of
    /// the other voters that are named to it, at an address that it may not have known.
    fn give_way(
        &mut self,
        now: Now,
        own: &Genesis,
        welcome: &Welcome,
        by: NodeId,
    ) -> Result<(), Reject> {
        let theirs = &welcome.genesis;
        let (mine, other) = (self.assurance(), welcome.assurance);
        // Preemption that this node was not told of is hearsay: perhaps of a stray process.
        let hearsay = other > mine && self.setup.preempt.is_none_or(|told| told == theirs.preempt);
        let differs_for_good = own.preempt != theirs.preempt && !hearsay;
        if own.voters != theirs.voters || differs_for_good || other < mine {
            return Err(Reject::ForeignVoters);
        }
        let both_told = mine == Assurance::Told && other == Assurance::Told;
        let is_idle = self.election.as_ref().is_none_or(Election::is_idle);
        let is_unsought = self.joining.asked_back.is_some_and(|(_, asked)| asked == welcome.nonce);
        let is_careful = both_told && own.gives_way_to(theirs) && !is_unsought;
        if is_idle && (other > mine || is_careful) {
            self.genesis = Some(theirs.clone());
            self.begin_election_anew(now);
            return Ok(());
        }
        if is_unsought {
            // One at a time: who answers must not have this node send more than it sends itself.
            let others = |(id, _): &&(NodeId, SocketAddr)| {
                ![self.me.id, by].contains(id) && own.voters.contains(*id)
            };
            let others: Vec<_> = welcome.voters.iter().filter(others).collect();
            let nonce = self.seeding.question();
            let place = usize::try_from(nonce).unwrap_or_default().checked_rem(others.len());
            if let Some((_, address)) = place.and_then(|place| others.get(place)) {
                self.ask(normalised(*address), nonce);
            }
        }
        if self.admission.may_warn("settings", now.holder) && !both_told {
            let (cluster, follows) = (theirs.ephemeral, false);
            self.event(Event::Warning(if own.ephemeral == theirs.ephemeral {
                Warning::LeaseMaxDiffers { cluster: theirs.lease_max, own: own.lease_max }
            } else {
                Warning::EphemeralDiffers { cluster, follows }
            }));
        }
        Err(Reject::ForeignVoters)
    }

    /// Says so if this voter keeps records and its cluster does not, or the other way round.
    pub(super) fn report_memory(&mut self) {
        let votes = self.election.as_ref().is_some_and(Election::votes);
        let Some(cluster) = self.genesis.as_ref().map(|genesis| genesis.ephemeral) else { return };
        if votes && cluster != self.ephemeral {
            self.event(Event::Warning(Warning::EphemeralDiffers { cluster, follows: true }));
        }
    }

    /// A seed answered.
    pub(super) fn welcomed(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        welcome: &Welcome,
    ) -> Result<(), Reject> {
        if !self.seeding.accepts(welcome.nonce) {
            return Err(Reject::Unexpected);
        }
        match self.genesis.clone() {
            Some(genesis) if genesis == welcome.genesis => {}
            Some(genesis) => self.give_way(now, &genesis, welcome, header.sender.id)?,
            None => {
                let configuration = welcome.configuration.clone();
                let told = self.setup.preempt;
                if told.is_some_and(|told| told != configuration.preempt) {
                    let cluster = configuration.preempt;
                    self.event(Event::Warning(Warning::PreemptDiffers { cluster }));
                }
                self.begin_election(welcome.genesis.clone(), configuration, now);
            }
        }
        if welcome.assurance == Assurance::Founded {
            self.assurance = Assurance::Founded;
        }
        for (id, address) in welcome.voters.iter().filter(|(id, _)| *id != self.me.id) {
            self.addresses.advertise(*id, normalised(*address));
        }
        self.addresses.prove(header.sender, from);
        if let (Some(election), Some(goose)) = (&mut self.election, &welcome.goose) {
            election.hear_in_welcome(now, goose, header.leader_freshness);
        }
        if let Err(error) = self.membership.announce_to(now.holder, &welcome.member) {
            self.event(Event::Warning(Warning::Membership(error.to_string())));
        }
        self.notice_joining(now);
        Ok(())
    }
}
