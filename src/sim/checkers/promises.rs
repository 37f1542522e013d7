//! I6, I8, I9, I16, I18 and the rules of counting: what a process says, against what it has on
//! disk, what it was told, and what it does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Invariant, Verdict, Violation};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::time::{HolderTime, nanoseconds};
use crate::vocabulary::timing::Timing;
use crate::wire::datagram::Header;
use crate::wire::message::{Acquire, AcquireKind, Grant, Message, Release};
use crate::wire::record::Vote;

/// The most requests to one voter whose sending is remembered.
const REQUESTS_MAX: usize = 4096;

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
    /// The spans it keeps to.
    pub timing: &'a Timing,
    /// How many voters there are.
    pub voters: usize,
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
    /// When the last answer to a request came.
    answered: HolderTime,
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

    /// `process` has taken in a message of `voter` at `now`; nothing that follows was judged yet.
    pub fn answer_arrives(
        &mut self,
        now: HolderTime,
        process: Process,
        voter: NodeId,
        message: &Message,
    ) {
        // An answer shows that the voter is heard, whatever was asked.
        let answers = matches!(
            message,
            Message::PollAck(_) | Message::Grant(_) | Message::Nak(_) | Message::ProbeAck { .. }
        );
        if !answers {
            return;
        }
        let trust = self.trusts.entry((process, voter)).or_default();
        trust.answered = now;
        let Message::Grant(grant) = message else { return };
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
            // Exactly this grant: a record that names another holder, or none, would let the
            // voter refuse this one after a crash, or grant to somebody else.
            let recorded = vote.max_ballot == grant.ballot && vote.max_holder == Some(holder);
            recorded && vote.max_lease_in_force >= grant.granted
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

    /// A Goose may renew only while it hears answers: for 2r it may miss a majority of them.
    fn check_heard(&self, at: u64, sender: Sender, acquire: &Acquire) -> Verdict {
        let Some(term) = sender.acting_term else { return Ok(()) };
        if acquire.kind != AcquireKind::Renew {
            return Ok(());
        }
        let of_mine = self.trusts.iter().filter(|((holder, _), _)| *holder == sender.process);
        let mut heard: Vec<HolderTime> = of_mine.map(|(_, trust)| trust.answered).collect();
        heard.sort_unstable_by(|one, other| other.cmp(one));
        // The voter in the same process, if there is one, needs no wire: it counts as heard.
        let needed = (sender.voters / 2 + 1).saturating_sub(1);
        let confirmed = match needed.checked_sub(1) {
            Some(place) => heard.get(place).copied().unwrap_or_default(),
            None => return Ok(()),
        };
        let silence = sender.holder_now.since(confirmed);
        if silence <= sender.timing.renew_interval * 2 {
            return Ok(());
        }
        let sentence = format!(
            "{} renews term {term} and has not heard a majority for {silence:?}",
            sender.process
        );
        Err(Violation::new(at, Invariant::DeafStops, sentence))
    }

    fn sent_acquire(
        &mut self,
        at: u64,
        sender: Sender,
        header: &Header,
        acquire: &Acquire,
    ) -> Verdict {
        if acquire.kind == AcquireKind::Claim && acquire.lease > sender.timing.claim_lease {
            let sentence = format!("{} claims for {:?}", sender.process, acquire.lease);
            return Err(Violation::new(at, Invariant::ShortClaims, sentence));
        }
        self.check_heard(at, sender, acquire)?;
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
#[path = "promises_tests.rs"]
mod tests;
