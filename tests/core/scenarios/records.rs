//! Scenarios about lost records: settings that change over a restart, wall clocks that are behind,
//! and whose word a voter without its record needs. Each rule is also broken on purpose once, to
//! see that the judges would find it.

use std::time::Duration;

use gaggle::sim::cluster::action::{Action, Restart};
use gaggle::sim::cluster::disk::{SimulatedDisk, Tear};
use gaggle::sim::cluster::network::Weather;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::mutant::{self, Mutant};
use gaggle::vocabulary::timing::{Profile, Timing};

use super::golden::check;
use super::stage::{leads, ms, reigning, setups, stays};

fn long() -> Timing {
    Timing::of(Profile::Lan).with_lease(Duration::from_secs(10))
}

/// Runs on until a promise is broken or so many milliseconds have passed.
fn broken_within(story: &mut Scenario, milliseconds: u64) -> Option<String> {
    for _ in 0..milliseconds {
        let next = story.world.now() + 1_000_000;
        story.world.run_until(next);
        if let Some(violation) = story.world.cluster.judges.violation.take() {
            return Some(violation.to_string());
        }
    }
    None
}

/// What a story comes to with a bug in the code.
fn mutated(bug: Mutant, tell: impl FnOnce() -> Option<String>) -> Option<String> {
    mutant::set(Some(bug));
    let outcome = tell();
    mutant::set(None);
    outcome
}

/// No disk was lost by anybody: the voters keep none, and a shorter lease is rolled out.
fn ephemeral_voters_and_a_shorter_lease() -> Option<String> {
    let mut setups = setups(3, 3);
    setups.iter_mut().for_each(|setup| setup.timing = long());
    let mut story = Scenario::with_setups(1, setups);
    story.world.cluster.hosts.iter_mut().for_each(|host| host.disk = SimulatedDisk::new(true));
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(Duration::from_secs(60)), 3);
    story.run(5000);
    story.partition(&[&[1, 2], &[3]]);
    for host in [0, 1] {
        story.world.cluster.hosts[host].setup.timing = Timing::of(Profile::Lan);
    }
    story.restart(&[1, 2]);
    let broken = broken_within(&mut story, 9000);
    assert!(broken.is_some() || story.goose().is_some(), "{}", story.transcript());
    broken
}

/// The slot that is left says how long to wait, whatever the settings say.
fn one_torn_record_and_a_shorter_lease() -> Option<String> {
    let mut setups = setups(3, 3);
    setups.iter_mut().for_each(|setup| setup.timing = long());
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(Duration::from_secs(10)), 3);
    story.run(3000);
    // Voter 2 is cut off from the Goose and lives: what it granted runs out.
    story.separate(&[2], &[1, 3]).run(11_000);
    assert!(story.leads(3));
    story.heal().separate(&[3], &[1, 2]);
    story.act(Action::Crash(0, Tear::Lost));
    story.world.cluster.hosts[0].setup.timing = Timing::of(Profile::Lan);
    story.act(Action::Start(0, Restart::Damaged));
    // The Goose cannot be heard by either, and tells its word a moment before it could end.
    let broken = broken_within(&mut story, 1500);
    story.quietly(|story| _ = story.heal());
    broken.or_else(|| broken_within(&mut story, 12_000))
}

#[test]
fn a_shorter_lease_over_a_restart() {
    assert_eq!(ephemeral_voters_and_a_shorter_lease(), None);
    assert_eq!(one_torn_record_and_a_shorter_lease(), None);
}

#[test]
fn a_wait_by_ones_own_lease_is_found() {
    let found = mutated(Mutant::WaitsOwnLeaseOnly, ephemeral_voters_and_a_shorter_lease);
    assert!(found.is_some_and(|what| what.contains("I3")));
}

/// One of three records is lost, and the clock is an hour behind; the only other voter that knows
/// the last terms is down.
fn one_lost_record_and_a_clock_behind(others: [u64; 2]) -> (Scenario, Option<String>) {
    let [knows, misses] = others;
    let mut story = reigning(3, 3);
    story.separate(&[misses], &[knows, 3]).run(2000);
    for _ in 0..4 {
        let (goose, _) = story.goose().expect("two of three suffice");
        story.step_down(goose).run(4000);
    }
    story.crash(knows).jump_wall(3, -3_600_000).crash(3).heal().start_wiped(3);
    let broken = broken_within(&mut story, 12_000);
    (story, broken)
}

#[test]
fn a_lost_record_waits_for_the_word_of_all_others() {
    let (mut story, broken) = one_lost_record_and_a_clock_behind([1, 2]);
    assert_eq!(broken, None, "{}", story.transcript());
    let before = story.terms();
    assert_eq!(story.goose(), None, "one of two others is not enough\n{}", story.transcript());
    let waits = "node 3 warns: it has no record, and waits: voter 1 is silent";
    assert!(story.transcript().contains(waits), "{}", story.transcript());
    story.start(&[1]);
    story.until(ms(5000), "Goose", &|story| story.goose().is_some());
    stays(&mut story, 4000);
    assert!(story.terms() > before);
    let (_, term) = story.goose().expect("somebody leads");
    assert!(term < 100, "the clock has no say in it: term {term}");
    let regained = "node 3 votes again on the word of all others";
    assert!(story.transcript().contains(regained), "{}", story.transcript());
    check(&story, "23-lost-record-and-clock-behind", "No term comes twice, nor from a clock.");
}

#[test]
fn the_word_of_all_but_one_is_found() {
    let tell = || one_lost_record_and_a_clock_behind([1, 2]).1;
    let found = mutated(Mutant::OneVoterLessThanAll, tell);
    assert!(found.is_some_and(|what| what.contains("I5") || what.contains("I2")));
}

#[test]
fn answers_before_the_end_of_the_wait_are_found() {
    let found = mutated(Mutant::EarlyAnswersCounted, || {
        let mut story = reigning(3, 3);
        story.crash(1).start_wiped(1);
        broken_within(&mut story, 1000)
    });
    assert!(found.is_some_and(|what| what.contains("I3")));
}

/// Two of three records are lost one after the other, and the third voter missed the last terms.
fn two_lost_records() -> (Scenario, Option<String>) {
    let mut story = reigning(3, 3);
    story.separate(&[1], &[2, 3]).run(2000);
    for _ in 0..3 {
        let (goose, _) = story.goose().expect("two of three suffice");
        story.step_down(goose).run(4000);
    }
    story.crash(2).crash(3).heal().start_wiped(2).start_wiped(3);
    let broken = broken_within(&mut story, 20_000);
    (story, broken)
}

#[test]
fn s23_all_voters_but_one_lose_their_disks() {
    let (story, broken) = two_lost_records();
    assert_eq!((broken, story.goose()), (None, None), "{}", story.transcript());
    for (node, other) in [(2, 3), (3, 2)] {
        let waits = format!(
            "node {node} warns: it has no record, and waits: voter {other} is itself without a record"
        );
        assert!(story.transcript().contains(&waits), "{}", story.transcript());
    }
    check(&story, "23-all-disks-but-one-lost", "Nobody leads until a person decides.");
}

#[test]
fn the_word_of_others_without_a_record_is_found() {
    let found = mutated(Mutant::BlankCountedAsSound, || two_lost_records().1);
    assert!(found.is_some_and(|what| what.contains("I5") || what.contains("I2")));
}

/// A witness comes back on an empty disk, or keeps none, with its wall clock an hour behind; then
/// the Goose dies for good.
fn a_witness_whose_clock_is_behind(ephemeral: bool) -> (Scenario, bool) {
    let mut setups = setups(3, 3);
    setups[1].eligible = false;
    let mut story = Scenario::with_setups(1, setups);
    if ephemeral {
        story.world.cluster.hosts[1].disk = SimulatedDisk::new(true);
    }
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(ms(5000)), 3, "{}", story.transcript());
    story.run(2000).crash(2).jump_wall(2, -3_600_000);
    if ephemeral {
        story.start(&[2]);
    } else {
        story.start_wiped(2);
    }
    story.run(5000).crash(3).run(5000);
    let led = story.goose().is_some();
    (story, led)
}

/// A voter that keeps no record takes its cluster to keep none, and the only seed that it was
/// given is gone. The two others, which do keep theirs, know where it is: it learns from their
/// questions whom to ask.
#[test]
fn a_voter_whose_seeds_are_gone_asks_those_that_ask_it() {
    let mut setups = setups(4, 3);
    setups[2].seeds = vec!["node-4:7000".to_owned()];
    setups[2].voter_addresses.clear();
    let mut story = Scenario::with_setups(1, setups);
    story.world.cluster.hosts[2].disk = SimulatedDisk::new(true);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(ms(10_000)), 3, "{}", story.transcript());
}

/// A voter lost its record, and is told no voters: it knows nothing of its cluster but a seed, and
/// that is gone for good. The others know where it is, and so it learns from them who they are.
#[test]
fn a_lost_record_and_lost_seeds_are_made_up_for_by_those_that_look_for_the_voter() {
    let mut story = reigning(4, 3);
    story.leave(4).run(2000).crash(1);
    assert_eq!(story.process(4), None, "it has left");
    let setup = &mut story.world.cluster.hosts[0].setup;
    (setup.voters, setup.voter_addresses) = (None, Vec::new());
    setup.seeds = vec!["node-4:7000".to_owned()];
    story.start_wiped(1);
    let granted = |story: &Scenario| story.grant_of(1).is_some();
    story.until(ms(30_000), "vote of node 1", &granted);
    // So one of the other voters can be spared.
    story.crash(3);
    story.until(ms(3000), "node 2 leads with the vote of node 1", &|story| story.leads(2));
}

/// One voter of three keeps records, and the others, which keep none, follow it. Before anybody
/// has led it is started without its disk: nobody keeps records now, and nobody waits for any.
#[test]
fn a_cluster_in_which_nobody_keeps_records_any_more_goes_by_the_clock() {
    let mut story = Scenario::with_setups(1, setups(3, 3));
    for voter in [0, 1] {
        story.world.cluster.hosts[voter].disk = SimulatedDisk::new(true);
    }
    story.start(&[1, 2, 3]).run(15_000);
    assert_eq!(story.goose(), None, "two that keep no record are too many\n{}", story.transcript());
    story.crash(3);
    story.world.cluster.hosts[2].disk = SimulatedDisk::new(true);
    story.start(&[3]);
    assert_eq!(story.until_agreed(ms(20_000)), 3, "{}", story.transcript());
    story.run(10_000);
    assert_eq!(story.terms(), 1, "{}", story.transcript());
}

/// Two voters on empty disks wait for a third, over a line that is slow and delivers some twice:
/// each asks at once when the other shows itself, and that question is not answered with another
/// each time.
#[test]
fn voters_that_wait_for_a_third_do_not_ask_each_other_ever_more() {
    let mut story = Scenario::with_setups(1, setups(3, 3));
    let weather = Weather { duplicates: 100, ..Weather::fair(400_000_000) };
    story.set_weather(weather).start(&[1, 2]).run(10_000);
    let before = story.world.events();
    story.run(10_000);
    // Each asks the other fifty times a second at most, besides its rounds.
    let events = story.world.events() - before;
    assert!(events < 10_000, "{events} events in ten seconds");
}

/// A voter that keeps no record starts cut off from the two others, which do keep theirs. It goes
/// by its clock and the two found without it; then all hear each other.
#[test]
fn a_voter_that_waited_alone_follows_those_that_were_founded_without_it() {
    let mut story = Scenario::with_setups(1, setups(3, 3));
    story.world.cluster.hosts[0].disk = SimulatedDisk::new(true);
    story.partition(&[&[1], &[2, 3]]).start(&[1, 2, 3]).run(15_000);
    assert!(story.goose().is_some_and(|(goose, _)| goose == 3), "{}", story.transcript());
    let (_, term) = story.goose().unwrap();
    story.heal();
    assert_eq!(story.until_agreed(ms(10_000)), 3, "{}", story.transcript());
    assert_eq!(story.goose(), Some((3, term)), "{}", story.transcript());
    // It makes up for what it never had, and one of the two can be spared.
    story.run(5000).crash(3);
    story.until(ms(2000), "node 2 leads with the vote of node 1", &|story| story.leads(2));
}

#[test]
fn starts_are_ordered_by_proof_and_not_by_the_clock() {
    for ephemeral in [false, true] {
        let (story, led) = a_witness_whose_clock_is_behind(ephemeral);
        assert!(led, "{}", story.transcript());
        // Not only the election: gossip has taken it in, too.
        let later = "node 2 takes a later start than an earlier process";
        assert!(story.transcript().contains(later), "{}", story.transcript());
        let members =
            story.world.cluster.hosts[0].running.as_ref().map(|node| node.core.snapshot().members);
        let two = members.iter().flat_map(|all| all.iter()).find(|member| member.id.number() == 2);
        assert_eq!(two.map(|member| member.boot), story.process(2).map(|process| process.boot));
        assert!(two.is_some_and(|member| member.state.is_present()), "{two:?}");
    }
}

#[test]
fn starts_ordered_by_the_clock_are_found() {
    mutant::set(Some(Mutant::StartsOrderedByClock));
    let (_, led) = a_witness_whose_clock_is_behind(false);
    mutant::set(None);
    assert!(!led);
}

/// A torn record of the only voter: what is left of it and the clock are all there is.
#[test]
fn the_only_voter_goes_on_above_what_is_left_and_above_its_clock() {
    for behind in [0, -1_000_000_000_000] {
        let mut story = reigning(1, 1);
        for _ in 0..3 {
            story.step_down(1).run(3000);
        }
        let (_, last) = story.goose().expect("it leads again");
        story.crash(1).jump_wall(1, behind);
        story.act(Action::Start(0, Restart::Damaged));
        story.run(2500);
        assert_eq!(story.goose(), None, "it waits");
        leads(&mut story, 1);
        let (_, term) = story.goose().expect("it leads");
        assert!(term > last, "{term} after {last}\n{}", story.transcript());
        assert!(story.transcript().contains("ResumesByClock"), "{}", story.transcript());
    }
}

/// A voter that should keep a record and does not: it is told so, and votes again every time.
#[test]
fn a_voter_without_a_disk_in_a_cluster_with_records() {
    let mut story = Scenario::with_setups(1, setups(3, 3));
    story.world.cluster.hosts[0].disk = SimulatedDisk::new(true);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(ms(5000)), 3, "{}", story.transcript());
    assert!(story.transcript().contains("EphemeralDiffers { cluster: false, follows: true }"));
    for _ in 0..3 {
        story.restart(&[1]);
        stays(&mut story, 4000);
        assert!(story.grant_of(1).is_some(), "{}", story.transcript());
    }
}

/// Two of three keep none: such a cluster would forget its own founding.
#[test]
fn too_many_voters_without_a_disk_found_nothing() {
    let mut story = Scenario::with_setups(1, setups(3, 3));
    for host in [0, 1] {
        story.world.cluster.hosts[host].disk = SimulatedDisk::new(true);
    }
    story.start(&[1, 2, 3]).run(30_000);
    assert_eq!(story.goose(), None, "{}", story.transcript());
    let waits = "itself without a record (--ephemeral)";
    assert!(story.transcript().contains(waits), "{}", story.transcript());
}

/// A voter that never comes does not keep the others from founding, and comes late as one that
/// has everything to learn.
#[test]
fn a_majority_founds_without_a_voter_that_never_comes() {
    let mut story = Scenario::new(1, 3, &[1, 2, 3]);
    story.start(&[1, 2]);
    story.run(9500);
    assert_eq!(story.goose(), None, "it is waited for");
    assert_eq!(story.until_agreed(Duration::from_secs(2)), 2);
    let (_, term) = story.goose().unwrap();
    assert!(term > 1_000_000_000_000, "terms begin above the clock: {term}");
    story.start(&[3]);
    story.run(6000);
    // Its vote is needed now.
    story.crash(1);
    story.run(2000);
    assert_eq!(story.goose(), Some((2, term)), "{}", story.transcript());
    story.start(&[1]);
    story.run(2000);
    assert!(story.leads(2), "{}", story.transcript());
}

/// One empty disk and a voter that has never been started are no founding while anybody who
/// remembers answers.
#[test]
fn a_wiped_voter_and_a_new_one_found_nothing_beside_one_that_remembers() {
    let mut story = Scenario::new(1, 3, &[1, 2, 3]);
    story.start(&[1, 2]);
    assert_eq!(story.until_agreed(Duration::from_secs(15)), 2);
    let (_, term) = story.goose().unwrap();
    story.crash(1);
    story.crash(2);
    story.start_wiped(1);
    story.start(&[2, 3]);
    story.run(30_000);
    // The new voter has never heard of a founding that names it, and the wiped one has forgotten
    // it, so each waits for the word of the other.
    assert_eq!(story.goose(), None, "{}", story.transcript());
    assert!(term > 1_000_000_000_000);
}

/// A voter on an empty disk knows only a seed, and that is a stray process which takes the cluster
/// to preempt. The voter follows its cluster once it hears of it, for nobody told it to preempt.
#[test]
fn a_voter_that_learnt_of_preemption_from_a_stray_follows_its_cluster() {
    let mut setups = setups(4, 3);
    setups[3].preempt = Some(true);
    let (stray, others) = (setups[3].address, [setups[0].address, setups[1].address]);
    let mut story = Scenario::with_setups(1, setups);
    story.start(&[1, 2, 3]);
    story.run(3000);
    assert_eq!(story.goose(), Some((3, 1)), "{}", story.transcript());
    story.crash(3);
    story.until(ms(3000), "node 2 leads", &|story| story.leads(2));
    let setup = &mut story.world.cluster.hosts[2].setup;
    (setup.voters, setup.voter_addresses) = (None, Vec::new());
    setup.seeds = [stray, others[0], others[1]].map(|address| address.to_string()).to_vec();
    story.partition(&[&[1, 2], &[3, 4]]).start(&[4]).start_wiped(3).run(2000);
    let preempts = |story: &Scenario| {
        let running = story.world.cluster.hosts[2].running.as_ref();
        running.and_then(|node| node.core.snapshot().voters).map(|view| view.configuration.preempt)
    };
    assert_eq!(preempts(&story), Some(true), "{}", story.transcript());
    story.heal();
    let granted = |story: &Scenario| story.grant_of(3).is_some();
    story.until(ms(20_000), "node 3 votes for the Goose", &granted);
    assert_eq!(preempts(&story), Some(false), "{}", story.transcript());
}
