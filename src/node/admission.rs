//! The door: what a datagram must show before it reaches membership or election.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::cluster::Cluster;
use super::last_will::LAST_WILL_SEQUENCE;
use super::outputs::Outputs;
use super::proof::Proofs;
use super::sealing::Sealing;
use crate::election::Election;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::Process;
use crate::vocabulary::lineage::{ForeignFounding, Kinship, LineageClaim};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::reject::Reject;
use crate::vocabulary::time::{HolderTime, Now};
use crate::wire::datagram::{self, Header};
use crate::wire::message::{Message, Poll, PollAck, Standing, VoterStatus};
use crate::wire::seal::{self, Opened};

/// A warning of one kind is given this often at most.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Another process with this node's id is challenged this often at most.
const CHALLENGE_INTERVAL: Duration = Duration::from_secs(1);

/// What the door remembers.
#[derive(Debug, Default)]
pub(super) struct Admission {
    warned: BTreeMap<&'static str, HolderTime>,
    challenge: Option<Challenge>,
    /// The last one that was met.
    foreign: Option<ForeignFounding>,
}

/// A question to another process under this node's id. Only a living one can answer it: late
/// packets of this node's own earlier boots are no twin.
#[derive(Clone, Copy, Debug)]
struct Challenge {
    sequence: u64,
    process: Process,
    asked: HolderTime,
}

impl Admission {
    /// Whether a warning under this name may be given again.
    pub(super) fn may_warn(&mut self, name: &'static str, now: HolderTime) -> bool {
        let due = self.warned.get(name).is_none_or(|at| now.since(*at) >= WARNING_INTERVAL);
        if due {
            self.warned.insert(name, now);
        }
        due
    }

    /// Whether a warning may be given: some would come with every datagram.
    pub(super) fn lets_through(&mut self, warning: &Warning, now: HolderTime) -> bool {
        let name = match warning {
            Warning::BallotRefused { .. } => "ballot refused",
            Warning::BallotsExhausted => "ballots exhausted",
            _ => return true,
        };
        self.may_warn(name, now)
    }

    /// Something of another founding has come.
    pub(super) fn meet_foreign(&mut self, foreign: ForeignFounding) {
        self.foreign = Some(foreign);
    }

    /// What people are to be told of a datagram that was not taken in, because they can mend it.
    pub(super) fn refused(
        &mut self,
        reason: Reject,
        address: SocketAddr,
        now: HolderTime,
    ) -> Option<Warning> {
        let is_foreign = matches!(
            reason,
            Reject::ForeignCluster | Reject::ForeignVoters | Reject::ForeignLineage
        );
        let mendable = is_foreign || matches!(reason, Reject::TooNew | Reject::TooOld);
        let sealing = matches!(reason, Reject::Unsealed | Reject::UnknownKey | Reject::Forged);
        // It goes over, or ends and says why, as soon as somebody tells it who can.
        let kinship = self.foreign.map(|foreign| foreign.kinship);
        if reason == Reject::ForeignLineage && kinship == Some(Kinship::Rescued) {
            return None;
        }
        if !(mendable || sealing) || !self.may_warn(reason.name(), now) {
            return None;
        }
        Some(if sealing {
            Warning::Sealing { reason, address }
        } else if let (Reject::ForeignLineage, Some(foreign)) = (reason, self.foreign) {
            Warning::ForeignLineage(foreign)
        } else {
            Warning::Foreign { reason, address }
        })
    }
}

/// What a datagram is checked with before anything is made of its message.
pub(super) struct Door<'a> {
    pub(super) me: Process,
    pub(super) cluster: &'a Cluster,
    pub(super) is_started: bool,
    pub(super) sealing: &'a mut Sealing,
    pub(super) proofs: &'a mut Proofs,
}

impl Door<'_> {
    /// Opens and decodes a datagram, or says why not.
    pub(super) fn open(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(Header, Message), Reject> {
        let opened = seal::open(self.sealing.keys(), datagram)?;
        let plain = opened.as_ref().map_or(datagram, Opened::plain);
        let (header, message) = datagram::decode(plain)?;
        if header.sender == self.me {
            return Err(Reject::Echo);
        }
        if header.cluster != self.cluster.digest() {
            return Err(Reject::ForeignCluster);
        }
        if !self.is_started {
            return Err(Reject::NotReady);
        }
        self.sealing.refuse_repeated(self.me.id, &header, &message, opened.as_ref())?;
        self.proofs.meet(&header, from, datagram.len());
        Ok((header, message))
    }
}

/// Whether `me` is meant. "Whoever you are now" is allowed where nothing relies on which process
/// answers.
pub(super) fn check_addressee(
    me: Process,
    header: &Header,
    message: &Message,
) -> Result<(), Reject> {
    if header.addressee.id.is_some_and(|id| id != me.id) {
        return Err(Reject::WrongNode);
    }
    match header.addressee.boot {
        Some(boot) if boot == me.boot => Ok(()),
        Some(_)
            if mutant::is(Mutant::EarlierBootsAnswersAccepted)
                && matches!(message, Message::PollAck(_)) =>
        {
            Ok(())
        }
        Some(_) => Err(Reject::WrongBoot),
        None if message.is_for_any_boot() => Ok(()),
        None => Err(Reject::Unexpected),
    }
}

/// What `message` says of the lease of the Goose that is known so far.
pub(super) fn released(election: &Election, from: Process, message: &Message) -> Option<Event> {
    let (release, sequence) = message.released()?;
    let by = election.goose()?.goose.process;
    let own = release.holder == from && by == from;
    let died = sequence == Some(LAST_WILL_SEQUENCE);
    own.then_some(Event::Released { by, nominee: release.nominee, died })
}

/// The meeting with another process under this node's id, and what it may touch.
pub(super) struct Meeting<'a> {
    pub(super) admission: &'a mut Admission,
    pub(super) election: Option<&'a mut Election>,
    pub(super) outputs: &'a mut Outputs,
    pub(super) me: Process,
}

impl Meeting<'_> {
    /// A datagram came from another process with this node's id. If that process lives, one of
    /// the two was started by mistake; a voter then stops voting, for safety depends on one
    /// process per voter. Which of the two stops: the one that does not know its founding, for it
    /// has promised nothing under it, if the other one does; otherwise both.
    ///
    /// Returns what is sent back. `draw`: a number that nobody can guess.
    pub(super) fn meet(
        &mut self,
        now: Now,
        from: SocketAddr,
        (namesake, theirs): (Process, Option<LineageClaim>),
        message: &Message,
        draw: impl FnOnce() -> u64,
    ) -> Vec<Message> {
        let challenge = self.admission.challenge;
        if let (Message::PollAck(answer), Some(challenge)) = (message, challenge)
            && challenge.process == namesake
            && challenge.sequence == answer.sequence
        {
            self.admission.challenge = None;
            self.unmask(now, from, theirs);
            return Vec::new();
        }
        let mut replies = Vec::new();
        if let Message::Poll(poll) = message {
            // The other one asks whether we live: we do.
            let status = VoterStatus {
                sequence: 0,
                standing: Standing::Blank,
                max_ballot: 0,
                top_contender: None,
                goose: None,
            };
            let answer = PollAck { sequence: poll.sequence, status, record: None };
            replies.push(Message::PollAck(answer));
            // Whoever does not know its founding must learn that the other one lives, too.
            if theirs.is_none() || self.lineage().is_some() {
                return replies;
            }
        }
        let asked = now.holder;
        if challenge.is_some_and(|last| asked.since(last.asked) < CHALLENGE_INTERVAL) {
            return replies;
        }
        let sequence = draw();
        self.admission.challenge = Some(Challenge { sequence, process: namesake, asked });
        let (quorum_connected, eligible, founding) = (false, false, false);
        replies.push(Message::Poll(Poll { sequence, quorum_connected, eligible, founding }));
        replies
    }

    fn lineage(&self) -> Option<LineageClaim> {
        self.election.as_ref().and_then(|election| election.lineage_claim())
    }

    fn unmask(&mut self, now: Now, address: SocketAddr, theirs: Option<LineageClaim>) {
        let is_newcomer = theirs.is_none() && self.lineage().is_some();
        let election = self.election.as_mut().filter(|_| !is_newcomer);
        let voter = election.filter(|it| it.configuration().voters.contains(self.me.id));
        if let Some(election) = voter {
            election.handle_twin(now);
            if self.admission.may_warn("twin", now.holder) {
                self.outputs.warn(Warning::TwinVoter { address });
            }
        } else if self.admission.may_warn("duplicate", now.holder) {
            self.outputs.warn(Warning::DuplicateId { address: Some(address) });
        }
    }
}
