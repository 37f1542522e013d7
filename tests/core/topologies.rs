//! A sample of the 2^18 directed topologies of three contenders and three voters. All of them:
//! `cargo run --release --example topologies`.

use std::time::Duration;

use gaggle::sim::exhaustive::topology::{BOUND, Change, Opening, Stage, TOPOLOGIES, Topology};

/// Every symmetric topology, and every one of a stride that shares no factor with 2^18.
fn sample() -> impl Iterator<Item = Topology> {
    let symmetric = (0..TOPOLOGIES).map(Topology).filter(|topology| topology.is_symmetric());
    symmetric.chain((0..TOPOLOGIES).step_by(173).map(Topology))
}

fn check(opening: Opening) {
    let stage = Stage::new(opening);
    let mut number = 0;
    for topology in sample() {
        let outcome = stage.run(topology);
        assert!(
            outcome.is_right(),
            "topology {:#07x}, {}: {outcome:?}, not {:?}",
            topology.0,
            opening.name(),
            topology.rightful()
        );
        let took = outcome.took.map(Duration::from_millis);
        assert!(took.is_none_or(|took| took <= BOUND));
        number += 1;
    }
    assert!(number > 2_000, "512 symmetric ones and a stride");
    let changes = !matches!(opening, Opening::Founding | Opening::Succession);
    assert_eq!(stage.moments() > 10, changes, "{} moments", stage.moments());
}

#[test]
fn the_first_election_in_every_sampled_topology() {
    check(Opening::Founding);
}

#[test]
fn the_succession_in_every_sampled_topology() {
    check(Opening::Succession);
}

#[test]
fn the_goose_dies_while_it_adds_a_voter_in_every_sampled_topology() {
    check(Opening::DiesChanging(Change::Adding));
}

#[test]
fn the_goose_dies_while_it_removes_a_voter_in_every_sampled_topology() {
    check(Opening::DiesChanging(Change::Removing));
}

#[test]
fn links_fail_while_a_voter_is_added_in_every_sampled_topology() {
    check(Opening::CutChanging(Change::Adding));
}

#[test]
fn links_fail_while_a_voter_is_removed_in_every_sampled_topology() {
    check(Opening::CutChanging(Change::Removing));
}

/// A checker that was never seen to fail proves nothing.
#[test]
fn two_geese_show_in_the_midst_of_a_change() {
    use gaggle::vocabulary::mutant::{self, Mutant};
    for opening in &Opening::ALL[2..] {
        mutant::set(Some(Mutant::QuorumOfOne));
        let stage = Stage::new(*opening);
        let found = sample().any(|topology| stage.run(topology).two_geese);
        mutant::set(None);
        assert!(found, "{}", opening.name());
    }
}
