//! Scripted stories: start nodes, break and mend things, wait for something to become true,
//! and read what happened as a transcript.
//!
//! ```text
//!      0 ms  *** node 1 starts
//!     41 ms  node 3 becomes Goose, term 1 (elected)
//! ```
//!
//! Nodes are named by their ids, 1 to N. The network is fair and the clocks run true unless
//! the script says otherwise; the seed decides only what a script leaves open.

use std::time::Duration;

use super::action::{Action, Restart};
use super::disk::Tear;
use super::network::{Network, Weather};
use super::run::agreed_term;
use super::trace::TraceDepth;
use super::world::{Tale, Told, World};
use crate::vocabulary::configuration::{ClusterName, VoterSet};
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::setup::Setup;
use crate::vocabulary::time::nanoseconds;
use crate::vocabulary::timing::{Profile, Timing};

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
            cluster: ClusterName::new("story").unwrap_or_else(|error| panic!("{error}")),
            id: id(number),
            address: Network::address(index(number), 0),
            http: None,
            seeds: (1..=nodes).filter(|n| *n != number).map(|n| format!("node-{n}:7000")).collect(),
            voters: Some(set.clone()),
            voter_addresses: addresses.clone(),
            preempt: None,
            eligible: true,
            timing: Timing::of(profile),
            entropy: [0; 32],
            keys: None,
        };
        (1..=nodes).map(setup).collect()
    }

    /// A cluster of nodes that are started with these; their ids must be 1, 2, 3 and so on.
    pub fn with_setups(seed: u64, setups: Vec<Setup>) -> Self {
        let mut world = World::new(seed, setups, Weather::fair(ONE_WAY), TraceDepth::Last(2000));
        world.story = Some(Vec::new());
        world.timer_lateness = 0;
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

    /// Tells a node to step down.
    pub fn step_down(&mut self, node: u64) -> &mut Self {
        self.act(Action::StepDown(index(node)))
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
        let size = self.world.hosts.len();
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
        self.world.run_until(self.world.now + milliseconds * 1_000_000);
        self.hold();
        self
    }

    /// Waits until `condition` holds, looking every millisecond, and says how long it took.
    ///
    /// # Panics
    /// If it does not within `limit`, or a promise is broken meanwhile.
    pub fn until(&mut self, limit: Duration, what: &str, condition: Condition) -> Duration {
        let start = self.world.now;
        while !condition(self) {
            let waited = self.world.now - start;
            assert!(
                waited <= nanoseconds(limit),
                "no {what} within {limit:?}:\n{}",
                self.transcript()
            );
            self.run(1);
        }
        Duration::from_nanos(self.world.now - start)
    }

    /// Waits until all running nodes know the one Goose, and returns its id.
    ///
    /// # Panics
    /// As [`Scenario::until`].
    pub fn until_agreed(&mut self, limit: Duration) -> u64 {
        self.until(limit, "Goose known to all", &|story| agreed_term(&story.world).is_some());
        self.goose().map_or(0, |(node, _)| node)
    }

    /// The Goose at this moment and its term.
    pub fn goose(&self) -> Option<(u64, u64)> {
        let geese = self.world.geese();
        geese.first().map(|(index, term)| (self.world.hosts[*index].id.number(), *term))
    }

    /// What happened so far, one line each.
    pub fn transcript(&self) -> String {
        let told = self.world.story.iter().flatten();
        told.filter_map(|told| line(&self.world, told)).collect()
    }

    fn hold(&self) {
        if let Some(violation) = &self.world.violation {
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

fn line(world: &World, told: &Told) -> Option<String> {
    let name = |index: usize| format!("node {}", world.hosts[index].id);
    let text = match (&told.what, told.by) {
        (Tale::Action(action), _) => format!("*** {}", deed(action, &name)),
        (Tale::Event(event), Some(by)) => format!("{} {}", name(by), words(event)?),
        (Tale::Event(_), None) => return None,
    };
    Some(format!("{:>7} ms  {text}\n", told.at / 1_000_000))
}

fn deed(action: &Action, name: &dyn Fn(usize) -> String) -> String {
    match action {
        Action::Crash(node, _) => format!("{} is killed", name(*node)),
        Action::Start(node, Restart::WithDisk) => format!("{} starts", name(*node)),
        Action::Start(node, Restart::Wiped) => format!("{} starts on an empty disk", name(*node)),
        Action::Start(node, _) => format!("{} starts on a damaged disk", name(*node)),
        Action::Freeze(node) => format!("{} is stopped", name(*node)),
        Action::Thaw(node) => format!("{} goes on", name(*node)),
        Action::Suspend(node) => format!("the machine of {} is suspended", name(*node)),
        Action::Resume(node) => format!("the machine of {} resumes", name(*node)),
        Action::Leave(node) => format!("{} is told to leave", name(*node)),
        Action::StepDown(node) => format!("{} is told to step down", name(*node)),
        Action::Cut(from, to) => format!("{} no longer reaches {}", name(*from), name(*to)),
        Action::Mend(from, to) => format!("{} reaches {} again", name(*from), name(*to)),
        Action::Partition(sides) => format!("the network falls apart: {sides:?}"),
        Action::MendAll => "all links are whole".to_owned(),
        Action::Move(node) => format!("{} moves to another address", name(*node)),
        other => format!("{other:?}"),
    }
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::BecameGoose { term, reason } => {
            let how = match reason {
                ElectionReason::Elected => "elected",
                ElectionReason::HandedOver => "handed over",
            };
            format!("becomes Goose, term {term} ({how})")
        }
        Event::BecameDuck { term, reason } => {
            let why = match reason {
                DemotionReason::LeaseLapsed { silent } => {
                    let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
                    format!("lease lapsed, silent: {}", silent.join(" "))
                }
                DemotionReason::Suspended => "suspended".to_owned(),
                DemotionReason::SteppedDown => "stepped down".to_owned(),
                DemotionReason::Leaving => "leaving".to_owned(),
                DemotionReason::Preempted { by } => format!("preempted by {by}"),
            };
            format!("becomes a Duck, term {term} ends ({why})")
        }
        Event::Founded => "is founded".to_owned(),
        Event::Quarantined { milliseconds } => format!("waits for {milliseconds} ms"),
        Event::Warning(warning) => format!("warns: {warning:?}"),
        _ => return None,
    })
}
