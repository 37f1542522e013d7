//! Scripted stories: start nodes, break and mend things, wait for something to become true,
//! and read what happened as a transcript.
//!
//! ```text
//!      0 ms  *** node 1 starts
//!     41 ms  node 3 becomes Goose, term 1 (elected)
//! ```
//!
//! Nodes are named by their ids, 1 to N; a second node with an id that is taken is named by its
//! place. The network is fair and the clocks run true unless the script says otherwise; the seed
//! decides only what a script leaves open. The judges watch every story, and end it at the first
//! broken promise.

use std::time::Duration;

use super::transcript::line;
use crate::node::setup::Setup;
use crate::node::{ForgetError, VoterOrder};
use crate::sim::cluster::action::{Action, Restart, Tear};
use crate::sim::cluster::disk::DiskHealth;
use crate::sim::cluster::interceptor::{Interception, Kind, Rule};
use crate::sim::cluster::network::{Blackout, Network, Weather};
use crate::sim::cluster::notes::Tale;
use crate::sim::cluster::trace::TraceDepth;
use crate::sim::cluster::world::World;
use crate::vocabulary::configuration::{ClusterName, VoterSet};
use crate::vocabulary::health::Complainant;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::{Profile, Timing};
use crate::vocabulary::work::{EndOfWork, WorkRefused};

/// One way takes so many nanoseconds in a story.
const ONE_WAY: u64 = 300_000;

/// Something to wait for. See [`Scenario::until`].
pub type Condition<'a> = &'a dyn Fn(&Scenario) -> bool;

/// A story under way.
pub struct Scenario {
    /// The world, for whatever has no word of its own here.
    pub world: World,
}

impl Scenario {
    /// A cluster of nodes 1 to `nodes`, of which `voters` vote. Nothing runs yet.
    ///
    /// # Panics
    /// If `voters` is no voter set or names nodes that do not exist.
    pub fn new(seed: u64, nodes: u64, voters: &[u64]) -> Self {
        Self::with_setups(seed, Self::setups(nodes, voters, Profile::Lan))
    }

    /// What the nodes of [`Scenario::new`] are started with, to be changed before
    /// [`Scenario::with_setups`].
    ///
    /// # Panics
    /// As [`Scenario::new`].
    pub fn setups(nodes: u64, voters: &[u64], profile: Profile) -> Vec<Setup> {
        assert!(voters.iter().all(|voter| *voter <= nodes), "every voter is one of the nodes");
        let ids = voters.iter().map(|voter| id(*voter)).collect();
        let set = VoterSet::new(ids).unwrap_or_else(|error| panic!("{error}"));
        let addresses: Vec<_> =
            voters.iter().map(|voter| (id(*voter), Network::address(index(*voter), 0))).collect();
        let setup = |number: u64| Setup {
            seeds: (1..=nodes).filter(|n| *n != number).map(|n| format!("node-{n}:7000")).collect(),
            voters: Some(set.clone()),
            voter_addresses: addresses.clone(),
            timing: Timing::of(profile),
            ..Setup::new(
                ClusterName::new("story").unwrap_or_else(|error| panic!("{error}")),
                id(number),
                Network::address(index(number), 0),
            )
        };
        (1..=nodes).map(setup).collect()
    }

    /// A cluster of nodes that are started with these; their ids must be 1, 2, 3 and so on, but
    /// for those of later nodes that take an earlier one's.
    pub fn with_setups(seed: u64, setups: Vec<Setup>) -> Self {
        let mut world = World::new(seed, setups, Weather::fair(ONE_WAY), TraceDepth::Last(2000));
        world.cluster.notes.story = Some(Vec::new());
        world.cluster.timer_lateness = 0;
        Self { world }
    }

    /// Does one thing now.
    pub fn act(&mut self, action: Action) -> &mut Self {
        self.world.act(&action);
        self
    }

    /// Starts these nodes on what their disks remember.
    pub fn start(&mut self, nodes: &[u64]) -> &mut Self {
        for node in nodes {
            self.act(Action::Start(index(*node), Restart::WithDisk));
        }
        self
    }

    /// The disk of a node that has not started becomes a copy of a lower one's.
    pub fn copy_record(&mut self, from: u64, to: u64) -> &mut Self {
        let (before, after) = self.world.cluster.hosts.split_at_mut(index(to));
        if let Some(copy) = after.first_mut() {
            copy.disk.copy(&before[index(from)].disk);
        }
        self
    }

    /// A person rescues what is left on the disk of a node that does not run, without these voters.
    ///
    /// # Panics
    /// If that is refused.
    pub fn rescue(&mut self, node: u64, lost: &[u64]) -> &mut Self {
        let lost: Vec<NodeId> = lost.iter().copied().map(id).collect();
        let cluster = &mut self.world.cluster;
        let (now, host) = (cluster.now(), &mut cluster.hosts[index(node)]);
        let wall = host.clocks.now(now).wall;
        let done = host.disk.rescue(&lost, wall).unwrap_or_else(|error| panic!("{error}"));
        cluster.judges.rescued(done.ancestor, done.lineage);
        self.say(&format!("node {node} is rescued without {lost:?}"))
    }

    /// Starts a node on an emptied disk.
    pub fn start_wiped(&mut self, node: u64) -> &mut Self {
        self.act(Action::Start(index(node), Restart::Wiped))
    }

    /// Kills these nodes and starts them again at once.
    pub fn restart(&mut self, nodes: &[u64]) -> &mut Self {
        nodes.iter().for_each(|node| _ = self.crash(*node));
        self.start(nodes)
    }

    /// Kills a node.
    pub fn crash(&mut self, node: u64) -> &mut Self {
        self.act(Action::Crash(index(node), Tear::Lost))
    }

    /// Stops a node until [`Scenario::thaw`].
    pub fn freeze(&mut self, node: u64) -> &mut Self {
        self.act(Action::Freeze(index(node)))
    }

    /// Lets a node go on.
    pub fn thaw(&mut self, node: u64) -> &mut Self {
        self.act(Action::Thaw(index(node)))
    }

    /// Tells a node to leave.
    pub fn leave(&mut self, node: u64) -> &mut Self {
        self.act(Action::Leave(index(node)))
    }

    /// Tells a node to hold back until told otherwise, or to do so no more.
    pub fn drain(&mut self, node: u64, is_drained: bool) -> &mut Self {
        self.act(Action::Drain(index(node), is_drained))
    }

    /// Tells a node who is to vote.
    pub fn change_voters(&mut self, node: u64, order: VoterOrder) -> &mut Self {
        self.act(Action::ChangeVoters(index(node), order))
    }

    /// The health check of a node fails, or passes again.
    pub fn health(&mut self, node: u64, is_healthy: bool) -> &mut Self {
        let complaint = (!is_healthy).then_some("the check fails");
        self.act(Action::Health(index(node), Complainant::Check, complaint))
    }

    /// Tells a node to step down.
    pub fn step_down(&mut self, node: u64) -> &mut Self {
        self.act(Action::StepDown(index(node)))
    }

    /// Somebody begins to work under the lease of a node. Returns its term.
    ///
    /// # Errors
    /// As the node says.
    ///
    /// # Panics
    /// If the node shows no lease.
    pub fn begin_work(&mut self, node: u64) -> Result<u64, WorkRefused> {
        self.say(&format!("work begins on node {node}"));
        let term = self.world.cluster.begin_work(index(node))?;
        Ok(term.unwrap_or_else(|| panic!("node {node} shows no lease")))
    }

    /// The work on a node ends.
    pub fn end_work(&mut self, node: u64) -> &mut Self {
        self.say(&format!("work ends on node {node}"));
        self.world.cluster.end_work(index(node));
        self
    }

    /// What the work on a node was last asked.
    pub fn asked(&self, node: u64) -> Option<EndOfWork> {
        self.world.cluster.hosts[index(node)].running.as_ref()?.work.asked
    }

    /// Tells a node to have a member forgotten.
    ///
    /// # Errors
    /// As the node says.
    ///
    /// # Panics
    /// If the node does not run.
    pub fn forget(&mut self, node: u64, member: u64) -> Result<(), ForgetError> {
        let index = index(node);
        let now = self.world.now();
        let host = &mut self.world.cluster.hosts[index];
        let now = host.clocks.now(now);
        let Some(running) = &mut host.running else { panic!("node {node} does not run") };
        let outcome = running.core.forget(now, id(member));
        self.world.cluster.take_effects(index, None);
        outcome
    }

    /// Suspends the machine of a node until [`Scenario::resume`].
    pub fn suspend(&mut self, node: u64) -> &mut Self {
        self.act(Action::Suspend(index(node)))
    }

    /// Lets a suspended machine go on.
    pub fn resume(&mut self, node: u64) -> &mut Self {
        self.act(Action::Resume(index(node)))
    }

    /// Everything that this node does takes up to so many milliseconds.
    pub fn starve(&mut self, node: u64, milliseconds: u64) -> &mut Self {
        self.act(Action::Starve(index(node), milliseconds * 1_000_000))
    }

    /// The wall clock of a node jumps.
    pub fn jump_wall(&mut self, node: u64, milliseconds: i64) -> &mut Self {
        self.act(Action::JumpWall(index(node), milliseconds))
    }

    /// The lease clocks of a node run at these rates, in millionths.
    pub fn set_rates(&mut self, node: u64, holder: u64, voter: u64) -> &mut Self {
        self.act(Action::SetRates(index(node), holder, voter))
    }

    /// The disk of a node behaves differently.
    pub fn set_disk(&mut self, node: u64, health: DiskHealth) -> &mut Self {
        self.act(Action::SetDisk(index(node), health))
    }

    /// All links behave differently.
    pub fn set_weather(&mut self, weather: Weather) -> &mut Self {
        self.act(Action::SetWeather(weather))
    }

    /// Some datagrams are lost everywhere.
    pub fn black_out(&mut self, blackout: Blackout) -> &mut Self {
        self.act(Action::SetBlackout(blackout))
    }

    /// Somebody releases a node's grants once it is dead.
    pub fn give_keeper(&mut self, node: u64) -> &mut Self {
        self.world.cluster.hosts[index(node)].keeper.is_present = true;
        self.world.cluster.confide(index(node));
        self
    }

    /// Cuts these nodes off from these, in both directions; from each other, if they are the same.
    pub fn separate(&mut self, some: &[u64], others: &[u64]) -> &mut Self {
        let list = |nodes: &[u64]| {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            format!("{} {}", if nodes.len() == 1 { "node" } else { "nodes" }, nodes.join(" "))
        };
        if some == others {
            self.say(&format!("{} are cut off from each other", list(some)));
        } else {
            self.say(&format!("{} and {} are cut off from each other", list(some), list(others)));
        }
        let pairs = some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other)));
        let links: Vec<(u64, u64)> =
            pairs.filter(|(one, other)| one != other).flat_map(|(a, b)| [(a, b), (b, a)]).collect();
        self.quietly(|story| _ = story.cut(&links))
    }

    /// Does one thing without a word in the transcript.
    pub fn quietly(&mut self, interception: impl FnOnce(&mut Self)) -> &mut Self {
        let story = self.world.cluster.notes.story.take();
        interception(self);
        self.world.cluster.notes.story = story;
        self
    }

    /// Says something in the transcript.
    pub fn say(&mut self, text: &str) -> &mut Self {
        let now = self.world.now();
        self.world.cluster.notes.tell(now, None, || Tale::Remark(text.to_owned()));
        self
    }

    /// Messages of these kinds are told from now on.
    pub fn listen(&mut self, kinds: &[Kind]) -> &mut Self {
        self.world.cluster.delivery.interceptor.told = kinds.to_vec();
        self
    }

    /// From now on this is done to messages of one kind from and to these nodes; none means any.
    pub fn rule(
        &mut self,
        interception: Interception,
        kind: Kind,
        from: Option<u64>,
        to: Option<u64>,
    ) -> &mut Self {
        let (from, to) = (from.map(index), to.map(index));
        self.world.cluster.delivery.interceptor.rules.push(Rule { kind, from, to, interception });
        self
    }

    /// No rule holds any more. What is kept is kept.
    pub fn end_rules(&mut self) -> &mut Self {
        self.world.cluster.delivery.interceptor.rules.clear();
        self
    }

    /// All messages that were held back arrive now.
    pub fn deliver_held(&mut self) -> &mut Self {
        for envelope in std::mem::take(&mut self.world.cluster.delivery.interceptor.kept) {
            self.world.deliver_kept(&envelope, 0);
        }
        self.run(0)
    }

    /// Everything that was copied is sent again and again, one message every `pace` microseconds,
    /// while so many milliseconds pass.
    pub fn replay(&mut self, milliseconds: u64, pace: u64) -> &mut Self {
        let copies = std::mem::take(&mut self.world.cluster.delivery.interceptor.kept);
        let count = milliseconds * 1000 / pace;
        for (at, envelope) in (0..count).zip(copies.iter().cycle()) {
            self.world.deliver_kept(envelope, at * pace * 1000);
        }
        self.world.cluster.delivery.interceptor.kept = copies;
        self.run(milliseconds)
    }

    /// Cuts the links between these pairs, from the first to the second only.
    pub fn cut(&mut self, links: &[(u64, u64)]) -> &mut Self {
        for (from, to) in links {
            self.act(Action::Cut(index(*from), index(*to)));
        }
        self
    }

    /// Lets nodes reach only those of their own group. Nodes not named are alone.
    pub fn partition(&mut self, groups: &[&[u64]]) -> &mut Self {
        let size = self.world.cluster.hosts.len();
        let mut side: Vec<usize> = (0..size).map(|alone| groups.len() + alone).collect();
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|node| side[index(*node)] = number);
        }
        self.act(Action::Partition(side))
    }

    /// Mends all links.
    pub fn heal(&mut self) -> &mut Self {
        self.act(Action::MendAll)
    }

    /// Lets so many milliseconds pass.
    ///
    /// # Panics
    /// If a promise is broken meanwhile.
    pub fn run(&mut self, milliseconds: u64) -> &mut Self {
        self.world.run_until(self.world.now() + milliseconds * 1_000_000);
        self.hold();
        self
    }

    /// Waits until `condition` holds, looking every millisecond, and says how long it took.
    ///
    /// # Panics
    /// If it does not within `limit`, or a promise is broken meanwhile.
    pub fn until(&mut self, limit: Duration, what: &str, condition: Condition) -> Duration {
        let start = self.world.now();
        while !condition(self) {
            let waited = self.world.now() - start;
            assert!(
                waited <= nanoseconds(limit),
                "no {what} within {limit:?}:\n{}",
                self.transcript()
            );
            self.run(1);
        }
        Duration::from_nanos(self.world.now() - start)
    }

    /// Waits until all running nodes know the one Goose, and returns its id.
    ///
    /// # Panics
    /// As [`Scenario::until`].
    pub fn until_agreed(&mut self, limit: Duration) -> u64 {
        self.until(limit, "Goose known to all", &|story| story.world.agreed_term().is_some());
        self.goose().map_or(0, |(node, _)| node)
    }

    /// The Goose at this moment and its term.
    pub fn goose(&self) -> Option<(u64, u64)> {
        let geese = self.world.geese();
        geese.first().map(|(index, term)| (self.world.cluster.hosts[*index].id.number(), *term))
    }

    /// Whether this node is Goose at this moment.
    pub fn leads(&self, node: u64) -> bool {
        self.world.cluster.hosts[index(node)].lease_at(self.world.now()).is_some()
    }

    /// To whom this voter's vote is granted at this moment, for which ballot, and for how long.
    pub fn grant_of(&self, voter: u64) -> Option<(Process, u64, Duration)> {
        let host = &self.world.cluster.hosts[index(voter)];
        let (holder, ballot, end) = host.running.as_ref()?.core.inspect().voter?.grant?;
        let now = host.clocks.now(self.world.now()).voter;
        (now < end).then(|| (holder, ballot, end.since(now)))
    }

    /// Whether this node claims at this moment.
    pub fn claims(&self, node: u64) -> bool {
        let running = self.world.cluster.hosts[index(node)].running.as_ref();
        running.is_some_and(|running| running.core.inspect().is_claiming.is_some())
    }

    /// The process of this node, if one runs.
    pub fn process(&self, node: u64) -> Option<Process> {
        self.world.cluster.hosts[index(node)].process()
    }

    /// How many terms there have been.
    pub fn terms(&self) -> usize {
        self.world.terms()
    }

    /// What happened so far, one line each.
    pub fn transcript(&self) -> String {
        let told = self.world.cluster.notes.story.iter().flatten();
        told.filter_map(|told| line(&self.world.cluster.hosts, told)).collect()
    }

    fn hold(&self) {
        if let Some(violation) = &self.world.cluster.judges.violation {
            let trace = self.world.trace_lines();
            let last = trace.len().saturating_sub(60);
            panic!("{violation}\n{}\n{}", self.transcript(), trace[last..].join("\n"));
        }
    }
}

fn index(node: u64) -> usize {
    usize::try_from(node).unwrap_or(usize::MAX) - 1
}

fn id(node: u64) -> NodeId {
    NodeId::new(node).unwrap_or_else(|error| panic!("{error}"))
}
