//! Sending: where a message goes, and what it is put into.

use std::net::SocketAddr;

use super::addresses::{Addresses, Sought};
use super::cluster::Cluster;
use super::outputs::{Output, Outputs};
use super::proof::{self, Proofs};
use super::sealing::Sealing;
use crate::election::Election;
use crate::membership::Membership;
use crate::vocabulary::configuration::Genesis;
use crate::vocabulary::identity::Process;
use crate::vocabulary::time::HolderTime;
use crate::wire::datagram::{self, Addressee, Header, LeaderFreshness};
use crate::wire::message::Message;

/// What sending reads, and what it may touch.
pub(super) struct Sending<'a> {
    pub(super) me: Process,
    pub(super) cluster: &'a Cluster,
    pub(super) election: Option<&'a Election>,
    pub(super) membership: &'a Membership,
    pub(super) addresses: &'a mut Addresses,
    pub(super) proofs: &'a mut Proofs,
    pub(super) sealing: &'a mut Sealing,
    pub(super) outputs: &'a mut Outputs,
    /// How lately the Goose was seen, for messages that carry it.
    pub(super) leader_freshness: Option<LeaderFreshness>,
}

impl Sending<'_> {
    /// Sends to where the addressee is, if that is known.
    pub(super) fn send(&mut self, now: HolderTime, to: Addressee, message: &Message) {
        let Some(id) = to.id else { return };
        let answer = to
            .boot
            .filter(|_| message.kind().is_answer())
            .and_then(|boot| self.addresses.for_answer(Process { id, boot }));
        if let Some(address) = answer {
            return self.transmit(to, address, message);
        }
        let sought = Sought { id, boot: to.boot, gossip: self.membership.address_of(id) };
        let ways = self.addresses.for_push(&sought, message.kind().is_question(), now);
        // A voter answers the copy that comes first: that to the address which is tried anew. An
        // answer is given once.
        let second = ways.second.filter(|_| !message.kind().is_answer());
        for address in second.into_iter().chain(ways.first) {
            self.transmit(to, address, message);
        }
        if let Some(name) = ways.look_up {
            self.outputs.push(Output::Resolve(vec![name]));
        }
    }

    /// Puts a message into an envelope, seals it, and hands it out.
    pub(super) fn transmit(&mut self, to: Addressee, address: SocketAddr, message: &Message) {
        match self.envelope(to, address, message) {
            Some(datagram) if !self.proofs.allows(address, datagram.len()) => {
                self.outputs.count().answers_withheld += 1;
            }
            Some(datagram) => {
                let counters = self.outputs.count();
                counters.datagrams_sent += 1;
                counters.bytes_sent += datagram.len() as u64;
                self.outputs.push(Output::Transmit { to: address, datagram });
            }
            None => self.outputs.count().send_failures += 1,
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
        let configuration = self.election.map(|election| election.stamp_for(message));
        let header = Header {
            cluster: self.cluster.digest(),
            genesis: self.cluster.genesis().map_or(0, Genesis::digest),
            lineage: self.election.and_then(Election::lineage_claim),
            sender: self.me,
            addressee: to,
            configuration: configuration.unwrap_or_default(),
            token: self.proofs.token(address),
            echo: self.proofs.echo(to),
            leader_freshness: self.leader_freshness.filter(|_| message.carries_leader_freshness()),
        };
        let mut datagram = datagram::encode(&header, message).ok()?;
        if self.needs_padding(to, address, message) {
            proof::pad(&mut datagram);
        }
        self.sealing.seal(datagram)
    }

    /// The voters' processes that are known, but for this one, and where they are.
    pub(super) fn other_voters(&self) -> Vec<(Process, SocketAddr)> {
        let voters = self.election.into_iter().flat_map(Election::voter_processes);
        let others = voters.filter(|process| process.id != self.me.id);
        others
            .filter_map(|process| {
                let Process { id, boot } = process;
                let gossip = self.membership.address_of(id);
                let address = self.addresses.best(&Sought { id, boot: Some(boot), gossip })?;
                Some((process, address))
            })
            .collect()
    }

    /// Whether this goes to somebody who may not believe us yet, and wants a long answer.
    fn needs_padding(&self, to: Addressee, address: SocketAddr, message: &Message) -> bool {
        let unknown = self.proofs.is_unknown(to, address);
        let Message::Gossip(packet) = message else { return unknown };
        // An announcement may meet a later process than the one that it is meant for. But among a
        // thousand members it takes minutes until each has pinged each: padding would be most of
        // what a member at rest sends.
        Membership::is_announcement(packet) || unknown && !self.membership.asks_in_brief(packet)
    }
}
