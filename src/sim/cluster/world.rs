//! The world: a cluster, what is done to it, and when.
//!
//! Whoever breaks things, by chance or by a script, does it here; what happens by itself is the
//! cluster's ([`super::driver`]).

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Restart, Tear};
use super::agenda::Happening;
use super::driver::Cluster;
use super::host::{Host, name};
use super::interceptor::Kept;
use super::network::Weather;
use super::notes::Tale;
use super::trace::{Happened, TraceDepth};
use crate::node::setup::Setup;
use crate::sim::checkers::{Invariant, Verdict};

/// The number under which the nemesis is planned.
const NEMESIS: u64 = 0;

/// Who breaks things, now and then.
pub trait Nemesis {
    /// When it strikes next: after so many nanoseconds.
    fn next_delay(&mut self) -> u64;
    /// Breaks something.
    fn strike(&mut self, world: &mut World);
}

/// See the module.
pub struct World {
    /// What all this is done to.
    pub cluster: Cluster,
    nemesis: Option<Box<dyn Nemesis>>,
    /// What is planned, by the number under which the agenda knows it.
    plans: BTreeMap<u64, Action>,
    planned: u64,
}

impl World {
    /// A world of machines on which nothing runs yet. `setups` are in the order of the nodes'
    /// indices; addresses in them are filled in.
    pub fn new(seed: u64, setups: Vec<Setup>, weather: Weather, depth: TraceDepth) -> Self {
        Self {
            cluster: Cluster::new(seed, setups, weather, depth),
            nemesis: None,
            plans: BTreeMap::new(),
            planned: NEMESIS,
        }
    }

    /// True time in nanoseconds.
    pub fn now(&self) -> u64 {
        self.cluster.now()
    }

    /// How many events there have been.
    pub fn events(&self) -> u64 {
        self.cluster.agenda.events()
    }

    /// Whether a promise is broken, or none is left to be broken.
    pub fn is_over(&self) -> bool {
        self.cluster.judges.violation.is_some() || self.cluster.judges.is_void()
    }

    /// Takes note of what a checker says.
    pub fn judge(&mut self, verdict: Verdict) {
        self.cluster.judges.judge(self.now(), verdict);
    }

    /// A promise is broken.
    pub fn broken(&mut self, invariant: Invariant, sentence: String) {
        self.cluster.broken(invariant, sentence);
    }

    /// The lines of the trace that were kept.
    pub fn trace_lines(&self) -> Vec<String> {
        self.cluster.notes.trace.lines()
    }

    /// The nodes that are Goose at this moment by their own clocks, by index, and their terms.
    pub fn geese(&self) -> Vec<(usize, u64)> {
        let lease = |(index, host): (usize, &Host)| Some((index, host.lease_at(self.now())?.term));
        self.cluster.hosts.iter().enumerate().filter_map(lease).collect()
    }

    /// The term of the one Goose that every running node knows.
    pub fn agreed_term(&self) -> Option<u64> {
        let geese = self.geese();
        let [(goose, term)] = geese.as_slice() else { return None };
        let leader = self.cluster.hosts[*goose].process()?;
        let knows = |host: &Host| {
            let Some(running) = &host.running else { return true };
            let known = running.core.snapshot().goose;
            known.is_some_and(|known| known.goose.process == leader && known.goose.term == *term)
        };
        self.cluster.hosts.iter().all(knows).then_some(*term)
    }

    /// How many terms there have been.
    pub fn terms(&self) -> usize {
        self.cluster.judges.terms()
    }

    /// Sets the rates of every host's clocks, in millionths of true time.
    pub fn set_rates(&mut self, rates: &[(u64, u64)]) {
        let now = self.now();
        for (host, (holder, voter)) in self.cluster.hosts.iter_mut().zip(rates) {
            host.clocks.set_rates(now, *holder, *voter);
        }
    }

    /// One kept message arrives after `delay` nanoseconds, whatever the links are like.
    pub fn deliver_kept(&mut self, kept: &Kept, delay: u64) {
        let Kept { to, address, source, packet } = kept.clone();
        let arrival = Happening::Arrive { to, address, from: source, packet };
        self.cluster.agenda.after(delay, arrival);
    }

    /// Does something after a delay in nanoseconds.
    pub fn plan(&mut self, delay: u64, action: Action) {
        self.planned += 1;
        self.plans.insert(self.planned, action);
        self.cluster.agenda.after(delay, Happening::Planned(self.planned));
    }

    /// Gives the world over to chance.
    pub fn unleash(&mut self, mut nemesis: Box<dyn Nemesis>) {
        let delay = nemesis.next_delay();
        self.nemesis = Some(nemesis);
        self.cluster.agenda.after(delay, Happening::Planned(NEMESIS));
    }

    /// Lets events happen until true time `until` or a broken promise.
    pub fn run_until(&mut self, until: u64) {
        while let Some(happening) = self.cluster.next(until) {
            match happening {
                Happening::Planned(NEMESIS) => {
                    if let Some(mut nemesis) = self.nemesis.take() {
                        nemesis.strike(self);
                        self.unleash(nemesis);
                    }
                }
                Happening::Planned(number) => {
                    // Faults that were planned before the peace do not break it.
                    let action = self.plans.remove(&number);
                    if let Some(action) = action.filter(|_| !self.cluster.is_peaceful) {
                        self.act(&action);
                    }
                }
                happening => self.cluster.happen(happening),
            }
        }
        self.cluster.agenda.pass_to(until);
    }

    /// Does `action` now, if there is anything for it to act on.
    pub fn act(&mut self, action: &Action) {
        let cluster = &mut self.cluster;
        if !action.is_possible(cluster) {
            return;
        }
        let now = cluster.now();
        cluster.judges.coverage.count(action.name());
        cluster.notes.trace.note(now, || Happened::Fault(action.to_string()));
        let words = || action.words(&|index| name(&cluster.hosts, index));
        cluster.notes.tell(now, None, || Tale::Remark(words()));
        action.apply(cluster);
        if action.changes_reach() {
            let (size, network) = (cluster.hosts.len(), &cluster.delivery.network);
            cluster.judges.observe_reach(now, size, network);
        }
    }

    /// Ends every fault, and starts whatever does not run. Whoever is on its way out in good order may
    /// go on: if it votes, its voters wait for it to hand its vote over.
    pub fn heal(&mut self) {
        self.nemesis = None;
        self.cluster.is_peaceful = true;
        self.cluster.delivery.forget();
        self.act(&Action::MendAll);
        self.bring_seeds_back();
        for index in 0..self.cluster.hosts.len() {
            Action::remedies(index).iter().for_each(|remedy| self.act(remedy));
            let host = &self.cluster.hosts[index];
            if (host.is_away() && !host.is_leaving()) || host.silenced {
                self.act(&Action::Crash(index, Tear::Kept));
            }
            self.act(&Action::Start(index, Restart::WithDisk));
        }
    }

    /// Nodes that are no seeds of each other's, not even by way of others, and that have all
    /// moved, cannot find each other: no protocol helps there, only an operator, who keeps the
    /// seeds alive that hold them together.
    fn bring_seeds_back(&mut self) {
        while let Some(missed) = missed_seed(&self.cluster.hosts) {
            self.cluster.hosts[missed].gone = false;
        }
    }

    /// Whether voter `index` may lose its record now without leaving the promise: so many
    /// others may be without theirs at a time that a majority always remembers.
    pub fn may_forget(&self, index: usize, voters: &[usize]) -> bool {
        let hosts = &self.cluster.hosts;
        let keeps_none = |voter: &usize| hosts[*voter].disk.is_ephemeral();
        // Where records are kept, one that keeps none may vote by the clock until it learns so, and
        // is one without its record from then on.
        let mixed = voters.iter().any(|voter| !keeps_none(voter));
        let fragile = |other: &&usize| {
            let host = &hosts[**other];
            let unsettled = self.terms() == 0 || !host.may_grant();
            let is_blank = mixed && keeps_none(other) && unsettled;
            **other != index && (host.is_fragile(self.now()) || is_blank)
        };
        let forgetful = voters.iter().filter(fragile).count();
        !voters.contains(&index) || forgetful < (voters.len() - 1) / 2
    }
}

/// A seed of somebody's that has gone for good, if the others fall apart without it.
fn missed_seed(hosts: &[Host]) -> Option<usize> {
    let seeds_of = |index: usize| {
        let named = |name: &String| {
            hosts.iter().position(|host| name.starts_with(&format!("node-{}:", host.id)))
        };
        hosts[index].setup.seeds.iter().filter_map(named)
    };
    let living: Vec<usize> = (0..hosts.len()).filter(|index| !hosts[*index].is_away()).collect();
    let mut reached: BTreeSet<usize> = living.first().copied().into_iter().collect();
    loop {
        let before = reached.len();
        for host in &living {
            let seeds = seeds_of(*host).filter(|seed| !hosts[*seed].is_away());
            let together: Vec<usize> = seeds.chain([*host]).collect();
            if together.iter().any(|index| reached.contains(index)) {
                reached.extend(together);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    let gone = |seed: &usize| hosts[*seed].gone && hosts[*seed].foreign_node.is_none();
    let mut seeds = living.iter().flat_map(|host| seeds_of(*host));
    if reached.len() < living.len() { seeds.find(gone) } else { None }
}
