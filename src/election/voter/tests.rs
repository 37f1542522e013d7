//! A voter without its record, and what it remembers of leases.

use super::*;
use crate::election::outbox::Outgoing;
use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::identity::Boot;
use crate::vocabulary::lineage::Lineage;
use crate::vocabulary::time::{HolderTime, WallTime};
use crate::vocabulary::timing::{LEASE_MAX_LEAST, Profile};
use crate::wire::message::{
    Acquire, AcquireKind, PollAck, RecordReport, Release, Standing, VoterStatus,
};

fn process(number: u64) -> Process {
    Process { id: NodeId::new(number).unwrap(), boot: Boot { start: 1, nonce: number } }
}

fn mandate(count: u64, memory: Memory) -> Mandate {
    let voters = VoterSet::new((1..=count).map(|id| process(id).id).collect()).unwrap();
    let configuration =
        Configuration { ballot: 0, version: 1, voters, preempt: false, automatic: None };
    Mandate {
        configuration,
        lease_max: LEASE_MAX_LEAST,
        memory,
        lineage: None,
        asks_first: Duration::ZERO,
    }
}

fn voter(mandate: Mandate, past: VoterPast) -> (Voter, Outbox) {
    let mut voter = Voter::new(process(1), mandate, &Timing::of(Profile::Lan), past, at(0));
    let mut outbox = Outbox::new(process(1));
    voter.stored(1, true, at(1), &mut outbox);
    (voter, outbox)
}

fn lost(max_ballot: u64) -> VoterPast {
    VoterPast::Lost { nonce: 4, max_ballot }
}

fn at(milliseconds: u64) -> Now {
    let nanoseconds = milliseconds * 1_000_000;
    Now {
        holder: HolderTime(nanoseconds),
        voter: VoterTime(nanoseconds),
        wall: WallTime(1_700_000_000_000 + milliseconds),
    }
}

fn answer(count: u64, max_ballot: u64, founding: Founding) -> PollAck {
    // All answers come of a cluster of so many as the asker's.
    let configuration = mandate(count, Memory::Kept).configuration.stamp();
    let status = VoterStatus {
        sequence: 1,
        standing: Standing::Vacant,
        max_ballot,
        top_contender: None,
        goose: None,
    };
    let record = Some(RecordReport { founding, configuration, lineage: None });
    PollAck { sequence: 1, status, record }
}

/// A crash after the word and before the write would forget what may be settled by it.
#[test]
fn a_voter_says_by_which_lineage_it_stands_once_that_is_durable() {
    assert_eq!(lineages_said(), [None, None, Some(5)]);
    mutant::set(Some(Mutant::LineageSaidBeforeDurable));
    let said = lineages_said();
    mutant::set(None);
    assert_eq!(said, [None, Some(5), Some(5)], "the mutant is seen");
}

/// The ballot of the lineage that each of three grants names: to a claim, to the renewal that
/// proposes one, and to another after that is durable.
fn lineages_said() -> Vec<Option<u64>> {
    let vote = Vote {
        max_ballot: 1,
        max_holder: None,
        max_lease_in_force: Duration::ZERO,
        founding: Founding::Waited,
        lineage: None,
    };
    let (mut voter, mut outbox) = voter(mandate(3, Memory::Kept), VoterPast::Remembered(vote));
    voter.expire(at(1), &mut outbox);
    let lineage = Lineage::drawn(process(2), 5);
    let mut said = Vec::new();
    let steps = [(AcquireKind::Claim, None), (AcquireKind::Renew, Some(lineage))];
    for (sequence, (kind, lineage)) in (1..).zip([steps[0], steps[1], steps[1], steps[1]]) {
        let lease = Duration::from_millis(150);
        let acquire = Acquire {
            kind,
            ballot: 5,
            sequence,
            lease,
            certificate: None,
            lineage,
            configuration: None,
        };
        {
            let stamp = voter.stamp();
            voter.acquire(process(2), &acquire, stamp, None, at(2), &mut outbox)
        };
        // The claim and the third renewal are followed by a write that is done.
        if sequence != 2 {
            voter.stored(voter.stable_vote().revision(), true, at(3), &mut outbox);
        }
        while let Some(outgoing) = outbox.pop() {
            if let Outgoing::Send { message: Message::Grant(grant), .. } = outgoing {
                said.push(grant.lineage.map(|proposal| proposal.ballot));
            }
        }
    }
    said.remove(1);
    said
}

/// A node that was started again is not told that it exists twice, only because a grant to its
/// process before is not over.
#[test]
fn only_a_later_process_of_its_node_makes_a_claimant_one_of_two() {
    let map = (1..=3).map(|id| (process(id).id, id)).collect();
    let founding = Founding::Founded(map);
    let vote = Vote {
        max_ballot: 1,
        max_holder: None,
        max_lease_in_force: Duration::ZERO,
        founding,
        lineage: None,
    };
    let (mut voter, mut outbox) = voter(mandate(3, Memory::Kept), VoterPast::Remembered(vote));
    voter.expire(at(1), &mut outbox);
    let lease = Duration::from_millis(150);
    let claim = |ballot| Acquire {
        kind: AcquireKind::Claim,
        ballot,
        sequence: 1,
        lease,
        certificate: None,
        lineage: None,
        configuration: None,
    };
    let started = |start| Process { boot: Boot { start, nonce: start }, ..process(2) };
    let mut asks = |voter: &mut Voter, start: u64, ballot: u64| {
        {
            let stamp = voter.stamp();
            voter.acquire(started(start), &claim(ballot), stamp, None, at(2), &mut outbox)
        };
        voter.stored(voter.stable_vote().revision(), true, at(3), &mut outbox);
        let said = std::iter::from_fn(|| outbox.pop()).filter_map(|outgoing| match outgoing {
            Outgoing::Send { message: Message::Nak(nak), .. } => Some(nak.reason),
            _ => None,
        });
        said.last()
    };
    assert_eq!(asks(&mut voter, 5, 5), None, "granted");
    let earlier = asks(&mut voter, 6, 6);
    assert!(matches!(earlier, Some(NakReason::Held { .. })), "{earlier:?}");
    assert_eq!(asks(&mut voter, 4, 7), Some(NakReason::DuplicateId));
}

/// A voter that has restarted on a record that names node 2 for ballot 5.
struct Restarted(Voter, Outbox);

impl Restarted {
    fn new() -> Self {
        let map = (1..=3).map(|id| (process(id).id, id)).collect();
        let vote = Vote {
            max_ballot: 5,
            max_holder: Some(process(2)),
            max_lease_in_force: Duration::from_secs(3),
            founding: Founding::Founded(map),
            lineage: None,
        };
        let (voter, outbox) = voter(mandate(3, Memory::Kept), VoterPast::Remembered(vote));
        Self(voter, outbox)
    }

    /// What it answers once that is durable.
    fn asked(&mut self, from: u64, ballot: u64, sequence: u64) -> Option<Result<u64, NakReason>> {
        let Self(voter, outbox) = self;
        let (kind, lease) = (AcquireKind::Renew, Duration::from_millis(150));
        let (certificate, lineage, configuration) = (None, None, None);
        let acquire =
            Acquire { kind, ballot, sequence, lease, certificate, lineage, configuration };
        let stamp = voter.stamp();
        voter.acquire(process(from), &acquire, stamp, None, at(2), outbox);
        voter.stored(voter.stable_vote().revision(), true, at(3), outbox);
        let said = std::iter::from_fn(|| outbox.pop()).filter_map(|outgoing| match outgoing {
            Outgoing::Send { message: Message::Nak(nak), .. } => Some(Err(nak.reason)),
            Outgoing::Send { message: Message::Grant(grant), .. } => Some(Ok(grant.ballot)),
            _ => None,
        });
        said.last()
    }

    fn released(&mut self, from: u64, ballot: u64, all: bool) {
        let release = Release { holder: process(from), ballot, all, nominee: None };
        let Self(voter, outbox) = self;
        voter.release(process(from), 1, &release, at(2), outbox);
        voter.stored(voter.stable_vote().revision(), true, at(2), outbox);
    }
}

/// Somebody's claim that came to nothing is given up in the midst of a restart: that costs the Goose
/// nothing, whether it has renewed before or not.
#[test]
fn a_voter_that_has_restarted_serves_whom_its_record_named() {
    let stale = || Some(Err(NakReason::Stale { max_ballot: 7 }));
    for renews_before in [true, false] {
        let mut voter = Restarted::new();
        if renews_before {
            assert_eq!(voter.asked(2, 5, 1), Some(Ok(5)));
        }
        voter.released(3, 7, false);
        assert_eq!(voter.asked(2, 5, 2), stale(), "it raises its ballot");
        assert_eq!(voter.asked(2, 8, 3), Some(Ok(8)));
        let another = voter.asked(3, 9, 2);
        assert!(matches!(another, Some(Err(NakReason::Quarantine { .. }))), "{another:?}");
    }
    // Once the one that it may have granted to has given up, nobody is waited for.
    let mut voter = Restarted::new();
    voter.released(3, 7, false);
    voter.released(2, 4, false);
    let another = voter.asked(3, 9, 2);
    assert!(matches!(another, Some(Err(NakReason::Quarantine { .. }))), "an old one: {another:?}");
    voter.released(2, 5, false);
    assert_eq!(voter.asked(3, 9, 3), Some(Ok(9)));
}

#[test]
fn a_grant_that_its_record_no_longer_names_is_refused() {
    let map = (1..=3).map(|id| (process(id).id, id)).collect();
    let vote = Vote {
        max_ballot: 1,
        max_holder: None,
        max_lease_in_force: Duration::ZERO,
        founding: Founding::Founded(map),
        lineage: None,
    };
    let (mut voter, mut outbox) = voter(mandate(3, Memory::Kept), VoterPast::Remembered(vote));
    voter.expire(at(1), &mut outbox);
    let (kind, lease) = (AcquireKind::Claim, Duration::from_millis(150));
    let acquire = Acquire {
        kind,
        ballot: 5,
        sequence: 1,
        lease,
        certificate: None,
        lineage: None,
        configuration: None,
    };
    {
        let stamp = voter.stamp();
        voter.acquire(process(2), &acquire, stamp, None, at(2), &mut outbox)
    };
    // Before that is durable, somebody gives a higher ballot up.
    let release = Release { holder: process(3), ballot: 7, all: false, nominee: None };
    voter.release(process(3), 1, &release, at(3), &mut outbox);
    voter.stored(voter.stable_vote().revision(), true, at(4), &mut outbox);
    let mut said = Vec::new();
    while let Some(outgoing) = outbox.pop() {
        if let Outgoing::Send { to, message: Message::Nak(nak) } = outgoing {
            said.push((to.id, nak.reason));
        }
    }
    let stale = NakReason::Stale { max_ballot: 7 };
    assert_eq!(said, [(Some(process(2).id), stale)]);
    assert_eq!(voter.grant(), None);
}

#[test]
fn a_lost_record_is_made_up_for_by_all_others_asked_after_the_wait() {
    for memory in [Memory::Kept, Memory::Fleeting] {
        let (mut voter, mut outbox) = voter(mandate(3, memory), lost(0));
        let mut hear = |voter: &mut Voter, from, ballot, asked: u64| {
            let answer = answer(3, ballot, Founding::Waited);
            voter.learn(process(from), &answer, at(asked).holder, &mut outbox);
            voter.expire(at(asked), &mut outbox)
        };
        assert!(!hear(&mut voter, 2, 7, 100) && !hear(&mut voter, 3, 9, 100));
        assert!(voter.is_blank(), "they were asked too early");
        assert!(hear(&mut voter, 2, 8, 3000), "the wait is over: ask at once");
        assert!(!hear(&mut voter, 3, 11, 3001) && voter.is_blank());
        assert!(!hear(&mut voter, 2, 10, 3002));
        assert!(!voter.is_blank() && !voter.may_grant(), "not before it is durable");
        let (vote, revision) = (voter.stable_vote().vote().clone(), voter.stable_vote().revision());
        assert_eq!((vote.max_ballot, vote.founding), (11, Founding::Waited));
        voter.stored(revision, true, at(3003), &mut Outbox::new(process(1)));
        assert!(voter.may_grant());
    }
}

#[test]
fn a_crash_before_that_does_not_make_it_less() {
    for past in [VoterPast::Blank { nonce: 4 }, lost(5)] {
        let (first, _) = voter(mandate(3, Memory::Kept), past);
        let vote = first.stable_vote().vote().clone();
        let (mut again, mut outbox) =
            voter(mandate(3, Memory::Kept), VoterPast::Remembered(vote.clone()));
        again.expire(at(60_000), &mut outbox);
        assert!(again.is_blank() && !again.may_grant());
        assert_eq!(again.stable_vote().vote(), &vote, "the same emptiness");
    }
}

#[test]
fn two_voters_make_up_for_each_other() {
    let (mut voter, mut outbox) = voter(mandate(2, Memory::Kept), lost(0));
    voter.expire(at(3000), &mut outbox);
    let answer = answer(2, 6, Founding::Waited);
    voter.learn(process(2), &answer, at(3000).holder, &mut outbox);
    assert_eq!(voter.stable_vote().vote().max_ballot, 6);
    assert!(!voter.is_blank());
}

#[test]
fn where_nobody_else_remembers_the_clock_has_to_do() {
    for (mandate, left) in [(mandate(1, Memory::Kept), 5), (mandate(3, Memory::Clock), 0)] {
        let (mut voter, mut outbox) = voter(mandate, lost(left));
        let heard = crate::election::BALLOT_MAX / 2 + 5;
        voter.expire(at(2999), &mut outbox);
        assert_eq!(voter.stable_vote().vote().max_ballot, left);
        voter.hear_ballot(heard);
        voter.expire(at(3000), &mut outbox);
        assert_eq!(voter.stable_vote().vote().max_ballot, heard);
    }
    let mut insane = at(3000);
    insane.wall = WallTime(0);
    let (mut voter, mut outbox) = voter(mandate(1, Memory::Kept), lost(500));
    voter.expire(insane, &mut outbox);
    assert!(voter.stable_vote().vote().max_ballot > 60_000, "above what is left of its record");
}

#[test]
fn whoever_is_all_voters_and_finds_an_ungranted_record_waits_and_goes_by_the_clock() {
    let (first, _) = voter(mandate(1, Memory::Kept), VoterPast::Blank { nonce: 4 });
    let past = VoterPast::Remembered(first.stable_vote().vote().clone());
    let (mut again, mut outbox) = voter(mandate(1, Memory::Kept), past);
    assert!(again.quarantine_until() >= Some(VoterTime(3_000_000_000)));
    again.expire(at(10_000), &mut outbox);
    assert!(again.stable_vote().vote().max_ballot > 1_700_000_000_000);
}

#[test]
fn a_longer_lease_is_forgotten_once_nothing_of_that_length_is_in_force() {
    use crate::wire::message::{Acquire, AcquireKind};
    let vote = Vote {
        max_ballot: 3,
        max_holder: None,
        max_lease_in_force: Duration::from_secs(2),
        founding: Founding::Waited,
        lineage: None,
    };
    let (mut voter, mut outbox) = voter(mandate(3, Memory::Kept), VoterPast::Remembered(vote));
    let mut ask = |voter: &mut Voter, from, ballot, now: u64| {
        voter.expire(at(now), &mut outbox);
        let (kind, lease) = (AcquireKind::Claim, Duration::from_millis(150));
        let acquire = Acquire {
            kind,
            ballot,
            sequence: now,
            lease,
            certificate: None,
            lineage: None,
            configuration: None,
        };
        {
            let stamp = voter.stamp();
            voter.acquire(process(from), &acquire, stamp, None, at(now), &mut outbox)
        };
        voter.stored(voter.stable_vote().revision(), true, at(now), &mut outbox);
        voter.stable_vote().vote().max_lease_in_force
    };
    assert_eq!(ask(&mut voter, 2, 4, 2001), Duration::from_millis(600));
    assert!(voter.grant().is_some());
}

/// Whether a node that may have voted before grants at once, and what it says of its configuration
/// before that is durable.
fn learning() -> (bool, u64) {
    let mandate = mandate(3, Memory::Kept);
    let voters = VoterSet::new([2, 3, 4].map(|id| process(id).id).to_vec()).unwrap();
    let told = Configuration { ballot: 5, voters, ..mandate.configuration.clone() };
    let newcomer = Mandate { configuration: told.clone(), ..mandate.clone() };
    let (timing, past) = (Timing::of(Profile::Lan), lost(0));
    let me = process(1);
    let mut learner = Voter::learner(me, newcomer, &timing, past, at(0).voter, at(0));
    let mut outbox = Outbox::new(me);
    learner.stored(1, true, at(1), &mut outbox);
    let mut ask = |voter: &mut Voter, sequence, milliseconds| {
        let (kind, lease) = (AcquireKind::Learn, timing.lease);
        let configuration = Some(Box::new(told.clone()));
        let (certificate, lineage) = (None, None);
        let acquire =
            Acquire { kind, ballot: 5, sequence, lease, certificate, lineage, configuration };
        voter.acquire(process(2), &acquire, told.stamp(), None, at(milliseconds), &mut outbox);
        let revision = voter.stable_vote().revision();
        let said = voter.stamp().ballot;
        voter.stored(revision, true, at(milliseconds), &mut outbox);
        (voter.grant().is_some(), said)
    };
    let (at_once, _) = ask(&mut learner, 1, 2);
    assert!(ask(&mut learner, 2, 60_000).0, "it comes to vote in the end");
    assert_eq!(learner.stable_vote().vote().max_ballot, 5);
    // A voter of old is told of the same set.
    let (mut voter, _) = voter(mandate, lost(0));
    voter.phase = Phase::Ready;
    let (grants, said) = ask(&mut voter, 1, 60_000);
    assert!(grants && voter.stamp().ballot == 5);
    (at_once, said)
}

#[test]
fn a_node_that_comes_to_vote_waits_and_says_what_is_durable() {
    assert_eq!(learning(), (false, 0));
    for (bug, seen) in [
        (Mutant::LearnerDoesNotWait, (true, 0)),
        (Mutant::ConfigurationSaidBeforeDurable, (false, 5)),
    ] {
        mutant::set(Some(bug));
        let found = learning();
        mutant::set(None);
        assert_eq!(found, seen, "{bug:?}");
    }
}
