//! Finding the cluster: asking seeds, answering who asks, and noticing that nobody does.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};

use super::addresses::{Addresses, Directory, Sought};
use super::cluster::Cluster;
use super::outputs::Outputs;
use crate::election::Election;
use crate::membership::Membership;
use crate::membership::seeding::{Seeding, SeedingOutput};
use crate::node::setup::{SEEDS_MAX, Setup};
use crate::vocabulary::configuration::Genesis;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process, normalised};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::lineage::{ForeignFounding, Kinship, Lineage};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::reject::Reject;
use crate::vocabulary::snapshot::KnownGoose;
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timers::{Timer, Timers};
use crate::wire::message::{Assurance, Join, Welcome};

/// The question carries this many zeros, so that the answer is at most three times as long.
const JOIN_PADDING: usize = 400;
/// A node whose seeds have been silent for this long says so, once.
const SILENCE_NOTICED: Duration = Duration::from_secs(3);
/// Whoever announces itself to an earlier process of this node is asked this often at most.
const ASK_BACK_INTERVAL: Duration = Duration::from_millis(200);
/// So many questions of that kind are remembered: a slow network answers later than the next is asked.
const ASKED_BACK_MAX: usize = 8;
/// A node that gossips and yet knows no Goose, or hears nothing, asks again this often.
const DOUBT_INTERVAL: Duration = Duration::from_secs(5);
/// Every so many of those times, a node that has nothing to ask looks after its seeds.
const SEEDS_LOOKED_AFTER: u32 = 2;
/// The only voter of a cluster could lead at once. If it was started with seeds it first gives them so
/// long to say that they belong to another cluster, which somebody meant it to join, or to its own,
/// of which it has lost its record.
pub(super) const SEEDS_PATIENCE: Duration = Duration::from_secs(1);
/// If none of them is of its own cluster, it leaves before it may claim.
const CLAIM_AFTER_SEEDS: Duration = Duration::from_millis(100);
/// How many random members are asked besides the seeds: so many that are here, and so many that are
/// not.
const MEMBERS_ASKED: usize = 3;

#[derive(Clone, Copy, Debug)]
enum JoinTimer {
    /// Its seeds have been silent: it says so. Set until then, or until it has joined.
    Silence,
    /// It may be time to ask although gossip is in touch with somebody.
    Doubt,
}

impl Timer for JoinTimer {
    fn place(self) -> usize {
        self as usize
    }
}

/// A question to whoever is at an address: which cluster is this?
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) address: SocketAddr,
    pub(super) nonce: u64,
}

impl Question {
    /// In the words of a message.
    pub(super) fn join(self, ancestors: &[Lineage]) -> Join {
        let ancestors = ancestors.to_vec();
        Join { nonce: self.nonce, padding: vec![0; JOIN_PADDING], ancestors }
    }
}

/// Whether it is as long as a question must be: an answer is never much longer.
pub(super) fn is_padded(join: &Join) -> bool {
    join.padding.len() >= JOIN_PADDING
}

/// Why a node asks although gossip is in touch with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It knows no Goose, or hears nothing.
    Cluster,
    /// All seems well; but a seed that is no member may be in another island.
    Seeds,
}

/// What a node that returns hears from the seeds that it was given.
#[derive(Debug)]
struct Homecoming {
    /// It was started with seeds, and no voters, on a record of a founding.
    with_seeds: bool,
    /// Until then the only voter waits for its seeds' word.
    until: HolderTime,
    heard_own: bool,
    foreign: Option<ForeignFounding>,
    misled: Option<ForeignFounding>,
}

impl Homecoming {
    fn new(now: HolderTime, setup: &Setup, returns: bool) -> Self {
        // Addresses of voters are no word of where the node is to belong.
        let with_seeds = returns && setup.voters.is_none() && !setup.seeds.is_empty();
        let until = now.plus(SEEDS_PATIENCE);
        Self { with_seeds, until, heard_own: false, foreign: None, misled: None }
    }

    /// When the only voter has waited long enough.
    fn next(&self) -> Option<HolderTime> {
        let awaits = self.foreign.is_some() && self.misled.is_none() && !self.heard_own;
        awaits.then_some(self.until)
    }
}

/// How far the node has come in finding its cluster.
#[derive(Debug)]
pub(super) struct Joining {
    random: ChaCha8Rng,
    seeding: Seeding,
    timers: Timers<JoinTimer, HolderTime, 2>,
    joined: bool,
    has_seeds: bool,
    /// When somebody was last asked because it had asked, and the question's nonce.
    /// When somebody was asked last that this node did not look for, and the last questions of that kind.
    asked_back_at: Option<HolderTime>,
    asked_back: VecDeque<u64>,
    /// Counts the times at which there might have been a doubt.
    doubts: u32,
    homecoming: Homecoming,
    /// Other nodes that asked for a cluster while this one knew none either, by where they are.
    also_wait: BTreeMap<SocketAddr, NodeId>,
    /// That nobody has founded a cluster was said.
    is_said: bool,
}

impl Joining {
    /// `returns`: the node knows its founding from its record.
    pub(super) fn new(now: HolderTime, setup: &Setup, seeding: Seeding, returns: bool) -> Self {
        let mut seed = setup.entropy;
        // Another stream than the one that drew the boot.
        seed[0] ^= 0x6a;
        let has_seeds =
            !setup.seeds.is_empty() || setup.voter_addresses.iter().any(|(id, _)| *id != setup.id);
        let mut timers = Timers::new().with(JoinTimer::Doubt, now.plus(DOUBT_INTERVAL));
        if has_seeds {
            timers.set(JoinTimer::Silence, now.plus(SILENCE_NOTICED));
        }
        Self {
            random: ChaCha8Rng::from_seed(seed),
            seeding,
            timers,
            joined: false,
            has_seeds,
            asked_back_at: None,
            asked_back: VecDeque::new(),
            doubts: 0,
            homecoming: Homecoming::new(now, setup, returns),
            also_wait: BTreeMap::new(),
            is_said: false,
        }
    }

    /// A number that nobody can guess.
    pub(super) fn draw(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// A seed for something else that needs randomness.
    pub(super) fn entropy(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    pub(super) fn table(&self) -> TableSize {
        TableSize { name: "also wait", size: self.also_wait.len(), size_max: SEEDS_MAX }
    }

    /// A node that waits as this one does, if every seed that is an address is one: a seed that is
    /// silent may know a cluster.
    fn waits_in_vain(&self) -> Option<(NodeId, SocketAddr)> {
        let seeds = self.seeding.seeds();
        let mut seeds = seeds.iter().filter_map(|seed| seed.parse::<SocketAddr>().ok());
        let (address, id) = self.also_wait.first_key_value()?;
        seeds.all(|seed| self.also_wait.contains_key(&normalised(seed))).then_some((*id, *address))
    }

    pub(super) fn has_joined(&self) -> bool {
        self.joined
    }

    /// Whether its seeds have had their time, or there are none, and nobody has let it in. They come
    /// first, for they say which of two clusters of one name is meant.
    pub(super) fn is_forsaken(&self) -> bool {
        !self.joined && self.timers.get(JoinTimer::Silence).is_none()
    }

    /// From here on these seeds are asked, host names or addresses with ports.
    pub(super) fn replace_seeds(&mut self, seeds: &[String]) {
        self.seeding.replace(seeds);
        self.has_seeds |= !seeds.is_empty();
    }

    /// Names have these addresses.
    pub(super) fn resolved(&mut self, addresses: &[SocketAddr]) {
        let normal: Vec<SocketAddr> = addresses.iter().copied().map(normalised).collect();
        self.seeding.handle_resolved(&normal);
    }

    /// When [`Seeking::seek`] has something to do. Seeds are asked only by a node that seeks.
    pub(super) fn next(&self, is_seeking: bool) -> Option<HolderTime> {
        let attempt = Some(self.seeding.next_deadline());
        let attempt = attempt.filter(|at| is_seeking && *at != HolderTime::NEVER);
        let word = self.homecoming.next().filter(|_| !self.joined && self.homecoming.with_seeds);
        attempt.into_iter().chain(self.timers.next()).chain(word).min()
    }

    /// A question to this address, whose answer is expected.
    pub(super) fn question(&mut self, address: SocketAddr) -> Question {
        Question { address, nonce: self.seeding.question() }
    }

    /// Whether this answers a question of ours; it counts once.
    pub(super) fn accepts(&mut self, welcome: &Welcome) -> bool {
        self.seeding.accepts(welcome.nonce)
    }

    /// Until when the only voter claims nothing, unless it hears of its own cluster before: if it was
    /// started with seeds on a record of a founding.
    pub(super) fn awaits_seeds_until(&self) -> Option<HolderTime> {
        self.homecoming.with_seeds.then(|| self.homecoming.until.plus(CLAIM_AFTER_SEEDS))
    }

    /// Where its seeds led, if that is another founding than that of its record, and nobody of its
    /// own has answered: to go on would be a second cluster that nobody asked for.
    pub(super) fn misled(&self) -> Option<ForeignFounding> {
        self.homecoming.misled
    }

    /// A seed belongs to another founding. Whoever was asked only because it had asked is no seed.
    /// If it is what was rescued of this node's cluster, this node's vote counts no more.
    pub(super) fn hear_foreign(&mut self, foreign: ForeignFounding, welcome: &Welcome) {
        if foreign.kinship == Kinship::Rescued {
            self.homecoming.misled = Some(foreign);
        } else if !self.asked_back.contains(&welcome.nonce) {
            self.homecoming.foreign.get_or_insert(foreign);
        }
    }

    /// Somebody of its own founding has answered. Returns whether that was awaited.
    pub(super) fn hear_own(&mut self) -> bool {
        !std::mem::replace(&mut self.homecoming.heard_own, true) && self.homecoming.with_seeds
    }

    /// Somebody announces itself to an earlier process of this node. Two halves of a cluster
    /// may find each other again only so; but it may also be an old datagram of somebody who is
    /// gone. Its answer to a fresh question tells.
    pub(super) fn ask_back(&mut self, address: SocketAddr, now: HolderTime) -> Question {
        let question = self.question(address);
        if self.asked_back.len() >= ASKED_BACK_MAX {
            self.asked_back.pop_front();
        }
        self.asked_back.push_back(question.nonce);
        self.asked_back_at = Some(now);
        question
    }

    /// Whether that is not too soon after the last time.
    pub(super) fn may_ask_back(&self, now: HolderTime) -> bool {
        self.asked_back_at.is_none_or(|asked| now.since(asked) >= ASK_BACK_INTERVAL)
    }
}

/// What the node makes of a welcome that tells otherwise of its cluster than itself.
#[derive(Debug)]
pub(super) enum Stance {
    /// It follows.
    Follow,
    /// It does not.
    Refuse {
        /// But it asks somebody else.
        ask: Option<Question>,
        /// And says so.
        warning: Option<Warning>,
    },
}

/// Whether a node looks for others: it does not know its cluster, or gossip has lost touch with
/// everybody. The second is the watchdog without which a partition may leave a gossip cluster dead
/// for ever.
pub(super) fn is_seeking(cluster: &Cluster, membership: &Membership, is_leaving: bool) -> bool {
    let is_out_of_touch = !membership.is_connected() && !mutant::is(Mutant::NoWatchdog);
    !is_leaving && (cluster.genesis().is_none() || is_out_of_touch)
}

/// Finding the cluster, and what it may touch.
pub(super) struct Seeking<'a> {
    pub(super) joining: &'a mut Joining,
    pub(super) membership: &'a mut Membership,
    pub(super) outputs: &'a mut Outputs,
    pub(super) setup: &'a Setup,
    pub(super) cluster: &'a Cluster,
    pub(super) election: Option<&'a Election>,
    pub(super) addresses: &'a Addresses,
    pub(super) is_leaving: bool,
}

impl Seeking<'_> {
    /// Whether it is time to ask although gossip is in touch with somebody. Two islands that
    /// gossip happily, each with itself, never notice; but without the voters' island there is
    /// no Goose, and whoever knows one says so in its welcome. If every node of the other island
    /// has moved, and so cannot be asked, it is for the voters' island to look after its seeds.
    fn doubt(&mut self, now: HolderTime) -> Option<Doubt> {
        let Joining { timers, random, doubts, .. } = &mut *self.joining;
        if !timers.is_expired(JoinTimer::Doubt, now) {
            return None;
        }
        let jittered = DOUBT_INTERVAL.mul_f64(random.random_range(0.75..1.25));
        timers.set(JoinTimer::Doubt, now.plus(jittered));
        if self.is_leaving {
            return None;
        }
        *doubts = doubts.wrapping_add(1);
        let leaderless = self.election.is_some_and(|election| election.goose().is_none());
        if leaderless || self.membership.is_silent(now) {
            return Some(Doubt::Cluster);
        }
        let due = doubts.is_multiple_of(SEEDS_LOOKED_AFTER);
        (due && self.membership.is_connected()).then_some(Doubt::Seeds)
    }

    /// Asks for the way in, if it is needed and due.
    pub(super) fn seek(&mut self, now: HolderTime) -> Vec<SeedingOutput> {
        // Asked first, for it also sets the time of the next doubt.
        let doubt = self.doubt(now);
        let needed = doubt == Some(Doubt::Cluster)
            || is_seeking(self.cluster, self.membership, self.is_leaving);
        let known = if needed { self.known_addresses() } else { Vec::new() };
        let is_member = |address| self.membership.is_present(address);
        let seeding = &mut self.joining.seeding;
        let mut outputs = seeding.handle_timeout(now, needed, &known, &is_member);
        if doubt == Some(Doubt::Seeds) && !needed && !mutant::is(Mutant::SeedsForsaken) {
            let voters = self.setup.voter_addresses.iter().map(|(_, address)| *address);
            outputs.extend(seeding.look_after(voters, &is_member));
        }
        outputs
    }

    /// Where others may be besides the seeds: voters and some members.
    fn known_addresses(&mut self) -> Vec<SocketAddr> {
        let me = self.setup.id;
        let told = self.setup.voter_addresses.iter().filter(|(id, _)| *id != me);
        let mut known: Vec<SocketAddr> = told.map(|(_, address)| *address).collect();
        if let Some(election) = self.election {
            let voters = election.configuration().voters.ids().iter().filter(|id| **id != me);
            let sought = |id: &NodeId| Sought { id: *id, boot: None, gossip: None };
            known.extend(voters.flat_map(|id| self.addresses.all(&sought(id))));
        }
        let sample = self.membership.sample(MEMBERS_ASKED);
        known.extend(sample.into_iter().map(|(_, address)| address));
        // Somebody who was given up may be back, in what was rescued perhaps.
        let members = self.membership.members();
        let mut absent: Vec<SocketAddr> = members
            .iter()
            .filter(|member| !member.state.is_present())
            .map(|member| member.address)
            .collect();
        absent.shuffle(&mut self.joining.random);
        known.extend(absent.into_iter().take(MEMBERS_ASKED));
        known.sort_unstable();
        known.dedup();
        known
    }

    /// Notes that the node has arrived, or that nobody answers.
    pub(super) fn notice(&mut self, now: HolderTime) {
        let lost = self.cluster.genesis().is_none().then(|| self.joining.waits_in_vain()).flatten();
        let Joining { timers, seeding, joined, has_seeds, is_said, .. } = &mut *self.joining;
        let knows_term = self.election.is_some_and(|election| election.term() > 0);
        let arrived = self.cluster.genesis().is_some()
            && (!*has_seeds || self.membership.is_connected() || knows_term);
        if arrived && !*joined {
            *joined = true;
            timers.stop(JoinTimer::Silence);
            self.outputs.note_change();
            self.outputs.event(Event::Joined);
        }
        let waited = timers.is_expired(JoinTimer::Silence, now);
        if waited {
            timers.stop(JoinTimer::Silence);
            if !*joined && lost.is_none() {
                self.outputs.warn(Warning::SeedsSilent { seeds: seeding.seeds() });
            }
        }
        // At a start nodes may ask each other before the one comes up that founds the cluster.
        if let Some((other, address)) = lost
            && timers.get(JoinTimer::Silence).is_none()
            && !std::mem::replace(is_said, true)
        {
            self.outputs.warn(Warning::NobodyFounded { other, address });
        }
        self.consider_return(now, waited);
    }

    /// Whether this node was started to join another cluster than that of its record. A voter of
    /// several never thinks so: it cannot lead alone, and the others may need its vote.
    fn consider_return(&mut self, now: HolderTime, waited: bool) {
        let Some(election) = self.election else { return };
        let Joining { homecoming, joined, .. } = &mut *self.joining;
        let is_only_voter = election.configuration().voters.ids() == [self.setup.id];
        let is_over =
            if election.votes() { is_only_voter && now >= homecoming.until } else { waited };
        if homecoming.with_seeds && !homecoming.heard_own && !*joined && is_over {
            homecoming.misled = homecoming.foreign;
        }
    }

    /// Another node asks for a cluster. If neither knows one, each waits for the other.
    pub(super) fn is_asked(&mut self, by: NodeId, address: SocketAddr, knows: bool) {
        if knows || self.cluster.genesis().is_some() {
            return;
        }
        let also_wait = &mut self.joining.also_wait;
        if also_wait.len() < SEEDS_MAX || also_wait.contains_key(&address) {
            also_wait.insert(address, by);
        }
    }

    /// This node takes its cluster to have been founded otherwise than another node says. Whoever
    /// has promised nothing yet follows the one that is surer, or else the more careful one.
    ///
    /// A node that asked only because it was asked follows nobody who is no surer than itself, for
    /// a stray process must not talk a whole cluster into its own settings. But it asks one of
    /// the other voters that are named to it, at an address that it may not have known.
    ///
    /// # Errors
    /// If the two cannot be of one cluster.
    pub(super) fn judge(
        &mut self,
        own: &Genesis,
        welcome: &Welcome,
        by: NodeId,
    ) -> Result<Stance, Reject> {
        let theirs = &welcome.genesis;
        let (mine, other) = (self.cluster.assurance(self.election), welcome.assurance);
        // Preemption that this node was not told of is hearsay: perhaps of a stray process.
        let hearsay = other > mine && self.setup.preempt.is_none_or(|told| told == theirs.preempt);
        let differs_for_good = own.preempt != theirs.preempt && !hearsay;
        if own.voters != theirs.voters || differs_for_good || other < mine {
            return Err(Reject::ForeignVoters);
        }
        let both_told = mine == Assurance::Told && other == Assurance::Told;
        let is_idle = self.election.is_none_or(Election::is_idle);
        let is_unsought = self.joining.asked_back.contains(&welcome.nonce);
        let is_careful = both_told && own.gives_way_to(theirs) && !is_unsought;
        if is_idle && (other > mine || is_careful) {
            return Ok(Stance::Follow);
        }
        let ask = if is_unsought { self.another_voter(own, welcome, by) } else { None };
        let warning = if own.preempt != theirs.preempt {
            Warning::PreemptDiffers { cluster: theirs.preempt }
        } else if own.ephemeral == theirs.ephemeral {
            Warning::LeaseMaxDiffers { cluster: theirs.lease_max, own: own.lease_max }
        } else {
            Warning::EphemeralDiffers { cluster: theirs.ephemeral, follows: false }
        };
        Ok(Stance::Refuse { ask, warning: Some(warning).filter(|_| !both_told) })
    }

    /// One of the voters that a welcome names, but for the one that sent it. One at a time: who
    /// answers must not have this node send more than it sends itself.
    fn another_voter(&mut self, own: &Genesis, welcome: &Welcome, by: NodeId) -> Option<Question> {
        let others = |(id, _): &&(NodeId, SocketAddr)| {
            ![self.setup.id, by].contains(id) && own.voters.contains(*id)
        };
        let others: Vec<_> = welcome.voters.iter().filter(others).collect();
        let nonce = self.joining.seeding.question();
        let place = usize::try_from(nonce).unwrap_or_default().checked_rem(others.len())?;
        let (_, address) = others.get(place)?;
        Some(Question { address: normalised(*address), nonce })
    }
}

/// The answer to "which cluster is this?". `foreign_at`: now, if whoever asks belongs to another
/// founding, where this node's id is another node's, and a Goose of long ago proves no life.
///
/// # Errors
/// Why there is none.
pub(super) fn welcome(
    joiner: Process,
    join: &Join,
    cluster: &Cluster,
    election: Option<&Election>,
    directory: &Directory<'_>,
    foreign_at: Option<HolderTime>,
) -> Result<Welcome, Reject> {
    // The answer must not be worth an attacker's while.
    if !is_padded(join) {
        return Err(Reject::Malformed);
    }
    if joiner.id == directory.me && foreign_at.is_none() {
        return Err(Reject::Unexpected);
    }
    let (Some(genesis), Some(election)) = (cluster.genesis(), election) else {
        return Err(Reject::NotReady);
    };
    let configuration = election.configuration().clone();
    let is_known = |known: &KnownGoose| foreign_at.is_none_or(|now| now < known.expires);
    Ok(Welcome {
        nonce: join.nonce,
        member: directory.membership.encoded_identity(),
        genesis: genesis.clone(),
        assurance: cluster.assurance(Some(election)),
        voters: directory.addresses_of(configuration.voters.ids()),
        configuration,
        goose: election.goose().filter(is_known).map(|known| known.goose),
        ancestors: cluster.ancestors().to_vec(),
    })
}
