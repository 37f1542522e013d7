//! One round: a fresh cluster, and everything that is measured on it, one event after the
//! other, each on a cluster that has come to rest.
//!
//! ```text
//! cold start -> kill -9 of the Goose -> rejoin -> SIGTERM of the Goose -> rejoin
//!            -> SIGSTOP of the Goose -> SIGCONT -> kill -9 of a Duck -> rejoin
//! another cluster, with a relay between its nodes: isolation of the Goose -> heal
//! ```
//!
//! A lease that was renewed just now runs longer than one that is about to be: the events are
//! spread evenly over the interval between two renewals.

use std::time::{Duration, Instant, SystemTime};

use crate::harness::watch::{Leadership, Watch};
use crate::harness::{Cluster, PATIENCE, poll_until};
use crate::milliseconds;

use super::figures::{Measure, Report};

/// As long as something is measured.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);
/// In between.
const REST_INTERVAL: Duration = Duration::from_millis(20);

/// A restarted voter grants nothing for one lease. An event within that time would measure
/// the restart, not the event.
const REST: Duration = Duration::from_millis(800);

/// A Duck's death is watched for so long: two leases and more.
const DUCK_WATCH: Duration = Duration::from_millis(1500);

/// How many nodes vote.
pub(crate) const VOTERS: usize = 3;

/// At least the interval between two renewals, whatever the profile.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(120);
/// Steps of this part of an interval, again and again, fill it ever more evenly.
pub(crate) const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

/// A kill or a SIGTERM that costs more than this is worth looking into.
const SLOW: Duration = Duration::from_millis(50);

/// The nodes of a cluster of `size`, and those among them that vote: the lowest.
fn cluster(size: u64, profile: &str) -> Cluster {
    let ids: Vec<u64> = (1..=size).collect();
    let watch = Watch::new(SAMPLE_INTERVAL, false);
    let mut cluster = Cluster::new(&ids, &ids[..VOTERS], watch);
    cluster.give_all(&["--profile", profile]);
    cluster
}

/// The same, with a relay between the nodes.
pub(crate) fn relayed_cluster(size: u64, profile: &str) -> Cluster {
    let ids: Vec<u64> = (1..=size).collect();
    let watch = Watch::new(SAMPLE_INTERVAL, false);
    let mut cluster = Cluster::relayed(&ids, &ids[..VOTERS], watch);
    cluster.give_all(&["--profile", profile]);
    cluster
}

/// Runs a whole round, the `number`-th. What was measured before a failure stays in the report.
pub(crate) fn round(size: u64, number: u64, report: &mut Report) -> Result<(), String> {
    let profile = report.profile().to_owned();
    on(cluster(size, &profile), size, number, report, |round| round.run())?;
    on(relayed_cluster(size, &profile), size, number, report, |round| round.run_cut_off())
}

fn on(
    cluster: Cluster,
    size: u64,
    number: u64,
    report: &mut Report,
    run: fn(&mut Round<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut round = Round { cluster, size, number, events: 0, report };
    let outcome = run(&mut round);
    let faults = round.cluster.watch().faults();
    round.report.terms_seen += round.cluster.watch().term_count();
    round.report.faults.extend(faults.into_iter().map(|fault| format!("{size} nodes: {fault}")));
    outcome.map_err(|reason| format!("{reason}\n{}", round.cluster.logs()))
}

/// Starts all nodes of `cluster` and waits for agreement: when it was there.
pub(crate) fn start_all(cluster: &mut Cluster) -> Result<Instant, String> {
    for id in cluster.ids() {
        cluster.start(id);
    }
    let leadership = agreement(cluster, &cluster.ids(), 0)?;
    agreed_at(cluster, &cluster.ids(), leadership)
}

/// Waits until `nodes` agree on a Goose above `term`.
fn agreement(cluster: &Cluster, nodes: &[u64], term: u64) -> Result<Leadership, String> {
    let since = Instant::now();
    let agreed = poll_until(PATIENCE, || {
        let leadership = cluster.watch().agreement(nodes, since)?;
        (leadership.term > term).then_some(leadership)
    });
    agreed.ok_or_else(|| format!("{nodes:?} did not agree on a Goose above term {term}"))
}

/// When the last of `nodes` had come to know `leadership`.
fn agreed_at(cluster: &Cluster, nodes: &[u64], leadership: Leadership) -> Result<Instant, String> {
    let known = nodes.iter().map(|id| cluster.watch().known_since(*id, leadership));
    let last = known.collect::<Option<Vec<Instant>>>().and_then(|all| all.into_iter().max());
    last.ok_or_else(|| "the agreement was lost again".to_owned())
}

/// How a Goose is taken away.
#[derive(Clone, Copy)]
enum Removal {
    Kill,
    Terminate,
    Freeze,
}

struct Round<'a> {
    cluster: Cluster,
    size: u64,
    /// Of the round, and of the events in it so far: together they give the moment.
    number: u64,
    events: u64,
    report: &'a mut Report,
}

impl Round<'_> {
    fn run(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let agreed = start_all(&mut self.cluster)?;
        self.record(Measure::ColdStart, agreed - began);
        for removal in [Removal::Kill, Removal::Terminate, Removal::Freeze] {
            self.lose_goose(removal)?;
        }
        self.lose_duck()
    }

    /// Cuts the Goose off, and then no longer.
    fn run_cut_off(&mut self) -> Result<(), String> {
        start_all(&mut self.cluster)?;
        let before = self.rest()?;
        let old = before.goose;
        let others = self.cluster.others(&[old]);
        self.spread();
        let began = Instant::now();
        self.cluster.relay().isolate(old);
        let after = agreement(&self.cluster, &others, before.term)?;
        let agreed = agreed_at(&self.cluster, &others, after)?;
        let claim = self.cluster.watch().first_claim_above(before.term);
        let (claimed, _) = claim.ok_or("nobody was seen to claim")?;
        self.record(Measure::IsolateToGoose, claimed - began);
        self.record(Measure::IsolateToAgreement, agreed.max(claimed) - began);
        self.cluster.watch().forget_changes();
        // The first samples of what is lost and has to come back.
        std::thread::sleep(2 * REST_INTERVAL);
        let healed = Instant::now();
        self.cluster.relay().heal();
        let now = agreement(&self.cluster, &self.cluster.ids(), before.term)?;
        let known = agreed_at(&self.cluster, &[old], now)?;
        self.record(Measure::Heal, known.saturating_duration_since(healed));
        self.count_disturbance(after, now);
        Ok(())
    }

    /// Waits for the part of an interval at which this event is to come.
    fn spread(&mut self) {
        self.events += 1;
        let steps = (self.number * 5 + self.events) as f64;
        std::thread::sleep(RENEWAL_INTERVAL.mul_f64((steps * GOLDEN_RATIO).fract()));
    }

    fn record(&mut self, measure: Measure, duration: Duration) {
        self.report.record(self.size, measure, milliseconds(duration));
    }

    /// Takes the Goose away, measures, and brings it back.
    fn lose_goose(&mut self, removal: Removal) -> Result<(), String> {
        let before = self.rest()?;
        let old = before.goose;
        let others = self.cluster.others(&[old]);
        self.spread();
        let began = Instant::now();
        match removal {
            Removal::Kill => self.cluster.signal(old, rustix::process::Signal::KILL),
            Removal::Terminate => self.cluster.signal(old, rustix::process::Signal::TERM),
            Removal::Freeze => self.cluster.freeze(old),
        }
        let after = agreement(&self.cluster, &others, before.term)?;
        let agreed = agreed_at(&self.cluster, &others, after)?;
        let claim = self.cluster.watch().first_claim_above(before.term);
        let (claimed, _) = claim.ok_or("nobody was seen to claim")?;
        let (to_goose, to_agreement) = match removal {
            Removal::Kill => (Measure::KillToGoose, Measure::KillToAgreement),
            Removal::Terminate => (Measure::TerminateToGoose, Measure::TerminateToAgreement),
            Removal::Freeze => (Measure::FreezeToGoose, Measure::FreezeToAgreement),
        };
        self.record(to_goose, claimed - began);
        self.record(to_agreement, agreed.max(claimed) - began);
        if claimed - began > SLOW && !matches!(removal, Removal::Freeze) {
            self.report.slow.push(format!(
                "{} nodes, round {}: {}: {:?} after {:?} (wall clock)\n{}",
                self.size,
                self.number + 1,
                to_goose.label(),
                claimed - began,
                SystemTime::now() - began.elapsed(),
                self.cluster.logs()
            ));
        }
        self.report.successions += 1;
        if others.iter().max() == Some(&after.goose) {
            self.report.highest_succeeded += 1;
        }
        if let Removal::Freeze = removal {
            self.cluster.thaw(old);
            return Ok(());
        }
        let status = self.cluster.wait(old);
        if let Removal::Terminate = removal
            && !status.success()
        {
            return Err(format!("node {old} ended with {status} after SIGTERM"));
        }
        self.rejoin(old, after)
    }

    /// Starts `node` again and measures until it knows the Goose.
    fn rejoin(&mut self, node: u64, leadership: Leadership) -> Result<(), String> {
        self.cluster.watch().forget_changes();
        let began = Instant::now();
        self.cluster.start(node);
        let now = agreement(&self.cluster, &self.cluster.ids(), 0)?;
        let known = agreed_at(&self.cluster, &[node], now)?;
        self.record(Measure::Rejoin, known - began);
        self.count_disturbance(leadership, now);
        Ok(())
    }

    /// Kills the lowest Duck: nothing may change.
    fn lose_duck(&mut self) -> Result<(), String> {
        let before = self.rest()?;
        let duck = self.cluster.others(&[before.goose])[0];
        self.cluster.kill(duck);
        self.cluster.watch().set_interval(REST_INTERVAL);
        std::thread::sleep(DUCK_WATCH);
        self.cluster.watch().set_interval(SAMPLE_INTERVAL);
        let after = agreement(&self.cluster, &self.cluster.running(), 0)?;
        self.count_disturbance(before, after);
        self.rejoin(duck, after)
    }

    /// A Duck that dies and a node that returns must not change who leads.
    fn count_disturbance(&mut self, before: Leadership, after: Leadership) {
        self.report.duck_events += 1;
        if before != after {
            self.report.disturbances += 1;
        }
    }

    /// Waits until all nodes are up, agree and see each other, and for the quarantine of
    /// restarted voters to end.
    fn rest(&self) -> Result<Leadership, String> {
        let watch = self.cluster.watch();
        let ids = self.cluster.ids();
        watch.set_interval(REST_INTERVAL);
        let began = Instant::now();
        let settled = |id: &u64| {
            watch.latest(*id, began).is_some_and(|status| status.members.alive == ids.len())
        };
        let whole = poll_until(PATIENCE, || {
            let leadership = watch.agreement(&ids, began)?;
            let reached = watch.latest(leadership.goose, began)?.voters?.reachable.len();
            (reached == VOTERS && ids.iter().all(settled)).then_some(())
        });
        whole.ok_or("the nodes did not all see each other")?;
        std::thread::sleep(REST);
        let leadership = agreement(&self.cluster, &ids, 0)?;
        watch.forget_changes();
        watch.set_interval(SAMPLE_INTERVAL);
        // The first samples at the new pace.
        std::thread::sleep(2 * REST_INTERVAL);
        Ok(leadership)
    }
}
