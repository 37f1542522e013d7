//! What is done to a simulated cluster, and what is seen.

use gaggle::sim::action::{Action, Restart};
use gaggle::sim::dice::Dice;
use gaggle::sim::disk::Tear;
use gaggle::sim::network::Weather;
use gaggle::sim::tally::{Opinion, Traffic};
use gaggle::vocabulary::snapshot::MemberState;
use gaggle::vocabulary::time::nanoseconds;

use super::figures::{Measure, Report};
use super::pond::{MILLI, Pond, SECOND};

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
    let mut pond = Pond::new(nodes, seed);
    pond.start_all();
    let half =
        |pond: &Pond| pond.known_counts().filter(|known| *known == nodes).count() * 2 >= nodes;
    let first = pond.until(120 * SECOND, "half that know all", half)?;
    let rest = pond.until(120 * SECOND, "all that know all", Pond::is_whole)?;
    report.add(Measure::BootHalf, nodes, first);
    report.add(Measure::BootAll, nodes, first + rest);
    Ok(())
}

/// The same, but whatever the seed receives takes it up to so long, and its socket holds 256
/// datagrams, which is what an unprivileged process gets for small ones.
fn burst(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    const EFFORT: u64 = MILLI / 5;
    let mut pond = Pond::new(nodes, seed);
    pond.start_all();
    pond.world.act(&Action::Starve(0, EFFORT));
    let took = pond.until(120 * SECOND, "all that know all", Pond::is_whole)?;
    report.add(Measure::BurstAll, nodes, took);
    let lost = pond.world.coverage.of("socket overflow");
    report.add(Measure::BurstOverflow, nodes, lost as f64);
    Ok(())
}

/// Nothing happens for a minute.
fn steady(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    const SECONDS: u64 = 60;
    let mut pond = Pond::grown(nodes, seed)?;
    report.add(Measure::DetailsAll, nodes, pond.until_described()?);
    let before = pond.traffic();
    let start = processor_seconds();
    pond.run(SECONDS * SECOND)?;
    report.add(Measure::SimulatorSeconds, nodes, processor_seconds() - start);
    let after = pond.traffic();
    let per_node = |count: fn(&Traffic) -> u64| {
        let sum: u64 = after.iter().zip(&before).map(|(now, then)| count(now) - count(then)).sum();
        sum as f64 / (nodes as u64 * SECONDS) as f64
    };
    report.add(Measure::GossipBytes, nodes, per_node(|traffic| traffic.gossip_bytes));
    report.add(Measure::GossipPackets, nodes, per_node(|traffic| traffic.gossip_packets));
    report.add(Measure::VoterLoad(false), nodes, voter_load(&pond, &before, SECONDS));
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
    let mut pond = Pond::grown(nodes, seed)?;
    let mut churn = Churn::new(&pond, true, seed);
    churn.pass(&mut pond, 10 * SECOND)?;
    let before = pond.traffic();
    churn.pass(&mut pond, SECONDS * SECOND)?;
    report.add(Measure::VoterLoad(true), nodes, voter_load(&pond, &before, SECONDS));
    Ok(())
}

/// What the busiest voter received of the election in a second, since then.
fn voter_load(pond: &Pond, before: &[Traffic], seconds: u64) -> f64 {
    let received = |(now, then): (&Traffic, &Traffic)| {
        now.election_packets_received - then.election_packets_received
    };
    let busiest = pond.traffic().iter().zip(before).take(pond.voters).map(received).max();
    busiest.unwrap_or(0) as f64 / seconds as f64
}

/// One node is killed that leads nobody.
fn crash(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut pond = Pond::grown(nodes, seed)?;
    let victim = (nodes / 2..nodes).find(|index| pond.goose() != Some(*index));
    let victim = victim.ok_or("nobody to kill")?;
    pond.crash(victim);
    let half = |pond: &Pond| {
        pond.known_counts().filter(|known| *known == nodes - 1).count() * 2 >= nodes - 1
    };
    let first = pond.until(60 * SECOND, "half that hold it for dead", half)?;
    let rest = pond.until(60 * SECOND, "all that hold it for dead", Pond::is_whole)?;
    report.add(Measure::CrashHalf, nodes, first);
    report.add(Measure::CrashAll, nodes, first + rest);
    Ok(())
}

/// One node is cut off for two and a half minutes.
fn isolation(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut pond = Pond::grown(nodes, seed)?;
    let lonely = (nodes / 2..nodes).find(|index| pond.goose() != Some(*index));
    let lonely = lonely.ok_or("nobody to cut off")?;
    let sides = (0..nodes).map(|index| usize::from(index == lonely)).collect();
    pond.listen();
    pond.world.act(&Action::Partition(sides));
    pond.run(150 * SECOND)?;
    pond.world.act(&Action::MendAll);
    let healed = pond.until(120 * SECOND, "reunion", Pond::is_whole)?;
    pond.run(20 * SECOND)?;
    let others = |opinion: &&Opinion| opinion.by != lonely && opinion.about != Pond::id(lonely);
    let doubted = pond.heard().iter().filter(others).count();
    let own = &pond.world.hosts[lonely].running;
    let own = own.as_ref().map_or(0, |running| u64::from(running.core.renewals()));
    report.add(Measure::IsolationHeal, nodes, healed);
    report.add(Measure::IsolationDoubts, nodes, doubted as f64);
    report.add(Measure::IsolationRenames, nodes, (pond.renames() - own) as f64);
    Ok(())
}

/// Two halves do not reach each other for five minutes.
fn split(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    let mut pond = Pond::grown(nodes, seed)?;
    let sides = (0..nodes).map(|index| index % 2).collect();
    pond.world.act(&Action::Partition(sides));
    pond.run(300 * SECOND)?;
    pond.world.act(&Action::MendAll);
    let healed = pond.until(300 * SECOND, "reunion", Pond::is_whole)?;
    report.add(Measure::SplitHeal, nodes, healed);
    Ok(())
}

/// So many datagrams in a thousand are lost, for ten minutes.
fn loss(nodes: usize, seed: u64, report: &mut Report, per_mille: u32) -> Result<(), String> {
    let mut pond = Pond::grown(nodes, seed)?;
    let renames = pond.renames();
    let fair = pond.world.network.weather;
    pond.listen();
    pond.world.act(&Action::SetWeather(Weather { loss: per_mille, ..fair }));
    pond.run(600 * SECOND)?;
    let heard = pond.heard();
    let downs = heard.iter().filter(|opinion| opinion.state == MemberState::Down).count();
    report.add(Measure::FalseDowns(per_mille), nodes, downs as f64);
    report.add(Measure::Renames(per_mille), nodes, (pond.renames() - renames) as f64);
    Ok(())
}

/// The Goose is killed, and frozen, at rest and while a third of the nodes restarts every
/// minute. Each strike falls into another part of the time between two renewals, at every size
/// into the same ones: how far the last one is back decides how long the lease still binds.
fn fail_over(nodes: usize, seed: u64, report: &mut Report) -> Result<(), String> {
    const STRIKES: u32 = 10;
    let mut pond = Pond::grown(nodes, seed)?;
    let renewal = pond.world.hosts[0].setup.timing.renew_interval;
    // As in production: a keeper releases what a killed process held.
    pond.world.hosts.iter_mut().for_each(|host| host.keeper = true);
    for churns in [false, true] {
        let mut churn = Churn::new(&pond, churns, seed);
        for strike in 0..STRIKES {
            let phase = nanoseconds(renewal * (2 * strike + 1) / (2 * STRIKES));
            churn.until_renewed(&mut pond, 3 * SECOND)?;
            churn.pass(&mut pond, phase)?;
            let killed = succeed(&mut pond, &mut churn, |pond, goose| pond.crash(goose))?;
            report.add(Measure::Killed(churns), nodes, killed);
            churn.until_renewed(&mut pond, 3 * SECOND)?;
            churn.pass(&mut pond, phase)?;
            let frozen = succeed(&mut pond, &mut churn, |pond, goose| {
                pond.world.act(&Action::Freeze(goose));
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
    dice: Dice,
}

impl Churn {
    fn new(pond: &Pond, happens: bool, seed: u64) -> Self {
        let interval = 60 * SECOND * 10 / (3 * pond.size() as u64);
        let next = if happens { pond.world.now + interval } else { u64::MAX };
        Self { next, interval, dice: Dice::new(seed, "churn") }
    }

    /// Lets time pass.
    fn pass(&mut self, pond: &mut Pond, span: u64) -> Result<(), String> {
        let end = pond.world.now + span;
        while self.next <= end {
            pond.run(self.next.saturating_sub(pond.world.now))?;
            self.restart_somebody(pond);
            self.next += self.interval;
        }
        pond.run(end - pond.world.now)
    }

    fn restart_somebody(&mut self, pond: &mut Pond) {
        if pond.size() == pond.voters {
            return;
        }
        let place = pond.voters + self.dice.below(pond.size() - pond.voters);
        if pond.goose() != Some(place) {
            pond.world.act(&Action::Crash(place, Tear::Lost));
            pond.world.act(&Action::Start(place, Restart::WithDisk));
        }
    }

    /// Lets time pass, and then until somebody leads and has just renewed its lease.
    fn until_renewed(&mut self, pond: &mut Pond, span: u64) -> Result<(), String> {
        self.pass(pond, span)?;
        let limit = pond.world.now + 30 * SECOND;
        let before = pond.deadline();
        while pond.deadline().is_none() || pond.deadline() == before {
            if pond.world.now > limit {
                return Err("no Goose to strike".to_owned());
            }
            self.pass(pond, MILLI)?;
        }
        Ok(())
    }
}

/// Strikes the Goose and says after how many milliseconds there is another.
fn succeed(
    pond: &mut Pond,
    churn: &mut Churn,
    strike: impl Fn(&mut Pond, usize),
) -> Result<f64, String> {
    let goose = pond.goose().ok_or("no Goose to strike")?;
    let start = pond.world.now;
    strike(pond, goose);
    // A frozen Goose counts on its lease until it lapses, as is its right.
    while pond.goose().is_none_or(|now| now == goose) {
        if pond.world.now - start > 30 * SECOND {
            return Err("no other Goose within 30 s".to_owned());
        }
        churn.pass(pond, MILLI / 10)?;
    }
    let took = (pond.world.now - start) as f64 / MILLI as f64;
    pond.world.act(&Action::Thaw(goose));
    pond.start(goose);
    Ok(took)
}
