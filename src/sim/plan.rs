//! From one seed to everything that a run is: its size, its timings, its network, its clocks
//! and which faults it meets. Each run has only some kinds of fault, drawn anew: a run with all
//! of them at once is always so broken that the rarer ones never matter.

use super::clocks::{DRIFT_MAX, TRUE_RATE};
use super::dice::Dice;
use super::network::{Delay, Weather};
use crate::vocabulary::configuration::{ClusterName, VoterSet};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::setup::Setup;
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::{Profile, Timing};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLI;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Kill and start again with the disk.
    Crash,
    /// Kill during a write, which may be torn.
    TornWrite,
    /// Kill and start on an empty or damaged disk.
    LostRecord,
    /// Stop and go on.
    Freeze,
    /// Suspend and resume the machine.
    Suspend,
    /// Too little processor time.
    Starve,
    /// Leave and come back.
    Leave,
    /// An order to step down.
    StepDown,
    /// The wall clock jumps.
    WallJump,
    /// The rates of the clocks change.
    Drift,
    /// The disk fails or is full.
    DiskFault,
    /// A one-way link is cut.
    OneWay,
    /// The nodes fall into groups.
    Partition,
    /// A link comes and goes quickly.
    Flapping,
    /// Everything, gossip or the election is lost everywhere.
    Blackout,
    /// Old datagrams come again.
    Replay,
    /// A node moves to another address.
    Move,
    /// A node loses all its links in one direction: it hears nobody, or nobody hears it.
    DeafOrMute,
}

/// Every kind of fault.
pub const FAULT_KINDS: [FaultKind; 18] = [
    FaultKind::Crash,
    FaultKind::TornWrite,
    FaultKind::LostRecord,
    FaultKind::Freeze,
    FaultKind::Suspend,
    FaultKind::Starve,
    FaultKind::Leave,
    FaultKind::StepDown,
    FaultKind::WallJump,
    FaultKind::Drift,
    FaultKind::DiskFault,
    FaultKind::OneWay,
    FaultKind::Partition,
    FaultKind::Flapping,
    FaultKind::Blackout,
    FaultKind::Replay,
    FaultKind::Move,
    FaultKind::DeafOrMute,
];

/// What befalls voters that die and forget.
const BRITTLE: [FaultKind; 6] = [
    FaultKind::Crash,
    FaultKind::TornWrite,
    FaultKind::LostRecord,
    FaultKind::OneWay,
    FaultKind::Partition,
    FaultKind::DeafOrMute,
];

/// Everything that a seed decides before the first event.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the nodes are started with, in the order of their indices.
    pub setups: Vec<Setup>,
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
    /// How long there are faults, in nanoseconds.
    pub turmoil: u64,
    /// A Goose known to all must be there within so many nanoseconds after the last fault.
    pub patience: u64,
    /// Nothing may change for so many nanoseconds after that.
    pub calm: u64,
}

impl Plan {
    /// The plan of `seed`. `nodes` and `seconds` (of turmoil) replace what the seed says.
    pub fn of(seed: u64, nodes: Option<usize>, seconds: Option<u64>) -> Self {
        let mut dice = Dice::new(seed, "plan");
        let drawn = dice.pick(&[1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 7, 9]);
        let size = nodes.unwrap_or(drawn).clamp(1, 64);
        let profile = dice.pick(&[Profile::Lan, Profile::Lan, Profile::Fast, Profile::Wan]);
        let timing = Timing::of(profile);
        // Some runs are about one thing: voters that die and forget faster than they recover.
        let brittle = dice.chance(200);
        let choices = if brittle { &BRITTLE[..] } else { &FAULT_KINDS[..] };
        let often = if brittle { 500 } else { 280 };
        let kinds: Vec<FaultKind> =
            choices.iter().copied().filter(|_| dice.chance(often)).collect();
        let interval = if brittle {
            nanoseconds(timing.lease) * dice.between(1, 5) / 10
        } else {
            dice.pick(&[300, 800, 800, 2000]) * MILLI * if profile == Profile::Wan { 3 } else { 1 }
        };
        let forgets =
            kinds.contains(&FaultKind::LostRecord) || kinds.contains(&FaultKind::TornWrite);
        let voters = draw_voters(size, &mut dice);
        let mut setups = draw_setups(size, &voters, &timing, &mut dice);
        // Drawn from a stream of its own: it was added when seeds already meant something.
        let preempt = Dice::new(seed, "preempt").chance(80);
        for setup in setups.iter_mut().filter(|setup| setup.voters.is_some()) {
            setup.preempt = Some(preempt);
        }
        let lease = nanoseconds(timing.lease);
        let scale = if profile == Profile::Wan { 3 } else { 1 };
        let ephemeral =
            (0..size).map(|_| !forgets && voters.len() > 1 && dice.chance(20)).collect();
        let ephemeral: Vec<bool> = ephemeral;
        let stable_walls = forgets || ephemeral.contains(&true);
        let kinds: Vec<FaultKind> = kinds
            .into_iter()
            .filter(|kind| !(stable_walls && *kind == FaultKind::WallJump))
            .collect();
        let wall_offset = |dice: &mut Dice| {
            let span = if stable_walls { 20 } else { 600_000 };
            i64::try_from(dice.between(0, 2 * span)).unwrap_or(0) - span.cast_signed()
        };
        Self {
            starts: draw_starts(size, lease, &mut dice),
            voters,
            ephemeral,
            preempt,
            keepers: dice.coin(),
            rates: draw_rates(size, profile, &mut dice),
            wall_offsets: (0..size).map(|_| wall_offset(&mut dice)).collect(),
            disk_delay: draw_disk_delay(&mut dice),
            timer_lateness: dice.pick(&[0, 1_200_000, 1_200_000, 4 * MILLI]),
            weather: draw_weather(lease, scale, &mut dice),
            fair: Weather::fair(300_000 * scale),
            kinds,
            fault_interval: interval,
            turmoil: seconds.map_or(12 * SECOND * scale, |seconds| seconds * SECOND),
            patience: 10 * lease + 12 * SECOND,
            calm: 4 * SECOND * scale,
            setups,
        }
    }
}

fn draw_voters(size: usize, dice: &mut Dice) -> Vec<usize> {
    let most = match dice.below(8) {
        0 => 1,
        1..=4 => 3,
        _ => 5,
    };
    let count = if size >= most { most } else { size - (1 - size % 2) };
    let mut voters: Vec<usize> = dice.shuffled(size).into_iter().take(count).collect();
    voters.sort_unstable();
    voters
}

fn draw_setups(size: usize, voters: &[usize], timing: &Timing, dice: &mut Dice) -> Vec<Setup> {
    let id = |index: usize| NodeId::new(index as u64 + 1).unwrap_or_else(|_| unreachable!());
    let ids: Vec<NodeId> = voters.iter().map(|index| id(*index)).collect();
    let set = VoterSet::new(ids).unwrap_or_else(|_| unreachable!());
    let mixed = dice.chance(100);
    let witnesses = dice.chance(200);
    (0..size)
        .map(|index| {
            let votes = voters.contains(&index);
            let knows = votes || dice.coin();
            let address = super::network::Network::address(index, 0);
            // Names, which find a node wherever it has moved to. Nobody is its own seed.
            // Who does not know the cluster asks a voter, which does.
            let first = voters.iter().copied().filter(|_| !knows);
            let others = first.chain(dice.shuffled(size)).filter(|other| *other != index);
            let seeds = others.take(2).map(|other| format!("node-{}:7000", other + 1)).collect();
            let addresses = voters
                .iter()
                .map(|voter| (id(*voter), super::network::Network::address(*voter, 0)));
            let mut timing = timing.clone();
            if mixed && dice.coin() {
                timing =
                    timing.with_lease(std::time::Duration::from_millis(dice.between(300, 2000)));
            }
            Setup {
                cluster: ClusterName::new("simulated").unwrap_or_else(|_| unreachable!()),
                id: id(index),
                address,
                http: None,
                seeds,
                voters: knows.then(|| set.clone()),
                preempt: None,
                voter_addresses: if knows { addresses.collect() } else { Vec::new() },
                // Somebody must be able to lead.
                eligible: index == voters[0] || !(witnesses && dice.chance(300)),
                timing,
                entropy: [0; 32],
                keys: None,
            }
        })
        .collect()
}

fn draw_starts(size: usize, lease: u64, dice: &mut Dice) -> Vec<u64> {
    let spread = dice.pick(&[1, 100 * MILLI, 2 * lease, 5 * SECOND]);
    (0..size).map(|_| dice.between(0, spread)).collect()
}

fn draw_rates(size: usize, profile: Profile, dice: &mut Dice) -> Vec<(u64, u64)> {
    let (slow, fast) = (TRUE_RATE - DRIFT_MAX, TRUE_RATE + DRIFT_MAX);
    let style = dice.below(4);
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
                let rate = dice.between(slow, fast + 1);
                (rate, rate)
            }
            // Not a crystal but the letter of the promise: each clock on its own. Where
            // renewals are rare the node would take that for a suspend.
            _ if profile == Profile::Wan => (slow, slow),
            _ => (dice.between(slow, fast + 1), dice.between(slow, fast + 1)),
        })
        .collect()
}

fn draw_disk_delay(dice: &mut Dice) -> Delay {
    dice.pick(&[
        Delay::Constant(80_000),
        Delay::Uniform(50_000, 2 * MILLI),
        Delay::LongTailed(MILLI),
        Delay::LongTailed(10 * MILLI),
    ])
}

fn draw_weather(lease: u64, scale: u64, dice: &mut Dice) -> Weather {
    let delay = dice.pick(&[
        Delay::Constant(300_000 * scale),
        Delay::Uniform(100_000, 5 * MILLI * scale),
        Delay::LongTailed(MILLI * scale),
        Delay::LongTailed(10 * MILLI * scale),
    ]);
    Weather {
        delay,
        loss: dice.pick(&[0, 0, 10, 50, 200, 400]),
        duplicates: dice.pick(&[0, 0, 20, 300]),
        stragglers: dice.pick(&[0, 0, 10, 100]),
        straggle: dice.pick(&[lease / 2, 2 * lease, 8 * lease]),
    }
}
