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
use gaggle::sim::postbox::{self, Carrier, Datagram, Postbox, TRAVEL, address};
use gaggle::vocabulary::time::{Now, nanoseconds};
use gaggle::wire::datagram::{self, DATAGRAM_SIZE_MAX, Header};
use gaggle::wire::message::Message;
use gaggle::wire::record::Record;
use gaggle::wire::seal::{self, KeyRing};

/// Captured datagrams that are kept.
const CAPTURED_MAX: usize = 48;
/// A timer that is due again at once so often in a row never lets go.
const RESTLESS_MAX: u32 = 500;
/// The voters; one node more does not vote.
const VOTERS: [u64; 3] = [1, 2, 3];

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

/// Who carries the mail, and looks at everything that the subject says.
pub(crate) struct Watcher {
    keys: Option<KeyRing>,
    subject: u64,
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

/// See the module.
pub(crate) struct Cluster(Postbox<Watcher>);

/// What came of one input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    pub(crate) outputs: usize,
    /// How many messages of each kind, gossip by its own kinds.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// Bytes by destination.
    pub(crate) sent: Vec<(SocketAddr, usize)>,
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

impl Carrier for Watcher {
    const WRITE: Option<u64> = Some(100_000);

    fn see(&mut self, _now: u64, number: u64, output: &Output) {
        if number == self.subject {
            self.done.outputs += 1;
        }
        if let Output::Transmit { to, datagram } = output {
            self.transmits(number, *to, datagram);
        }
    }

    fn written(&mut self, number: u64, record: &Record) {
        if number == self.subject {
            self.durable = Some(record.clone());
        }
    }

    fn carry(&mut self, datagram: &Datagram, arrive: &mut dyn FnMut(u64)) {
        if datagram.to == address(self.subject)
            && let Some(envelope) = self.opened(datagram)
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
        if datagram.to != datagram.from {
            arrive(TRAVEL);
        }
    }
}

impl Watcher {
    fn opened(&self, datagram: &Datagram) -> Option<Envelope> {
        let (from, datagram) = (datagram.from, &datagram.bytes);
        let opened = seal::open(self.keys.as_ref(), datagram).ok()?;
        Some(match opened {
            Some(opened) => {
                Envelope { from, plain: opened.plain().to_vec(), number: opened.number }
            }
            None => Envelope { from, plain: datagram.clone(), number: 0 },
        })
    }

    fn transmits(&mut self, number: u64, to: SocketAddr, datagram: &[u8]) {
        if datagram.len() > DATAGRAM_SIZE_MAX {
            self.broken = Some(format!("a datagram of {} bytes was sent", datagram.len()));
        }
        if number == self.subject {
            self.done.sent.push((to, datagram.len()));
            let datagram = Datagram { from: address(number), to, bytes: datagram.to_vec() };
            let plain = self.opened(&datagram).map(|envelope| envelope.plain);
            match plain.as_deref().map(datagram::decode) {
                Some(Ok((header, message))) => self.listen(to, header, message),
                _ => self.broken = Some("what it sent cannot be decoded".to_owned()),
            }
        }
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

impl Cluster {
    /// A cluster whose nodes have reached the state that `subject` names. None if they do not
    /// get there, which no input can cause.
    pub(crate) fn new(subject: Subject, sealed: bool) -> Option<Self> {
        let keys = if sealed { Some(KeyRing::new(vec![[7; 32]]).ok()?) } else { None };
        let watcher = Watcher {
            keys: keys.clone(),
            subject: match subject {
                Subject::Goose => 3,
                Subject::Voter | Subject::Founder => 1,
                Subject::Duck | Subject::ForeignNode => 4,
            },
            captured: VecDeque::new(),
            said: BTreeMap::new(),
            asked: None,
            durable: None,
            done: Done::default(),
            broken: None,
        };
        let mut cluster = Self(Postbox::new(watcher));
        for number in 1..=4 {
            let votes = VOTERS.contains(&number);
            let mut setup = postbox::setup("pond", number, if votes { &VOTERS } else { &[] });
            let seeds = VOTERS.iter().filter(|voter| **voter != number);
            setup.seeds = seeds.map(|voter| address(*voter).to_string()).collect();
            setup.voter_addresses.clear();
            setup.eligible = votes;
            setup.keys.clone_from(&keys);
            cluster.0.start(setup).ok()?;
        }
        match subject {
            // Alone: the other voters are played by whoever sends.
            Subject::Founder => {
                cluster.0.nodes.retain(|number, _| *number == 1);
                cluster.0.clear();
            }
            Subject::ForeignNode => cluster.0.clear(),
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

    /// What was seen of the subject.
    pub(crate) fn seen(&self) -> &Watcher {
        &self.0.carrier
    }

    /// Forgets what the subject has done.
    pub(crate) fn forget_done(&mut self) {
        self.0.carrier.done = Done::default();
    }

    /// How many datagrams the cluster has put into the mail.
    pub(crate) fn mailed(&self) -> u64 {
        self.0.nodes.values().map(|node| node.counters().datagrams_sent).sum()
    }

    /// The node under fire.
    pub(crate) fn subject(&self) -> &NodeCore {
        &self.0.nodes[&self.seen().subject]
    }

    /// The other nodes.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &NodeCore> {
        let others = self.0.nodes.iter().filter(|(number, _)| **number != self.seen().subject);
        others.map(|(_, node)| node)
    }

    /// The keys, if all is sealed.
    pub(crate) fn keys(&self) -> Option<&KeyRing> {
        self.seen().keys.as_ref()
    }

    /// The record that a crash of the subject would leave.
    pub(crate) fn durable(&self) -> Option<&Record> {
        self.seen().durable.as_ref()
    }

    /// All clocks now; they run true.
    pub(crate) fn now(&self) -> Now {
        self.0.now()
    }

    /// Hands a datagram to the subject.
    ///
    /// # Errors
    /// If what it does in answer is out of bounds.
    pub(crate) fn inject(&mut self, from: SocketAddr, datagram: &[u8]) -> Result<(), String> {
        self.forget_done();
        let to = address(self.seen().subject);
        self.0.deliver(Datagram { from, to, bytes: datagram.to_vec() });
        self.0.carrier.broken.take().map_or(Ok(()), Err)
    }

    /// Takes the next datagram to the subject out of the mail.
    pub(crate) fn intercept(&mut self) -> Option<Envelope> {
        let to = address(self.seen().subject);
        let datagram = self.0.take(|datagram| datagram.to == to)?;
        self.seen().opened(&datagram)
    }

    /// Lets time pass, and all that is due in it happen.
    ///
    /// # Errors
    /// If a node does something out of bounds.
    pub(crate) fn advance(&mut self, span: Duration) -> Result<(), String> {
        let until = self.0.time() + nanoseconds(span);
        let mut restless = 0;
        let mut before = self.0.time();
        while self.0.step(until) {
            restless = if self.0.time() > before { 0 } else { restless + 1 };
            before = self.0.time();
            ensure(restless < RESTLESS_MAX * 8, || "a timer stays due".to_owned())?;
            self.0.carrier.broken.take().map_or(Ok(()), Err)?;
        }
        self.0.pass_to(until);
        Ok(())
    }
}
