//! Messages of every kind, made of bytes and of what an eavesdropper would know: right enough
//! to get past the door, and wrong in what they say.

use std::net::SocketAddr;
use std::time::Duration;

use super::bytes::Reader;
use super::cluster::Cluster;
use gaggle::sim::postbox::address;
use gaggle::vocabulary::configuration::{Configuration, ConfigurationStamp, Genesis, VoterSet};
use gaggle::vocabulary::goose::Goose;
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::lineage::{Lineage, Proposal};
use gaggle::vocabulary::metadata::{Metadata, MetadataQuery, MetadataReply, Tags};
use gaggle::vocabulary::node_name::NodeName;
use gaggle::vocabulary::timing::{Profile, Timing};
use gaggle::wire::message::{
    Acquire, AcquireKind, Assurance, Founding, Grant, Join, Message, Nak, NakReason, Poll, PollAck,
    RecordReport, Release, Standing, VoterStatus, Welcome,
};

/// Whoever forges.
pub(crate) struct Forger<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) sender: Process,
    pub(crate) from: SocketAddr,
}

/// What the subject asked last: a number to echo, and a ballot.
fn asked(message: &Message) -> (u64, u64) {
    // Of its answers only two tell what it is that others ask.
    let tells = matches!(message, Message::Grant(_) | Message::PollAck(_));
    let asked = match message {
        Message::Join(join) => Some(join.nonce),
        message => {
            message.clone().number_mut().filter(|_| tells || !message.kind().is_answer()).copied()
        }
    };
    asked.map_or((0, 0), |number| (number, message.highest_ballot()))
}

impl Forger<'_> {
    /// One message.
    pub(crate) fn message(&self, reader: &mut Reader<'_>) -> Message {
        let byte = reader.byte();
        let kind = byte % 16;
        let (question, _) = self.asked();
        let sequence = reader.number(question);
        let ballot = self.ballot(reader);
        match kind {
            // With this byte in front it is no packet of SWIM's but one of push/pull.
            0 if byte & 16 > 0 => Message::Gossip([&[0xff], reader.take(48)].concat()),
            0 => Message::Gossip(reader.take(24).to_vec()),
            1 => {
                let length = usize::from(reader.pick(&[0_u16, 399, 400, 900]));
                Message::Join(Join {
                    nonce: sequence,
                    padding: vec![reader.byte(); length],
                    ancestors: Vec::new(),
                })
            }
            2 => Message::Welcome(Box::new(self.welcome(reader, sequence))),
            3 | 4 => {
                let flags = reader.byte();
                Message::Poll(Poll {
                    sequence,
                    quorum_connected: flags & 1 > 0,
                    eligible: flags & 2 > 0,
                    founding: flags & 4 > 0,
                })
            }
            5 => {
                let record = (reader.byte() & 1 > 0).then(|| RecordReport {
                    founding: self.founding(reader),
                    configuration: ConfigurationStamp::default(),
                    lineage: self.proposal(reader),
                });
                Message::PollAck(PollAck { sequence, status: self.status(reader), record })
            }
            6 | 7 => Message::Acquire(Acquire {
                kind: match reader.byte() & 3 {
                    0 => AcquireKind::Claim,
                    1 => AcquireKind::Learn,
                    _ => AcquireKind::Renew,
                },
                ballot,
                sequence,
                lease: self.span(reader),
                certificate: (reader.byte() & 3 == 0).then(|| self.release(reader)),
                lineage: self.proposal(reader).map(|proposal| proposal.lineage),
                configuration: self.configuration(reader, ballot).map(Box::new),
            }),
            8 => {
                let standby = (self.process(reader), self.span(reader));
                let standby = (reader.byte() & 1 > 0).then_some(standby);
                let (granted, lineage) = (self.span(reader), self.proposal(reader));
                let leaves = reader.byte() & 15 == 0;
                Message::Grant(Grant { sequence, ballot, granted, standby, lineage, leaves })
            }
            9 => Message::Nak(Nak { sequence, ballot, reason: self.reason(reader) }),
            10 => Message::Probe { sequence },
            11 => Message::ProbeAck { sequence },
            12 => Message::Release { sequence, release: self.release(reader) },
            13 => Message::ReleaseAck { sequence },
            14 => {
                let mut release = self.release(reader);
                release.nominee = Some(self.cluster.subject().process().id);
                Message::Handover(release)
            }
            _ => match reader.byte() % 4 {
                0 => Message::Announce(self.goose(reader)),
                1 | 3 => Message::Vacant(self.status(reader)),
                _ => self.metadata(reader),
            },
        }
    }

    /// One of a few lineages, or none.
    fn proposal(&self, reader: &mut Reader<'_>) -> Option<Proposal> {
        let choice = reader.byte() % 8;
        let lineage = Lineage::of_nonces(&[(self.sender.id, u64::from(choice))]);
        (choice & 4 > 0).then(|| Proposal { lineage, ballot: self.ballot(reader) })
    }

    /// A question for details, or an answer to the last one of the subject.
    fn metadata(&self, reader: &mut Reader<'_>) -> Message {
        let choice = reader.byte();
        let count = choice % 40;
        if choice & 1 > 0 {
            let wanted = (0..count).map(|_| self.process(reader).id).collect();
            let nonce = reader.number(1);
            return Message::MetadataQuery(MetadataQuery { nonce, wanted, more: choice & 2 > 0 });
        }
        let asked = self.cluster.seen().asked.filter(|(partner, _)| *partner == self.from);
        let asked = asked.map_or(0, |(_, nonce)| nonce);
        let entry = |reader: &mut Reader<'_>| {
            let value = "v".repeat(usize::from(reader.byte() % 65));
            let tags = Tags::new([("zone", value.as_str())]).unwrap_or_default();
            let http = (reader.byte() & 1 > 0).then_some(self.from);
            let name = NodeName::fitting(&value);
            (self.process(reader), Metadata { http, tags, name })
        };
        let entries = (0..count % 16).map(|_| entry(reader)).collect();
        Message::MetadataReply(MetadataReply { nonce: reader.number(asked), entries })
    }

    fn asked(&self) -> (u64, u64) {
        self.cluster.seen().said.get(&self.from).map_or((0, 0), |(_, message)| asked(message))
    }

    fn ballot(&self, reader: &mut Reader<'_>) -> u64 {
        let (_, asked) = self.asked();
        let voter = self.cluster.subject().inspect().voter;
        let known = voter.map_or(self.cluster.subject().term(), |voter| voter.max_ballot);
        reader.number(if asked > 0 { asked } else { known })
    }

    fn span(&self, reader: &mut Reader<'_>) -> Duration {
        let seconds = reader.pick(&[0, 0, 0, 0, 0, 1, 11, u64::MAX]);
        let nanoseconds = reader.pick(&[0, 1, 20_000_000, 150_000_000, 600_000_000, 999_999_999]);
        Duration::new(seconds, nanoseconds)
    }

    fn process(&self, reader: &mut Reader<'_>) -> Process {
        let choice = reader.byte();
        let peer = self.cluster.peers().nth(usize::from(choice % 4)).map(|peer| peer.process());
        match choice % 8 {
            0..=3 => peer.unwrap_or(self.sender),
            4 => self.cluster.subject().process(),
            5 => self.sender,
            _ => {
                let id = NodeId::new(reader.number(9)).unwrap_or(self.sender.id);
                let boot = Boot { start: reader.number(self.sender.boot.start), nonce: 1 };
                Process { id, boot }
            }
        }
    }

    fn goose(&self, reader: &mut Reader<'_>) -> Goose {
        let process = if reader.byte() & 1 > 0 { self.sender } else { self.process(reader) };
        Goose { term: self.ballot(reader), process, address: self.from, http: None }
    }

    fn release(&self, reader: &mut Reader<'_>) -> Release {
        let holder = if reader.byte() & 1 > 0 { self.sender } else { self.process(reader) };
        let ballot = self.ballot(reader);
        let nominee = (reader.byte() & 1 > 0).then(|| self.process(reader).id);
        Release { holder, ballot, all: reader.byte() & 3 == 0, nominee }
    }

    fn status(&self, reader: &mut Reader<'_>) -> VoterStatus {
        let standing = match reader.byte() % 6 {
            0 => Standing::Blank,
            1 => {
                let holder = (reader.byte() & 1 > 0).then(|| self.process(reader));
                Standing::Quarantined { remaining: self.span(reader), holder }
            }
            2 => Standing::Held {
                holder: self.process(reader),
                ballot: self.ballot(reader),
                remaining: self.span(reader),
            },
            3 => Standing::Persisting,
            _ => Standing::Vacant,
        };
        VoterStatus {
            sequence: reader.number(100),
            standing,
            max_ballot: self.ballot(reader),
            top_contender: (reader.byte() & 1 > 0).then(|| self.process(reader).id),
            goose: (reader.byte() & 1 > 0).then(|| self.goose(reader)),
        }
    }

    fn founding(&self, reader: &mut Reader<'_>) -> Founding {
        match reader.byte() % 5 {
            0 => Founding::Blank { nonce: reader.number(1) },
            3 => Founding::Lost { nonce: reader.number(1) },
            4 => Founding::Fleeting { nonce: reader.number(1) },
            1 => {
                let count = reader.pick(&[0_usize, 2, 3, 15, 20]);
                let pair = |_| (self.process(reader).id, reader.number(1));
                Founding::Founded((0..count).map(pair).collect())
            }
            _ => Founding::Waited,
        }
    }

    fn reason(&self, reader: &mut Reader<'_>) -> NakReason {
        match reader.byte() % 11 {
            0 => NakReason::Held { remaining: self.span(reader) },
            1 => NakReason::Stale { max_ballot: self.ballot(reader) },
            2 => NakReason::Defer { to: self.process(reader).id },
            3 => NakReason::Quarantine { remaining: self.span(reader) },
            4 => NakReason::Blank,
            5 => NakReason::Persisting,
            6 => NakReason::StoreFailed,
            7 => NakReason::Configuration,
            8 => NakReason::DuplicateId,
            9 => NakReason::NewBoot { boot: self.process(reader).boot },
            _ => NakReason::Dead,
        }
    }

    /// A configuration of this cluster as it may have become, or none.
    fn configuration(&self, reader: &mut Reader<'_>, ballot: u64) -> Option<Configuration> {
        let choice = reader.byte();
        let ids = [1, 2, 3, 4, 5].into_iter().filter(|id| choice >> id & 1 > 0);
        let voters = VoterSet::new(ids.filter_map(|id| NodeId::new(id).ok()).collect()).ok()?;
        let (version, automatic) = (u64::from(choice & 1) + 1, None);
        (choice & 0xc0 > 0).then_some(Configuration {
            ballot,
            version,
            voters,
            preempt: false,
            automatic,
        })
    }

    fn welcome(&self, reader: &mut Reader<'_>, nonce: u64) -> Welcome {
        let count = reader.pick(&[3, 1, 2, 15]);
        let ids = (1..=count).filter_map(|id| NodeId::new(id).ok()).collect();
        let only = || VoterSet::new(vec![self.sender.id]);
        let genesis = VoterSet::new(ids).or_else(|_| only());
        // One id always makes a set.
        let Ok(voters) = genesis else { unreachable!("a set of one") };
        let preempt = reader.byte() & 7 == 0;
        let genesis =
            Genesis::new(voters, preempt, &Timing::of(Profile::Lan), reader.byte() & 7 == 0);
        let mut configuration = Configuration::genesis(genesis.clone());
        if reader.byte() & 3 == 0 {
            configuration.version = reader.number(1);
            configuration.ballot = self.ballot(reader);
        }
        let voters = (0..reader.pick(&[0_u8, 1, 3, 15, 32])).map(|_| {
            let place = address(reader.number(1));
            (self.process(reader).id, place)
        });
        let voters = voters.collect();
        let member = reader.take(48).to_vec();
        let goose = (reader.byte() & 1 > 0).then(|| self.goose(reader));
        let assurance = reader.pick(&[Assurance::Assumed, Assurance::Told, Assurance::Founded]);
        let count = 0..reader.pick(&[0_u8, 0, 1, 8, 20]);
        let drawn = |_| Lineage::drawn(self.process(reader), reader.number(1));
        let ancestors = count.map(drawn).collect();
        Welcome { nonce, member, genesis, assurance, configuration, voters, goose, ancestors }
    }
}
