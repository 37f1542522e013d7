//! A simulated cluster of many nodes that all know one seed, and what can be seen of it.

use gaggle::node::setup::Setup;
use gaggle::sim::cluster::action::{Action, Restart};
use gaggle::sim::cluster::disk::Tear;
use gaggle::sim::cluster::network::{Network, Weather};
use gaggle::sim::cluster::tally::{Opinion, Traffic};
use gaggle::sim::cluster::trace::TraceDepth;
use gaggle::sim::cluster::world::World;
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::time::HolderTime;

pub(crate) const MILLI: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MILLI;
/// One way.
const LINK: u64 = MILLI;
/// The voters are the first so many nodes, or all if there are fewer.
const VOTERS: usize = 5;

/// See the module.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) voters: usize,
}

fn id(index: usize) -> NodeId {
    NodeId::new(index as u64 + 1).expect("ids are small")
}

impl Cluster {
    /// `nodes` machines on links of a millisecond; nothing runs yet. The first is the seed, and
    /// the first five vote.
    pub(crate) fn new(nodes: usize, seed: u64) -> Self {
        let voters = nodes.min(VOTERS);
        let set = VoterSet::new((0..voters).map(id).collect()).expect("a voter set");
        let seeds = vec![Network::address(0, 0).to_string()];
        let setup = |index: usize| Setup {
            seeds: seeds.clone(),
            voters: (index < voters).then(|| set.clone()),
            ..Setup::new(
                ClusterName::new("scale").expect("a name"),
                id(index),
                Network::address(index, 0),
            )
        };
        let setups = (0..nodes).map(setup).collect();
        let world = World::new(seed, setups, Weather::fair(LINK), TraceDepth::Digest);
        Self { world, voters }
    }

    /// The same, started at once and left alone until all know all.
    pub(crate) fn grown(nodes: usize, seed: u64) -> Result<Self, String> {
        let mut cluster = Self::new(nodes, seed);
        cluster.start_all();
        cluster.until(60 * SECOND, "everybody known to everybody", Cluster::is_whole)?;
        // What is still being told has been told by then.
        cluster.run(20 * SECOND)?;
        Ok(cluster)
    }

    /// Waits until all know everybody's details, which they ask each other for after a start, and
    /// says after how many milliseconds of this cluster's life that was.
    pub(crate) fn until_described(&mut self) -> Result<f64, String> {
        while !self.is_described() {
            if self.world.now() > 600 * SECOND {
                return Err("details are lacking after ten minutes".to_owned());
            }
            self.run(SECOND)?;
        }
        Ok(self.world.now() as f64 / MILLI as f64)
    }

    fn is_described(&self) -> bool {
        let mut running = self.world.cluster.hosts.iter().filter_map(|host| host.running.as_ref());
        running.all(|running| {
            let members = running.core.snapshot().members;
            members.iter().all(|member| member.metadata.is_some() || !member.state.is_present())
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.world.cluster.hosts.len()
    }

    pub(crate) fn start_all(&mut self) {
        (0..self.size()).for_each(|index| self.start(index));
    }

    pub(crate) fn start(&mut self, index: usize) {
        self.world.act(&Action::Start(index, Restart::WithDisk));
    }

    pub(crate) fn crash(&mut self, index: usize) {
        self.world.act(&Action::Crash(index, Tear::Lost));
    }

    /// Lets nanoseconds pass.
    pub(crate) fn run(&mut self, span: u64) -> Result<(), String> {
        self.world.run_until(self.world.now() + span);
        match &self.world.cluster.judges.violation {
            Some(violation) => Err(format!("a promise is broken: {violation}")),
            None => Ok(()),
        }
    }

    /// Waits until `condition` holds, looking every ten milliseconds, and says how long it took
    /// in milliseconds.
    pub(crate) fn until(
        &mut self,
        limit: u64,
        what: &str,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> Result<f64, String> {
        let start = self.world.now();
        while !condition(self) {
            if self.world.now() - start > limit {
                return Err(format!("no {what} within {} s: {}", limit / SECOND, self.summary()));
            }
            self.run(10 * MILLI)?;
        }
        Ok((self.world.now() - start) as f64 / MILLI as f64)
    }

    /// How many know so many nodes, for whoever wonders why something does not happen.
    fn summary(&self) -> String {
        let mut counts: Vec<usize> = self.known_counts().collect();
        counts.sort_unstable();
        let (low, high) = (counts.first().copied(), counts.last().copied());
        format!("{} run, each knows {low:?} to {high:?} alive", counts.len())
    }

    pub(crate) fn known_counts(&self) -> impl Iterator<Item = usize> {
        let running = self.world.cluster.hosts.iter().filter_map(|host| host.running.as_ref());
        running.map(|running| running.core.alive_count())
    }

    /// Whether everybody that runs knows exactly as many nodes as run.
    pub(crate) fn is_whole(&self) -> bool {
        let running = self.world.cluster.hosts.iter().filter(|host| host.running.is_some()).count();
        self.known_counts().all(|known| known == running)
    }

    /// How often the running processes have had to take new names.
    pub(crate) fn renames(&self) -> u64 {
        let running = self.world.cluster.hosts.iter().filter_map(|host| host.running.as_ref());
        running.map(|running| u64::from(running.core.renewals())).sum()
    }

    /// The Goose at this moment, by index.
    pub(crate) fn goose(&self) -> Option<usize> {
        self.world.geese().first().map(|(index, _)| *index)
    }

    /// Until when the Goose counts on its lease as it stands.
    pub(crate) fn deadline(&self) -> Option<HolderTime> {
        let host = &self.world.cluster.hosts[self.goose()?];
        host.lease_at(self.world.now()).map(|lease| lease.deadline)
    }

    /// Begins to write down who doubts whom.
    pub(crate) fn listen(&mut self) {
        self.world.cluster.notes.tally.opinions = Some(Vec::new());
    }

    /// What was written down since.
    pub(crate) fn heard(&mut self) -> Vec<Opinion> {
        self.world.cluster.notes.tally.opinions.take().unwrap_or_default()
    }

    pub(crate) fn traffic(&self) -> Vec<Traffic> {
        self.world.cluster.notes.tally.traffic.clone()
    }

    pub(crate) fn id(index: usize) -> NodeId {
        id(index)
    }
}
