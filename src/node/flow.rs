//! What flows after every input: from membership to election, and from both to the outputs.

use std::net::SocketAddr;

use super::{NodeCore, Output, proof};
use crate::election::outbox::Outgoing;
use crate::election::{STANDBYS, Sight};
use crate::membership::MembershipOutput;
use crate::vocabulary::configuration::Genesis;
use crate::vocabulary::datagram::{self, Addressee, Header};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::Message;
use crate::vocabulary::time::Now;

/// How many of the highest eligible nodes the election knows of at most.
const SIGHT_WIDTH: usize = 48;
/// In a cluster of at most this many, everybody is told of a new Goose directly.
const NEIGHBOURS_MAX: usize = 64;
/// One input leads to no more rounds than this; what is left is done at the next.
const ROUNDS_MAX: usize = 64;

impl NodeCore {
    /// Lets everything flow until nothing moves any more.
    pub(super) fn settle(&mut self, now: Now) {
        for _ in 0..ROUNDS_MAX {
            let moved = self.drain_membership(now);
            let moved = self.drain_election(now) | moved;
            let moved = self.keep(now) | moved;
            let moved = self.drain_work(now) | moved;
            if !moved {
                break;
            }
        }
    }

    fn drain_membership(&mut self, now: Now) -> bool {
        let mut moved = false;
        let mut changed = false;
        self.leader_freshness =
            self.election.as_ref().and_then(|election| election.leader_freshness(now.holder));
        while let Some(output) = self.membership.poll_output() {
            moved = true;
            match output {
                MembershipOutput::Send { to, address, packet } => {
                    self.transmit(Addressee::process(to), address, &Message::Gossip(packet));
                }
                MembershipOutput::MemberChanged { id, address, state } => {
                    changed = true;
                    self.event(Event::MemberChanged { id, address, state });
                }
                MembershipOutput::Tell { to, address, message } => {
                    self.transmit(Addressee::process(to), address, &message);
                }
                MembershipOutput::DetailsChanged => self.index += 1,
                MembershipOutput::MemberForgotten { id, address } => {
                    changed = true;
                    self.event(Event::MemberForgotten { id, address });
                }
                MembershipOutput::Departed(process) => {
                    changed = true;
                    if let Some(election) = &mut self.election {
                        election.handle_departure(now, process);
                    }
                }
                MembershipOutput::Connected | MembershipOutput::Disconnected => {
                    changed = true;
                    self.seek(now);
                }
                MembershipOutput::GooseHint(goose) => {
                    if let Some(election) = &mut self.election {
                        election.hear_of_goose(now, &goose);
                    }
                }
                MembershipOutput::Error(text) => {
                    self.event(Event::Warning(Warning::Membership(text)));
                }
            }
        }
        self.counters.members_refused = self.membership.refused();
        if changed {
            self.look_around(now);
        }
        moved
    }

    /// Tells the election who is around.
    fn look_around(&mut self, now: Now) {
        self.index += 1;
        self.keep_addresses();
        let Some(election) = &mut self.election else { return };
        let eligible = self.membership.top_eligible(SIGHT_WIDTH);
        let few = self.membership.alive_count() <= NEIGHBOURS_MAX;
        let neighbours = if few { self.membership.sample(NEIGHBOURS_MAX) } else { Vec::new() };
        let sight = Sight {
            eligible: eligible.into_iter().map(|(process, _)| process).collect(),
            neighbours: neighbours.into_iter().map(|(process, _)| process).collect(),
            rank: self.membership.rank_among_eligible(),
        };
        election.handle_sight(now, sight);
    }

    pub(super) fn drain_election(&mut self, now: Now) -> bool {
        let mut moved = false;
        while let Some(outgoing) = self.election.as_mut().and_then(|it| it.poll_outgoing()) {
            moved = true;
            match outgoing {
                Outgoing::Persist => self.persistence.mark(),
                Outgoing::Event(Event::Warning(warning)) => self.warn(now, warning),
                Outgoing::PersistSoon => self.persistence.mark_soon(now.holder),
                Outgoing::Event(event) => {
                    self.index += 1;
                    if let Event::GooseChanged(Some(goose)) = &event {
                        if goose.process == self.me {
                            self.membership.broadcast_goose(goose);
                        }
                        self.notice_joining(now);
                    }
                    self.event(event);
                }
                Outgoing::MakeWay(to) => self.make_way(now, to),
                Outgoing::Renewed(round_trip) => self.counters.renewals.observe(round_trip),
                Outgoing::Send { to, message } => {
                    if let Some(address) = self.way_to(to, &message) {
                        self.transmit(to, address, &message);
                    }
                }
            }
        }
        moved
    }

    fn way_to(&self, to: Addressee, message: &Message) -> Option<SocketAddr> {
        let id = to.id?;
        let answers = matches!(
            message,
            Message::PollAck(_)
                | Message::Grant(_)
                | Message::Nak(_)
                | Message::ProbeAck { .. }
                | Message::ReleaseAck { .. }
        );
        let gossip = self.membership.address_of(id);
        let answer = to
            .boot
            .filter(|_| answers)
            .and_then(|boot| self.addresses.for_answer(Process { id, boot }));
        answer.or_else(|| self.addresses.for_push(id, to.boot, gossip))
    }

    /// Puts a message into an envelope, seals it, and hands it out.
    pub(super) fn transmit(&mut self, to: Addressee, address: SocketAddr, message: &Message) {
        match self.envelope(to, address, message) {
            Some(datagram) if !self.proofs.allows(address, datagram.len()) => {
                self.counters.answers_withheld += 1;
            }
            Some(datagram) => {
                self.counters.datagrams_sent += 1;
                self.counters.bytes_sent += datagram.len() as u64;
                self.outputs.push_back(Output::Transmit { to: address, datagram });
            }
            None => self.counters.send_failures += 1,
        }
    }

    /// A message in its envelope, sealed; none if it does not fit, which would be a bug of this
    /// node.
    pub(super) fn envelope(
        &mut self,
        to: Addressee,
        address: SocketAddr,
        message: &Message,
    ) -> Option<Vec<u8>> {
        let header = Header {
            cluster: self.cluster_digest,
            genesis: self.genesis.as_ref().map_or(0, Genesis::digest),
            sender: self.me,
            addressee: to,
            configuration: self
                .election
                .as_ref()
                .map(|election| election.configuration().stamp())
                .unwrap_or_default(),
            token: self.proofs.token(address),
            echo: self.proofs.echo(to),
            leader_freshness: self
                .leader_freshness
                .filter(|_| matches!(message, Message::Gossip(_) | Message::Welcome(_))),
        };
        let mut datagram = datagram::encode(&header, message).ok()?;
        if self.needs_padding(to, address, message) {
            proof::pad(&mut datagram);
        }
        self.sealing.seal(datagram)
    }

    /// Some warnings would come with every datagram.
    fn warn(&mut self, now: Now, warning: Warning) {
        let name = match warning {
            Warning::BallotRefused { .. } => Some("ballot refused"),
            Warning::BallotsExhausted => Some("ballots exhausted"),
            _ => None,
        };
        if name.is_none_or(|name| self.admission.may_warn(name, now.holder)) {
            self.index += 1;
            self.event(Event::Warning(warning));
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

// Standbys are told of a new Goose out of the same sight.
const _: () = assert!(STANDBYS < SIGHT_WIDTH);
