//! From one seed to everything that a run is: its size, its timings, its network, its clocks
//! and which faults it meets. Each run has only some kinds of fault, drawn anew: a run with all
//! of them at once is always so broken that the rarer ones never matter.

use super::faults::FaultKind;
use super::foreign_nodes;
use super::options::Options;
use super::theme::Swarm;
use crate::node::setup::Setup;
use crate::sim::cluster::clocks::{DRIFT_MAX, TRUE_RATE};
use crate::sim::cluster::delay::Delay;
use crate::sim::cluster::foreign_node::ForeignNode;
use crate::sim::cluster::keys;
use crate::sim::cluster::network::{Network, Weather};
use crate::sim::cluster::work::WorkPlan;
use crate::sim::prng::Prng;
use crate::vocabulary::configuration::{ClusterName, VOTERS_KEPT, VoterSet};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::{Profile, Timing};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLI;

/// Everything that a seed decides before the first event.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is about.
    pub swarm: Swarm,
    /// What the nodes are started with, in the order of their indices; then the foreign nodes.
    pub setups: Vec<Setup>,
    /// What the foreign nodes are, which come after the nodes.
    pub foreign_nodes: Vec<ForeignNode>,
    /// When each is started, in nanoseconds.
    pub starts: Vec<u64>,
    /// Which of them vote, by index.
    pub voters: Vec<usize>,
    /// Which keep no disk.
    pub ephemeral: Vec<bool>,
    /// Whether a Goose yields to a higher node that has come to stay.
    pub preempt: bool,
    /// Whether a release is sent for those that die.
    pub keepers: bool,
    /// The rates of the holder and voter clock of each, in millionths.
    pub rates: Vec<(u64, u64)>,
    /// The offset of each wall clock, in milliseconds.
    pub wall_offsets: Vec<i64>,
    /// Whether records may be damaged: not the only voter's, who has but its wall clock then.
    pub damages: bool,
    /// How long a write takes.
    pub disk_delay: Delay,
    /// How late sleeps end.
    pub timer_lateness: u64,
    /// The network while there are faults.
    pub weather: Weather,
    /// The network afterwards.
    pub fair: Weather,
    /// The faults it meets.
    pub kinds: Vec<FaultKind>,
    /// The mean time between two faults, in nanoseconds.
    pub fault_interval: u64,
    /// The longest that one lasts, if there is a bound.
    pub length_max: Option<u64>,
    /// How work is done, if it is: then all have keepers.
    pub work: Option<WorkPlan>,
    /// Whether every datagram is sealed.
    pub sealed: bool,
    /// Links that are cut from the start: from, to, and until when in nanoseconds.
    pub broken_links: Vec<(usize, usize, u64)>,
    /// How long there are faults, in nanoseconds.
    pub turmoil: u64,
    /// A Goose known to all must be there within so many nanoseconds after the last fault.
    pub patience: u64,
    /// Nothing may change for so many nanoseconds after that.
    pub calm: u64,
}

impl Plan {
    /// The plan of `seed`. What `options` say replaces what the seed says.
    pub fn of(seed: u64, options: &Options) -> Self {
        let swarm = options.swarm.unwrap_or_else(|| draw_theme(seed));
        let mut prng = Prng::new(seed, "plan");
        let pace = Pace::draw(swarm, options, &mut prng);
        let nodes = Nodes::draw(swarm, &pace, &mut prng);
        let Pace { size, profile, lease, scale, turmoil, .. } = pace;
        let Nodes { setups, voters, foreign_nodes, work, .. } = nodes;
        let hosts = setups.len();
        let leases = setups.iter().map(|setup| nanoseconds(setup.timing.lease_max));
        // Whoever has lost its record waits three seconds, and then asks.
        let patience = 10 * leases.max().unwrap_or(lease) + 15 * SECOND;
        Self {
            swarm,
            starts: draw_starts(swarm, &setups[..size], &voters, lease, turmoil, &mut prng),
            voters,
            ephemeral: (0..hosts).map(|host| nodes.ephemeral.get(host) == Some(&true)).collect(),
            preempt: nodes.preempt,
            keepers: prng.coin() || work.is_some(),
            work,
            rates: draw_rates(hosts, profile, &mut prng),
            wall_offsets: draw_wall_offsets(hosts, nodes.stable_walls, &mut prng),
            damages: nodes.damages,
            disk_delay: draw_disk_delay(swarm, &mut prng),
            timer_lateness: prng.pick(&[0, 1_200_000, 1_200_000, 4 * MILLI]),
            weather: draw_weather(swarm, lease, scale, &nodes.kinds, &mut prng),
            sealed: nodes.sealed,
            fair: Weather::fair(300_000 * scale),
            kinds: nodes.kinds,
            fault_interval: pace.fault_interval,
            length_max: swarm.length_max(lease),
            broken_links: draw_broken_links(swarm, size, lease, turmoil, &mut prng),
            turmoil,
            patience,
            calm: 4 * SECOND * scale,
            setups,
            foreign_nodes,
        }
    }
}

/// How large a run is, and how fast.
struct Pace {
    size: usize,
    profile: Profile,
    timing: Timing,
    lease: u64,
    /// What is slower on wide networks is so many times as slow.
    scale: u64,
    kinds: Vec<FaultKind>,
    fault_interval: u64,
    turmoil: u64,
}

impl Pace {
    fn draw(swarm: Swarm, options: &Options, prng: &mut Prng) -> Self {
        let size = draw_size(swarm, prng);
        let size = options.nodes.unwrap_or(size).clamp(1, 64);
        let profile = prng.pick(&[Profile::Lan, Profile::Lan, Profile::Fast, Profile::Wan]);
        let timing = Timing::of(profile);
        let lease = nanoseconds(timing.lease);
        let scale = if profile == Profile::Wan { 3 } else { 1 };
        let kinds = draw_kinds(swarm, prng);
        let fault_interval = match swarm.pace(lease) {
            Some((low, high)) => prng.between(low, high),
            None => prng.pick(&[300, 800, 800, 2000]) * MILLI * scale,
        };
        let turmoil = match options.seconds {
            Some(seconds) => seconds * SECOND,
            None => swarm.seconds() * SECOND * scale,
        };
        Self { size, profile, timing, lease, scale, kinds, fault_interval, turmoil }
    }
}

/// What the nodes are, and the foreign nodes after them.
struct Nodes {
    setups: Vec<Setup>,
    voters: Vec<usize>,
    preempt: bool,
    /// The wall clocks stand in for the records, and must not run behind.
    stable_walls: bool,
    ephemeral: Vec<bool>,
    foreign_nodes: Vec<ForeignNode>,
    kinds: Vec<FaultKind>,
    damages: bool,
    work: Option<WorkPlan>,
    sealed: bool,
}

impl Nodes {
    fn draw(swarm: Swarm, pace: &Pace, prng: &mut Prng) -> Self {
        let voters = draw_voters(swarm, pace.size, prng);
        let mut setups = draw_setups(swarm, pace.size, &voters, &pace.timing, prng);
        let preempt = prng.chance(80) && swarm != Swarm::Automatic;
        for setup in setups.iter_mut().filter(|setup| setup.voters.is_some()) {
            setup.preempt = Some(preempt);
        }
        let stable_walls = voters.len() > 1 && prng.chance(60) && !swarm.changes_voters();
        let mut ephemeral = draw_ephemeral(stable_walls, pace.size, &voters, prng);
        if swarm.changes_voters() {
            ephemeral.fill(false);
        }
        let (foreign_nodes, theirs) = if pace.kinds.contains(&FaultKind::ForeignNode) {
            if prng.coin() {
                foreign_nodes::forewarn(&mut setups, &voters);
            }
            foreign_nodes::draw(&setups, &voters, prng)
        } else {
            (Vec::new(), Vec::new())
        };
        // Whoever stopped voting for a twin is restarted; it and one that lost its record would wait
        // for each other until a person helps.
        let twins = foreign_nodes.iter().any(|foreign_node| foreign_node.is_twin());
        let is_met = |kind: &FaultKind| match kind {
            FaultKind::WallJump => !stable_walls,
            FaultKind::LostRecord | FaultKind::TornWrite => !twins,
            _ => true,
        };
        let kinds = pace.kinds.iter().copied().filter(is_met).collect();
        let damages = voters.len() > 1 && !twins;
        setups.extend(theirs);
        let work = draw_work(pace.lease, prng);
        let drain_timeout = prng.pick(&[pace.lease / 2, 3 * pace.lease, 30 * SECOND]);
        let sealed = prng.coin();
        for setup in &mut setups {
            setup.drain_timeout = std::time::Duration::from_nanos(drain_timeout);
            setup.keys = if sealed { keys::ring(0) } else { None };
        }
        Self {
            setups,
            voters,
            preempt,
            stable_walls,
            ephemeral,
            foreign_nodes,
            kinds,
            damages,
            work,
            sealed,
        }
    }
}

/// By how many milliseconds each wall clock is off.
fn draw_wall_offsets(hosts: usize, are_stable: bool, prng: &mut Prng) -> Vec<i64> {
    let span: u64 = if are_stable { 20 } else { 600_000 };
    let mut offset = || i64::try_from(prng.between(0, 2 * span)).unwrap_or(0) - span.cast_signed();
    (0..hosts).map(|_| offset()).collect()
}

/// Which nodes keep no record. `all`: the cluster is one that keeps none.
fn draw_ephemeral(all: bool, size: usize, voters: &[usize], prng: &mut Prng) -> Vec<bool> {
    // Where records are kept, one of the voters may keep none all the same.
    let fleeting = (voters.len() > 2 && prng.chance(60)).then(|| prng.pick(voters));
    let keeps_none = |index| {
        if voters.contains(&index) { all || fleeting == Some(index) } else { prng.chance(150) }
    };
    (0..size).map(keeps_none).collect()
}

fn draw_theme(seed: u64) -> Swarm {
    let mut place = Prng::new(seed, "theme").between(0, 100);
    for swarm in Swarm::ALL {
        match place.checked_sub(u64::from(swarm.share())) {
            Some(left) => place = left,
            None => return swarm,
        }
    }
    Swarm::Mixed
}

fn draw_size(swarm: Swarm, prng: &mut Prng) -> usize {
    match swarm {
        Swarm::Mixed | Swarm::Brittle => prng.pick(&[1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 7, 9]),
        Swarm::Founding => prng.pick(&[3, 3, 4]),
        Swarm::Amnesia | Swarm::Leases => prng.pick(&[3, 4, 5]),
        Swarm::Duels | Swarm::ForeignNodes | Swarm::Elastic | Swarm::Automatic => {
            prng.pick(&[4, 5, 6, 7])
        }
    }
}

fn draw_kinds(swarm: Swarm, prng: &mut Prng) -> Vec<FaultKind> {
    let (choices, often) = swarm.kinds();
    choices.iter().copied().filter(|_| prng.chance(often)).collect()
}

fn draw_voters(swarm: Swarm, size: usize, prng: &mut Prng) -> Vec<usize> {
    let drawn = match prng.below(8) {
        0 => 1,
        1..=4 => 3,
        _ => 5,
    };
    let most = match swarm {
        Swarm::Mixed | Swarm::Brittle | Swarm::ForeignNodes => drawn,
        Swarm::Duels => drawn.max(3),
        Swarm::Automatic => 1,
        Swarm::Founding | Swarm::Leases | Swarm::Amnesia | Swarm::Elastic => 3,
    };
    let count = if size >= most { most } else { size - (1 - size % 2) };
    let mut voters: Vec<usize> = prng.shuffled(size).into_iter().take(count).collect();
    voters.sort_unstable();
    voters
}

fn draw_setups(
    swarm: Swarm,
    size: usize,
    voters: &[usize],
    timing: &Timing,
    prng: &mut Prng,
) -> Vec<Setup> {
    let id = |index: usize| NodeId::new(index as u64 + 1).unwrap_or_else(|_| unreachable!());
    let ids: Vec<NodeId> = voters.iter().map(|index| id(*index)).collect();
    let set = VoterSet::new(ids).unwrap_or_else(|_| unreachable!());
    let mixed = swarm == Swarm::Leases || prng.chance(100);
    // What a voter grants at most may exceed what it would ask for itself.
    let generous = mixed && prng.coin();
    let witnesses = prng.chance(200);
    (0..size)
        .map(|index| {
            let votes = voters.contains(&index);
            let is_automatic = swarm == Swarm::Automatic;
            let knows = !is_automatic && (votes || prng.coin());
            let address = Network::address(index, 0);
            // Names, which find a node wherever it has moved to. Nobody is its own seed.
            // Who does not know the cluster asks a voter, which does.
            let first = voters.iter().copied().filter(|_| !knows);
            let others = first.chain(prng.shuffled(size)).filter(|other| *other != index);
            // Whoever founds a cluster without being told of voters has no seed.
            let seeds = others.take(if is_automatic && votes { 0 } else { 2 });
            let seeds = seeds.map(|other| format!("node-{}:7000", other + 1)).collect();
            let addresses = voters.iter().map(|voter| (id(*voter), Network::address(*voter, 0)));
            let mut timing = timing.clone();
            if mixed && prng.coin() {
                timing =
                    timing.with_lease(std::time::Duration::from_millis(prng.between(300, 2000)));
            }
            if generous {
                timing.lease_max = timing.lease_max.max(std::time::Duration::from_secs(2));
            }
            Setup {
                seeds,
                voters: knows.then(|| set.clone()),
                automatic: is_automatic.then_some(VOTERS_KEPT),
                voter_addresses: if knows { addresses.collect() } else { Vec::new() },
                // Somebody must be able to lead.
                eligible: index == voters[0] || !(witnesses && prng.chance(300)),
                timing,
                ..Setup::new(
                    ClusterName::new("simulated").unwrap_or_else(|_| unreachable!()),
                    id(index),
                    address,
                )
            }
        })
        .collect()
}

fn draw_starts(
    swarm: Swarm,
    setups: &[Setup],
    voters: &[usize],
    lease: u64,
    turmoil: u64,
    prng: &mut Prng,
) -> Vec<u64> {
    let spread = match swarm {
        Swarm::Founding => prng.pick(&[1, lease / 8, lease / 2]),
        _ => prng.pick(&[1, 100 * MILLI, 2 * lease, 5 * SECOND]),
    };
    let mut start = |(index, setup): (usize, &Setup)| {
        // Some that know only a seed come long after the others.
        let late = !voters.contains(&index) && setup.voters.is_none() && prng.chance(400);
        prng.between(0, if late { turmoil } else { spread })
    };
    setups.iter().enumerate().map(&mut start).collect()
}

/// The links that are missing while a cluster is founded, and those between contenders that
/// are not to know of each other.
fn draw_broken_links(
    swarm: Swarm,
    size: usize,
    lease: u64,
    turmoil: u64,
    prng: &mut Prng,
) -> Vec<(usize, usize, u64)> {
    let (often, longest) = match swarm {
        Swarm::Founding => (prng.pick(&[0, 0, 200, 400]), 2 * lease),
        Swarm::Duels => (prng.pick(&[0, 200, 300]), turmoil),
        _ => return Vec::new(),
    };
    let both_ways = prng.coin();
    let mut broken = Vec::new();
    for (from, to) in (0..size).flat_map(|from| (from + 1..size).map(move |to| (from, to))) {
        for (from, to) in [(from, to), (to, from)] {
            if prng.chance(often) {
                let until = prng.between(longest / 8, longest);
                broken.push((from, to, until));
                if both_ways {
                    broken.push((to, from, until));
                }
            }
        }
    }
    broken
}

fn draw_rates(size: usize, profile: Profile, prng: &mut Prng) -> Vec<(u64, u64)> {
    let (slow, fast) = (TRUE_RATE - DRIFT_MAX, TRUE_RATE + DRIFT_MAX);
    let style = prng.below(4);
    (0..size)
        .map(|index| match style {
            0 => (TRUE_RATE, TRUE_RATE),
            // Opposite ends of what is allowed.
            1 => {
                if index % 2 == 0 {
                    (slow, slow)
                } else {
                    (fast, fast)
                }
            }
            // Both clocks of a machine come from one crystal.
            2 => {
                let rate = prng.between(slow, fast + 1);
                (rate, rate)
            }
            // Not a crystal but what the promise says word by word: each clock on its own. Where
            // renewals are rare the node would take that for a suspend.
            _ if profile == Profile::Wan => (slow, slow),
            _ => (prng.between(slow, fast + 1), prng.between(slow, fast + 1)),
        })
        .collect()
}

fn draw_work(lease: u64, prng: &mut Prng) -> Option<WorkPlan> {
    prng.chance(600).then(|| WorkPlan {
        lasts: prng.pick(&[None, None, Some(lease), Some(5 * lease)]),
        obeys_within: prng.pick(&[MILLI, 40 * MILLI, lease]),
        stubborn: prng.pick(&[0, 200, 1000]),
        abdicates: prng.pick(&[0, 0, 100]),
    })
}

fn draw_disk_delay(swarm: Swarm, prng: &mut Prng) -> Delay {
    if swarm == Swarm::Founding {
        return prng.pick(&[Delay::Constant(80_000), Delay::Uniform(50_000, 2 * MILLI)]);
    }
    prng.pick(&[
        Delay::Constant(80_000),
        Delay::Uniform(50_000, 2 * MILLI),
        Delay::LongTailed(MILLI),
        Delay::LongTailed(10 * MILLI),
    ])
}

fn draw_weather(
    swarm: Swarm,
    lease: u64,
    scale: u64,
    kinds: &[FaultKind],
    prng: &mut Prng,
) -> Weather {
    let flips = if kinds.contains(&FaultKind::FlippedBits) { prng.pick(&[2, 20, 100]) } else { 0 };
    let delay = prng.pick(&[
        Delay::Constant(300_000 * scale),
        Delay::Uniform(100_000, 5 * MILLI * scale),
        Delay::LongTailed(MILLI * scale),
        Delay::LongTailed(10 * MILLI * scale),
    ]);
    if swarm == Swarm::Founding {
        // Answers to a process that is gone reach the next one.
        let (stragglers, duplicates) = prng.pick(&[(0, 0), (500, 500)]);
        let loss = if stragglers > 0 { 0 } else { prng.pick(&[0, 10, 200]) };
        return Weather { delay, loss, duplicates, stragglers, straggle: lease / 2, flips };
    }
    Weather {
        delay,
        loss: prng.pick(&[0, 0, 10, 50, 200, 400]),
        duplicates: prng.pick(&[0, 0, 20, 300]),
        stragglers: prng.pick(&[0, 0, 10, 100]),
        straggle: prng.pick(&[lease / 2, 2 * lease, 8 * lease]),
        flips,
    }
}
