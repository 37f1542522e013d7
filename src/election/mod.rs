//! The lease election: a voter, a contender, and the messages between them.
//!
//! Membership tells who is probably alive; it never decides who leads. Two nodes can each see
//! an overlapping majority when a partition is partial or one-way, so seeing one is not enough:
//! a claim is backed by exclusive, time-bounded leases that a majority of the voters granted.
//!
//! One packet's way: [`Election::handle_message`] → [`voter::Voter`] or
//! `contender::Contender` → `outbox::Outgoing`. The contender of a node talks to the voter
//! of the same node in the same messages, which never leave this module.
//!
//! Assumptions: the messages come from nodes of the same cluster (the envelope was checked);
//! every call passes clocks that were read after the input arrived; a revision reported as
//! stored survives a crash.

mod announcements;
mod ballots;
mod contender;
mod deference;
mod electorate;
#[cfg(feature = "simulation")]
pub mod fingerprint;
#[cfg(test)]
mod fixture;
mod founding;
mod inspect;
mod later_term;
mod leader_freshness;
pub mod outbox;
pub(crate) mod preemption;
mod record;
mod stable_vote;
mod view;
pub mod voter;
pub mod work;

use std::net::SocketAddr;
use std::time::Duration;

use crate::vocabulary::configuration::{Configuration, ConfigurationStamp};
use crate::vocabulary::event::{DemotionReason, Event};
use crate::vocabulary::identity::Process;
use crate::vocabulary::snapshot::{KnownGoose, Lease};
use crate::vocabulary::time::{HolderTime, Now};
use crate::vocabulary::timing::Timing;
use crate::vocabulary::work::WorkRefused;
use crate::wire::message::Message;
use crate::wire::record::Vote;
use contender::Contender;
pub use contender::Known;
use electorate::VoterAdmission;
use outbox::{Outbox, Outgoing};
use view::View;
use voter::{Memory, Voter, VoterPast};
use work::Work;

/// No ballot reaches this: terms stay exact in JSON.
pub const BALLOT_MAX: u64 = 1 << 53;

/// The last ballot. Whoever has heard of it claims no more.
const BALLOT_LAST: u64 = BALLOT_MAX - 1;

/// No message raises a ballot by more than this above what is known: that is a claim in every
/// second of a century. So no single message, however garbled, uses the numbers up.
pub const BALLOT_JUMP_MAX: u64 = 1 << 32;

/// This many of the highest eligible nodes keep polling the voters: warm standbys.
pub const STANDBYS: usize = 3;

/// Up to so many neighbours are told of a new Goose together with voters and standbys.
const FEW_NEIGHBOURS: usize = 16;

/// A message to oneself may lead to another; no input leads to more than this many.
const OWN_MESSAGES_MAX: usize = 256;

/// What membership contributes: hints about who is around. The election is safe whatever they
/// say.
#[derive(Clone, Debug, Default, Hash)]
pub struct Sight {
    /// The highest eligible nodes, highest first, this node included: a few dozen at most.
    pub eligible: Vec<Process>,
    /// Nodes to be told of a new Goose directly, a few dozen at most; gossip tells the rest.
    pub neighbours: Vec<Process>,
    /// How many eligible nodes are higher than this one.
    pub rank: usize,
}

/// What an election is started with.
#[derive(Clone, Debug)]
pub struct ElectionSetup {
    /// This process.
    pub me: Process,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Where its HTTP server is reached.
    pub http: Option<SocketAddr>,
    /// Who votes.
    pub configuration: Configuration,
    /// The longest lease that any voter of this cluster grants.
    pub lease_max: Duration,
    /// What this node does, if it votes, without its record.
    pub memory: Memory,
    /// What is known of the cluster's lineage.
    pub lineage: Known,
    /// The spans of the protocol.
    pub timing: Timing,
    /// The lowest term that this node leads under; 1 is no bound.
    pub first_term: u64,
    /// Whether this node may become Goose.
    pub eligible: bool,
    /// What it finds of its past as a voter; ignored if it is none.
    pub past: VoterPast,
    /// How long the only voter of a cluster, on an empty disk, waits for its seeds to say that they
    /// know of it; zero: it has none, and founds at once.
    pub asks_first: Duration,
    /// Whether part of that past was unreadable, for the log.
    pub damaged: bool,
    /// The number of the first request: random, so that answers cannot be guessed.
    pub first_sequence: u32,
}

/// One node's part in the election.
#[derive(Clone, Debug, Hash)]
pub struct Election {
    me: Process,
    address: SocketAddr,
    http: Option<SocketAddr>,
    /// A newer configuration than that which this node contends or leads under.
    heard: Option<Configuration>,
    /// What a node needs that comes to vote, or to vote again, while it runs.
    admission: VoterAdmission,
    timing: Timing,
    eligible: bool,
    voter: Option<Voter>,
    contender: Contender,
    view: View,
    sight: Sight,
    outbox: Outbox,
    /// When a Goose, a vacancy or an election was last heard of.
    news: HolderTime,
    /// A node that is no standby polls until then, after a notice or a long silence.
    awake_until: HolderTime,
}

impl Election {
    /// An election that starts at `now`. Its vote, if it has one, is to be stored at once.
    pub fn new(setup: ElectionSetup, now: Now) -> Self {
        let ElectionSetup { me, timing, eligible, configuration, .. } = setup;
        let mut outbox = Outbox::new(me);
        let admission = VoterAdmission {
            lease_max: setup.lease_max,
            memory: setup.memory,
            asks_first: setup.asks_first,
            started: now.voter,
            left_ballot: setup.past.ballot(),
        };
        let voter = electorate::votes_at_start(me.id, &configuration, &setup.past).then(|| {
            let mandate = admission.mandate(&configuration, setup.lineage.settled);
            let voter = Voter::new(me, mandate, &timing, setup.past, now);
            voter.report_start(setup.damaged, now.voter, &mut outbox);
            voter
        });
        let first = setup.first_sequence;
        let mut contender =
            Contender::new(me, &configuration, &timing, eligible, setup.lineage, first, now.holder);
        contender.hear_ballot(setup.first_term.saturating_sub(1).max(configuration.ballot));
        Self {
            me,
            address: setup.address,
            http: setup.http,
            heard: None,
            admission,
            timing,
            eligible,
            voter,
            contender,
            view: View::default(),
            sight: Sight::default(),
            outbox,
            news: now.holder,
            awake_until: HolderTime(0),
        }
    }

    /// The configuration in force, as far as this node knows.
    pub fn configuration(&self) -> &Configuration {
        self.contender.tracker().configuration()
    }

    /// What this node must store as a voter, and its revision.
    pub fn vote(&self) -> Option<(&Vote, u64)> {
        let stable_vote = self.voter.as_ref()?.stable_vote();
        Some((stable_vote.vote(), stable_vote.revision()))
    }

    /// Everything up to `revision` of the vote is durable, or could not be made so.
    pub fn handle_stored(&mut self, now: Now, revision: u64, sound: bool) {
        self.expire(now);
        if let Some(voter) = &mut self.voter {
            voter.stored(revision, sound, now, &mut self.outbox);
            // The only voter is a majority.
            if let Some(proposal) = voter.stable_vote().durable_lineage()
                && self.contender.tracker().configuration().voters.ids() == [self.me.id]
            {
                self.contender.naming_mut().settle(proposal.lineage);
            }
        }
        self.advance(now);
    }

    /// Membership changed.
    pub fn handle_sight(&mut self, now: Now, sight: Sight) {
        self.sight = sight;
        self.advance(now);
    }

    /// Somebody begins to work under `term`.
    ///
    /// # Errors
    /// [`WorkRefused`] unless this node leads under exactly that term and nobody has asked to end
    /// it; nothing has begun then.
    pub fn begin_work(&mut self, now: Now, term: u64) -> Result<(), WorkRefused> {
        self.expire(now);
        let begun = if self.lease_at(now.holder).is_some_and(|lease| lease.term == term) {
            self.contender.work_mut().begin(term)
        } else {
            Err(WorkRefused::NotLeading { term })
        };
        self.advance(now);
        begun
    }

    /// Work that had begun has ended for certain.
    pub fn end_work(&mut self, now: Now) {
        self.expire(now);
        self.contender.work_ended(now.holder);
        self.advance(now);
    }

    /// Somebody has asked to end the term that is led: nothing begins under it any more.
    pub fn close_work(&mut self) {
        self.contender.work_mut().close();
    }

    /// Nobody asks to end the term any more.
    pub fn reopen_work(&mut self) {
        self.contender.work_mut().reopen();
    }

    /// What is done under the lease.
    pub fn work(&self) -> &Work {
        self.contender.work()
    }

    /// Gossip says that a process is gone, or that its node has a newer one.
    pub fn handle_departure(&mut self, now: Now, process: Process) {
        let polls = self.stands_by(now.holder);
        let ours = self.view.goose().is_some_and(|goose| goose.process == process);
        // Standbys know better from the voters.
        if ours && process != self.me && !polls && self.view.forget(process) {
            self.outbox.event(Event::GooseChanged(None));
            self.awake(now.holder);
        }
        self.advance(now);
    }

    /// Another live process votes under this node's id.
    pub fn handle_twin(&mut self, now: Now) {
        if let Some(voter) = &mut self.voter {
            voter.silence();
        }
        self.advance(now);
    }

    /// Nothing can be made durable any more, so nothing can be granted.
    pub fn handle_store_lost(&mut self, now: Now) {
        if let Some(voter) = &mut self.voter {
            voter.silence();
        }
        self.advance(now);
    }

    /// Whether this node stopped voting because of a twin or of its store.
    pub fn is_silenced(&self) -> bool {
        self.voter.as_ref().is_some_and(Voter::is_silenced)
    }

    /// The machine was suspended since the last input: no counted grant can be trusted.
    pub fn handle_suspend(&mut self, now: Now) {
        self.contender.void_grants(now.holder, &mut self.outbox);
        self.advance(now);
    }

    /// Applies everything that is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.expire(now);
        self.advance(now);
    }

    /// A message from another node whose envelope was checked, and names this configuration.
    pub fn handle_message(
        &mut self,
        now: Now,
        from: Process,
        stamp: ConfigurationStamp,
        message: &Message,
    ) {
        self.expire(now);
        self.dispatch(now, from, stamp, message);
        self.advance(now);
    }

    /// Steps down in favour of `nominee`, or of the best standby that the voters know. Returns
    /// the term that ended and the nominee; none if this node is not Goose. No work may be alive.
    pub fn step_down(
        &mut self,
        now: Now,
        nominee: Option<Process>,
        hold: Option<Duration>,
        reason: DemotionReason,
    ) -> Option<(u64, Option<Process>)> {
        self.expire(now);
        let nominee = nominee.or_else(|| self.contender.tracker().best_standby());
        let hold = hold.unwrap_or(self.timing.lease * 4);
        let term = self.contender.step_down(nominee, hold, reason, now.holder, &mut self.outbox);
        self.advance(now);
        term.map(|term| (term, nominee))
    }

    /// From here on this node may lead, or may not. A claim under way is given up then; a lease is
    /// for [`Election::step_down`]. A hold stands.
    pub fn set_eligible(&mut self, now: Now, eligible: bool) {
        self.expire(now);
        self.eligible = eligible;
        self.contender.set_eligible(eligible, now.holder, &mut self.outbox);
        self.advance(now);
    }

    /// From here on the grants of this node say that it is about to leave.
    pub fn part(&mut self) {
        if let Some(voter) = &mut self.voter {
            voter.part();
        }
    }

    /// This node holds back no more.
    pub fn end_hold(&mut self, now: Now) {
        self.contender.end_hold(now.holder);
    }

    /// It was told to hold back until then in an earlier life.
    pub fn hold_back(&mut self, until: HolderTime) {
        self.contender.hold_back(until);
    }

    /// As Goose of `term`, this node does not make way for a higher one before `until`; a time that
    /// is over ends that.
    pub fn pause(&mut self, term: u64, until: HolderTime) {
        if let Some(preemption) = self.contender.preemption_mut() {
            preemption.pause(term, until);
        }
    }

    /// Stops leading and contending for good, and releases nothing: the lease runs out at the
    /// voters, for work under it is still alive.
    pub fn leave_without_release(&mut self, now: Now) {
        self.expire(now);
        self.contender.leave_without_release(now.holder, &mut self.outbox);
        self.advance(now);
    }

    /// The best successor that the voters know of: it reaches a majority of them, and does not
    /// hold back.
    pub fn best_standby(&self) -> Option<Process> {
        self.contender.tracker().best_standby()
    }

    /// Whether a release is still on its way.
    pub fn is_saying_farewell(&self) -> bool {
        self.contender.is_releasing()
    }

    /// What to do next, in order.
    pub fn poll_outgoing(&mut self) -> Option<Outgoing> {
        self.outbox.pop()
    }

    /// How long until [`Election::handle_timeout`] has something to do.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let voter = self.voter.as_ref().and_then(|voter| voter.timeout(now.voter));
        let stands_by = self.stands_by(now.holder);
        let founding = self.is_founding();
        let contender = self.contender.timeout(now.holder, stands_by, founding);
        let others = [self.silence_ends(now.holder), self.view.forgets_at()];
        let others = others.into_iter().flatten().map(|at| at.since(now.holder));
        others.chain(voter).chain(contender).min()
    }

    /// The lease this node counts on; it is Goose while that is valid.
    pub fn lease(&self) -> Option<Lease> {
        self.contender.lease()
    }

    /// The same, if it is valid at `now`.
    pub fn lease_at(&self, now: HolderTime) -> Option<Lease> {
        self.lease().filter(|lease| lease.is_valid_at(now))
    }

    /// The highest term known. Never falls.
    pub fn term(&self) -> u64 {
        self.view.term()
    }

    /// The Goose known.
    pub fn goose(&self) -> Option<KnownGoose> {
        let mut known = self.view.known()?.clone();
        if known.goose.process == self.me {
            known.expires = self.lease().map_or(HolderTime(0), |lease| lease.deadline);
        }
        Some(known)
    }

    /// The voters' processes, as far as they are known.
    pub fn voter_processes(&self) -> impl Iterator<Item = Process> {
        self.contender.tracker().processes()
    }

    /// Expiries come before anything else an input may do: a lapse is final.
    fn expire(&mut self, now: Now) {
        if let Some(voter) = &mut self.voter
            && voter.expire(now, &mut self.outbox)
        {
            self.contender.poll_anew(now.holder);
        }
        self.contender.expire(now.holder, &mut self.outbox);
    }

    fn is_founding(&self) -> bool {
        self.voter.as_ref().is_some_and(Voter::is_blank)
    }

    fn stands_by(&self, now: HolderTime) -> bool {
        self.voter.is_some()
            || self.eligible && (self.sight.rank < STANDBYS || now < self.awake_until)
    }

    /// When a node that is no standby and hears nothing asks by itself: later the lower it ranks,
    /// so that a large cluster does not ask all at once. No timer, for its rank changes, and
    /// whether it stands by does, too.
    fn silence_ends(&self, now: HolderTime) -> Option<HolderTime> {
        let rank = u32::try_from(self.sight.rank).unwrap_or(u32::MAX);
        let limit = self.timing.lease * 4 + self.timing.standby_interval.saturating_mul(rank);
        (self.eligible && !self.stands_by(now)).then(|| self.news.plus(limit))
    }

    fn awake(&mut self, now: HolderTime) {
        self.awake_until = now.plus(self.timing.standby_interval * 5);
        self.contender.poll_soon(now);
    }

    /// Does everything that is due, and delivers what this node says to itself.
    fn advance(&mut self, now: Now) {
        self.expire(now);
        self.follow_heard(now);
        self.heed_later_term(now);
        if self.silence_ends(now.holder).is_some_and(|at| at <= now.holder) {
            self.news = now.holder;
            self.awake(now.holder);
        }
        for _ in 0..OWN_MESSAGES_MAX {
            self.act(now);
            let Some(message) = self.outbox.pop_own() else { break };
            let stamp = self.stamp_for(&message);
            self.dispatch(now, self.me, stamp, &message);
        }
        self.update_view(now);
    }

    fn act(&mut self, now: Now) {
        let stands_by = self.stands_by(now.holder);
        let founding = self.is_founding();
        self.contender.advance(now.holder, stands_by, founding, &mut self.outbox);
        if let Some(voter) = &mut self.voter {
            let goose = self.view.goose();
            voter.notices(&self.sight.eligible, goose, now.voter, &mut self.outbox);
        }
        let crowded = self.sight.neighbours.len() > FEW_NEIGHBOURS;
        if let Some(audience) = self.contender.announcement_due(now.holder, crowded) {
            self.announce(audience, now.holder);
        }
    }

    fn dispatch(&mut self, now: Now, from: Process, stamp: ConfigurationStamp, message: &Message) {
        if !self.believes_ballot(now, from, message) {
            return;
        }
        if message.kind().is_of_voter()
            && let Some(progress) = self.contender.tracker_mut().voter_mut(from.id)
        {
            progress.says_stamp(stamp);
        }
        if let Message::Acquire(acquire) = message {
            return self.acquired(now, from, stamp, acquire);
        }
        let in_sight = self.sight.eligible.first().map(|process| process.id);
        let Self { me, voter, contender, outbox, view, .. } = self;
        match message {
            Message::Poll(poll) => {
                let Some(voter) = voter else { return };
                voter.poll(from, poll, in_sight, view.goose(), now, outbox);
                if poll.founding && voter.is_blank() && from != *me {
                    contender.greet(from.id, now.holder, outbox);
                }
            }
            Message::Release { sequence, release } => {
                let Some(voter) = voter else { return };
                voter.release(from, *sequence, release, now, outbox);
                self.note_release(release.holder);
            }
            Message::Probe { sequence } => {
                if voter.is_some() {
                    outbox.send(from, Message::ProbeAck { sequence: *sequence });
                }
            }
            Message::PollAck(answer) => self.informed(now, from, answer),
            Message::Grant(grant) => {
                contender.granted(from, grant, stamp, now.holder, outbox);
            }
            Message::Nak(nak) => contender.refused(from, nak, stamp, now.holder, outbox),
            Message::ProbeAck { sequence } => {
                contender.probe_acknowledged(from, *sequence, now.holder, outbox);
            }
            Message::ReleaseAck { sequence } => contender.release_acknowledged(from.id, *sequence),
            Message::Vacant(status) => {
                if contender.tracker_mut().stands(from, status, None, now.holder) {
                    contender.vacated(from.id, now.holder, outbox);
                    self.heard_vacancy(now, status);
                }
            }
            Message::Handover(release) => {
                if release.holder == from && release.nominee == Some(me.id) {
                    contender.nominated(release.clone(), now.holder, outbox);
                    self.note_release(from);
                    self.awake_until = now.holder.plus(self.timing.standby_interval * 5);
                }
            }
            Message::Announce(goose) => self.hear_announcement(now, from, goose),
            // Taken already, or not the election's.
            Message::Acquire(_)
            | Message::Gossip(_)
            | Message::Join(_)
            | Message::Welcome(_)
            | Message::LaterStart { .. }
            | Message::MetadataQuery(_)
            | Message::MetadataReply(_) => {}
        }
    }
}
