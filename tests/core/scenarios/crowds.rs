//! Scenario 44: who leads while a crowd comes and goes.

use std::time::Duration;

use gaggle::sim::scenario::Scenario;

use super::golden::check;
use super::stage::{HAND, LEASE, RENEWAL, at_most, ms, setups};

/// So many vote: the lowest.
const VOTERS: u64 = 5;
/// A crowd. Two thousand do the same in `cargo bench --bench scale -- --trial failover`.
const CROWD: u64 = 120;
const SECOND: u64 = 1_000_000_000;
/// Whoever is restarted next is so many places further on.
const STRIDE: u64 = 37;

/// A cluster of which 30 % restart every minute, one after the other: neither voters nor the
/// Goose.
struct Crowd {
    story: Scenario,
    nodes: u64,
    restarted: u64,
    next: u64,
    /// Between two restarts, in nanoseconds.
    pause: u64,
}

impl Crowd {
    /// The highest leads, and all know all.
    fn gathered(nodes: u64) -> Self {
        let mut setups = setups(nodes, VOTERS);
        // One seed is enough for everybody.
        setups.iter_mut().for_each(|setup| setup.seeds.truncate(1));
        let mut story = Scenario::with_setups(1, setups);
        story.say(&format!("{nodes} nodes start, of which {VOTERS} vote"));
        let all: Vec<u64> = (1..=nodes).collect();
        story.quietly(|story| _ = story.start(&all));
        assert!(story.until_agreed(ms(2000)) > 0);
        story.until(ms(5000), "everybody known to everybody", &|story| {
            let running = story.world.cluster.hosts.iter().filter_map(|host| host.running.as_ref());
            running.map(|running| running.core.alive_count() as u64).all(|alive| alive == nodes)
        });
        story.run(3000).say("from now on 30 % of the nodes restart every minute");
        let next = story.world.now();
        let pause = 60 * SECOND * 10 / (3 * nodes);
        Self { story, nodes, restarted: 0, next, pause }
    }

    /// Lets a millisecond pass.
    fn step(&mut self) {
        if self.nodes > VOTERS && self.story.world.now() >= self.next {
            self.next += self.pause;
            self.restarted += 1;
            let node = VOTERS + 1 + self.restarted * STRIDE % (self.nodes - VOTERS);
            if !self.story.leads(node) {
                self.story.quietly(|story| _ = story.restart(&[node]));
            }
        }
        self.story.run(1);
    }

    fn pass(&mut self, milliseconds: u64) {
        (0..milliseconds).for_each(|_| self.step());
    }

    /// Lets time pass until the Goose has just renewed its lease with voter 1, and says who that
    /// is.
    fn until_renewed(&mut self) -> u64 {
        let is_new =
            |story: &Scenario| story.grant_of(1).is_some_and(|(.., left)| left + ms(2) > ms(LEASE));
        for _ in 0..2 * RENEWAL {
            self.step();
            if is_new(&self.story) {
                break;
            }
        }
        self.story.goose().expect("a Goose that renews its lease").0
    }

    /// Lets time pass until somebody else leads, and says how long that took.
    fn succeeded(&mut self, goose: u64) -> Duration {
        let start = self.story.world.now();
        while self.story.goose().is_none_or(|(now, _)| now == goose) {
            let waited = Duration::from_nanos(self.story.world.now() - start);
            at_most(&self.story, waited, ms(5000));
            self.step();
        }
        Duration::from_nanos(self.story.world.now() - start)
    }

    /// How many datagrams of the election the busiest voter receives in a second.
    fn voter_load(&mut self) -> f64 {
        const SECONDS: u32 = 5;
        let voters = usize::try_from(VOTERS).unwrap_or(0);
        let received = |story: &Scenario| -> Vec<u64> {
            let traffic = story.world.cluster.notes.tally.traffic.iter().take(voters);
            traffic.map(|traffic| traffic.election_packets_received).collect()
        };
        let before = received(&self.story);
        self.pass(u64::from(SECONDS) * 1000);
        let after = received(&self.story);
        let most = after.iter().zip(before).map(|(after, before)| after - before).max();
        most.unwrap_or(0) as f64 / f64::from(SECONDS)
    }
}

/// What a cluster does while it is churned: how long it is without a killed Goose and without a
/// frozen one, and its voters' load.
fn churned(nodes: u64) -> (Scenario, [Duration; 2], f64) {
    let mut crowd = Crowd::gathered(nodes);
    let load = crowd.voter_load();
    let goose = crowd.until_renewed();
    crowd.story.crash(goose);
    let killed = crowd.succeeded(goose);
    crowd.story.start(&[goose]);
    crowd.pass(3000);
    let goose = crowd.until_renewed();
    crowd.story.freeze(goose);
    let frozen = crowd.succeeded(goose);
    crowd.story.thaw(goose);
    crowd.pass(2000);
    (crowd.story, [killed, frozen], load)
}

#[test]
fn s44_crowd_under_churn() {
    let (_, few, _) = churned(VOTERS);
    let (_, _, load_of_ten) = churned(10);
    let (story, many, load) = churned(CROWD);
    for (few, many) in few.into_iter().zip(many) {
        at_most(&story, many, few * 11 / 10);
        at_most(&story, many, ms(LEASE + HAND));
    }
    let bound = load_of_ten * 1.05;
    assert!(load <= bound, "{load} datagrams a second, not {bound}");
    check(
        &story,
        "44-crowd-under-churn",
        "The next Goose is there as soon as among five nodes, and the voters have no more to do.",
    );
}

#[test]
fn who_comes_and_goes_is_no_load_to_the_voters() {
    let mut crowd = Crowd::gathered(CROWD);
    crowd.pause = 60 * SECOND;
    let calm = crowd.voter_load();
    // As many restarts as two thousand nodes make of which 30 % restart every minute.
    crowd.pause = SECOND / 10;
    crowd.next = crowd.story.world.now();
    let load = crowd.voter_load();
    assert!(load <= calm * 1.05, "{load} datagrams a second, and {calm} if nobody comes");
}

#[test]
fn a_vacancy_disturbs_nobody_but_voters_and_standbys() {
    let mut crowd = Crowd::gathered(CROWD);
    crowd.pause = 60 * SECOND;
    crowd.pass(3000);
    crowd.story.world.cluster.hosts.iter_mut().for_each(|host| host.keeper.is_present = true);
    let goose = crowd.until_renewed();
    let received = |crowd: &Crowd| -> Vec<u64> {
        let traffic = crowd.story.world.cluster.notes.tally.traffic.iter();
        traffic.map(|traffic| traffic.election_packets_received).collect()
    };
    let before = received(&crowd);
    crowd.story.crash(goose);
    crowd.succeeded(goose);
    crowd.pass(20);
    let after = received(&crowd);
    let disturbed = (VOTERS + 1..=CROWD - 5).filter(|id| {
        let index = usize::try_from(*id - 1).unwrap_or(0);
        after[index] > before[index]
    });
    assert_eq!(disturbed.collect::<Vec<u64>>(), Vec::<u64>::new());
}

#[test]
fn a_crowd_hears_of_a_goose_just_after_those_who_elect() {
    /// Few enough for the Goose to tell all of them itself.
    const NEIGHBOURHOOD: u64 = 40;
    let mut crowd = Crowd::gathered(NEIGHBOURHOOD);
    crowd.pause = 60 * SECOND;
    crowd.pass(3000);
    crowd.story.world.cluster.hosts.iter_mut().for_each(|host| host.keeper.is_present = true);
    let dead = crowd.until_renewed();
    crowd.story.crash(dead);
    crowd.succeeded(dead);
    let (goose, _) = crowd.story.goose().expect("somebody leads now");
    let knows = |crowd: &Crowd, id: u64| {
        let host = &crowd.story.world.cluster.hosts[usize::try_from(id - 1).unwrap_or(0)];
        let known = host.running.as_ref().and_then(|running| running.core.snapshot().goose);
        known.is_some_and(|known| known.goose.process.id.number() == goose)
    };
    let is_elector = |id: &u64| *id <= VOTERS || *id > NEIGHBOURHOOD - 4;
    let (mut electors, mut first, mut all) = (None, None, None);
    for tick in 0..200 {
        let living = (1..=NEIGHBOURHOOD).filter(|id| *id != dead);
        let (elect, rest): (Vec<u64>, Vec<u64>) = living.partition(is_elector);
        if elect.iter().all(|id| knows(&crowd, *id)) {
            electors.get_or_insert(tick);
        }
        if rest.iter().any(|id| knows(&crowd, *id)) {
            first.get_or_insert(tick);
        }
        if rest.iter().all(|id| knows(&crowd, *id)) {
            all.get_or_insert(tick);
        }
        let now = crowd.story.world.now();
        crowd.story.world.run_until(now + SECOND / 10_000);
    }
    let [electors, first, all] = [electors, first, all].map(|tick| tick.expect("all hear of it"));
    assert!(electors < first, "ticks of 0.1 ms: electors {electors}, the crowd {first}");
    assert!(all <= electors + 30, "ticks of 0.1 ms: electors {electors}, all {all}");
}
