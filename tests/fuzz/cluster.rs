//! A small live cluster in invented time, of which one node, the subject, gets more mail than
//! was sent to it.
//!
//! All nodes are real: what the subject is made to say reaches the others, and what they say
//! keeps it busy. Everything is in memory and decided by the input.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::ensure;
use gaggle::membership::Membership;
use gaggle::node::{NodeCore, Output};
use gaggle::vocabulary::configuration::{ClusterName, VoterSet};
use gaggle::vocabulary::datagram::{self, DATAGRAM_SIZE_MAX, Header};
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::message::Message;
use gaggle::vocabulary::metadata::Tags;
use gaggle::vocabulary::record::{Disk, Record};
use gaggle::vocabulary::seal::{self, KeyRing};
use gaggle::vocabulary::setup::Setup;
use gaggle::vocabulary::time::{HolderTime, Now, VoterTime, WallTime, nanoseconds};
use gaggle::vocabulary::timing::{Profile, Timing};

/// One way.
const TRAVEL: u64 = 200_000;
/// One write.
const WRITE: u64 = 100_000;
/// Captured datagrams that are kept.
const CAPTURED_MAX: usize = 48;
/// A timer that is due again at once so often in a row never lets go.
const RESTLESS_MAX: u32 = 500;
/// The nodes: three voters and one that does not vote.
const SIZE: u64 = 4;

/// Which node gets the mail, and in which state it is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The Goose, a voter.
    Goose,
    /// A voter that granted.
    Voter,
    /// A Duck without a vote.
    Duck,
    /// A voter of a cluster that is only being founded.
    Founder,
    /// A node that knows a seed and nothing else, and has not been answered.
    ForeignNode,
}

/// A datagram as the cluster made it.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) from: SocketAddr,
    pub(crate) plain: Vec<u8>,
    pub(crate) number: u64,
}

struct Mail {
    to: usize,
    from: SocketAddr,
    datagram: Vec<u8>,
}

/// See the module.
pub(crate) struct Cluster {
    now: u64,
    nodes: Vec<NodeCore>,
    mail: BTreeMap<(u64, u64), Mail>,
    writes: BTreeMap<(u64, u64), (usize, u64, Record)>,
    sequence: u64,
    keys: Option<KeyRing>,
    subject: usize,
    /// What was sent to the subject lately.
    pub(crate) captured: VecDeque<Envelope>,
    /// The newest thing that the subject said to each address.
    pub(crate) said: BTreeMap<SocketAddr, (Header, Message)>,
    /// The subject's last question for details, to whom.
    pub(crate) asked: Option<(SocketAddr, u64)>,
    /// The subject's last durable record.
    durable: Option<Record>,
    /// What the subject did while it handled the last input.
    pub(crate) done: Done,
    /// A promise that was broken meanwhile.
    broken: Option<String>,
}

/// What came of one input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    pub(crate) outputs: usize,
    /// How many messages of each kind, gossip by its own kinds.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// Bytes by destination.
    pub(crate) sent: Vec<(SocketAddr, usize)>,
}

/// Where node `number` is.
pub(crate) fn address(number: u64) -> SocketAddr {
    let last = u8::try_from(number).unwrap_or(u8::MAX);
    SocketAddr::from(([10, 0, 0, last], 8000))
}

/// Where a stranger is.
pub(crate) fn strange_address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 66, 0, number], 8000))
}

/// The kind of a message in a word or two.
fn kind(message: &Message) -> String {
    let shown = match message {
        Message::Gossip(packet) => Membership::kind(packet).unwrap_or_else(|| "Gossip".to_owned()),
        other => format!("{other:?}"),
    };
    shown.split(|envelope: char| !envelope.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn index_of(address: SocketAddr) -> Option<usize> {
    (1..=SIZE).find(|number| self::address(*number) == address)?.checked_sub(1)?.try_into().ok()
}

impl Cluster {
    /// A cluster whose nodes have reached the state that `subject` names. None if they do not
    /// get there, which no input can cause.
    pub(crate) fn new(subject: Subject, sealed: bool) -> Option<Self> {
        let keys = if sealed { Some(KeyRing::new(vec![[7; 32]]).ok()?) } else { None };
        let mut cluster = Self {
            now: 1_000_000_000,
            nodes: Vec::new(),
            mail: BTreeMap::new(),
            writes: BTreeMap::new(),
            sequence: 0,
            keys,
            subject: match subject {
                Subject::Goose => 2,
                Subject::Voter | Subject::Founder => 0,
                Subject::Duck | Subject::ForeignNode => 3,
            },
            captured: VecDeque::new(),
            said: BTreeMap::new(),
            asked: None,
            durable: None,
            done: Done::default(),
            broken: None,
        };
        for number in 1..=SIZE {
            cluster.start(number)?;
        }
        match subject {
            // Alone: the other voters are played by whoever sends.
            Subject::Founder => {
                cluster.nodes.truncate(1);
                cluster.mail.clear();
                cluster.writes.retain(|_, (index, ..)| *index == 0);
            }
            Subject::ForeignNode => cluster.mail.clear(),
            _ => {
                let ready = |cluster: &Self| match subject {
                    Subject::Goose => cluster.subject().lease().is_some(),
                    _ => cluster.subject().term() > 0,
                };
                for _ in 0..400 {
                    if ready(&cluster) {
                        break;
                    }
                    cluster.advance(Duration::from_millis(5)).ok()?;
                }
                ready(&cluster).then_some(())?;
            }
        }
        Some(cluster)
    }

    fn start(&mut self, number: u64) -> Option<()> {
        let id = NodeId::new(number).ok()?;
        let voters: Vec<NodeId> = (1..=3).filter_map(|voter| NodeId::new(voter).ok()).collect();
        let votes = voters.contains(&id);
        let mut entropy = [0; 32];
        entropy[0] = u8::try_from(number).ok()?;
        let setup = Setup {
            cluster: ClusterName::new("pond").ok()?,
            id,
            address: address(number),
            http: None,
            tags: Tags::default(),
            seeds: (1..=3).filter(|n| *n != number).map(|n| address(n).to_string()).collect(),
            voters: if votes { Some(VoterSet::new(voters).ok()?) } else { None },
            preempt: None,
            voter_addresses: Vec::new(),
            eligible: votes,
            timing: Timing::of(Profile::Lan),
            drain_timeout: gaggle::vocabulary::setup::DRAIN_TIMEOUT,
            keys: self.keys.clone(),
            entropy,
        };
        self.nodes.push(NodeCore::new(setup, Disk::Empty, self.now()).ok()?);
        self.drain(self.nodes.len() - 1);
        Some(())
    }

    /// How many datagrams the cluster has put into the mail.
    pub(crate) fn mailed(&self) -> u64 {
        self.nodes.iter().map(|node| node.counters().datagrams_sent).sum()
    }

    /// The node under fire.
    pub(crate) fn subject(&self) -> &NodeCore {
        &self.nodes[self.subject]
    }

    /// The other nodes.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &NodeCore> {
        let others = self.nodes.iter().enumerate().filter(|(index, _)| *index != self.subject);
        others.map(|(_, node)| node)
    }

    /// The keys, if all is sealed.
    pub(crate) fn keys(&self) -> Option<&KeyRing> {
        self.keys.as_ref()
    }

    /// The record that a crash of the subject would leave.
    pub(crate) fn durable(&self) -> Option<&Record> {
        self.durable.as_ref()
    }

    /// All clocks now; they run true.
    pub(crate) fn now(&self) -> Now {
        Now {
            holder: HolderTime(self.now + 5_000_000_000),
            voter: VoterTime(self.now),
            wall: WallTime(1_780_000_000_000 + self.now / 1_000_000),
        }
    }

    /// Hands a datagram to the subject.
    ///
    /// # Errors
    /// If what it does in answer is out of bounds.
    pub(crate) fn inject(&mut self, from: SocketAddr, datagram: &[u8]) -> Result<(), String> {
        let now = self.now();
        self.done = Done::default();
        self.nodes[self.subject].handle_datagram(now, from, datagram);
        self.drain(self.subject);
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Takes the next datagram to the subject out of the mail.
    pub(crate) fn intercept(&mut self) -> Option<Envelope> {
        let mut to_subject = self.mail.iter().filter(|(_, mail)| mail.to == self.subject);
        let key = *to_subject.next()?.0;
        let mail = self.mail.remove(&key)?;
        self.opened(mail.from, &mail.datagram)
    }

    fn opened(&self, from: SocketAddr, datagram: &[u8]) -> Option<Envelope> {
        let opened = seal::open(self.keys.as_ref(), datagram).ok()?;
        Some(match opened {
            Some(opened) => {
                Envelope { from, plain: opened.plain().to_vec(), number: opened.number }
            }
            None => Envelope { from, plain: datagram.to_vec(), number: 0 },
        })
    }

    /// Lets time pass, and all that is due in it happen.
    ///
    /// # Errors
    /// If a node does something out of bounds.
    pub(crate) fn advance(&mut self, span: Duration) -> Result<(), String> {
        let until = self.now + nanoseconds(span);
        let mut restless = 0;
        loop {
            let mail = self.mail.first_key_value().map(|((at, _), _)| *at);
            let write = self.writes.first_key_value().map(|((at, _), _)| *at);
            let now = self.now();
            let alarm = |(index, node): (usize, &NodeCore)| {
                Some((self.now.saturating_add(nanoseconds(node.poll_timeout(now)?)), index))
            };
            let alarm = self.nodes.iter().enumerate().filter_map(alarm).min();
            let next = [mail, write, alarm.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= until) else { break };
            restless = if next > self.now { 0 } else { restless + 1 };
            ensure(restless < RESTLESS_MAX * 8, || "a timer stays due".to_owned())?;
            self.now = self.now.max(next);
            if write == Some(next) {
                self.written();
            } else if mail == Some(next) {
                self.deliver();
            } else if let Some((_, index)) = alarm {
                let now = self.now();
                self.nodes[index].handle_timeout(now);
                self.drain(index);
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        self.now = until;
        Ok(())
    }

    fn written(&mut self) {
        let Some((_, (index, ticket, record))) = self.writes.pop_first() else { return };
        if index == self.subject {
            self.durable = Some(record);
        }
        let now = self.now();
        self.nodes[index].handle_stored(now, ticket, Ok(()));
        self.drain(index);
    }

    fn deliver(&mut self) {
        let Some((_, mail)) = self.mail.pop_first() else { return };
        let now = self.now();
        self.nodes[mail.to].handle_datagram(now, mail.from, &mail.datagram);
        self.drain(mail.to);
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].poll_output() {
            if index == self.subject {
                self.done.outputs += 1;
            }
            match output {
                Output::Transmit { to, datagram } => self.transmit(index, to, datagram),
                Output::Store { ticket, record } => {
                    self.sequence += 1;
                    let key = (self.now + WRITE, self.sequence);
                    self.writes.insert(key, (index, ticket, *record));
                }
                // Seeds are addresses here, and nobody works.
                Output::Resolve(_)
                | Output::Event(_)
                | Output::EndWork(_)
                | Output::SteppedDown(_) => {}
            }
        }
    }

    fn transmit(&mut self, index: usize, to: SocketAddr, datagram: Vec<u8>) {
        let from = address(index as u64 + 1);
        if datagram.len() > DATAGRAM_SIZE_MAX {
            self.broken = Some(format!("a datagram of {} bytes was sent", datagram.len()));
        }
        if index == self.subject {
            self.done.sent.push((to, datagram.len()));
            let plain = self.opened(from, &datagram).map(|envelope| envelope.plain);
            match plain.as_deref().map(datagram::decode) {
                Some(Ok((header, message))) => self.listen(to, header, message),
                _ => self.broken = Some("what it sent cannot be decoded".to_owned()),
            }
        }
        let Some(to) = index_of(to).filter(|to| *to < self.nodes.len() && *to != index) else {
            return;
        };
        if to == self.subject
            && let Some(envelope) = self.opened(from, &datagram)
        {
            if self.captured.len() >= CAPTURED_MAX {
                self.captured.pop_front();
            }
            let plain = datagram::decode(&envelope.plain);
            self.captured.push_back(envelope);
            // Whoever is never answered goes on asking, so that answers can be forged.
            if matches!(plain, Ok((_, Message::MetadataReply(_)))) {
                return;
            }
        }
        self.sequence += 1;
        self.mail.insert((self.now + TRAVEL, self.sequence), Mail { to, from, datagram });
    }

    /// What the subject says must be backed by what it has written.
    fn listen(&mut self, to: SocketAddr, header: Header, message: Message) {
        *self.done.kinds.entry(kind(&message)).or_default() += 1;
        if let Message::Grant(grant) = &message {
            let vote = self.durable.as_ref().and_then(|record| record.vote.as_ref());
            let holder = vote.and_then(|vote| vote.max_holder);
            let backed = vote.is_some_and(|vote| vote.max_ballot == grant.ballot)
                && holder.is_some_and(|holder| header.addressee.boot == Some(holder.boot));
            if !backed {
                self.broken = Some(format!("I6: {grant:?} was sent, but durable is {vote:?}"));
            }
        }
        if let Message::MetadataQuery(query) = &message {
            self.asked = Some((to, query.nonce));
        }
        // Old news is of no use to whoever forges an answer, and there are many strangers.
        if self.said.len() > 64 {
            self.said.clear();
        }
        self.said.insert(to, (header, message));
    }
}
