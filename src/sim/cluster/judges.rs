//! All checkers together, and what each is shown: every process after every input, every
//! datagram that leaves, every write, in true time.

use super::coverage::{self, Coverage};
use super::host::Host;
use super::network::{Network, Packet};
use crate::election::preemption::PATIENCE;
use crate::node::NodeCore;
use crate::sim::checkers::electorate;
use crate::sim::checkers::{
    DeferenceChecks, Invariant, Leadership, Promises, Reach, Sender, Steps, Verdict, Violation,
    VoterState, Voting, Works,
};
use crate::vocabulary::configuration::Configuration;
use crate::vocabulary::event::{DemotionReason, Event};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::inspection::Inspection;
use crate::vocabulary::lineage::Lineage;
use crate::vocabulary::time::{Now, VoterTime, nanoseconds};
use crate::wire::datagram::Header;
use crate::wire::message::{AcquireKind, Message};
use crate::wire::record::Record;

/// See the module.
#[derive(Default)]
pub struct Judges {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// What has been met.
    pub coverage: Coverage,
    leadership: Leadership,
    voting: Voting,
    promises: Promises,
    deference: DeferenceChecks,
    reach: Reach,
    steps: Steps,
    pub(super) works: Works,
    /// Which founding this is, once any of its nodes has been certain.
    lineage: Option<Lineage>,
    /// Those that it was rescued from: nodes of them may still run, but must not lead.
    ancestors: Vec<Lineage>,
    /// Until then a second process of a voter may have its effect.
    twins_until: u64,
    /// A second process of a voter was there before anybody was certain which founding this is: two
    /// may have been made, and a majority of each may go on with it.
    founded_beside_twin: bool,
    /// And so it came: nothing is promised any more.
    void: bool,
}

impl Judges {
    /// A person has rescued what is left of the cluster.
    pub fn rescued(&mut self, ancestor: Lineage, lineage: Lineage) {
        self.ancestors.push(ancestor);
        self.lineage = Some(lineage);
    }

    /// How many terms there have been.
    pub fn terms(&self) -> usize {
        self.leadership.terms()
    }

    /// Takes note of what a checker says.
    pub fn judge(&mut self, now: u64, verdict: Verdict) {
        if let Err(violation) = verdict {
            // With two processes of one voter nobody promises that.
            if now < self.twins_until && violation.invariant.needs_single_voters() {
                return self.coverage.count("promise void by a twin");
            }
            self.violation.get_or_insert(violation);
        }
    }

    /// A promise is broken.
    pub fn broken(&mut self, now: u64, invariant: Invariant, sentence: String) {
        self.judge(now, Err(Violation::new(now, invariant, sentence)));
    }

    /// A second process of a voter is about to start.
    pub(super) fn twin_starts(&mut self) {
        self.twins_until = u64::MAX;
        self.founded_beside_twin |= self.lineage.is_none();
    }

    /// Whether the preconditions of all promises are gone.
    pub fn is_void(&self) -> bool {
        self.void
    }

    /// The last second process of a voter is gone; so many nanoseconds later nothing is left of
    /// its effect.
    pub(super) fn last_twin_ends(&mut self, now: u64, memory: u64) {
        self.twins_until = now + memory;
    }

    /// A process starts on a record that says that this ballot is durable, or on none.
    pub(super) fn starts(&mut self, now: u64, host: &Host, ballot: Option<u64>) {
        match ballot {
            // What a twin remembers is another's.
            _ if host.is_twin() => {}
            Some(ballot) => {
                let verdict = self.voting.voter_starts(now, host.id, ballot);
                self.judge(now, verdict);
            }
            None => self.voting.voter_wiped(host.id),
        }
    }

    /// A process is gone, for whatever reason.
    pub(super) fn ended(&mut self, process: Process) {
        self.leadership.ended(process);
        self.voting.holder_down(process);
        self.promises.process_ended(process);
        self.deference.ended(process);
        self.steps.ended(process);
    }

    /// The one process of a voter is gone.
    pub(super) fn voter_ended(&mut self, id: NodeId) {
        self.voting.voter_down(id);
    }

    /// A datagram is taken in by a process.
    pub(super) fn received(&mut self, process: Process, now: Now, content: &(Header, Message)) {
        let (header, message) = content;
        self.promises.answer_arrives(now.holder, process, header.sender.id, message);
        self.deference.hears(process, header.sender, now.voter, message);
    }

    /// A datagram leaves the process of `host`.
    pub(super) fn sent(&mut self, now: u64, host: &Host, packet: &Packet) {
        let Some((header, message)) = &packet.content else {
            let sentence = format!("node {} sent bytes it cannot decode", host.id);
            return self.broken(now, Invariant::Contract, sentence);
        };
        if matches!(message, Message::Gossip(_)) {
            return;
        }
        let Some(running) = &host.running else { return };
        // As it was published last: whoever asks the node is told that.
        let shown = host.clocks.now(now).holder;
        let acts = running.lease.filter(|lease| shown < lease.deadline);
        let clock = running.decided.unwrap_or_else(|| host.clocks.now(now));
        let sender = Sender {
            process: running.process,
            holder_now: clock.holder,
            ephemeral: host.disk.is_ephemeral(),
            durable: host.disk.durable().and_then(|record| record.vote.as_ref()),
            acting_term: acts.map(|lease| lease.term),
            timing: &host.setup.timing,
            voters: running.inspection.counted.len(),
        };
        let (process, timing) = (sender.process, sender.timing);
        let verdict = self.promises.sent(now, sender, header, message);
        let polite = self.deference.says(now, process, clock.voter, timing, message);
        let told = match message {
            // A claimant hands on what others made, as far as it has heard of that.
            Message::Acquire(acquire) if acquire.kind != AcquireKind::Claim => {
                acquire.configuration.as_deref()
            }
            _ => None,
        };
        if matches!(message, Message::Grant(grant) if grant.leaves) {
            self.steps.parts(now);
        }
        let steps = told.map_or(Ok(()), |told| self.steps.tells(now, process, told));
        self.judge(now, verdict.and(polite).and(steps));
        if let Some(name) = coverage::message_name(message) {
            self.coverage.count(name);
        }
    }

    /// While work is alive nothing of its process's is released or handed over, and the process
    /// claims nothing.
    pub(super) fn sent_under_work(&mut self, now: u64, host: &Host, packet: &Packet) {
        let Some((_, message)) = &packet.content else { return };
        let Some(running) = host.running.as_ref().filter(|it| it.work.alive > 0) else { return };
        let own = |process: Process| process == running.process;
        let what = match message {
            Message::Release { release, .. } if own(release.holder) => "releases",
            Message::Handover(release) if own(release.holder) => "hands over",
            Message::Acquire(acquire) if acquire.kind == AcquireKind::Claim => "claims",
            _ => return,
        };
        let sentence =
            format!("{} {what} while work of term {} is alive", running.process, running.work.term);
        self.broken(now, Invariant::StopThenRelease, sentence);
    }

    /// A keeper speaks. Whoever it releases must be dead.
    pub(super) fn spoken(&mut self, now: u64, hosts: &[Host], packet: &Packet) {
        let Some((_, Message::Release { release, .. })) = &packet.content else {
            let sentence = "a keeper sends bytes that nobody can read".to_owned();
            return self.broken(now, Invariant::Contract, sentence);
        };
        let holder = release.holder;
        if hosts.iter().any(|host| host.process() == Some(holder)) {
            let sentence = format!("the keeper releases {holder} while it lives");
            self.broken(now, Invariant::StopThenRelease, sentence);
        }
        if self.works.works(holder) {
            let sentence = format!("the keeper releases {holder} while its work is alive");
            self.broken(now, Invariant::StopThenRelease, sentence);
        }
    }

    /// The process of host `index` says that something happened.
    pub(super) fn told(&mut self, now: u64, hosts: &[Host], index: usize, event: &Event) {
        let host = &hosts[index];
        if let Some(name) = coverage::event_name(event) {
            self.coverage.count(name);
        }
        let Some(process) = host.process() else { return };
        match event {
            Event::Founded => self.deference.founded(process),
            Event::BecameDuck { reason, .. } => {
                self.deference.stepped_down(process, host.clocks.now(now).voter);
                if let DemotionReason::Preempted { by } = reason {
                    self.preempted(now, hosts, index, *by);
                }
            }
            _ => {}
        }
    }

    /// A Goose has just yielded to `by`.
    fn preempted(&mut self, now: u64, hosts: &[Host], index: usize, by: NodeId) {
        let host = &hosts[index];
        // As the cluster was founded: a later start may leave it to the record.
        let wanted = hosts.iter().any(|host| host.original.preempt == Some(true));
        let successor = hosts.iter().find(|host| host.id == by);
        let born = successor.and_then(|host| host.running.as_ref()).map(|running| running.born);
        // The voters' clocks may be fast.
        let patience = nanoseconds(PATIENCE) * 99 / 100;
        // Whoever has died meanwhile may have stayed before, and voters remember it for a while,
        // even if its node has another process already.
        let memory = nanoseconds(host.setup.timing.contender_freshness()) * 2;
        let restarted = successor.is_some_and(|host| host.epoch > 1);
        let stayed =
            born.is_some_and(|born| now >= born + patience || restarted && now < born + memory);
        if !wanted || by <= host.id || born.is_some() && !stayed {
            let sentence = format!(
                "node {} yielded to node {by}, there since {born:?}; preemption {wanted}",
                host.id
            );
            self.broken(now, Invariant::PatientPreemption, sentence);
        }
    }

    /// A process shows another term.
    pub(super) fn observe_term(&mut self, now: u64, process: Process, term: u64) {
        if let Err(violation) = self.promises.shows_term(now, process, term) {
            self.violation.get_or_insert(violation);
        }
    }

    /// The process of host `index` shows another lease, or its clocks have changed.
    pub(super) fn observe_lease(&mut self, now: u64, hosts: &[Host], index: usize) {
        let host = &hosts[index];
        let Some(running) = &host.running else { return };
        let process = running.process;
        let lease =
            running.lease.map(|lease| (lease.term, host.clocks.holder_shows(lease.deadline)));
        let late = running.decided.is_some();
        self.leadership.twins = now < self.twins_until;
        let verdict = self.leadership.observe_late(now, process, lease, late);
        // A term whose number is no promise may be forgotten by those who helped to begin it.
        if let Some((term, _)) = lease.filter(|(term, _)| !self.leadership.is_void(*term)) {
            self.voting.leads(process, term);
        }
        self.judge(now, verdict);
        let Some((_, end)) = lease.filter(|(_, end)| *end > now) else { return };
        let voters: Vec<NodeId> = running.inspection.counted.iter().map(|(id, _)| *id).collect();
        // Of a doubled id, either process may be the voter that is meant.
        let places =
            |id: &NodeId| (0..hosts.len()).filter(|other| hosts[*other].id == *id).collect();
        let places: Vec<Vec<usize>> = voters.iter().map(places).collect();
        let length = nanoseconds(host.setup.timing.lease);
        let reached = self.reach.leads(now, (index, process), end, length, &places);
        self.judge(now, reached.and(electorate_is_one(now, hosts)));
    }

    /// Who may send to whom has changed.
    pub(super) fn observe_reach(&mut self, now: u64, size: usize, network: &Network) {
        for from in 0..size {
            for to in 0..size {
                let open = from == to || network.carries_election(from, to);
                self.reach.note(now, from, to, open);
            }
        }
    }

    /// The insides of a process have changed, or its host's clocks have.
    pub(super) fn observe_votes(&mut self, now: u64, host: &Host) {
        let Some(running) = &host.running else { return };
        let (process, inspection) = (running.process, &running.inspection);
        // Both as they were shown last: what was decided since may not have been done yet.
        let shown = host.clocks.now(now).holder;
        let deadline = running.lease.map(|lease| lease.deadline).filter(|end| shown < *end);
        let acts = deadline.is_some() || inspection.is_claiming.is_some();
        let counted = if acts { inspection.counted.as_slice() } else { &[] };
        let honest = self.promises.counts(now, process, counted, deadline);
        let ends = counted.iter().map(|(id, until)| (*id, host.clocks.holder_shows(*until)));
        let state = voter_state(host, inspection);
        if state.as_ref().is_some_and(|state| state.grant.is_some()) {
            self.deference.grants(process);
        }
        let owes = state.filter(|_| !host.is_twin());
        let kept = self.voting.observe(now, process, owes, ends.collect());
        self.judge(now, honest.and(kept));
        let lineage = inspection.lineage.filter(|it| !self.ancestors.contains(it));
        if let Some(lineage) = lineage.filter(|_| host.foreign_node.is_none()) {
            let first = *self.lineage.get_or_insert(lineage);
            if lineage != first && self.founded_beside_twin {
                self.coverage.count("two foundings beside a second process");
                self.void = true;
            } else if lineage != first {
                let sentence =
                    format!("{process} is of lineage {lineage}, and others are of {first}");
                self.broken(now, Invariant::OneLineage, sentence);
            }
        }
    }

    /// A repeated datagram must not have lengthened a grant to its sender.
    pub(super) fn repeated(&mut self, now: u64, host: &Host, packet: &Packet, before: &Inspection) {
        let Some((header, _)) = &packet.content else { return };
        let Some(running) = &host.running else { return };
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
            self.broken(now, Invariant::NoReplay, sentence);
        }
    }
}

/// See [`electorate`]. Most clusters have one configuration all their life.
fn electorate_is_one(now: u64, hosts: &[Host]) -> Verdict {
    let is_own = |host: &&Host| host.foreign_node.is_none() && !host.is_left_behind(hosts);
    let own = || hosts.iter().filter(is_own);
    let cores = own().filter_map(|host| Some(&host.running.as_ref()?.core));
    let running = cores.filter_map(NodeCore::configuration);
    let records = || own().filter_map(|host| Some((host, host.disk.durable()?)));
    let on_disk = records().filter_map(|(_, record)| record.configuration.as_ref());
    let mut known: Vec<&Configuration> = running.chain(on_disk).collect();
    known.sort_by_key(|it| (it.ballot, it.version));
    known.dedup();
    if known.len() < 2 {
        return Ok(());
    }
    let sound = |record: &&Record| record.vote.as_ref().is_some_and(|it| it.founding.is_sound());
    let stances = records().filter(|(_, record)| sound(record));
    let stances = stances
        .filter_map(|(host, record)| Some((host.id, record.configuration.as_ref()?.stamp())));
    electorate::judge(now, &known, &stances.collect())
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
