//! Datagrams into a live node. One input is a session: which node, in which state, sealed or
//! not, and then datagram after datagram with a little time in between.
//!
//! A datagram starts as a real one on its way to the node, as a forged one of any kind, or as
//! mere bytes; it is changed in up to three places; its envelope may be put right, with the
//! token that the node gave to that address; and it may be sealed, with the right key or not.

use std::net::SocketAddr;
use std::time::Duration;

use super::bytes::{Reader, spoil};
use super::cluster::{Cluster, Subject, strange_address};
use super::forge::Forger;
use super::{Tally, Target, ensure};
use gaggle::election::BALLOT_MAX;
use gaggle::node::NodeCore;
use gaggle::sim::postbox::address;
use gaggle::vocabulary::hash::stable_hash;
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::reject::Reject;
use gaggle::vocabulary::snapshot::Lease;
use gaggle::vocabulary::time::VoterTime;
use gaggle::vocabulary::timing::{LEASE_CEILING, counted};
use gaggle::wire::datagram::{self, Addressee, Header};
use gaggle::wire::message::{Acquire, Message};
use gaggle::wire::seal::{self, KeyRing, NONCE_SIZE};

/// An answer to a source that has proven nothing is this many times as long at most.
const AMPLIFICATION_MAX: usize = 3;
/// One datagram leads to no more than this at once.
const OUTPUTS_MAX: usize = 400;
/// What a node of four sends in 300 ms of peace is far less; more is two nodes that answer
/// each other without end.
const STORM: u64 = 300;
/// Sizes of tables are looked at after so many datagrams.
const LOOK_INTERVAL: u64 = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Datagrams;

impl Target for Datagrams {
    fn take(&mut self, input: &[u8], tally: &mut Tally) -> Result<(), String> {
        let mut reader = Reader::new(input);
        let flags = reader.byte();
        let subject = match flags >> 1 & 7 {
            0..=2 => Subject::Goose,
            3 | 4 => Subject::Voter,
            5 => Subject::Duck,
            6 => Subject::Founder,
            _ => Subject::ForeignNode,
        };
        let cluster = Cluster::new(subject, flags & 1 > 0).ok_or("the cluster does not start")?;
        let mut session = Session { cluster, count: 0 };
        while !reader.is_empty() {
            session.step(&mut reader, tally)?;
        }
        *tally.layers.entry("0 sent by the cluster itself".into()).or_default() +=
            session.cluster.mailed();
        let sent = session.cluster.subject().counters().datagrams_sent;
        session.cluster.forget_done();
        session.cluster.advance(Duration::from_millis(300))?;
        let sent = session.cluster.subject().counters().datagrams_sent - sent;
        tally.met("sent afterwards", u64::from(sent.max(1).ilog2()));
        let kinds = &session.cluster.seen().done.kinds;
        ensure(sent <= STORM, || format!("left alone, it sends {sent} in 300 ms: {kinds:?}"))
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        // Every state, and then a little of everything.
        let session = |flags: u8| {
            let rest = (0..240_u16).map(|at| (at * 37 % 251).to_le_bytes()[0]);
            std::iter::once(flags).chain(rest).collect()
        };
        (0..16).map(session).collect()
    }

    fn size_max(&self) -> usize {
        12_000
    }

    fn fresh(&self) -> u32 {
        // Bytes by chance make good sessions; the others start where a new way was found.
        500
    }
}

struct Session {
    cluster: Cluster,
    count: u64,
}

/// How an envelope is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sealing {
    /// With the right key, or plain where no key is used.
    Right,
    /// With the right key, and damaged on its way.
    Damaged,
    /// With another key, or plain where a key is used.
    Wrong,
}

/// What must not change by what was refused.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    lease: Option<Lease>,
    term: u64,
}

#[derive(Debug)]
struct Before {
    standing: Standing,
    rejected: [u64; Reject::ALL.len()],
    index: u64,
    ballots: (u64, u64),
}

impl Before {
    fn of(node: &NodeCore) -> Self {
        let voter = node.inspect().voter.unwrap_or_default();
        Self {
            standing: Standing { lease: node.lease(), term: node.term() },
            rejected: node.counters().rejected,
            index: node.index(),
            ballots: (voter.max_ballot, voter.durable_ballot),
        }
    }
}

impl Session {
    fn step(&mut self, reader: &mut Reader<'_>, tally: &mut Tally) -> Result<(), String> {
        let (what, who, how) = (reader.byte(), reader.byte(), reader.byte());
        // Mostly less than a datagram is under way, so that there are some to be caught.
        let pause = match how & 7 {
            7 => reader.pick(&[1_000, 1_000, 2_000, 2_000, 5_000, 5_000, 20_000, 150_000]),
            short => [0, 0, 20, 50, 100, 200, 500][usize::from(short)],
        };
        if pause > 0 {
            self.cluster.advance(Duration::from_micros(pause))?;
        }

        let source = self.source(who, reader);
        let (from, plain, number) = self.base(what, source, reader);
        let mut plain = plain;
        if who >> 3 & 3 > 0 {
            plain = self.readdressed(&plain, from, who >> 3 & 3, source).unwrap_or(plain);
        }
        let front = if what & 0x28 == 0x28 { 0 } else { message_start(&plain).unwrap_or(0) };
        for _ in 0..[0, 1, 1, 2][usize::from(how >> 3 & 3)] {
            let other = self.cluster.seen().captured.back().map(|envelope| envelope.plain.clone());
            spoil(reader, &mut plain, front, &other.unwrap_or_default());
        }
        // Mostly whoever damages a datagram on purpose gives it a sound checksum.
        if what & 0xc0 > 0 {
            datagram::renew_checksum(&mut plain);
        }
        let sealing = match how >> 5 & 7 {
            0..=4 => Sealing::Right,
            5 => Sealing::Damaged,
            _ => Sealing::Wrong,
        };
        let datagram = self.sealed(sealing, &plain, number, reader);
        self.fire(from, &datagram, sealing, tally)
    }

    /// Who pretends to send: one of the cluster, or a stranger.
    fn source(&self, who: u8, reader: &mut Reader<'_>) -> (SocketAddr, Process) {
        let stranger = |number: u8| {
            let id = NodeId::new(100 + u64::from(number)).ok();
            let boot = Boot { start: 1_780_000_000_000, nonce: u64::from(number) };
            let id = id.unwrap_or(self.cluster.subject().process().id);
            (strange_address(number), Process { id, boot })
        };
        let peer = self.cluster.peers().nth(usize::from(who & 3));
        match peer {
            Some(peer) if who & 4 == 0 => (address(peer.process().id.number()), peer.process()),
            // Another process under the subject's own id.
            _ if who & 7 == 7 => {
                let me = self.cluster.subject().process();
                let boot = Boot { nonce: me.boot.nonce ^ u64::from(reader.byte()), ..me.boot };
                (strange_address(1), Process { id: me.id, boot })
            }
            _ => stranger(reader.byte()),
        }
    }

    /// The datagram before anything is made wrong in it, with where it comes from and which of
    /// its sender's it is.
    fn base(
        &mut self,
        what: u8,
        (from, sender): (SocketAddr, Process),
        reader: &mut Reader<'_>,
    ) -> (SocketAddr, Vec<u8>, u64) {
        let number = 1 + u64::from(reader.byte());
        match what & 3 {
            0 | 1 => {
                let envelope = if what & 4 > 0 { self.cluster.intercept() } else { None };
                let choice = reader.place(self.cluster.seen().captured.len());
                let envelope =
                    envelope.or_else(|| self.cluster.seen().captured.get(choice).cloned());
                match envelope {
                    Some(envelope) if what & 16 > 0 => (from, envelope.plain, envelope.number),
                    Some(envelope) => {
                        (envelope.from, envelope.plain, envelope.number + number / 64)
                    }
                    None => (from, reader.take(32).to_vec(), number),
                }
            }
            2 => {
                let forger = Forger { cluster: &self.cluster, sender, from };
                let message = forger.message(reader);
                let mut header = self.header(from, sender, 1);
                if let Message::Acquire(Acquire { configuration: Some(told), .. }) = &message {
                    header.configuration = told.stamp();
                }
                let plain = datagram::encode(&header, &message).unwrap_or_default();
                (from, plain, number)
            }
            _ => {
                let length = usize::from(reader.byte() & 31);
                let mut plain = reader.take(length).to_vec();
                if what & 4 > 0 {
                    plain.splice(0..0, *b"Gg\x02\0\0\0\0");
                }
                (from, plain, number)
            }
        }
    }

    /// An envelope that the subject accepts from this source; the token is wrong if `mode` is 2.
    fn header(&self, from: SocketAddr, sender: Process, mode: u8) -> Header {
        let subject = self.cluster.subject().process();
        let known = self
            .cluster
            .seen()
            .said
            .get(&from)
            .or_else(|| self.cluster.seen().said.values().next());
        let echo = self.cluster.seen().said.get(&from).map_or(0, |(header, _)| header.token);
        let cluster = known.map_or(0, |(header, _)| header.cluster);
        Header {
            cluster,
            genesis: known.map_or(0, |(header, _)| header.genesis),
            lineage: known.and_then(|(header, _)| header.lineage),
            sender,
            addressee: Addressee::process(subject),
            configuration: known.map(|(header, _)| header.configuration).unwrap_or_default(),
            token: 77,
            echo: if mode == 2 { !echo } else { echo },
            // As old as it likes, of a term that may or may not be known.
            leader_freshness: known.and_then(|(header, _)| header.leader_freshness),
        }
    }

    /// The same message in an envelope of this source.
    fn readdressed(
        &self,
        plain: &[u8],
        from: SocketAddr,
        mode: u8,
        (_, sender): (SocketAddr, Process),
    ) -> Option<Vec<u8>> {
        let (_, message) = datagram::decode(plain).ok()?;
        let mut header = self.header(from, sender, mode);
        if mode == 3 && matches!(message, Message::Poll(_) | Message::Join(_)) {
            header.addressee.boot = None;
        }
        datagram::encode(&header, &message).ok()
    }

    fn sealed(
        &self,
        sealing: Sealing,
        plain: &[u8],
        number: u64,
        reader: &mut Reader<'_>,
    ) -> Vec<u8> {
        let seal = |keys: &KeyRing| {
            let mut nonce = [0; NONCE_SIZE];
            nonce[..8].copy_from_slice(&self.count.to_le_bytes());
            keys.seal(nonce, number, plain).unwrap_or_default()
        };
        match (self.cluster.keys(), sealing) {
            (None, Sealing::Right | Sealing::Damaged) => plain.to_vec(),
            (Some(keys), Sealing::Right) => seal(keys),
            (Some(keys), Sealing::Damaged) => {
                let mut datagram = seal(keys);
                let at = reader.place(datagram.len());
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= 1 << (reader.byte() % 8);
                }
                datagram
            }
            (Some(_), Sealing::Wrong) if reader.byte() & 1 > 0 => plain.to_vec(),
            (_, Sealing::Wrong) => {
                KeyRing::new(vec![[8; 32]]).map(|keys| seal(&keys)).unwrap_or_default()
            }
        }
    }

    /// Hands it over, and looks at what came of it.
    fn fire(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        sealing: Sealing,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.count += 1;
        tally.unit();
        let before = Before::of(self.cluster.subject());
        let state = self.state();
        let opened = seal::open(self.cluster.keys(), datagram).ok();
        let content = opened.and_then(|opened| {
            datagram::decode(opened.as_ref().map_or(datagram, seal::Opened::plain)).ok()
        });
        let token = self.cluster.seen().said.get(&from).map(|(header, _)| header.token);
        let proven = content
            .as_ref()
            .is_some_and(|(header, _)| Some(header.echo) == token && token.is_some());
        self.cluster.inject(from, datagram)?;
        let after = Before::of(self.cluster.subject());
        let reason = refusal(&before, &after);
        count(tally, reason, content.as_ref().map(|(_, message)| message), &before, &after);
        let kind = content.as_ref().map_or("none".to_owned(), |(_, message)| kind_of(message));
        let kinds: Vec<&String> = self.cluster.seen().done.kinds.keys().collect();
        let way = format!("{kind} {reason:?} {state:?} {:?} {kinds:?}", self.state());
        tally.met("way", stable_hash(b"way", way.as_bytes()));
        self.judge_refusal(reason, &before, &after, sealing)?;
        self.judge_amplification(from, datagram.len(), proven)?;
        self.judge_state(&before, &after)
    }

    /// Where the subject stands, coarsely: what it did in which state is the way that an input
    /// went, and an input that went a new one is worth keeping. This takes the place of the
    /// coverage that an instrumented build would count.
    fn state(&self) -> [bool; 7] {
        let node = self.cluster.subject();
        let inspection = node.inspect();
        let voter = inspection.voter.unwrap_or_default();
        [
            node.lease().is_some_and(|lease| self.cluster.now().holder < lease.deadline),
            inspection.is_claiming.is_some(),
            voter.grant.is_some(),
            voter.quarantine_until.is_some(),
            voter.may_grant,
            voter.max_ballot > voter.durable_ballot,
            node.term() > 0,
        ]
    }

    fn judge_refusal(
        &self,
        reason: Option<Reject>,
        before: &Before,
        after: &Before,
        sealing: Sealing,
    ) -> Result<(), String> {
        let foreign = self.cluster.keys().is_some() && sealing != Sealing::Right;
        ensure(!foreign || reason.is_some(), || {
            format!("what was not sealed with the key was taken in: {sealing:?}")
        })?;
        let Some(reason) = reason else { return Ok(()) };
        ensure(before.standing == after.standing, || {
            format!("refused as {}, and yet {before:?} became {after:?}", reason.name())
        })?;
        // Whoever asks for its cluster and belongs to another one is told so.
        let unread = !matches!(reason, Reject::ForeignVoters | Reject::ForeignLineage)
            && !matches!(reason, Reject::WrongNode)
            && !matches!(reason, Reject::WrongBoot | Reject::Unexpected | Reject::NotReady);
        // Whoever has another key is asked something, so that it notices, too.
        let asked_back = matches!(reason, Reject::Unsealed | Reject::UnknownKey)
            && self.cluster.seen().done.sent.len() <= 1;
        ensure(!unread || asked_back || self.cluster.seen().done.sent.is_empty(), || {
            format!("refused as {}, and yet answered", reason.name())
        })
    }

    fn judge_amplification(
        &self,
        from: SocketAddr,
        size: usize,
        proven: bool,
    ) -> Result<(), String> {
        let answers = self.cluster.seen().done.sent.iter().filter(|(to, _)| *to == from);
        let answered: usize = answers.map(|(_, size)| size).sum();
        ensure(proven || answered <= size * AMPLIFICATION_MAX, || {
            format!("{size} bytes from a source that has proven nothing got {answered} back")
        })?;
        let outputs = self.cluster.seen().done.outputs;
        ensure(outputs <= OUTPUTS_MAX, || format!("one datagram led to {outputs} outputs"))
    }

    fn judge_state(&self, before: &Before, after: &Before) -> Result<(), String> {
        let node = self.cluster.subject();
        let now = self.cluster.now();
        ensure(after.standing.term >= before.standing.term, || {
            format!("the term fell: {before:?}, {after:?}")
        })?;
        ensure(after.standing.term < BALLOT_MAX, || format!("no such term: {after:?}"))?;
        let fell = after.ballots.0 < before.ballots.0 || after.ballots.1 < before.ballots.1;
        ensure(!fell, || format!("I5: a ballot fell: {before:?}, {after:?}"))?;
        let inspection = node.inspect();
        if let Some(lease) = after.standing.lease {
            let longest = now.holder.plus(counted(LEASE_CEILING));
            ensure(lease.deadline <= longest, || format!("a lease without end: {lease:?}"))?;
            let granted = inspection.counted.iter().filter(|(_, until)| *until >= lease.deadline);
            let majority = inspection.counted.len() / 2 + 1;
            let (granted, live) = (granted.count(), now.holder < lease.deadline);
            ensure(!live || granted >= majority, || {
                format!("C3: a lease that only {granted} of the voters granted")
            })?;
        }
        if let Some(voter) = &inspection.voter {
            let longest: VoterTime = now.voter.plus(LEASE_CEILING);
            let bounded = voter.grant.is_none_or(|(_, _, expiry)| expiry <= longest);
            ensure(bounded, || format!("a grant without end: {:?}", voter.grant))?;
            let durable = self.cluster.durable().and_then(|record| record.vote.as_ref());
            let durable = durable.map_or(0, |vote| vote.max_ballot);
            ensure(voter.durable_ballot <= durable, || {
                format!("it takes ballot {} for durable, but {durable} is", voter.durable_ballot)
            })?;
        }
        if self.count.is_multiple_of(LOOK_INTERVAL) {
            for table in node.tables() {
                ensure(table.size <= table.size_max, || format!("too full: {table:?}"))?;
            }
        }
        Ok(())
    }
}

/// Where the message begins in a plain datagram.
fn message_start(plain: &[u8]) -> Option<usize> {
    let (header, _) = datagram::decode(plain).ok()?;
    let mut bytes = Vec::new();
    gaggle::wire::codec::encode_into(&header, &mut bytes).ok()?;
    Some(datagram::PREFIX_SIZE + bytes.len())
}

fn refusal(before: &Before, after: &Before) -> Option<Reject> {
    let mut counts = before.rejected.iter().zip(&after.rejected);
    let position = counts.position(|(before, after)| before != after)?;
    Reject::ALL.get(position).copied()
}

/// Counts how far the datagram came.
fn count(
    tally: &mut Tally,
    reason: Option<Reject>,
    message: Option<&Message>,
    before: &Before,
    after: &Before,
) {
    let kind = message.map_or_else(|| "none".to_owned(), kind_of);
    tally.met(&kind, reason.map_or(0, |reason| 1 + reason as u64));
    match reason {
        Some(
            Reject::Oversized
            | Reject::NotGaggle
            | Reject::Unsealed
            | Reject::UnknownKey
            | Reject::Forged,
        ) => return,
        Some(Reject::TooNew | Reject::TooOld | Reject::Damaged | Reject::Malformed) => {
            return tally.passed("1 opened");
        }
        Some(Reject::Echo | Reject::ForeignCluster | Reject::NotReady | Reject::Replayed) => {
            tally.passed("1 opened");
            return tally.passed("2 decoded");
        }
        Some(_) => {
            tally.passed("1 opened");
            tally.passed("2 decoded");
            return tally.passed("3 of this cluster");
        }
        None => {}
    }
    for layer in ["1 opened", "2 decoded", "3 of this cluster", "4 taken in"] {
        tally.passed(layer);
    }
    tally.passed(kind.clone());
    if before.index != after.index {
        tally.passed("5 changed what the node shows");
        tally.met(&kind, 100);
    }
    if before.ballots != after.ballots {
        tally.passed("5 changed what the voter owes");
        tally.met(&kind, 101);
    }
    if before.standing.lease != after.standing.lease {
        tally.passed("5 changed the lease");
        tally.met(&kind, 102);
    }
}

fn kind_of(message: &Message) -> String {
    format!("4 taken in: {}", message.kind().name())
}
