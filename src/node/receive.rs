//! The door: what a datagram must show before it reaches membership or election.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::last_will::LAST_WILL_SEQUENCE;
use super::{NodeCore, Output};
use crate::election::Election;
use crate::membership::Membership;
use crate::vocabulary::datagram::{self, Addressee, Header, Reject};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{Process, normalised};
use crate::vocabulary::message::{
    Message, Nak, NakReason, PROBE_BALLOT, Poll, PollAck, Standing, VoterStatus,
};
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::seal::{self, Opened};
use crate::vocabulary::time::{HolderTime, Now};

/// A warning of one kind is given this often at most.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Another process with this node's id is challenged this often at most.
const CHALLENGE_INTERVAL: Duration = Duration::from_secs(1);

/// What the door remembers.
#[derive(Debug, Default)]
pub(super) struct Admission {
    warned: BTreeMap<&'static str, HolderTime>,
    challenge: Option<Challenge>,
}

/// What `message` says of the lease of the Goose that is known so far.
fn released(election: &Election, from: Process, message: &Message) -> Option<Event> {
    let (release, died) = match message {
        Message::Release { sequence, release } => (release, *sequence == LAST_WILL_SEQUENCE),
        Message::Handover(release) => (release, false),
        _ => return None,
    };
    let by = election.goose()?.goose.process;
    let own = release.holder == from && by == from;
    own.then_some(Event::Released { by, nominee: release.nominee, died })
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
}

impl NodeCore {
    /// Takes one datagram in, or says why not.
    pub(super) fn receive(
        &mut self,
        now: Now,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Reject> {
        let from = normalised(from);
        let opened = seal::open(self.sealing.keys(), datagram)?;
        let plain = opened.as_ref().map_or(datagram, Opened::plain);
        let (header, message) = datagram::decode(plain)?;
        if header.sender == self.me {
            return Err(Reject::Echo);
        }
        if header.cluster != self.cluster_digest {
            return Err(Reject::ForeignCluster);
        }
        if !self.is_started() {
            return Err(Reject::NotReady);
        }
        self.refuse_repeated(&header, &message, opened.as_ref())?;
        self.proofs.meet(&header, from, datagram.len());
        let sender = header.sender;
        match &message {
            Message::Join(join) => {
                // Whoever was told otherwise of this cluster learns from the answer in what.
                let verdict = self.check_genesis(&header, true);
                if verdict.is_err() && header.genesis != 0 && join.is_padded() {
                    // And so does this node: whoever asks may know more than it does.
                    self.ask_back(now, from);
                }
                let answered = self.welcome(now, from, sender, join);
                if answered != Err(Reject::Malformed) {
                    self.tell_later_start(now, from, sender);
                }
                return answered.and(verdict);
            }
            Message::Welcome(welcome) => {
                self.check_addressee(&header, &message)?;
                return self.welcomed(now, from, &header, welcome);
            }
            _ => self.check_genesis(&header, false)?,
        }
        if sender.id == self.me.id {
            return self.meet_namesake(now, from, sender, &message);
        }
        if let Err(reject) = self.check_addressee(&header, &message) {
            if matches!(&message, Message::Gossip(packet) if Membership::is_announcement(packet)) {
                self.ask_back(now, from);
            }
            // So that a Goose learns at once that its voter restarted, even one that has not been
            // heard for so long that it only asks who hears it.
            let asked = match &message {
                Message::Acquire(acquire) => Some((acquire.sequence, acquire.ballot)),
                Message::Probe { sequence } => Some((*sequence, PROBE_BALLOT)),
                _ => None,
            };
            if let (Reject::WrongBoot, Some((sequence, ballot))) = (reject, asked) {
                let reason = NakReason::NewBoot { boot: self.me.boot };
                let nak = Message::Nak(Nak { sequence, ballot, reason });
                self.transmit(Addressee::process(sender), from, &nak);
            }
            return Err(reject);
        }
        if let Message::LaterStart { start } = message {
            self.hear_later_start(now, from, &header, start);
            return Ok(());
        }
        self.tell_later_start(now, from, sender);
        self.addresses.came_from(sender, from);
        let message = self.disarmed(&header, &message).unwrap_or(message);
        self.deliver(now, from, &header, &message)
    }

    fn deliver(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        message: &Message,
    ) -> Result<(), Reject> {
        if let Message::Gossip(packet) = message {
            if let (Some(leader_freshness), Some(election)) =
                (header.leader_freshness, &mut self.election)
            {
                election.hear_of_leader_freshness(now.holder, leader_freshness);
            }
            self.membership.handle_gossip(now.holder, header.sender, packet);
            return Ok(());
        }
        if let Message::MetadataQuery(query) = message {
            // Whoever is no member, or asks for what is not known here, gets no answer.
            if let Some(reply) = self.membership.answer(header.sender, query) {
                let reply = Message::MetadataReply(reply);
                self.transmit(Addressee::process(header.sender), from, &reply);
            }
            return Ok(());
        }
        if let Message::MetadataReply(reply) = message {
            let expected = self.membership.take_answer(now.holder, header.sender, reply);
            return if expected { Ok(()) } else { Err(Reject::Unexpected) };
        }
        let election = self.election.as_mut().ok_or(Reject::NotReady)?;
        let stamp = election.configuration().stamp();
        if header.configuration != stamp
            && let Message::Acquire(acquire) = message
        {
            let (sequence, ballot) = (acquire.sequence, acquire.ballot);
            let reason = NakReason::Configuration;
            let nak = Message::Nak(Nak { sequence, ballot, reason });
            self.transmit(Addressee::process(header.sender), from, &nak);
            return Err(Reject::Unexpected);
        }
        let released = released(election, header.sender, message);
        let proof = election.handle_message(now, header.sender, message);
        if proof {
            self.addresses.prove(header.sender, from);
        }
        // Drained after the election's events otherwise: this one says why they come.
        self.outputs.extend(released.map(Output::Event));
        Ok(())
    }

    fn check_genesis(&self, header: &Header, joins: bool) -> Result<(), Reject> {
        let Some(genesis) = &self.genesis else { return Err(Reject::NotReady) };
        let unknown = header.genesis == 0 && joins;
        if unknown || header.genesis == genesis.digest() {
            Ok(())
        } else {
            Err(Reject::ForeignVoters)
        }
    }

    /// Whether this process is meant. "Whoever you are now" is allowed where nothing relies on
    /// which process answers.
    fn check_addressee(&self, header: &Header, message: &Message) -> Result<(), Reject> {
        if header.addressee.id.is_some_and(|id| id != self.me.id) {
            return Err(Reject::WrongNode);
        }
        match header.addressee.boot {
            Some(boot) if boot == self.me.boot => Ok(()),
            Some(_)
                if mutant::is(Mutant::EarlierBootsAnswersAccepted)
                    && matches!(message, Message::PollAck(_)) =>
            {
                Ok(())
            }
            Some(_) => Err(Reject::WrongBoot),
            None if matches!(message, Message::Poll(_)) => Ok(()),
            None => Err(Reject::Unexpected),
        }
    }

    /// A datagram came from another process with this node's id. If that process lives, one of
    /// the two was started by mistake; a voter then stops voting, for safety depends on one
    /// process per voter.
    fn meet_namesake(
        &mut self,
        now: Now,
        from: SocketAddr,
        namesake: Process,
        message: &Message,
    ) -> Result<(), Reject> {
        match (message, self.admission.challenge) {
            (Message::PollAck(answer), Some(challenge))
                if challenge.process == namesake && challenge.sequence == answer.sequence =>
            {
                self.admission.challenge = None;
                self.unmask(now, from);
            }
            // The other one asks whether we live: we do.
            (Message::Poll(poll), _) => {
                let status = VoterStatus {
                    sequence: 0,
                    standing: Standing::Blank,
                    max_ballot: 0,
                    top_contender: None,
                    goose: None,
                };
                let answer = PollAck { sequence: poll.sequence, status, record: None };
                self.transmit(Addressee::process(namesake), from, &Message::PollAck(answer));
            }
            _ => {
                let recent = self.admission.challenge.is_some_and(|challenge| {
                    now.holder.since(challenge.asked) < CHALLENGE_INTERVAL
                });
                if !recent {
                    let sequence = self.joining.draw();
                    let asked = now.holder;
                    self.admission.challenge =
                        Some(Challenge { sequence, process: namesake, asked });
                    let poll = Poll {
                        sequence,
                        quorum_connected: false,
                        eligible: false,
                        founding: false,
                    };
                    self.transmit(Addressee::process(namesake), from, &Message::Poll(poll));
                }
            }
        }
        Err(Reject::Unexpected)
    }

    fn unmask(&mut self, now: Now, address: SocketAddr) {
        let votes = self
            .election
            .as_ref()
            .is_some_and(|election| election.configuration().voters.contains(self.me.id));
        if votes {
            if let Some(election) = &mut self.election {
                election.handle_twin(now);
            }
            if self.admission.may_warn("twin", now.holder) {
                self.event(Event::Warning(Warning::TwinVoter { address }));
            }
        } else if self.admission.may_warn("duplicate", now.holder) {
            let address = Some(address);
            self.event(Event::Warning(Warning::DuplicateId { address }));
        }
    }

    /// Counts a datagram that was not taken in, and warns of what people can mend.
    pub(super) fn refuse(&mut self, now: Now, address: SocketAddr, size: usize, reason: Reject) {
        if let Some(position) = Reject::ALL.iter().position(|other| *other == reason) {
            self.counters.rejected[position] += 1;
        }
        let is_foreign = matches!(reason, Reject::ForeignCluster | Reject::ForeignVoters);
        let mendable = is_foreign || matches!(reason, Reject::TooNew | Reject::TooOld);
        let sealing = matches!(reason, Reject::Unsealed | Reject::UnknownKey | Reject::Forged);
        if (mendable || sealing) && self.admission.may_warn(reason.name(), now.holder) {
            self.event(Event::Warning(if sealing {
                Warning::Sealing { reason, address }
            } else {
                Warning::Foreign { reason, address }
            }));
        }
        // A question that its sender cannot open either tells it what is wrong, in its own log.
        if matches!(reason, Reject::Unsealed | Reject::UnknownKey) && self.may_question(size) {
            self.ask_back(now, normalised(address));
        }
    }
}
