//! How every story begins, and the spans that its promise is measured by.

use std::time::Duration;

use gaggle::node::setup::Setup;
use gaggle::sim::scenario::Scenario;
use gaggle::vocabulary::timing::{Profile, counted};

/// The lan profile, in milliseconds: L, L_c, r, W_d, and the pause before something is sent again.
pub(crate) const LEASE: u64 = 600;
pub(crate) const CLAIM_LEASE: u64 = 150;
pub(crate) const RENEWAL: u64 = 120;
pub(crate) const DEFERENCE: u64 = 30;
pub(crate) const RETRANSMIT: u64 = 20;
/// From the end of the last lease to a Goose in a calm network: a notice, a poll, a claim, a
/// write, at 0.3 ms one way; and the story is looked at every millisecond.
pub(crate) const HAND: u64 = 10;

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// D: for how long the Goose counts a grant of L.
pub(crate) fn usable() -> Duration {
    counted(ms(LEASE))
}

/// Nodes 1 to `nodes`, of which the first `voters` vote. All have started, the highest leads in
/// term 1, and it has done so for a second.
pub(crate) fn reigning(nodes: u64, voters: u64) -> Scenario {
    begun(setups(nodes, voters), nodes)
}

/// The same, but with other settings: `goose` leads.
pub(crate) fn begun(setups: Vec<Setup>, goose: u64) -> Scenario {
    let nodes: Vec<u64> = (1..).take(setups.len()).collect();
    let mut story = Scenario::with_setups(1, setups);
    story.start(&nodes);
    assert_eq!(story.until_agreed(ms(2000)), goose, "{}", story.transcript());
    assert_eq!(story.goose(), Some((goose, 1)), "the first term of a new cluster is 1");
    story.run(1000);
    story
}

pub(crate) fn setups(nodes: u64, voters: u64) -> Vec<Setup> {
    let voters: Vec<u64> = (1..=voters).collect();
    Scenario::setups(nodes, &voters, Profile::Lan)
}

/// Waits until `node` leads no more, and says how long that took.
pub(crate) fn gone(story: &mut Scenario, node: u64) -> Duration {
    story.until(ms(5000), "end of a tenure", &|story| !story.leads(node))
}

/// Waits until `node` leads, and says how long that took.
pub(crate) fn leads(story: &mut Scenario, node: u64) -> Duration {
    story.until(ms(5000), "Goose that was expected", &|story| story.leads(node))
}

/// Nothing changes for so many milliseconds: `goose` stays, in the same term.
pub(crate) fn stays(story: &mut Scenario, milliseconds: u64) {
    let goose = story.goose();
    assert!(goose.is_some(), "somebody leads\n{}", story.transcript());
    for _ in 0..milliseconds / 10 {
        story.run(10);
        assert_eq!(story.goose(), goose, "{}", story.transcript());
    }
}

/// For so many milliseconds nobody leads.
pub(crate) fn nobody(story: &mut Scenario, milliseconds: u64) {
    for _ in 0..milliseconds / 10 {
        story.run(10);
        assert_eq!(story.goose(), None, "{}", story.transcript());
    }
}

#[track_caller]
pub(crate) fn at_most(story: &Scenario, measured: Duration, bound: Duration) {
    assert!(measured <= bound, "{measured:?}, not {bound:?}\n{}", story.transcript());
}

#[track_caller]
pub(crate) fn at_least(story: &Scenario, measured: Duration, bound: Duration) {
    assert!(measured >= bound, "{measured:?}, not {bound:?}\n{}", story.transcript());
}

/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Three voters, of which node 3 leads under term 1, with standbys at hand.
pub(crate) fn three() -> Scenario {
    let mut story = Scenario::new(1, 3, &[1, 2, 3]);
    story.start(&[1, 2, 3]);
    assert_eq!(story.until_agreed(PATIENCE), 3);
    story.run(1000);
    story
}
