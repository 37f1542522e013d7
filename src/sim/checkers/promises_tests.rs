//! Handmade broken promises: each must be found.

use std::sync::LazyLock;

use super::super::process;
use super::*;
use crate::vocabulary::configuration::ConfigurationStamp;
use crate::vocabulary::timing::Profile;
use crate::wire::datagram::Addressee;
use crate::wire::message::{Founding, PollAck, Standing, VoterStatus};

const LEASE: Duration = Duration::from_millis(600);

fn header(from: Process, to: Process) -> Header {
    let configuration = ConfigurationStamp::default();
    let addressee = Addressee::process(to);
    Header {
        cluster: 1,
        genesis: 1,
        lineage: None,
        sender: from,
        addressee,
        configuration,
        token: 0,
        echo: 0,
        leader_freshness: None,
    }
}

fn vote(max_ballot: u64, max_holder: Option<Process>) -> Vote {
    Vote {
        max_ballot,
        max_holder,
        max_lease_in_force: LEASE,
        founding: Founding::Waited,
        lineage: None,
    }
}

fn sender(process: Process, durable: Option<&Vote>) -> Sender<'_> {
    static TIMING: LazyLock<Timing> = LazyLock::new(|| Timing::of(Profile::Lan));
    Sender {
        process,
        holder_now: HolderTime(0),
        ephemeral: false,
        durable,
        acting_term: None,
        timing: &TIMING,
        voters: 3,
    }
}

fn grant(ballot: u64, sequence: u64) -> Message {
    Message::Grant(Grant {
        sequence,
        ballot,
        granted: LEASE,
        standby: None,
        lineage: None,
        leaves: false,
    })
}

fn judge(promises: &mut Promises, durable: Option<&Vote>, message: &Message) -> Verdict {
    let (voter, holder) = (process(9, 1), process(1, 1));
    promises.sent(5, sender(voter, durable), &header(voter, holder), message)
}

fn broken(verdict: Verdict) -> Invariant {
    verdict.unwrap_err().invariant
}

#[test]
fn a_grant_must_be_on_disk() {
    let mut promises = Promises::default();
    let sound = vote(4, Some(process(1, 1)));
    judge(&mut promises, Some(&sound), &grant(4, 1)).unwrap();
    for durable in [None, Some(vote(3, None)), Some(vote(4, Some(process(2, 1))))] {
        let verdict = judge(&mut promises, durable.as_ref(), &grant(4, 2));
        assert_eq!(broken(verdict), Invariant::DurableFirst);
    }
    let short = Vote { max_lease_in_force: Duration::from_millis(150), ..sound };
    let verdict = judge(&mut promises, Some(&short), &grant(4, 3));
    assert_eq!(broken(verdict), Invariant::DurableFirst);
}

#[test]
fn a_request_granted_twice_is_found() {
    let mut promises = Promises::default();
    let sound = vote(4, Some(process(1, 1)));
    judge(&mut promises, Some(&sound), &grant(4, 7)).unwrap();
    let verdict = judge(&mut promises, Some(&sound), &grant(4, 7));
    assert_eq!(broken(verdict), Invariant::NoReplay);
}

#[test]
fn a_status_must_not_run_ahead_of_the_disk() {
    let status = VoterStatus {
        sequence: 1,
        standing: Standing::Vacant,
        max_ballot: 5,
        top_contender: None,
        goose: None,
    };
    let mut promises = Promises::default();
    let answer = Message::PollAck(PollAck { sequence: 1, status, record: None });
    judge(&mut promises, Some(&vote(5, None)), &answer).unwrap();
    let verdict = judge(&mut promises, Some(&vote(4, None)), &answer);
    assert_eq!(broken(verdict), Invariant::DurableFirst);
}

#[test]
fn a_release_by_an_acting_goose_is_found() {
    let me = process(1, 1);
    let release = Release { holder: me, ballot: 6, all: false, nominee: None };
    let mut acting = sender(me, None);
    acting.acting_term = Some(7);
    let to = header(me, process(9, 1));
    let mut promises = Promises::default();
    promises.sent(1, acting, &to, &Message::Handover(release.clone())).unwrap();
    acting.acting_term = Some(6);
    let verdict = promises.sent(1, acting, &to, &Message::Handover(release));
    assert_eq!(broken(verdict), Invariant::StopThenRelease);
}

fn acquire(kind: AcquireKind, sequence: u64) -> Message {
    Message::Acquire(Acquire {
        kind,
        ballot: 1,
        sequence,
        lease: LEASE,
        certificate: None,
        lineage: None,
        configuration: None,
    })
}

#[test]
fn a_claim_for_a_whole_lease_is_found() {
    let me = process(1, 1);
    let claim = acquire(AcquireKind::Claim, 1);
    let verdict = Promises::default().sent(1, sender(me, None), &header(me, process(9, 1)), &claim);
    assert_eq!(broken(verdict), Invariant::ShortClaims);
}

#[test]
fn a_grant_counts_from_the_sending_of_its_own_request() {
    let me = process(1, 1);
    let voter = process(9, 1);
    let mut promises = Promises::default();
    for (sequence, sent) in [(1, 0), (2, 100_000_000)] {
        let mut now = sender(me, None);
        now.holder_now = HolderTime(sent);
        let renewal = acquire(AcquireKind::Renew, sequence);
        promises.sent(1, now, &header(me, voter), &renewal).unwrap();
    }
    promises.answer_arrives(HolderTime(5), me, voter.id, &grant(1, 1));
    let until = HolderTime(0).plus(crate::vocabulary::timing::counted(LEASE));
    promises.counts(1, me, &[(voter.id, until)], Some(until)).unwrap();
    let late = HolderTime(until.0 + 1);
    let verdict = promises.counts(1, me, &[(voter.id, late)], None);
    assert_eq!(broken(verdict), Invariant::HonestCount);
}

#[test]
fn a_lease_without_a_majority_is_found() {
    let me = process(1, 1);
    let others = [process(8, 1).id, process(9, 1).id];
    let counted =
        [(me.id, HolderTime(500)), (others[0], HolderTime(0)), (others[1], HolderTime(0))];
    let promises = Promises::default();
    promises.counts(1, me, &counted, None).unwrap();
    let verdict = promises.counts(1, me, &counted, Some(HolderTime(1)));
    assert_eq!(broken(verdict), Invariant::HonestCount);
}

#[test]
fn a_falling_view_is_found() {
    let mut promises = Promises::default();
    promises.shows_term(1, process(1, 1), 5).unwrap();
    promises.shows_term(1, process(1, 2), 4).unwrap();
    let verdict = promises.shows_term(1, process(1, 1), 4);
    assert_eq!(broken(verdict), Invariant::RisingView);
}

#[test]
fn a_deaf_goose_that_renews_is_found() {
    let me = process(1, 1);
    let voter = process(9, 1);
    let mut promises = Promises::default();
    let at = |promises: &mut Promises, milliseconds: u64, sequence| {
        let mut now = sender(me, None);
        now.acting_term = Some(1);
        now.holder_now = HolderTime(milliseconds * 1_000_000);
        let renewal = acquire(AcquireKind::Renew, sequence);
        promises.sent(1, now, &header(me, voter), &renewal)
    };
    at(&mut promises, 100, 1).unwrap();
    promises.answer_arrives(HolderTime(110_000_000), me, voter.id, &grant(1, 1));
    at(&mut promises, 340, 2).unwrap();
    assert_eq!(broken(at(&mut promises, 360, 3)), Invariant::DeafStops);
}
