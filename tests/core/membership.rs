//! Membership in the simulator: what the gossip library leaves broken stays mended. Every mend
//! is also taken away once, and then the same story must end badly.

use std::time::Duration;

use gaggle::node::ForgetError;
use gaggle::sim::cluster::action::Action;
use gaggle::sim::cluster::interceptor::{Interception, Kind};
use gaggle::sim::cluster::network::{Blackout, Weather};
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::metadata::{Metadata, Tags};
use gaggle::vocabulary::mutant::{self, Mutant};
use gaggle::vocabulary::node_name::NodeName;
use gaggle::vocabulary::snapshot::MemberState;
use gaggle::vocabulary::timing::Profile;

/// What is to hold, or whose absence is to be seen.
type Story = fn(u64, Option<Mutant>) -> Result<(), String>;

/// Tells the story as it is and without the mend.
fn hold_and_break(mutant: Mutant, seeds: u64, story: Story) {
    for seed in 1..=seeds {
        story(seed, None).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
    }
    let broken = (1..=seeds).any(|seed| story(seed, Some(mutant)).is_err());
    mutant::set(None);
    assert!(broken, "all is well without the mend too: {mutant:?} proves nothing");
}

/// So many nodes, of which the first three vote, and which all know each other. From then on the
/// mend is missing that `mutant` takes away.
fn gathered(seed: u64, nodes: u64, mutant: Option<Mutant>) -> Scenario {
    mutant::set(None);
    let mut story = Scenario::new(seed, nodes, &[1, 2, 3]);
    story.start(&(1..=nodes).collect::<Vec<_>>());
    story.until(Duration::from_secs(10), "all known to all", &is_whole);
    story.run(2000);
    story.world.cluster.notes.tally.opinions = Some(Vec::new());
    mutant::set(mutant);
    story
}

fn is_whole(story: &Scenario) -> bool {
    let mut running = story.world.cluster.hosts.iter().filter_map(|host| host.running.as_ref());
    let count = running.clone().count();
    running.all(|running| running.core.alive_count() == count)
}

fn renames(story: &Scenario) -> u32 {
    let running = story.world.cluster.hosts.iter().filter_map(|host| host.running.as_ref());
    running.map(|running| running.core.renewals()).sum()
}

fn opinion(story: &Scenario, by: u64, about: u64) -> Option<MemberState> {
    let host = &story.world.cluster.hosts[usize::try_from(by).unwrap() - 1];
    let members = host.running.as_ref()?.core.snapshot().members;
    let about = NodeId::new(about).unwrap();
    members.iter().find(|member| member.id == about).map(|member| member.state)
}

fn alone(nodes: usize, lonely: usize) -> Action {
    Action::Partition((0..nodes).map(|index| usize::from(index == lonely)).collect())
}

#[test]
fn loss_renames_nobody_and_refuted_suspicions_are_dropped() {
    hold_and_break(Mutant::RefutedStillAccused, 2, |seed, mutant| {
        let mut story = gathered(seed, 12, mutant);
        let fair = story.world.cluster.delivery.network.weather;
        story.act(Action::SetWeather(Weather { loss: 200, ..fair }));
        story.run(10_000);
        match renames(&story) {
            0 => Ok(()),
            renames => Err(format!("{renames} renames")),
        }
    });
}

#[test]
fn a_suspect_that_missed_the_gossip_is_told_and_defends_itself() {
    hold_and_break(Mutant::NoBuddyNotice, 4, |seed, mutant| {
        let mut story = gathered(seed, 10, mutant);
        story.act(alone(10, 6));
        story.run(750);
        story.heal();
        story.run(5000);
        let heard = story.world.cluster.notes.tally.opinions.take().unwrap_or_default();
        match heard.iter().find(|opinion| opinion.state == MemberState::Down) {
            None => Ok(()),
            Some(opinion) => Err(format!("held for dead: {opinion:?}")),
        }
    });
}

#[test]
fn whoever_was_cut_off_makes_nobody_doubt_others() {
    hold_and_break(Mutant::IsolatedAccuses, 2, |seed, mutant| {
        let mut story = gathered(seed, 10, mutant);
        story.act(alone(10, 6));
        story.run(45_000);
        story.heal();
        story.run(10_000);
        let own = story.world.cluster.hosts[6].running.as_ref().unwrap().core.renewals();
        if !is_whole(&story) || renames(&story) > own {
            return Err(format!("{} renames of bystanders", renames(&story) - own));
        }
        let lonely = NodeId::new(7).unwrap();
        let heard = story.world.cluster.notes.tally.opinions.take().unwrap_or_default();
        match heard.iter().find(|opinion| opinion.by != 6 && opinion.about != lonely) {
            None => Ok(()),
            Some(opinion) => Err(format!("a bystander is doubted: {opinion:?}")),
        }
    });
}

#[test]
fn whoever_has_lost_everybody_finds_them_again() {
    hold_and_break(Mutant::NoWatchdog, 1, |seed, mutant| {
        let mut story = gathered(seed, 3, mutant);
        story.act(Action::SetBlackout(Blackout::Gossip));
        story.run(60_000);
        story.act(Action::SetBlackout(Blackout::None));
        story.run(10_000);
        if is_whole(&story) { Ok(()) } else { Err("still apart after ten seconds".to_owned()) }
    });
}

/// Seed 431328: two islands, one of them without a voter and so without a Goose, and all have
/// moved. Nobody on that one has a seed on the other, and what it remembers is out of date.
#[test]
fn islands_unite_if_one_has_a_seed_on_the_other() {
    hold_and_break(Mutant::SeedsForsaken, 1, |seed, mutant| {
        mutant::set(None);
        let mut setups = Scenario::setups(4, &[1], Profile::Lan);
        for (setup, name) in setups.iter_mut().zip([3, 4, 1, 2]) {
            setup.seeds = vec![format!("node-{name}:7000")];
        }
        setups[2].seeds.push("node-2:7000".to_owned());
        let mut story = Scenario::with_setups(seed, setups);
        story.start(&[1, 2, 3, 4]);
        story.until(Duration::from_secs(10), "all known to all", &is_whole);
        mutant::set(mutant);
        story.partition(&[&[1, 3], &[2, 4]]).run(60_000);
        (0..4).for_each(|host| _ = story.act(Action::Move(host)));
        story.run(5000);
        story.heal();
        story.run(15_000);
        if is_whole(&story) { Ok(()) } else { Err("still apart".to_owned()) }
    });
}

#[test]
fn a_newcomer_knows_everybody_within_a_second() {
    hold_and_break(Mutant::NoReconciliation, 1, |seed, mutant| {
        mutant::set(None);
        let mut story = Scenario::new(seed, 200, &[1, 2, 3]);
        story.start(&(1..200).collect::<Vec<_>>());
        story.until(Duration::from_secs(10), "all known to all", &is_whole);
        story.run(3000);
        mutant::set(mutant);
        story.world.cluster.hosts[199].setup.seeds = vec!["node-1:7000".to_owned()];
        story.start(&[200]);
        story.run(1000);
        let known = story.world.cluster.hosts[199].running.as_ref().unwrap().core.alive_count();
        if known == 200 { Ok(()) } else { Err(format!("it knows {known} of 200")) }
    });
}

#[test]
fn two_that_leave_at_once_stay_gone_and_are_shown_as_having_left() {
    hold_and_break(Mutant::LeaverListens, 12, |seed, mutant| {
        let mut story = gathered(seed, 6, mutant);
        story.leave(4).leave(5);
        for _ in 0..40 {
            story.run(50);
            let seen: Vec<_> = [1, 2, 3, 6]
                .iter()
                .flat_map(|by| [opinion(&story, *by, 4), opinion(&story, *by, 5)])
                .collect();
            let late = story.world.now() > 0 && story.world.cluster.hosts[3].running.is_none();
            let gone = |state: &Option<MemberState>| *state == Some(MemberState::Left);
            if late && story.world.cluster.hosts[4].running.is_none() && !seen.iter().all(gone) {
                return Err(format!("after they left: {seen:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn the_last_one_shows_the_dead_as_down_in_the_end() {
    let mut story = gathered(1, 4, None);
    story.crash(1).crash(2).crash(3);
    story.run(20_000);
    assert_eq!(opinion(&story, 4, 1), Some(MemberState::Suspect), "it may be cut off itself");
    story.run(25_000);
    for dead in 1..=3 {
        assert_eq!(opinion(&story, 4, dead), Some(MemberState::Down));
    }
    story.start(&[1, 2, 3]);
    story.until(Duration::from_secs(10), "reunion", &is_whole);
}

/// Two nodes start, and the second leaves so many microseconds later.
fn one_of_two_leaves(delay: u64) -> Result<(), String> {
    let mut story = Scenario::new(delay + 1, 2, &[1, 2]);
    story.start(&[1, 2]);
    story.world.run_until(story.world.now() + delay * 1000);
    story.leave(2).run(1000);
    if story.world.cluster.hosts[1].running.is_some() {
        return Err(format!("left after {delay} µs: still there"));
    }
    match opinion(&story, 1, 2) {
        None | Some(MemberState::Left) => Ok(()),
        Some(state) => Err(format!("left after {delay} µs: seen as {state:?}")),
    }
}

#[test]
fn one_of_two_may_leave_at_any_moment_and_is_seen_to() {
    hold_and_break(Mutant::LeaverIsSilent, 1, |_, mutant| {
        mutant::set(mutant);
        (0..100).map(|step| step * 50).try_for_each(one_of_two_leaves)
    });
}

#[test]
fn one_of_two_that_crashes_is_seen_to_be_down() {
    for seed in 1..=4 {
        let mut story = Scenario::new(seed, 2, &[1, 2]);
        story.start(&[1, 2]);
        story.until(Duration::from_secs(10), "acquaintance", &is_whole);
        story.run(2000 + 50 * seed);
        story.crash(2);
        let gone = |story: &Scenario| opinion(story, 1, 2) == Some(MemberState::Down);
        story.until(Duration::from_secs(2), "death noticed", &gone);
    }
}

/// Whether any of these shows a member under this id.
fn known_by(story: &Scenario, by: &[u64], about: u64) -> Vec<(u64, MemberState)> {
    by.iter().filter_map(|by| opinion(story, *by, about).map(|state| (*by, state))).collect()
}

fn until_down(story: &mut Scenario, by: &[u64], about: u64) {
    let down = |story: &Scenario| {
        by.iter().all(|by| opinion(story, *by, about) == Some(MemberState::Down))
    };
    story.until(Duration::from_secs(20), "death noticed", &down);
}

#[test]
fn a_forgotten_member_stays_forgotten_though_others_still_name_it() {
    hold_and_break(Mutant::ForgottenReturn, 4, |seed, mutant| {
        let mut story = gathered(seed, 5, mutant);
        story.crash(5);
        until_down(&mut story, &[1, 2, 3, 4], 5);
        // It has news of the death yet to tell, and misses the order.
        story.freeze(4);
        story.forget(1, 5).unwrap();
        assert_eq!(opinion(&story, 1, 5), None, "at once where it was ordered");
        story.run(1000);
        story.thaw(4);
        story.run(2000);
        for _ in 0..20 {
            let known = known_by(&story, &[1, 2, 3, 4], 5);
            if !known.is_empty() {
                return Err(format!("it is back: {known:?}"));
            }
            story.run(500);
        }
        Ok(())
    });
}

#[test]
fn whoever_was_forgotten_is_welcome_again() {
    let mut story = gathered(1, 5, None);
    story.crash(5);
    until_down(&mut story, &[1, 2, 3, 4], 5);
    story.forget(1, 5).unwrap();
    story.run(1000);
    assert_eq!(known_by(&story, &[1, 2, 3, 4], 5), []);
    story.start(&[5]);
    let took = story.until(Duration::from_secs(2), "return of a new process", &is_whole);
    assert!(took < Duration::from_secs(1), "{took:?}");

    // The same process, given up though it lives: it renames itself, once.
    story.act(alone(5, 4));
    until_down(&mut story, &[1, 2, 3, 4], 5);
    story.forget(2, 5).unwrap();
    story.run(1000);
    assert_eq!(known_by(&story, &[1, 2, 3, 4], 5), []);
    story.heal();
    story.until(Duration::from_secs(10), "return of the same process", &is_whole);
    story.run(5000);
    assert!(is_whole(&story));
    assert_eq!(renames(&story), 1);
}

#[test]
fn a_voter_that_was_forgotten_still_votes_when_it_returns() {
    let mut story = gathered(1, 5, None);
    story.crash(1);
    until_down(&mut story, &[2, 3, 4, 5], 1);
    story.forget(5, 1).unwrap();
    story.run(1000);
    story.start(&[1]);
    story.until(Duration::from_secs(2), "return", &is_whole);
    // Without it there is no majority.
    story.crash(2).run(2000);
    assert!(story.goose().is_some(), "{}", story.transcript());
}

#[test]
fn only_the_dead_can_be_forgotten() {
    let mut story = gathered(1, 5, None);
    let id = |number: u64| NodeId::new(number).unwrap();
    assert_eq!(story.forget(1, 5), Err(ForgetError::Present(id(5))));
    assert_eq!(story.forget(1, 1), Err(ForgetError::Own(id(1))));
    assert_eq!(story.forget(1, 9), Err(ForgetError::Unknown(id(9))));
    story.crash(5);
    let suspected = |story: &Scenario| opinion(story, 1, 5) == Some(MemberState::Suspect);
    story.until(Duration::from_secs(5), "suspicion", &suspected);
    assert_eq!(story.forget(1, 5), Err(ForgetError::Present(id(5))));
    story.leave(4).run(1000);
    assert_eq!(opinion(&story, 1, 4), Some(MemberState::Left));
    assert_eq!(story.forget(1, 4), Ok(()));
    story.run(1000);
    assert_eq!(known_by(&story, &[1, 2, 3], 4), []);
}

/// What everybody with an odd number says of itself; the others say nothing.
fn tags_of(number: u64) -> Tags {
    let zone = format!("eu-{number}");
    let tags: &[(&str, &str)] =
        if number.is_multiple_of(2) { &[] } else { &[("zone", &zone), ("rack", "7")] };
    Tags::new(tags.iter().copied()).unwrap()
}

/// So many nodes with tags and HTTP addresses. Nothing runs yet.
fn tagged(seed: u64, nodes: u64, mutant: Option<Mutant>) -> Scenario {
    mutant::set(mutant);
    let mut setups = Scenario::setups(nodes, &[1, 2, 3], Profile::Lan);
    for setup in &mut setups {
        setup.tags = tags_of(setup.id.number());
        setup.name = NodeName::new(&format!("db-{}", setup.id)).ok();
        setup.http = Some(setup.address);
    }
    Scenario::with_setups(seed, setups)
}

/// What a node knows of another one.
fn metadata(story: &Scenario, by: u64, about: u64) -> Option<Metadata> {
    let host = &story.world.cluster.hosts[usize::try_from(by).unwrap() - 1];
    let snapshot = host.running.as_ref()?.core.snapshot();
    let member = snapshot.members.iter().find(|member| member.id.number() == about)?;
    member.metadata.as_deref().cloned()
}

/// Whether each of these nodes knows what all of them say of themselves.
fn is_described(story: &Scenario, nodes: &[u64]) -> bool {
    let says = |number: u64| {
        let setup = &story.world.cluster.hosts[usize::try_from(number).unwrap() - 1].setup;
        let (tags, name) = (setup.tags.clone(), setup.name.clone());
        Some(Metadata { http: setup.http, tags, name })
    };
    nodes.iter().all(|by| nodes.iter().all(|about| metadata(story, *by, *about) == says(*about)))
}

fn asked(story: &Scenario) -> u64 {
    story.world.cluster.judges.coverage.of("details query")
}

#[test]
fn whoever_comes_late_learns_everything_and_everybody_learns_of_it() {
    hold_and_break(Mutant::DetailsUnasked, 2, |seed, mutant| {
        let mut story = tagged(seed, 8, mutant);
        let weather = story.world.cluster.delivery.network.weather;
        story.set_weather(Weather { loss: 200, ..weather });
        story.start(&[1, 2, 3, 4, 5, 6, 7]).run(8000);
        if !is_described(&story, &[1, 2, 3, 4, 5, 6, 7]) {
            return Err("not all is known after eight seconds".to_owned());
        }
        story.start(&[8]).run(8000);
        if is_described(&story, &[1, 2, 3, 4, 5, 6, 7, 8]) {
            Ok(())
        } else {
            Err("the newcomer does not know all, or is not known".to_owned())
        }
    });
}

#[test]
fn another_process_has_other_tags_and_nobody_takes_the_old_ones_for_them() {
    let mut story = tagged(1, 5, None);
    let all = [1, 2, 3, 4, 5];
    story.start(&all);
    story.until(Duration::from_secs(4), "details", &|story| is_described(story, &all));
    story.world.cluster.hosts[4].setup.tags = Tags::new([("zone", "us-9")]).unwrap();
    story.restart(&[5]);
    let process = story.process(5);
    for _ in 0..4000 {
        let host = story.world.cluster.hosts[0].running.as_ref().unwrap();
        let snapshot = host.core.snapshot();
        let member = snapshot.members.iter().find(|member| member.id.number() == 5).unwrap();
        let is_new = Some(member.boot) == process.map(|process| process.boot);
        let old = member.metadata.as_ref().is_some_and(|metadata| metadata.tags == tags_of(5));
        assert!(!is_new || !old, "old tags on a new process");
        story.run(1);
    }
    assert!(is_described(&story, &all));
}

#[test]
fn nothing_is_asked_while_nothing_is_lacking() {
    let mut story = tagged(3, 6, None);
    let all = [1, 2, 3, 4, 5, 6];
    story.start(&all);
    story.until(Duration::from_secs(4), "details", &|story| is_described(story, &all));
    story.run(2000);
    let before = asked(&story);
    assert!((5..=60).contains(&before), "{before} questions of six nodes");
    story.run(120_000);
    assert_eq!(asked(&story), before);
}

#[test]
fn whoever_never_answers_is_asked_ever_more_seldom() {
    let mut story = tagged(4, 3, None);
    story.rule(Interception::Lose, Kind::MetadataQuery, None, None);
    story.rule(Interception::Lose, Kind::MetadataReply, None, None);
    story.start(&[1, 2, 3]).run(60_000);
    let before = asked(&story);
    assert!(before < 3 * 24, "{before} questions in a minute");
    story.run(600_000);
    assert!(asked(&story) - before < 3 * 30, "{} in ten minutes", asked(&story) - before);
}

/// A node is known under one place, though it had another or somebody else had its own.
fn places(story: &Scenario, by: u64) -> Vec<(u64, std::net::SocketAddr, MemberState)> {
    let host = &story.world.cluster.hosts[usize::try_from(by).unwrap() - 1];
    let members = host.running.as_ref().unwrap().core.snapshot().members;
    members.iter().map(|member| (member.id.number(), member.address, member.state)).collect()
}

#[test]
fn a_new_process_takes_the_place_of_the_old_one_at_once() {
    let mut story = gathered(1, 5, None);
    story.restart(&[5]);
    let boot = story.process(5).unwrap().boot;
    let known = |story: &Scenario| {
        [1, 2, 3, 4].iter().all(|by: &usize| {
            let core = &story.world.cluster.hosts[by - 1].running.as_ref().unwrap().core;
            let members = core.snapshot().members;
            let mut it = members.iter().filter(|member| member.id.number() == 5);
            it.all(|member| member.boot == boot && member.state == MemberState::Alive)
        })
    };
    let took = story.until(Duration::from_secs(1), "the new process known", &known);
    assert!(took < Duration::from_secs(1), "{took:?}");
    story.run(10_000);
    assert!(known(&story) && renames(&story) == 0);
}

#[test]
fn a_node_that_moved_is_known_at_its_new_place_alone() {
    let mut story = gathered(1, 5, None);
    let before = story.world.cluster.hosts[4].setup.address;
    story.act(Action::Move(4));
    let after = story.world.cluster.hosts[4].setup.address;
    assert_ne!(before, after);
    story.run(2000);
    for by in [1, 2, 3, 4] {
        let five: Vec<_> = places(&story, by).into_iter().filter(|(id, ..)| *id == 5).collect();
        assert_eq!(five, [(5, after, MemberState::Alive)], "as node {by} sees it");
    }
    story.run(20_000);
    assert!(is_whole(&story));
}

#[test]
fn whoever_takes_the_address_of_another_takes_its_place() {
    let mut story = Scenario::new(1, 6, &[1, 2, 3]);
    story.start(&[1, 2, 3, 4, 5]).run(3000);
    story.crash(5).run(100);
    // Node 6 answers at the place of node 5 from here on.
    let place = story.world.cluster.hosts[4].setup.address;
    story.world.cluster.hosts.swap(4, 5);
    story.world.cluster.hosts[4].setup.address = place;
    story.start(&[5]).run(3000);
    for by in [1, 2, 3, 4] {
        let there: Vec<_> =
            places(&story, by).into_iter().filter(|(_, address, _)| *address == place).collect();
        assert_eq!(there, [(6, place, MemberState::Alive)], "as node {by} sees it");
    }
}

/// How many of the running nodes know, at this moment, this node for the Goose.
fn naming(story: &Scenario, goose: u64) -> usize {
    let running = story.world.cluster.hosts.iter().filter_map(|host| {
        let now = host.clocks.now(story.world.now());
        Some((now, host.running.as_ref()?.core.snapshot()))
    });
    let names = running.filter(|(now, snapshot)| {
        let known = snapshot.goose.as_ref().filter(|known| now.holder < known.expires);
        known.is_some_and(|known| known.goose.process.id.number() == goose)
    });
    names.count()
}

/// In a crowd too large to be told by the Goose itself.
#[test]
fn everybody_in_a_crowd_knows_the_goose_at_every_moment_and_no_dead_one_for_long() {
    hold_and_break(Mutant::LeaderFreshnessUnheard, 1, |seed, mutant| {
        const NODES: usize = 80;
        let mut story = gathered(seed, 80, mutant);
        for _ in 0..100 {
            story.run(200);
            let naming = naming(&story, 80);
            if naming < NODES {
                return Err(format!("{naming} of {NODES} know the Goose"));
            }
        }
        // Nobody can lead any more. Voters 1 to 3 and the standbys are those who know best.
        story.crash(1);
        story.crash(2);
        story.crash(80);
        story.run(10_000);
        match naming(&story, 80) {
            0 => Ok(()),
            naming => Err(format!("{naming} still believe in the Goose that is dead")),
        }
    });
}
