//! A sample of the 2^18 directed topologies of three contenders and three voters. All of them:
//! `cargo run --release --example topologies`.

use std::time::Duration;

use gaggle::sim::exhaustive::topology::{BOUND, Opening, TOPOLOGIES, Topology, run};

/// Every symmetric topology, and every one of a stride that shares no factor with 2^18.
fn sample() -> impl Iterator<Item = Topology> {
    let symmetric = (0..TOPOLOGIES).map(Topology).filter(|topology| topology.is_symmetric());
    symmetric.chain((0..TOPOLOGIES).step_by(173).map(Topology))
}

fn check(opening: Opening) {
    let mut number = 0;
    for topology in sample() {
        let outcome = run(topology, opening);
        assert!(
            outcome.is_right(),
            "topology {:#07x}, {opening:?}: {outcome:?}, not {:?}",
            topology.0,
            topology.rightful()
        );
        let took = outcome.took.map(Duration::from_millis);
        assert!(took.is_none_or(|took| took <= BOUND));
        number += 1;
    }
    assert!(number > 2_000, "512 symmetric ones and a stride");
}

#[test]
fn the_first_election_in_every_sampled_topology() {
    check(Opening::Founding);
}

#[test]
fn the_succession_in_every_sampled_topology() {
    check(Opening::Succession);
}
