//! Scenarios 28 to 32, 41 and 46: messages that come late, twice, or not at all.

use std::time::Duration;

use gaggle::sim::cluster::delay::Delay;
use gaggle::sim::cluster::interceptor::{Interception, Kind};
use gaggle::sim::cluster::network::Weather;
use gaggle::sim::scenario::Scenario;

use super::golden::check;
use super::stage::{
    CLAIM_LEASE, HAND, LEASE, at_least, at_most, begun, gone, leads, ms, reigning, setups, stays,
    usable,
};

#[test]
fn s28_late_release_of_an_earlier_tenure() {
    let mut setups = setups(3, 3);
    setups[0].eligible = false;
    setups[1].eligible = false;
    let mut story = begun(setups, 3);
    story.listen(&[Kind::Release]).rule(Interception::Hold, Kind::Release, Some(3), None);
    story.step_down(3);
    story.until(ms(100), "Duck", &|story| !story.leads(3));
    leads(&mut story, 3);
    story.end_rules().run(500);
    let granted = |story: &Scenario| {
        [1, 2].map(|voter| story.grant_of(voter).map(|(holder, ballot, _)| (holder, ballot)))
    };
    let before = granted(&story);
    assert!(before.iter().all(Option::is_some));
    story.say("the messages of the first tenure arrive").deliver_held();
    assert_eq!(granted(&story), before);
    stays(&mut story, 3000);
    assert_eq!(story.terms(), 2);
    check(&story, "28-late-release", "A release of tenure n ends nothing of tenure n + 1.");
}

/// The last grant that was under way arrives when the Goose has long sent other requests.
#[test]
fn s30_old_answer_after_newer_requests() {
    let mut story = reigning(3, 3);
    let renewed = |story: &Scenario| {
        let left = story.grant_of(1).map_or(Duration::ZERO, |(.., left)| left);
        left >= ms(LEASE - 1)
    };
    story.until(ms(LEASE), "renewal", &|story| !renewed(story));
    story.listen(&[Kind::Grant]);
    story.rule(Interception::Hold, Kind::Grant, None, Some(3));
    story.until(ms(LEASE), "renewal", &renewed);
    let sent = story.world.now();
    story.end_rules().rule(Interception::Lose, Kind::Grant, None, Some(3));
    story.run(usable().as_millis().try_into().unwrap_or(0) - 150);
    story.say("the grants that were held back arrive").deliver_held();
    assert!(story.leads(3), "they count for what is left of them");
    gone(&mut story, 3);
    let counted = Duration::from_nanos(story.world.now() - sent);
    at_most(&story, counted, usable() + ms(1));
    at_least(&story, counted, usable() - ms(3));
    check(&story, "30-old-answer", "It counts from when its own request was sent.");
}

/// How long a cluster is without a Goose, while a minute's renewals of the dead one are sent
/// again or not.
fn vacancy_under_replay(replays: bool) -> (Scenario, Duration) {
    let mut story = reigning(4, 3);
    if replays {
        story.say("the renewals of node 4 are recorded");
        story.rule(Interception::Copy, Kind::Renewal, Some(4), None);
    }
    story.run(5000).end_rules().crash(4);
    let begun = story.world.now();
    if replays {
        story.say("and are sent again for a minute, one each 2 ms");
        let copies = std::mem::take(&mut story.world.cluster.delivery.interceptor.kept);
        for (at, envelope) in (0..30_000).zip(copies.iter().cycle()) {
            story.world.deliver_kept(envelope, at * 2_000_000);
        }
    }
    leads(&mut story, 3);
    let vacancy = Duration::from_nanos(story.world.now() - begun);
    stays(&mut story, 60_000);
    (story, vacancy)
}

#[test]
fn s31_captured_renewals() {
    let (_, without) = vacancy_under_replay(false);
    let (story, with) = vacancy_under_replay(true);
    assert!(with.abs_diff(without) <= ms(2), "{with:?}, {without:?} without");
    assert_eq!(story.terms(), 2);
    assert!(story.world.cluster.judges.coverage.of("repeated datagram") > 10_000);
    check(&story, "31-captured-renewals", "Sent again for a minute, they change nothing.");
}

/// How long a contender takes to lead once it has heard two notices of vacancy, if what the
/// first of these voters said before reaches it between them, or not.
fn vacancy_with_a_late_answer(late: bool) -> (Scenario, Duration) {
    let mut setups = setups(5, 3);
    setups[..3].iter_mut().for_each(|voter| voter.eligible = false);
    let mut story = begun(setups, 5);
    story.crash(5).run(100);
    let interception = if late { Interception::Hold } else { Interception::Lose };
    story.rule(interception, Kind::PollAck, Some(1), Some(4));
    let ends = |story: &Scenario| story.grant_of(1).is_none_or(|(.., left)| left <= ms(1));
    story.until(ms(LEASE), "vacancy", &ends);
    let held = std::mem::take(&mut story.world.cluster.delivery.interceptor.kept);
    story.end_rules().listen(&[Kind::Vacancy, Kind::Claim, Kind::Grant]);
    story.rule(Interception::Hold, Kind::Vacancy, Some(2), Some(4));
    story.rule(Interception::Lose, Kind::Vacancy, Some(3), Some(4));
    story.run(2);
    assert!(held.is_empty() != late);
    if late {
        story.say("what node 1 said before its notice reaches node 4");
        held.iter().for_each(|envelope| story.world.deliver_kept(envelope, 0));
        story.run(1);
    } else {
        story.run(1);
    }
    story.say("the notice of node 2 reaches node 4").end_rules().deliver_held();
    let vacancy = leads(&mut story, 4);
    (story, vacancy)
}

#[test]
fn s32_late_answer_after_a_notice() {
    let (_, without) = vacancy_with_a_late_answer(false);
    let (story, with) = vacancy_with_a_late_answer(true);
    assert!(with.abs_diff(without) <= ms(1), "{with:?}, {without:?} without");
    at_most(&story, with, ms(HAND));
    check(&story, "32-late-answer", "An answer from before a notice is ignored.");
}

#[test]
fn s41_hand_over_lost_at_each_message() {
    for (kind, name) in [
        (None, "41-handover"),
        (Some(Kind::Handover), "41-handover-lost"),
        (Some(Kind::Release), "41-handover-releases-lost"),
        (Some(Kind::Claim), "41-handover-first-claims-lost"),
        (Some(Kind::Grant), "41-handover-first-grants-lost"),
    ] {
        let mut story = reigning(3, 3);
        story.run(500).listen(&[Kind::Handover, Kind::Release, Kind::Claim, Kind::Grant]);
        if let Some(kind) = kind {
            story.rule(Interception::Lose, kind, None, None);
        }
        story.step_down(3);
        assert!(!story.leads(3), "a Duck before anything leaves");
        story.run(5).end_rules();
        story.say(if kind.is_some() { "nothing is lost any more" } else { "5 ms later" });
        let vacancy = leads(&mut story, 2) + ms(5);
        let bound = match kind {
            // One round trip and a write, with a certificate alone, too.
            None | Some(Kind::Release | Kind::Handover) => HAND,
            _ => 2 * CLAIM_LEASE,
        };
        at_most(&story, vacancy, ms(bound));
        story.listen(&[]);
        stays(&mut story, 2000);
        assert_eq!(story.terms(), 2);
        check(&story, name, "Whatever of a hand-over is lost: no overlap, and soon a Goose.");
    }
}

#[test]
fn s46_foul_weather() {
    let mut story = reigning(5, 3);
    let foul = Weather {
        delay: Delay::Uniform(100_000, 60_000_000),
        loss: 200,
        duplicates: 300,
        stragglers: 300,
        straggle: 2_000_000_000,
        flips: 0,
    };
    story.set_weather(foul).run(60_000).set_weather(Weather::fair(300_000));
    story.say("the weather is fair again").run(2000);
    story.until_agreed(ms(2000));
    assert!(story.world.cluster.judges.coverage.of("repeated datagram") > 1_000);
    check(&story, "46-foul-weather", "Duplicates, reordering, delays beyond L: never two.");
}
