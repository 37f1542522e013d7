//! I6, I8, I9, I16, I18 and the rules of counting: what a process says, against what it has on
//! disk, what it was told, and what it does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::datagram::Header;
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::message::{Acquire, AcquireKind, Grant, Message, Release};
use crate::vocabulary::record::Vote;
use crate::vocabulary::time::{HolderTime, nanoseconds};

/// The most requests to one voter whose sending is remembered.
const REQUESTS_MAX: usize = 256;

/// What is known of a process at the moment it sends.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Which process.
    pub process: Process,
    /// Its holder clock.
    pub holder_now: HolderTime,
    /// Whether it keeps no disk: then nothing is durable, and every start is a loss.
    pub ephemeral: bool,
    /// What its disk says of its vote.
    pub durable: Option<&'a Vote>,
    /// The term it still acts under, if it is Goose.
    pub acting_term: Option<u64>,
    /// The longest lease it may claim with.
    pub claim_lease: Duration,
}

#[derive(Debug)]
struct Request {
    sequence: u64,
    sent: HolderTime,
    lease: Duration,
}

#[derive(Debug, Default)]
struct Trust {
    requests: VecDeque<Request>,
    /// Until when the grants that arrived may be counted.
    allowed: HolderTime,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Promises {
    trusts: BTreeMap<(Process, NodeId), Trust>,
    granted: BTreeMap<(Process, Process), u64>,
    terms: BTreeMap<Process, u64>,
}

impl Promises {
    /// A message leaves a process.
    ///
    /// # Errors
    /// The first promise it breaks.
    pub fn sent(&mut self, at: u64, sender: Sender, header: &Header, message: &Message) -> Verdict {
        match message {
            Message::Grant(grant) => self.sent_grant(at, sender, header, grant),
            Message::Acquire(acquire) => self.sent_acquire(at, sender, header, acquire),
            Message::Release { release, .. } | Message::Handover(release) => {
                check_release(at, sender, release)
            }
            Message::PollAck(answer) => check_said(at, sender, answer.status.max_ballot),
            Message::Vacant(status) => check_said(at, sender, status.max_ballot),
            _ => Ok(()),
        }
    }

    /// A grant of `voter` reaches `process`, before it is handled.
    pub fn grant_arrives(&mut self, process: Process, voter: NodeId, grant: &Grant) {
        let Some(trust) = self.trusts.get_mut(&(process, voter)) else { return };
        let found = trust.requests.iter().find(|request| request.sequence == grant.sequence);
        let Some(request) = found else { return };
        let lease = grant.granted.min(request.lease);
        let until = request.sent.plus(Duration::from_nanos(usable(nanoseconds(lease))));
        trust.allowed = trust.allowed.max(until);
    }

    /// What `process` counts on, and the deadline it draws from it.
    ///
    /// # Errors
    /// If it counts a grant for longer than the request that won it allows, or leads without
    /// a majority of `voters`.
    pub fn counts(
        &self,
        at: u64,
        process: Process,
        counted: &[(NodeId, HolderTime)],
        deadline: Option<HolderTime>,
    ) -> Verdict {
        // The voter in the same process is not heard on the wire; it is checked by what it owes.
        for (voter, until) in counted.iter().filter(|(voter, _)| *voter != process.id) {
            let allowed = self.trusts.get(&(process, *voter)).map_or(HolderTime(0), |t| t.allowed);
            if *until > allowed {
                let sentence = format!(
                    "{process} counts on voter {voter} for {:?} longer than it may",
                    until.since(allowed)
                );
                return Err(Violation::new(at, Invariant::HonestCount, sentence));
            }
        }
        let mut ends: Vec<HolderTime> = counted.iter().map(|(_, until)| *until).collect();
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let majority_end = ends.get(counted.len() / 2).copied().unwrap_or(HolderTime(0));
        match deadline {
            Some(deadline) if deadline > majority_end => {
                let sentence = format!(
                    "{process} leads for {:?} longer than a majority grants",
                    deadline.since(majority_end)
                );
                Err(Violation::new(at, Invariant::HonestCount, sentence))
            }
            _ => Ok(()),
        }
    }

    /// The highest term that `process` shows.
    ///
    /// # Errors
    /// If it showed a higher one before.
    pub fn shows_term(&mut self, at: u64, process: Process, term: u64) -> Verdict {
        let highest = self.terms.entry(process).or_insert(0);
        if term < *highest {
            let sentence = format!("{process} knew term {highest} and now shows {term}");
            return Err(Violation::new(at, Invariant::RisingView, sentence));
        }
        *highest = term;
        Ok(())
    }

    /// The process is no more; its grants to others stay remembered.
    pub fn process_ended(&mut self, process: Process) {
        self.trusts.retain(|(holder, _), _| *holder != process);
        self.terms.remove(&process);
    }

    fn sent_grant(&mut self, at: u64, sender: Sender, header: &Header, grant: &Grant) -> Verdict {
        let (Some(id), Some(boot)) = (header.addressee.id, header.addressee.boot) else {
            let sentence = format!("{} grants to nobody in particular", sender.process);
            return Err(Violation::new(at, Invariant::DurableFirst, sentence));
        };
        let holder = Process { id, boot };
        let stands = sender.durable.is_some_and(|vote| {
            let recorded = vote.max_ballot > grant.ballot
                || vote.max_ballot == grant.ballot && vote.max_holder == Some(holder);
            recorded && vote.max_lease_ever >= grant.granted
        });
        if !stands && !sender.ephemeral {
            let sentence = format!(
                "{} grants ballot {} to {holder} for {:?} while its disk says {:?}",
                sender.process, grant.ballot, grant.granted, sender.durable
            );
            return Err(Violation::new(at, Invariant::DurableFirst, sentence));
        }
        let last = self.granted.entry((sender.process, holder)).or_insert(0);
        if grant.sequence <= *last {
            let sentence = format!(
                "{} grants request {} of {holder} after request {last}",
                sender.process, grant.sequence
            );
            return Err(Violation::new(at, Invariant::NoReplay, sentence));
        }
        *last = grant.sequence;
        Ok(())
    }

    fn sent_acquire(
        &mut self,
        at: u64,
        sender: Sender,
        header: &Header,
        acquire: &Acquire,
    ) -> Verdict {
        if acquire.kind == AcquireKind::Claim && acquire.lease > sender.claim_lease {
            let sentence = format!("{} claims for {:?}", sender.process, acquire.lease);
            return Err(Violation::new(at, Invariant::ShortClaims, sentence));
        }
        if let Some(voter) = header.addressee.id {
            let trust = self.trusts.entry((sender.process, voter)).or_default();
            if trust.requests.len() == REQUESTS_MAX {
                trust.requests.pop_front();
            }
            let (sequence, lease) = (acquire.sequence, acquire.lease);
            trust.requests.push_back(Request { sequence, sent: sender.holder_now, lease });
        }
        Ok(())
    }
}

/// D(ℓ) once more, in other steps than the node's own: what is left of `lease` nanoseconds for
/// a holder whose clock is as slow, and a voter whose clock is as fast, as can be.
fn usable(lease: u64) -> u64 {
    let true_span = u128::from(lease) * 1000 / 1005;
    let acting = true_span.saturating_sub(20_000_000);
    u64::try_from(acting * 995 / 1000).unwrap_or(u64::MAX)
}

fn check_release(at: u64, sender: Sender, release: &Release) -> Verdict {
    match sender.acting_term {
        Some(term) if release.holder == sender.process && release.ballot >= term => {
            let sentence = format!(
                "{} releases ballot {} while it is Goose of term {term}",
                sender.process, release.ballot
            );
            Err(Violation::new(at, Invariant::StopThenRelease, sentence))
        }
        _ => Ok(()),
    }
}

fn check_said(at: u64, sender: Sender, max_ballot: u64) -> Verdict {
    let durable = sender.durable.map_or(0, |vote| vote.max_ballot);
    if max_ballot <= durable || sender.ephemeral {
        return Ok(());
    }
    let sentence =
        format!("{} says ballot {max_ballot} while its disk has {durable}", sender.process);
    Err(Violation::new(at, Invariant::DurableFirst, sentence))
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;
    use crate::vocabulary::configuration::ConfigurationStamp;
    use crate::vocabulary::datagram::Addressee;
    use crate::vocabulary::message::{Founding, PollAck, Standing, VoterStatus};

    const LEASE: Duration = Duration::from_millis(600);

    fn header(from: Process, to: Process) -> Header {
        let configuration = ConfigurationStamp::default();
        let addressee = Addressee::process(to);
        Header { cluster: 1, genesis: 1, sender: from, addressee, configuration }
    }

    fn vote(max_ballot: u64, max_holder: Option<Process>) -> Vote {
        Vote { max_ballot, max_holder, max_lease_ever: LEASE, founding: Founding::Waited }
    }

    fn sender(process: Process, durable: Option<&Vote>) -> Sender<'_> {
        let claim_lease = Duration::from_millis(150);
        let (holder_now, ephemeral) = (HolderTime(0), false);
        Sender { process, holder_now, ephemeral, durable, acting_term: None, claim_lease }
    }

    fn grant(ballot: u64, sequence: u64) -> Message {
        Message::Grant(Grant { sequence, ballot, granted: LEASE, standby: None })
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
        let short = Vote { max_lease_ever: Duration::from_millis(150), ..sound };
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
        let answer = Message::PollAck(PollAck { sequence: 1, status, founding: None });
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
        Message::Acquire(Acquire { kind, ballot: 1, sequence, lease: LEASE, certificate: None })
    }

    #[test]
    fn a_claim_for_a_whole_lease_is_found() {
        let me = process(1, 1);
        let claim = acquire(AcquireKind::Claim, 1);
        let verdict =
            Promises::default().sent(1, sender(me, None), &header(me, process(9, 1)), &claim);
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
        let first = Grant { sequence: 1, ballot: 1, granted: LEASE, standby: None };
        promises.grant_arrives(me, voter.id, &first);
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
}
