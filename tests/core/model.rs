//! The real election under a model checker, within small bounds. Larger ones:
//! `cargo run --release --example model`.

use std::time::Duration;

use gaggle::sim::exhaustive::model::{Bounds, Break};
use gaggle::vocabulary::mutant::Mutant;
use stateright::{Checker, HasDiscoveries, Model, UniformChooser};

use crate::checker::plays::{Play, plays};
use crate::checker::{self, Electing};

fn of(name: &str) -> Play {
    plays().into_iter().find(|play| play.name == name).expect("a play of that name")
}

/// Goes through everything within the bounds, and returns the promises that were broken.
fn broken_promises(bounds: Bounds) -> Vec<&'static str> {
    let checker = Electing(bounds).checker().finish_when(HasDiscoveries::AnyFailures);
    broken(&checker.threads(2).spawn_dfs().join())
}

fn broken(checker: &impl Checker<Electing>) -> Vec<&'static str> {
    let promises = checker.model().properties();
    let always = |name: &str| {
        let named = promises.iter().find(|property| property.name == name);
        named.is_some_and(|property| property.expectation == stateright::Expectation::Always)
    };
    let found = checker.discoveries();
    for (name, path) in found.iter().filter(|(name, _)| always(name)) {
        println!("BROKEN: {name}");
        checker::tell(checker.model(), path.clone());
    }
    found.into_keys().filter(|name| always(name)).collect()
}

#[test]
fn every_promise_is_kept_in_every_small_play() {
    for play in plays() {
        let name = play.name;
        let bounds = play.small.describe();
        let broken = broken_promises(play.small);
        assert_eq!(broken, Vec::<&str>::new(), "{name}: {bounds}");
    }
}

/// A mutant, and where the checker meets it.
fn mutated(name: &str, mutant: Mutant, change: impl FnOnce(&mut Bounds)) -> Vec<&'static str> {
    let mut bounds = of(name).small;
    bounds.broken = Break::Mutant(mutant);
    change(&mut bounds);
    broken_promises(bounds)
}

#[test]
fn founding_on_a_majority_is_found() {
    let broken = mutated("wipe", Mutant::FoundedOnMajority, |bounds| bounds.waits = 2);
    assert!(!broken.is_empty());
}

#[test]
fn a_lost_record_that_counts_early_answers_is_found() {
    let broken = mutated("lost record", Mutant::EarlyAnswersCounted, |_| {});
    assert_eq!(broken, ["a counted grant is outlasted by the voter's"]);
}

#[test]
fn a_longer_renewal_that_is_not_recorded_is_found() {
    let broken = mutated("mixed leases", Mutant::LongerRenewalNotRecorded, |_| {});
    assert_eq!(broken, ["a grant that is sent is durable"]);
}

#[test]
fn a_restarted_voter_that_does_not_wait_is_found() {
    let broken = mutated("restarts", Mutant::NoQuarantine, |bounds| bounds.waits = 2);
    assert!(!broken.is_empty());
}

#[test]
fn a_grant_before_the_write_is_found() {
    let broken = mutated("disks", Mutant::BallotNotPersisted, |bounds| bounds.waits = 1);
    assert!(!broken.is_empty());
}

/// Where a certificate meets a grant that it does not speak of: the claim that carries it is late.
fn late_certificate(mutant: Mutant) -> Vec<&'static str> {
    mutated("certificates", mutant, |bounds| (bounds.waits, bounds.crashes) = (2, 0))
}

#[test]
fn a_certificate_that_ends_a_newer_grant_is_found() {
    let broken = late_certificate(Mutant::ReleaseIgnoresBallot);
    assert_eq!(broken, ["a counted grant is outlasted by the voter's"]);
}

#[test]
fn a_certificate_that_ends_anothers_grant_is_found() {
    let broken = late_certificate(Mutant::CertificateOfAnother);
    assert_eq!(broken, ["a counted grant is outlasted by the voter's"]);
}

#[test]
fn a_goose_that_acts_after_its_certificate_is_found() {
    for play in ["releases", "certificates"] {
        let broken = mutated(play, Mutant::CertificateWhileActing, |bounds| bounds.waits = 1);
        assert_eq!(broken, ["a counted grant is outlasted by the voter's"], "{play}");
    }
}

/// A voter whose disk was emptied hears what its process before was told: that all were new.
/// Two voters are enough.
#[test]
fn answers_to_an_earlier_process_are_found() {
    let broken = mutated("wipe", Mutant::EarlierBootsAnswersAccepted, |bounds| {
        (bounds.voters, bounds.holds, bounds.waits) = (2, 1, 4);
    });
    assert_eq!(broken, ["a counted grant is outlasted by the voter's"]);
}

const APART: &str = "any two sets that may elect somebody have majorities that meet";

#[test]
fn a_change_that_an_earlier_goose_left_half_done_is_found() {
    for mutant in [Mutant::NoRewriteInOwnTerm, Mutant::ChangeWithoutCommit] {
        let broken = mutated("half changed", mutant, |_| {});
        assert_eq!(broken, [APART], "{mutant:?}");
    }
}

#[test]
fn a_change_of_several_voters_at_once_is_found() {
    let broken = mutated("newcomer", Mutant::ChangesAtOnce, |bounds| bounds.waits = 2);
    assert_eq!(broken, [APART]);
}

#[test]
fn a_goose_that_removes_whoever_it_relies_on_is_found() {
    let broken = mutated("shrinking", Mutant::NewMajorityNotHeld, |bounds| {
        (bounds.orders, bounds.waits) = (1, 3);
    });
    assert_eq!(broken, ["a lease lapses by time alone"]);
}

#[test]
fn a_configuration_that_is_named_before_it_is_durable_is_found() {
    let broken = mutated("newcomer on a slow disk", Mutant::ConfigurationSaidBeforeDurable, |_| {});
    assert_eq!(broken, ["what a voter says of its configuration is durable"]);
}

/// One voter was away while it was replaced, and another one has lost its record: both together are
/// a majority of the founders.
#[test]
fn voters_that_go_by_a_set_that_is_over_are_found() {
    let mutants = [
        Mutant::VoterIgnoresConfiguration,
        Mutant::BallotWithoutConfiguration,
        Mutant::OneVoterLessThanAll,
    ];
    for mutant in mutants {
        assert_eq!(mutated("replaced", mutant, |_| {}), [APART], "{mutant:?}");
    }
}

/// Too deep to go through everything: a walk at random, always the same one.
#[test]
fn a_waiting_voter_that_lets_anybody_renew_is_found() {
    let bounds = Bounds {
        broken: Break::Mutant(Mutant::QuarantinedVoterRenewsAnybody),
        waits: 15,
        crashes: 2,
        holds: 2,
        envelopes: 3,
        ..of("restarts").small
    };
    let checker = Electing(bounds).checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.timeout(Duration::from_secs(60)).target_max_depth(200);
    let checker = checker.spawn_simulation(7, UniformChooser).join();
    assert_eq!(broken(&checker), ["a counted grant is outlasted by the voter's"]);
}
