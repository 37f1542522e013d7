//! One seed, one run: turmoil, then peace, then judgement.

use std::time::Duration;

use super::faults::RandomFaults;
pub use super::options::Options;
use super::plan::Plan;
use super::theme::Swarm;
use crate::election::preemption::PATIENCE_MAX;
use crate::node::NodeCore;
use crate::sim::checkers::{Chances, Invariant, Prompt, Violation};
use crate::sim::cluster::action::{Action, Restart};
use crate::sim::cluster::coverage::Coverage;
use crate::sim::cluster::disk::{SimulatedDisk, Tear};
use crate::sim::cluster::foreign_node::ForeignNode;
use crate::sim::cluster::host::Host;
use crate::sim::cluster::process;
use crate::sim::cluster::trace::TraceDepth;
use crate::sim::cluster::world::World;
use crate::sim::prng::Prng;
use crate::vocabulary::configuration::VOTERS_KEPT;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::{Certainty, LineageClaim};
use crate::vocabulary::mutant;
use crate::vocabulary::snapshot::Lack;
use crate::vocabulary::time::nanoseconds;

const MILLI: u64 = 1_000_000;

/// No order waits for longer for the end of work.
const ORDERS_WAIT: u64 = 40_000 * MILLI;

/// Where the Goose sees to the number of voters, it is right after this: one that is silent is given
/// up after a minute, and so long is a candidate passed over that once did not come to vote. The
/// second time it is twice as long, and whoever is to vote has to stay for ten seconds and to learn.
const VOTERS_WITHIN: u64 = (60 + 120 + 30) * 1000 * MILLI;

/// So many terms more may begin where higher nodes are preferred.
const YIELDS: usize = 4;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How many events.
    pub events: u64,
    /// How long, in nanoseconds of true time.
    pub virtual_time: u64,
    /// How many terms.
    pub terms: usize,
    /// How many nodes.
    pub nodes: usize,
    /// How long after the last fault a Goose was known to all, in nanoseconds.
    pub recovered_after: Option<u64>,
    /// What was met.
    pub coverage: Coverage,
    /// The digest of everything that happened.
    pub digest: u64,
    /// What was broken first, if anything.
    pub violation: Option<Violation>,
    /// The lines of the trace that were kept.
    pub trace: Vec<String>,
}

/// Runs `seed`.
pub fn run(seed: u64, options: Options) -> Report {
    mutant::set(options.mutant);
    let report = run_mutated(seed, options);
    mutant::set(None);
    report
}

fn run_mutated(seed: u64, options: Options) -> Report {
    let plan = Plan::of(seed, &options);
    let mut world = build(seed, &plan, options.trace);
    world.run_until(plan.turmoil);
    let mut recovered_after = None;
    if !world.is_over() {
        world.cluster.delivery.network.weather = plan.fair;
        world.heal();
        recovered_after = recover(&mut world, &plan);
    }
    if recovered_after.is_some() {
        // What was ordered in the last moments of the turmoil has its effect first.
        world.run_until(world.now() + plan.calm / 2);
        await_orders(&mut world);
        recover(&mut world, &plan);
        if plan.preempt {
            await_highest(&mut world, &plan);
        }
        if plan.swarm == Swarm::Automatic {
            await_voters(&mut world);
        }
        keep_calm(&mut world, &plan);
        know_the_same_voters(&mut world, &plan);
    }
    Report {
        seed,
        events: world.events(),
        virtual_time: world.now(),
        terms: world.terms(),
        nodes: plan.setups.len(),
        recovered_after,
        digest: world.cluster.notes.trace.digest(),
        trace: world.trace_lines(),
        coverage: std::mem::take(&mut world.cluster.judges.coverage),
        violation: world.cluster.judges.violation.take(),
    }
}

fn build(seed: u64, plan: &Plan, depth: TraceDepth) -> World {
    let mut world = World::new(seed, plan.setups.clone(), plan.weather, depth);
    world.cluster.timer_lateness = plan.timer_lateness;
    world.set_rates(&plan.rates);
    for (index, host) in world.cluster.hosts.iter_mut().enumerate() {
        host.clocks.jump_wall(plan.wall_offsets[index]);
        host.disk = SimulatedDisk::new(plan.ephemeral[index]);
        host.disk.delay = plan.disk_delay;
        host.keeper.is_present = plan.keepers;
        host.keeper.plan = plan.work;
    }
    for (index, foreign_node) in plan.foreign_nodes.iter().enumerate() {
        let host = plan.starts.len() + index;
        world.cluster.hosts[host].foreign_node = Some(*foreign_node);
    }
    for (from, to, until) in &plan.broken_links {
        world.act(&Action::Cut(*from, *to));
        world.plan(*until, Action::Mend(*from, *to));
    }
    for (index, start) in plan.starts.iter().enumerate() {
        world.plan(*start, Action::Start(index, Restart::WithDisk));
    }
    let lease = nanoseconds(plan.setups[0].timing.lease);
    world.cluster.judges.coverage.count(plan.swarm.name());
    if plan.sealed {
        world.cluster.judges.coverage.count("sealed");
    }
    world.unleash(Box::new(RandomFaults {
        kinds: plan.kinds.clone(),
        interval: plan.fault_interval,
        lease,
        length_max: plan.length_max,
        damages: plan.damages,
        voters: plan.voters.clone(),
        elastic: plan.swarm.changes_voters(),
        nodes: plan.starts.len(),
        prng: Prng::new(seed, "chaos"),
    }));
    world
}

/// Demands exactly one Goose, known to all, within the bound.
fn recover(world: &mut World, plan: &Plan) -> Option<u64> {
    let healed = world.now();
    let lease = world.cluster.hosts.iter().map(|host| nanoseconds(host.setup.timing.lease)).max();
    let mut prompt = Prompt::new(world.terms(), lease.unwrap_or(0));
    while !world.is_over() && world.now() < healed + plan.patience {
        world.run_until(world.now() + 50 * MILLI);
        let looked = prompt.look(world.now(), chances(world), world.terms(), YIELDS);
        world.judge(looked);
        // Whoever was about to leave comes back.
        for index in 0..world.cluster.hosts.len() {
            world.act(&Action::Start(index, Restart::WithDisk));
        }
        if world.agreed_term().is_some() {
            return (!world.is_over()).then_some(world.now() - healed);
        }
    }
    if !world.is_over() && empty_left_behind(world) {
        return recover(world, plan);
    }
    if !world.is_over() && needs_a_person(world) {
        world.cluster.judges.coverage.count("rescue needed");
        return None;
    }
    if !world.is_over() {
        let views: Vec<String> = world
            .cluster
            .hosts
            .iter()
            .filter_map(|host| {
                let snapshot = host.running.as_ref()?.core.snapshot();
                let known =
                    snapshot.goose.map(|known| (known.goose.process.id.number(), known.goose.term));
                Some(format!("{} {:?} knows {known:?}", host.id, snapshot.phase))
            })
            .collect();
        let sentence = format!(
            "{} ms after the last fault: Geese {:?}; {}",
            plan.patience / MILLI,
            world.geese(),
            views.join(", ")
        );
        world.broken(Invariant::Live, sentence);
    }
    None
}

/// Does what a person has to: a voter that founded, fell at once, and was not there when the others founded
/// without it stands by a founding that is nobody's. As far as it can tell the others are another cluster
/// that is called and numbered alike, so it does not go over, and its log says to empty its folder.
/// Returns whether there was one.
fn empty_left_behind(world: &mut World) -> bool {
    let claim = |host: &Host| host.running.as_ref()?.core.lineage_claim();
    let hosts = &world.cluster.hosts;
    let settled = hosts.iter().filter(|host| !host.is_away()).filter_map(claim);
    let settled: Vec<_> = settled.filter_map(LineageClaim::settled).collect();
    let is_left = |host: &Host| {
        let founded = claim(host).filter(|claim| claim.certainty == Certainty::Founded);
        founded.is_some_and(|founded| settled.iter().any(|lineage| *lineage != founded.lineage))
    };
    let left: Vec<usize> = (0..hosts.len()).filter(|index| is_left(&hosts[*index])).collect();
    for index in &left {
        world.cluster.judges.coverage.count("founding given up");
        world.act(&Action::Crash(*index, Tear::Kept));
        world.act(&Action::Start(*index, Restart::Wiped));
    }
    !left.is_empty()
}

/// Whether so many voters are without a record, each through a fault, that nobody may lead until a
/// person helps: those that are left are no majority, and each of the others waits for one that has
/// nothing to say.
fn needs_a_person(world: &World) -> bool {
    let views = world.cluster.hosts.iter().filter_map(|host| {
        let view = host.running.as_ref()?.core.snapshot().voters?;
        view.configuration.voters.contains(host.id).then_some((host, view))
    });
    let (blank, sound): (Vec<_>, Vec<_>) = views.partition(|(_, view)| !view.awaited.is_empty());
    // The cluster may have been founded with the second process in the first one's place.
    let has_twin = |host: &Host| {
        let twin = |other: &Host| other.foreign_node.is_some_and(ForeignNode::is_twin);
        world.cluster.hosts.iter().any(|other| other.id == host.id && twin(other))
    };
    let is_excused =
        |host: &Host| host.forgot || host.left_out || host.disk.is_ephemeral() || has_twin(host);
    let is_stuck = |lack: &Lack| matches!(lack, Lack::NoRecord | Lack::KeepsNone);
    let stuck = blank.iter().all(|(host, view)| {
        is_excused(host) && view.awaited.iter().all(|(_, lack)| is_stuck(lack))
    });
    // Those who are left may not vote at all, where all that do have left for good.
    let known = running(world).filter_map(|(_, core)| core.configuration());
    let newest = known.max_by_key(|it| (it.ballot, it.version));
    stuck && newest.is_some_and(|newest| sound.len() < newest.voters.majority())
}

/// Whether somebody leads, and whether nothing keeps them from electing somebody.
fn chances(world: &World) -> Chances {
    let now = world.now();
    let cores = world.cluster.hosts.iter().filter_map(|host| Some(&host.running.as_ref()?.core));
    let known = cores.filter_map(NodeCore::configuration);
    let newest = known.max_by_key(|it| (it.ballot, it.version));
    let votes = |host: &&Host| {
        let has_vote = |running: &process::Running| running.inspection.voter.is_some();
        host.running.as_ref().is_some_and(has_vote)
            && newest.is_none_or(|newest| newest.voters.contains(host.id))
    };
    let voters: Vec<&Host> = world.cluster.hosts.iter().filter(votes).collect();
    // A grant of somebody who may never come back runs out first; and what starved during the last
    // fault may be busy for a while.
    let free = |host: &&&Host| {
        let voter = host.running.as_ref().and_then(|running| running.inspection.voter.as_ref());
        let may = voter.is_some_and(|voter| voter.may_grant && voter.grant.is_none());
        may && host.is_attentive(now)
    };
    let able = |host: &&&Host| {
        let is_settled = host.held_until <= now && host.address_version == 0;
        free(host) && host.setup.eligible && is_settled && !host.is_leaving()
    };
    let majority = newest.map_or(1, |newest| newest.voters.majority());
    let settled = world.cluster.hosts.iter().all(|host| host.address_version == 0);
    let open = settled
        && voters.iter().filter(free).count() >= majority
        && voters.iter().any(|host| able(&host));
    Chances { led: !world.geese().is_empty(), open }
}

/// Lets orders be carried out that wait for the end of work, which may ignore them for long.
fn await_orders(world: &mut World) {
    let end = world.now() + ORDERS_WAIT;
    let waits =
        |host: &Host| host.running.as_ref().is_some_and(|running| running.core.ending().is_some());
    while !world.is_over() && world.now() < end && world.cluster.hosts.iter().any(waits) {
        world.run_until(world.now() + 100 * MILLI);
    }
    // Whoever was told to leave is gone then, and comes back.
    world.run_until(world.now() + 1000 * MILLI);
    let is_gone = |host: &Host| host.running.is_none() && !host.is_away();
    let returns = world.cluster.hosts.iter().any(is_gone);
    for index in 0..world.cluster.hosts.len() {
        world.act(&Action::Start(index, Restart::WithDisk));
    }
    if returns {
        // A voter may come back too late for the lease that is running.
        let leases = world.cluster.hosts.iter().map(|host| nanoseconds(host.setup.timing.lease));
        world.run_until(world.now() + leases.max().unwrap_or(0));
    }
}

/// Demands that the highest node that may lead is Goose in the end, where that is wanted.
fn await_highest(world: &mut World, plan: &Plan) {
    // What was tried in vain during the turmoil makes the Goose more patient.
    let end = world.now() + plan.patience + nanoseconds(PATIENCE_MAX);
    let remaining = |host: &&Host| host.setup.eligible && !host.is_away();
    let highest = world.cluster.hosts.iter().filter(remaining).map(|host| host.id).max();
    while !world.is_over() && world.now() < end {
        let leader = world.geese().first().map(|(index, _)| world.cluster.hosts[*index].id);
        if leader == highest && world.agreed_term().is_some() {
            return;
        }
        world.run_until(world.now() + 200 * MILLI);
    }
    if !world.is_over() {
        let sentence = format!("node {highest:?} is the highest, and not Goose in the end");
        world.broken(Invariant::PatientPreemption, sentence);
    }
}

/// Demands that as many vote as are wanted, and that all of them are there, if enough nodes are.
fn await_voters(world: &mut World) {
    let end = world.now() + VOTERS_WITHIN;
    let wanted = usize::from(VOTERS_KEPT);
    while !world.is_over() {
        let here: Vec<NodeId> = running(world).map(|(id, _)| id).collect();
        let able = able_voters(world);
        let known = running(world).filter_map(|(_, core)| core.configuration());
        let newest = known.max_by_key(|it| (it.ballot, it.version));
        let voters = newest.map_or(&[][..], |newest| newest.voters.ids());
        let is_right = voters.len() == wanted && voters.iter().all(|id| here.contains(id));
        if able < wanted || is_right {
            world.cluster.judges.coverage.count("voters as wanted");
            return;
        }
        if world.now() >= end {
            let sentence = format!("nodes {here:?} are there, and {voters:?} vote");
            return world.broken(Invariant::VotersKept, sentence);
        }
        world.run_until(world.now() + 500 * MILLI);
    }
}

/// How many nodes could come to vote: whoever grants for a shorter time than the Goose asks for may
/// not hold its grant until the next renewal.
fn able_voters(world: &World) -> usize {
    let lease = |index: usize| world.cluster.hosts[index].setup.timing.lease;
    let needed = world.geese().first().map_or(Duration::ZERO, |(index, _)| lease(*index));
    let own = world.cluster.hosts.iter().filter(|host| host.foreign_node.is_none());
    own.filter(|host| host.running.is_some() && host.setup.timing.lease >= needed).count()
}

/// All nodes that run, but for foreign ones.
fn running(world: &World) -> impl Iterator<Item = (NodeId, &NodeCore)> {
    let own = world.cluster.hosts.iter().filter(|host| host.foreign_node.is_none());
    own.filter_map(|host| Some((host.id, &host.running.as_ref()?.core)))
}

/// Demands that everybody comes to know who votes as the Goose does: gossip tells those whom nobody asks,
/// and a change may have come a moment ago.
fn know_the_same_voters(world: &mut World, plan: &Plan) {
    let end = world.now() + plan.patience;
    while !world.is_over() {
        let Some(sentence) = knows_other_voters(world) else { return };
        if world.now() >= end {
            return world.broken(Invariant::Live, sentence);
        }
        world.run_until(world.now() + 50 * MILLI);
    }
}

/// Who knows older voters than somebody else, in a sentence.
fn knows_other_voters(world: &World) -> Option<String> {
    let known: Vec<_> =
        running(world).filter_map(|(id, core)| Some((id, core.configuration()?))).collect();
    let (_, newest) = known.iter().max_by_key(|(_, it)| (it.ballot, it.version))?;
    let (id, own) = known.iter().find(|(_, it)| it.is_older_than(newest))?;
    Some(format!("all is calm, and node {id} knows {own:?}, not {newest:?}"))
}

/// Demands that nothing changes while nothing happens.
fn keep_calm(world: &mut World, plan: &Plan) {
    let Some(term) = world.agreed_term() else { return };
    let end = world.now() + plan.calm;
    while !world.is_over() && world.now() < end {
        world.run_until(world.now() + 100 * MILLI);
        let geese = world.geese();
        if !world.is_over() && !matches!(geese.as_slice(), [(_, now)] if *now == term) {
            let sentence = format!("nothing happened, and term {term} ended: {geese:?}");
            world.broken(Invariant::Steady, sentence);
        }
    }
}
