//! What is done to a simulated cluster, and what is seen.

use gaggle::sim::cluster::action::{Action, Restart};
use gaggle::sim::cluster::disk::Tear;
use gaggle::sim::cluster::network::Weather;
use gaggle::sim::cluster::tally::{Opinion, Traffic};
use gaggle::sim::prng::Prng;
use gaggle::vocabulary::snapshot::MemberState;
use gaggle::vocabulary::time::nanoseconds;

use super::cluster::{Cluster, MILLI, SECOND};
use super::figures::{Measure, Report};

/// A trial by name, its measures, and whether it is worth its time in a quick round.
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    pub(crate) quick: bool,
    pub(crate) run: fn(usize, u64, &mut Report) -> Result<(), String>,
}

pub(crate) const ALL: [Trial; 11] = [
    Trial { name: "boot", quick: true, run: boot },
    Trial { name: "burst", quick: true, run: burst },
    Trial { name: "steady", quick: true, run: steady },
    Trial { name: "churn", quick: true, run: churn },
    Trial { name: "crash", quick: true, run: crash },
    Trial { name: "isolation", quick: true, run: isolation },
    Trial { name: "split", quick: true, run: split },
    Trial { name: "loss1", quick: false, run: |n, s, r| loss(n, s, r, 10) },
    Trial { name: "loss5", quick: true, run: |n, s, r| loss(n, s, r, 50) },
    Trial { name: "loss10", quick: false, run: |n, s, r| loss(n, s, r, 100) },
    Trial { name: "failover", quick: true, run: fail_over },
];

/// All start at once and know one seed.
fn boot(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut cluster = Cluster::new(nodes, seed);
    cluster.start_all();
    let half = |cluster: &Cluster| {
        cluster.known_counts().filter(|known| *known == nodes).count() * 2 >= nodes
    };
    let first = cluster.until(120 * SECOND, "half that know all", half)?;
    let rest = cluster.until(120 * SECOND, "all that know all", Cluster::is_whole)?;
    report.add(Measure::BootHalf, nodes, first);
    report.add(Measure::BootAll, nodes, first + rest);
    Ok(())
}

/// The same, but whatever the seed receives takes it up to so long, and its socket holds 256
/// datagrams, which is what an unprivileged process gets for small ones.
fn burst(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    const EFFORT: u64 = MILLI / 5;
    let mut cluster = Cluster::new(nodes, seed);
    cluster.start_all();
    cluster.world.act(&Action::Starve(0, EFFORT));
    let took = cluster.until(120 * SECOND, "all that know all", Cluster::is_whole)?;
    report.add(Measure::BurstAll, nodes, took);
    let lost = cluster.world.cluster.judges.coverage.of("socket overflow");
    report.add(Measure::BurstOverflow, nodes, lost as f64);
    Ok(())
}

/// Nothing happens for a minute.
fn steady(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    const SECONDS: u64 = 60;
    let mut cluster = Cluster::grown(nodes, seed)?;
    report.add(Measure::DetailsAll, nodes, cluster.until_described()?);
    let before = cluster.traffic();
    let start = processor_seconds();
    cluster.run(SECONDS * SECOND)?;
    report.add(Measure::SimulatorSeconds, nodes, processor_seconds() - start);
    let after = cluster.traffic();
    let per_node = |count: fn(&Traffic) -> u64| {
        let sum: u64 = after.iter().zip(&before).map(|(now, then)| count(now) - count(then)).sum();
        sum as f64 / (nodes as u64 * SECONDS) as f64
    };
    report.add(Measure::GossipBytes, nodes, per_node(|traffic| traffic.gossip_bytes));
    report.add(Measure::GossipPackets, nodes, per_node(|traffic| traffic.gossip_packets));
    report.add(Measure::VoterLoad(false), nodes, voter_load(&cluster, &before, SECONDS));
    Ok(())
}

/// What this process has taken of a core so far: whatever else the machine does does not count.
fn processor_seconds() -> f64 {
    let taken = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    taken.tv_sec as f64 + taken.tv_nsec as f64 / 1e9
}

/// A node restarts, and another one, at a pace that is 30 % of them in a minute.
fn churn(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    const SECONDS: u64 = 20;
    let mut cluster = Cluster::grown(nodes, seed)?;
    let mut churn = Churn::new(&cluster, true, seed);
    churn.pass(&mut cluster, 10 * SECOND)?;
    let before = cluster.traffic();
    churn.pass(&mut cluster, SECONDS * SECOND)?;
    report.add(Measure::VoterLoad(true), nodes, voter_load(&cluster, &before, SECONDS));
    Ok(())
}

/// What the busiest voter received of the election in a second, since then.
fn voter_load(cluster: &Cluster, before: &[Traffic], seconds: u64) -> f64 {
    let received = |(now, then): (&Traffic, &Traffic)| {
        now.election_packets_received - then.election_packets_received
    };
    let busiest = cluster.traffic().iter().zip(before).take(cluster.voters).map(received).max();
    busiest.unwrap_or(0) as f64 / seconds as f64
}

/// One node is killed that leads nobody.
fn crash(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut cluster = Cluster::grown(nodes, seed)?;
    let victim = (nodes / 2..nodes).find(|index| cluster.goose() != Some(*index));
    let victim = victim.ok_or("nobody to kill")?;
    cluster.crash(victim);
    let half = |cluster: &Cluster| {
        cluster.known_counts().filter(|known| *known == nodes - 1).count() * 2 >= nodes - 1
    };
    let first = cluster.until(60 * SECOND, "half that hold it for dead", half)?;
    let rest = cluster.until(60 * SECOND, "all that hold it for dead", Cluster::is_whole)?;
    report.add(Measure::CrashHalf, nodes, first);
    report.add(Measure::CrashAll, nodes, first + rest);
    Ok(())
}

/// One node is cut off for two and a half minutes.
fn isolation(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut cluster = Cluster::grown(nodes, seed)?;
    let lonely = (nodes / 2..nodes).find(|index| cluster.goose() != Some(*index));
    let lonely = lonely.ok_or("nobody to cut off")?;
    let sides = (0..nodes).map(|index| usize::from(index == lonely)).collect();
    cluster.listen();
    cluster.world.act(&Action::Partition(sides));
    cluster.run(150 * SECOND)?;
    cluster.world.act(&Action::MendAll);
    let healed = cluster.until(120 * SECOND, "reunion", Cluster::is_whole)?;
    cluster.run(20 * SECOND)?;
    let others = |opinion: &&Opinion| opinion.by != lonely && opinion.about != Cluster::id(lonely);
    let doubted = cluster.heard().iter().filter(others).count();
    let own = &cluster.world.cluster.hosts[lonely].running;
    let own = own.as_ref().map_or(0, |running| u64::from(running.core.renewals()));
    report.add(Measure::IsolationHeal, nodes, healed);
    report.add(Measure::IsolationDoubts, nodes, doubted as f64);
    report.add(Measure::IsolationRenames, nodes, (cluster.renames() - own) as f64);
    Ok(())
}

/// Two halves do not reach each other for five minutes.
fn split(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut cluster = Cluster::grown(nodes, seed)?;
    let sides = (0..nodes).map(|index| index % 2).collect();
    cluster.world.act(&Action::Partition(sides));
    cluster.run(300 * SECOND)?;
    cluster.world.act(&Action::MendAll);
    let healed = cluster.until(300 * SECOND, "reunion", Cluster::is_whole)?;
    report.add(Measure::SplitHeal, nodes, healed);
    Ok(())
}

/// So many datagrams in a thousand are lost, for ten minutes.
fn loss(nodes: usize, seed: u64, report: &mut Report, per_mille: u32) -> Result<(), String> {
    let mut cluster = Cluster::grown(nodes, seed)?;
    let renames = cluster.renames();
    let fair = cluster.world.cluster.delivery.network.weather;
    cluster.listen();
    cluster.world.act(&Action::SetWeather(Weather { loss: per_mille, ..fair }));
    cluster.run(600 * SECOND)?;
    let heard = cluster.heard();
    let downs = heard.iter().filter(|opinion| opinion.state == MemberState::Down).count();
    report.add(Measure::FalseDowns(per_mille), nodes, downs as f64);
    report.add(Measure::Renames(per_mille), nodes, (cluster.renames() - renames) as f64);
    Ok(())
}

/// The Goose is killed, and frozen, at rest and while a third of the nodes restarts every
/// minute. Each strike falls into another part of the time between two renewals, at every size
/// into the same ones: how far the last one is back decides how long the lease still binds.
fn fail_over(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    const STRIKES: u32 = 10;
    let mut cluster = Cluster::grown(nodes, seed)?;
    let renewal = cluster.world.cluster.hosts[0].setup.timing.renew_interval;
    // As in production: a keeper releases what a killed process held.
    cluster.world.cluster.hosts.iter_mut().for_each(|host| host.keeper.is_present = true);
    for churns in [false, true] {
        let mut churn = Churn::new(&cluster, churns, seed);
        for strike in 0..STRIKES {
            let phase = nanoseconds(renewal * (2 * strike + 1) / (2 * STRIKES));
            churn.until_renewed(&mut cluster, 3 * SECOND)?;
            churn.pass(&mut cluster, phase)?;
            let killed = succeed(&mut cluster, &mut churn, |cluster, goose| cluster.crash(goose))?;
            report.add(Measure::Killed(churns), nodes, killed);
            churn.until_renewed(&mut cluster, 3 * SECOND)?;
            churn.pass(&mut cluster, phase)?;
            let frozen = succeed(&mut cluster, &mut churn, |cluster, goose| {
                cluster.world.act(&Action::Freeze(goose));
            })?;
            report.add(Measure::Frozen(churns), nodes, frozen);
        }
    }
    Ok(())
}

/// 30 % of the nodes are restarted every minute, voters and the Goose excepted. Or none is.
struct Churn {
    next: u64,
    interval: u64,
    prng: Prng,
}

impl Churn {
    fn new(cluster: &Cluster, happens: bool, seed: u64) -> Self {
        let interval = 60 * SECOND * 10 / (3 * cluster.size() as u64);
        let next = if happens { cluster.world.now() + interval } else { u64::MAX };
        Self { next, interval, prng: Prng::new(seed, "churn") }
    }

    /// Lets time pass.
    fn pass(&mut self, cluster: &mut Cluster, span: u64) -> Result<(), String> {
        let end = cluster.world.now() + span;
        while self.next <= end {
            cluster.run(self.next.saturating_sub(cluster.world.now()))?;
            self.restart_somebody(cluster);
            self.next += self.interval;
        }
        cluster.run(end - cluster.world.now())
    }

    fn restart_somebody(&mut self, cluster: &mut Cluster) {
        if cluster.size() == cluster.voters {
            return;
        }
        let place = cluster.voters + self.prng.below(cluster.size() - cluster.voters);
        if cluster.goose() != Some(place) {
            cluster.world.act(&Action::Crash(place, Tear::Lost));
            cluster.world.act(&Action::Start(place, Restart::WithDisk));
        }
    }

    /// Lets time pass, and then until somebody leads and has just renewed its lease.
    fn until_renewed(&mut self, cluster: &mut Cluster, span: u64) -> Result<(), String> {
        self.pass(cluster, span)?;
        let limit = cluster.world.now() + 30 * SECOND;
        let before = cluster.deadline();
        while cluster.deadline().is_none() || cluster.deadline() == before {
            if cluster.world.now() > limit {
                return Err("no Goose to strike".to_owned());
            }
            self.pass(cluster, MILLI)?;
        }
        Ok(())
    }
}

/// Strikes the Goose and says after how many milliseconds there is another.
fn succeed(
    cluster: &mut Cluster,
    churn: &mut Churn,
    strike: impl Fn(&mut Cluster, usize),
) -> Result<f64, String> {
    let goose = cluster.goose().ok_or("no Goose to strike")?;
    let start = cluster.world.now();
    strike(cluster, goose);
    // A frozen Goose counts on its lease until it lapses, as is its right.
    while cluster.goose().is_none_or(|now| now == goose) {
        if cluster.world.now() - start > 30 * SECOND {
            return Err("no other Goose within 30 s".to_owned());
        }
        churn.pass(cluster, MILLI / 10)?;
    }
    let took = (cluster.world.now() - start) as f64 / MILLI as f64;
    cluster.world.act(&Action::Thaw(goose));
    cluster.start(goose);
    Ok(took)
}
