//! After an input: carries out what the process wants done, and lets the judges look at it.

use std::net::SocketAddr;
use std::rc::Rc;

use super::checks::{Invariant, Sender, VoterState};
use super::foreign_nodes::ForeignNode;
use super::host::Host;
use super::interceptor::Kept;
use super::network::{Fate, Network, Packet};
use super::trace::Happened;
use super::world::{Happening, Tale, World};
use crate::election::preemption::PATIENCE;
use crate::node::Output;
use crate::vocabulary::datagram::{self, Header};
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event, Warning};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::Inspection;
use crate::vocabulary::message::Message;
use crate::vocabulary::record::Record;
use crate::vocabulary::seal::{self, KeyRing, Opened};
use crate::vocabulary::time::{VoterTime, nanoseconds};

/// Looking up a name takes up to so many nanoseconds.
const LOOKUP: u64 = 30_000_000;

impl World {
    /// Drains the outputs of a process, looks at it, and sets its alarm. `repeated` is the
    /// datagram it handled, if it had handled the same before.
    pub(super) fn take_effects(&mut self, index: usize, repeated: Option<&Packet>) {
        self.observe(index, repeated);
        self.drain(index);
        if self.hosts[index].running.is_none() {
            return;
        }
        self.confide(index);
        self.tend(index);
        let host = &self.hosts[index];
        let clock = host.clocks.now(self.now);
        if host.running.as_ref().is_some_and(|running| running.core.has_left(clock)) {
            self.coverage.count("left");
            self.lay_to_rest(index);
            return;
        }
        self.set_alarm(index);
    }

    /// Does what a process wants done.
    pub(super) fn drain(&mut self, index: usize) {
        while self.violation.is_none() {
            let Some(running) = &mut self.hosts[index].running else { return };
            let Some(output) = running.core.poll_output() else { return };
            match output {
                Output::Transmit { to, datagram } => self.transmit(index, to, datagram),
                Output::Store { ticket, record } => self.store(index, ticket, &record),
                Output::Resolve(names) => self.resolve(index, &names),
                Output::Event(event) => self.told(index, event),
                Output::EndWork(end) => self.asked_to_end(index, end),
                Output::SteppedDown(outcome) => {
                    if outcome.is_ok() {
                        self.coverage.count("stepped down");
                    }
                }
            }
        }
    }

    /// The process on a host is dead; its keeper, if it has one, sees to the rest.
    pub(super) fn lay_to_rest(&mut self, index: usize) {
        let Some(process) = self.hosts[index].process() else { return };
        let will = self.last_will(index);
        self.end_process(index);
        self.bury(index, process, will);
    }

    /// The process is gone, for whatever reason.
    pub(super) fn end_process(&mut self, index: usize) {
        let Some(running) = self.hosts[index].running.take() else { return };
        let process = running.process;
        self.leadership.ended(process);
        self.voting.holder_down(process);
        if self.hosts[index].foreign_node.is_some_and(ForeignNode::is_twin) {
            let twin = |host: &Host| {
                host.running.is_some() && host.foreign_node.is_some_and(ForeignNode::is_twin)
            };
            if !self.hosts.iter().any(twin) {
                let memory = self.hosts.iter().map(|host| nanoseconds(host.setup.timing.lease_max));
                self.twins_until = self.now + 3 * memory.max().unwrap_or(0);
            }
        } else {
            self.voting.voter_down(process.id);
        }
        self.promises.process_ended(process);
        self.deference.ended(process);
    }

    fn transmit(&mut self, from: usize, to: SocketAddr, datagram: Vec<u8>) {
        self.packet_number += 1;
        let host = &self.hosts[from];
        let keys = host.running.as_ref().and_then(|running| running.keys.as_ref());
        let content = open(keys, &datagram);
        let packet = Rc::new(Packet { number: self.packet_number, datagram, content });
        self.trace.mix_bytes(&packet.datagram);
        self.tally.sent(from, Network::index_of(to), &packet);
        self.judge_sent(from, &packet);
        self.judge_work(from, &packet);
        let host = &mut self.hosts[from];
        if self.streams.network.chance(host.failing_sends) {
            self.coverage.count("send that failed");
            if let Some(running) = &mut host.running {
                running.core.handle_send_failure();
            }
            return;
        }
        let source = self.hosts[from].setup.address;
        self.send(from, source, to, packet);
    }

    /// Puts a datagram on the network.
    pub(super) fn send(
        &mut self,
        from: usize,
        source: SocketAddr,
        address: SocketAddr,
        packet: Rc<Packet>,
    ) {
        let Some(to) = Network::index_of(address).filter(|to| *to < self.hosts.len()) else {
            self.coverage.count("datagram to nowhere");
            return;
        };
        let envelope = Kept { to, address, source, packet: Rc::clone(&packet) };
        if self.intercept(from, &envelope) {
            return;
        }
        let fate = self.network.fate(from, to, &packet, &mut self.streams.network);
        let lost = fate == Fate::Lost;
        self.trace.note(self.now, || Happened::Sent { from, to, packet: Rc::clone(&packet), lost });
        let (first, second) = match fate {
            Fate::Lost => return self.coverage.count("lost datagram"),
            Fate::Arrives(delay) => (delay, None),
            Fate::Twice(first, second) => (first, Some(second)),
        };
        for delay in [Some(first), second].into_iter().flatten() {
            let packet = self.damaged(&packet).unwrap_or_else(|| Rc::clone(&packet));
            let arrival = Happening::Arrive { to, address, from: source, packet };
            self.schedule(self.now + delay, arrival);
        }
    }

    /// The copy of a datagram that is damaged on its way, if it is. Judges do not read it: what
    /// it says was said by nobody.
    pub(super) fn damaged(&mut self, packet: &Packet) -> Option<Rc<Packet>> {
        let datagram = self.network.damage(&packet.datagram, &mut self.streams.network)?;
        self.coverage.count("flipped bits");
        self.packet_number += 1;
        Some(Rc::new(Packet { number: self.packet_number, datagram, content: None }))
    }

    fn judge_sent(&mut self, from: usize, packet: &Packet) {
        let Some((header, message)) = &packet.content else {
            let sentence = format!("node {} sent bytes it cannot decode", self.hosts[from].id);
            return self.broken(Invariant::Contract, sentence);
        };
        if matches!(message, Message::Gossip(_)) {
            return;
        }
        let now = self.now;
        let host = &self.hosts[from];
        let Some(running) = &host.running else { return };
        // As it was published last: whoever asks the node is told that.
        let shown = host.clocks.now(now).holder;
        let acts = running.lease.filter(|lease| shown < lease.deadline);
        let clock = running.decided.unwrap_or_else(|| host.clocks.now(now));
        let holder_now = clock.holder;
        let acting_term = acts.map(|lease| lease.term);
        let sender = Sender {
            process: running.process,
            holder_now,
            ephemeral: host.disk.is_ephemeral(),
            durable: host.disk.durable().and_then(|record| record.vote.as_ref()),
            acting_term,
            timing: &host.setup.timing,
            voters: running.inspection.counted.len(),
        };
        let (process, timing) = (sender.process, sender.timing);
        let verdict = self.promises.sent(now, sender, header, message);
        let polite = self.deference.says(now, process, clock.voter, timing, message);
        self.judge(verdict.and(polite));
        if let Some(name) = counted_name(message) {
            self.coverage.count(name);
        }
    }

    fn store(&mut self, index: usize, ticket: u64, record: &Record) {
        let host = &mut self.hosts[index];
        let delay = host.slow_disk.unwrap_or(host.disk_delay).draw(&mut self.streams.disk);
        let epoch = host.epoch;
        if let Err(error) = host.disk.begin(ticket, record) {
            return self.broken(Invariant::Contract, error);
        }
        self.schedule(self.now + delay, Happening::Written { host: index, epoch, ticket });
    }

    fn resolve(&mut self, index: usize, names: &[String]) {
        let find = |name: &String| {
            let (node, _) = name.split_once(':')?;
            let number: u64 = node.strip_prefix("node-")?.parse().ok()?;
            let host = self.hosts.iter().find(|host| host.id.number() == number)?;
            Some(host.setup.address)
        };
        let addresses = names.iter().filter_map(|name| name.parse().ok().or_else(|| find(name)));
        let addresses = addresses.collect();
        let epoch = self.hosts[index].epoch;
        let delay = self.streams.process.between(0, LOOKUP);
        let resolved = Happening::Resolved { host: index, epoch, addresses };
        self.schedule(self.now + delay, resolved);
    }

    fn told(&mut self, index: usize, event: Event) {
        if let Some(name) = event_name(&event) {
            self.coverage.count(name);
        }
        if let Event::Warning(Warning::FoundedWithout { silent }) = &event {
            for host in self.hosts.iter_mut().filter(|host| silent.contains(&host.id)) {
                host.left_out = true;
            }
        }
        if event == Event::Founded
            && let Some(process) = self.hosts[index].process()
        {
            self.deference.founded(process);
        }
        let told = match &event {
            Event::BecameDuck { reason, .. } => {
                !matches!(reason, DemotionReason::LeaseLapsed { .. } | DemotionReason::Suspended)
            }
            Event::Warning(Warning::DuplicateId { .. }) => true,
            _ => false,
        };
        if told {
            // Four leases after an order, five seconds after it met a namesake.
            let host = &mut self.hosts[index];
            let hold = 4 * nanoseconds(host.setup.timing.lease) + 1_000_000_000;
            host.held_until = self.now + hold.max(6_000_000_000);
        }
        if matches!(event, Event::BecameDuck { .. })
            && let Some(process) = self.hosts[index].process()
        {
            let now = self.hosts[index].clocks.now(self.now).voter;
            self.deference.stepped_down(process, now);
        }
        if let Event::BecameDuck { reason: DemotionReason::Preempted { by }, .. } = &event {
            self.judge_preemption(index, *by);
        }
        if matches!(event, Event::Warning(Warning::TwinVoter { .. })) {
            self.hosts[index].silenced = true;
        }
        if let Event::MemberChanged { id, state, .. } = &event {
            self.tally.thinks(self.now, index, *id, *state);
        }
        self.trace.note(self.now, || Happened::Told { by: index, event: Box::new(event.clone()) });
        if self.story.is_some() {
            self.tell(Some(index), Tale::Event(event));
        }
    }

    /// A Goose has just yielded to `by`.
    fn judge_preemption(&mut self, index: usize, by: NodeId) {
        let host = &self.hosts[index];
        // As the cluster was founded: a later start may leave it to the record.
        let wanted = self.hosts.iter().any(|host| host.original.preempt == Some(true));
        let successor = self.hosts.iter().find(|host| host.id == by);
        let born = successor.and_then(|host| host.running.as_ref()).map(|running| running.born);
        // The voters' clocks may be fast.
        let patience = nanoseconds(PATIENCE) * 99 / 100;
        // Whoever has died meanwhile may have stayed before, and voters remember it for a while,
        // even if its node has another process already.
        let memory = nanoseconds(host.setup.timing.contender_freshness()) * 2;
        let restarted = successor.is_some_and(|host| host.epoch > 1);
        let stayed = born.is_some_and(|born| {
            self.now >= born + patience || restarted && self.now < born + memory
        });
        if !wanted || by <= host.id || born.is_some() && !stayed {
            let sentence = format!(
                "node {} yielded to node {by}, there since {born:?}; preemption {wanted}",
                host.id
            );
            self.broken(Invariant::PatientPreemption, sentence);
        }
    }

    /// Shows the judges what a process is after an input.
    pub(super) fn observe(&mut self, index: usize, repeated: Option<&Packet>) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let Some(running) = &mut host.running else { return };
        let process = running.core.process();
        if process != running.process {
            // It goes on under a later start, as another process that has promised nothing.
            let before = std::mem::replace(&mut running.process, process);
            running.term = 0;
            self.leadership.ended(before);
            self.voting.holder_down(before);
            self.promises.process_ended(before);
            self.deference.ended(before);
        }
        let (lease, term) = (running.core.lease(), running.core.term());
        if term != running.term {
            running.term = term;
            if let Err(violation) = self.promises.shows_term(now, process, term) {
                self.violation.get_or_insert(violation);
            }
        }
        if lease != running.lease {
            let raised = running.lease.zip(lease).is_some_and(|(before, after)| {
                before.since == after.since && before.term != after.term
            });
            running.lease = lease;
            if raised {
                let sentence = format!("{process} goes on under another term: {lease:?}");
                self.broken(Invariant::RisingTerms, sentence);
            }
            self.trace.mix(lease.map_or(0, |lease| lease.deadline.0));
            self.observe_lease(index);
        }
        let Some(running) = &mut self.hosts[index].running else { return };
        let inspection = running.core.inspect();
        if inspection == running.inspection {
            return;
        }
        let before = std::mem::replace(&mut running.inspection, inspection);
        if let Some(packet) = repeated {
            self.judge_repeat(index, packet, &before);
        }
        self.observe_votes(index);
    }

    /// Shows the judges a host whose clocks have just changed.
    pub(super) fn observe_anew(&mut self, index: usize) {
        self.observe_lease(index);
        self.observe_votes(index);
        self.observe_works(index);
    }

    fn observe_lease(&mut self, index: usize) {
        let host = &self.hosts[index];
        let Some(running) = &host.running else { return };
        let process = running.process;
        let lease =
            running.lease.map(|lease| (lease.term, host.clocks.holder_shows(lease.deadline)));
        if let Some((term, _)) = lease {
            self.voting.leads(process, term);
        }
        let late = running.decided.is_some();
        self.leadership.twins = self.now < self.twins_until;
        let verdict = self.leadership.observe_late(self.now, process, lease, late);
        self.judge(verdict);
        let Some((_, end)) = lease.filter(|(_, end)| *end > self.now) else { return };
        let host = &self.hosts[index];
        let Some(running) = &host.running else { return };
        let voters: Vec<NodeId> = running.inspection.counted.iter().map(|(id, _)| *id).collect();
        // Of a doubled id, either process may be the voter that is meant.
        let places = |id: &NodeId| {
            (0..self.hosts.len()).filter(|other| self.hosts[*other].id == *id).collect()
        };
        let hosts: Vec<Vec<usize>> = voters.iter().map(places).collect();
        let length = nanoseconds(host.setup.timing.lease);
        let reached = self.reach.leads(self.now, (index, process), end, length, &hosts);
        let elected = self.reach.elected_by(self.now, process, voters);
        self.judge(reached.and(elected));
    }

    /// Tells the judge who may send to whom, after the network has changed.
    pub(super) fn observe_reach(&mut self) {
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                let open = from == to || self.network.carries_election(from, to);
                self.reach.note(self.now, from, to, open);
            }
        }
    }

    fn observe_votes(&mut self, index: usize) {
        let now = self.now;
        let host = &self.hosts[index];
        let Some(running) = &host.running else { return };
        let (process, inspection) = (running.process, &running.inspection);
        // Both as they were shown last: what was decided since may not have been done yet.
        let shown = host.clocks.now(now).holder;
        let deadline = running.lease.map(|lease| lease.deadline).filter(|end| shown < *end);
        let acts = deadline.is_some() || inspection.is_claiming.is_some();
        let counted = if acts { inspection.counted.as_slice() } else { &[] };
        let honest = self.promises.counts(now, process, counted, deadline);
        let ends = counted.iter().map(|(id, until)| (*id, host.clocks.holder_shows(*until)));
        let twin = host.foreign_node.is_some_and(ForeignNode::is_twin);
        let owes = voter_state(host, inspection).filter(|_| !twin);
        if owes.as_ref().is_some_and(|state| state.grant.is_some()) {
            self.deference.grants(process);
        }
        let kept = self.voting.observe(now, process, owes, ends.collect());
        self.judge(honest.and(kept));
    }

    /// A repeated datagram must not have lengthened a grant to its sender.
    fn judge_repeat(&mut self, index: usize, packet: &Packet, before: &Inspection) {
        let Some((header, _)) = &packet.content else { return };
        let Some(running) = &self.hosts[index].running else { return };
        let end = |inspection: &Inspection| {
            let grant = inspection.voter.as_ref().and_then(|voter| voter.grant);
            grant.filter(|(holder, ..)| *holder == header.sender).map(|(_, _, end)| end)
        };
        let (old, new) = (end(before), end(&running.inspection));
        if new > old {
            let sentence = format!(
                "a repeat of #{} of {} moved its grant from {old:?} to {new:?}",
                packet.number, header.sender
            );
            self.broken(Invariant::NoReplay, sentence);
        }
    }
}

/// What a datagram says, for those who have its keys.
pub(super) fn open(keys: Option<&KeyRing>, datagram: &[u8]) -> Option<(Header, Message)> {
    let opened = seal::open(keys, datagram).ok()?;
    datagram::decode(opened.as_ref().map_or(datagram, Opened::plain)).ok()
}

fn voter_state(host: &Host, inspection: &Inspection) -> Option<VoterState> {
    let voter = inspection.voter.as_ref()?;
    let end = |at: VoterTime| host.clocks.voter_shows(at);
    let grant = |(holder, ballot, at): (Process, u64, VoterTime)| (holder, ballot, end(at));
    Some(VoterState {
        grant: voter.grant.map(grant),
        quarantine_until: voter.quarantine_until.map(end),
        max_ballot: voter.max_ballot,
        durable_ballot: voter.durable_ballot,
        may_grant: voter.may_grant,
    })
}

fn counted_name(message: &Message) -> Option<&'static str> {
    Some(match message {
        Message::Acquire(acquire) if acquire.certificate.is_some() => "claim with a certificate",
        Message::Grant(_) => "grant",
        Message::Nak(_) => "refusal",
        Message::Release { .. } => "release",
        Message::Handover(_) => "handover sent",
        Message::Vacant(_) => "vacancy notice",
        Message::Welcome(_) => "welcome",
        Message::Probe { .. } => "leader probe",
        Message::MetadataQuery(_) => "details query",
        Message::MetadataReply(_) => "details reply",
        Message::Acquire(_)
        | Message::Gossip(_)
        | Message::Join(_)
        | Message::Poll(_)
        | Message::PollAck(_)
        | Message::ProbeAck { .. }
        | Message::ReleaseAck { .. }
        | Message::Announce(_)
        | Message::LaterStart { .. } => return None,
    })
}

fn event_name(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::BecameGoose { reason: ElectionReason::Elected, .. } => "elected",
        Event::BecameGoose { reason: ElectionReason::HandedOver, .. } => "handed over",
        Event::BecameDuck { reason: DemotionReason::LeaseLapsed { .. }, .. } => "lapsed",
        Event::BecameDuck { reason: DemotionReason::Suspended, .. } => "demoted by suspend",
        Event::BecameDuck { reason: DemotionReason::Preempted { .. }, .. } => "preempted",
        Event::Founded => "founded",
        Event::RecordRegained => "record regained",
        Event::TookLaterStart { .. } => "later start taken",
        Event::Warning(Warning::AwaitsVoters { .. }) => "awaited voters told",
        Event::Warning(Warning::FoundedWithout { .. }) => "founded without the rest",
        Event::Quarantined { .. } => "quarantine",
        Event::Warning(Warning::RecordDamaged) => "damaged record",
        Event::Warning(Warning::StoreFailed { .. }) => "store failure told",
        Event::Warning(Warning::StoreSlow { .. }) => "slow store told",
        Event::StoreAnswered { .. } => "slow store over",
        Event::Warning(Warning::TwinVoter { .. }) => "twin voter told",
        Event::Warning(Warning::DuplicateId { .. }) => "duplicate id told",
        Event::Warning(Warning::Membership(_)) => "membership error told",
        _ => return None,
    })
}
