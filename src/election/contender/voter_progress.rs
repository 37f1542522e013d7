//! What a contender knows of one voter.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::vocabulary::configuration::ConfigurationStamp;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::lineage::Proposal;
use crate::vocabulary::mutant::{self, Mutant};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::counted;
use crate::wire::message::{Grant, VoterStatus};

/// The most requests to one voter whose send time is remembered. At one request every 10 ms,
/// answers up to 320 ms late still count.
const REQUESTS_MAX: usize = 32;

/// So many grants in a row show that a node which is to vote keeps a record and answers.
const GRANTS_SETTLED: u32 = 2;

/// An answer that took longer waited for a process that was frozen, which says nothing of the way.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Hash)]
struct Request {
    sequence: u64,
    sent: HolderTime,
    /// The ballot of an Acquire; none for a Poll or a Probe.
    ballot: Option<u64>,
}

/// How long a voter's answers take, evened out over the last few. Nothing is decided by it, so two
/// states that differ in nothing else are the same.
#[derive(Clone, Copy, Debug, Default)]
struct RoundTrip(Option<Duration>);

impl Hash for RoundTrip {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl RoundTrip {
    fn note(&mut self, taken: Duration) {
        let taken = taken.min(ROUND_TRIP_MAX);
        self.0 = Some(self.0.map_or(taken, |known| (known * 3 + taken) / 4));
    }
}

/// One voter, as a contender sees it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct VoterProgress {
    id: NodeId,
    boot: Option<Boot>,
    /// The highest ballot that it has named and that was too far away to be believed.
    named_ballot: u64,
    /// Since when this boot is the newest one that is known.
    boot_since: HolderTime,
    status: Option<(VoterStatus, HolderTime)>,
    status_sequence: u64,
    requests: VecDeque<Request>,
    /// The newest Poll that is still unanswered, and when it was sent.
    open_poll: Option<(u64, HolderTime)>,
    /// When the newest request that was answered was sent.
    answered_request: Option<HolderTime>,
    /// When the newest answer came.
    answered: Option<HolderTime>,
    round_trip: RoundTrip,
    /// When it was last asked because it had shown itself.
    greeted: Option<HolderTime>,
    /// The grant's end, by the rule of [`counted`].
    counted_until: HolderTime,
    /// The lease of the newest grant.
    granted: Option<Duration>,
    standby: Option<(Process, Duration)>,
    /// By which lineage it stands, as its newest grant says.
    proposal: Option<Proposal>,
    /// Under which configuration it votes, as it said last.
    stamp: Option<ConfigurationStamp>,
    /// The same, as its newest grant in this tenure says.
    granted_under: Option<ConfigurationStamp>,
    /// How many grants in a row it has given in this tenure, each before the last one had run out:
    /// as far as anybody asks.
    grants_in_a_row: u32,
    /// It does not vote, and is to.
    is_learner: bool,
    /// It is about to leave, as its newest grant says.
    leaves: bool,
}

impl VoterProgress {
    pub(crate) fn new(id: NodeId) -> Self {
        Self {
            id,
            boot: None,
            named_ballot: 0,
            boot_since: HolderTime(0),
            status: None,
            status_sequence: 0,
            requests: VecDeque::new(),
            open_poll: None,
            answered_request: None,
            answered: None,
            round_trip: RoundTrip::default(),
            greeted: None,
            counted_until: HolderTime(0),
            granted: None,
            standby: None,
            proposal: None,
            stamp: None,
            granted_under: None,
            grants_in_a_row: 0,
            is_learner: false,
            leaves: false,
        }
    }

    /// A node that does not vote, and is to.
    pub(crate) fn learner(process: Process, now: HolderTime) -> Self {
        let mut learner = Self::new(process.id);
        learner.reboot(process.boot, now);
        learner.is_learner = true;
        learner
    }

    /// It votes from here on.
    pub(crate) fn votes(&mut self) {
        self.is_learner = false;
    }

    /// Whether it does not vote, and is to.
    pub(crate) fn is_learner(&self) -> bool {
        self.is_learner
    }

    /// Whether it is about to leave.
    pub(crate) fn leaves(&self) -> bool {
        self.leaves
    }

    /// It names the configuration under which it votes.
    pub(crate) fn says_stamp(&mut self, stamp: ConfigurationStamp) {
        self.stamp = Some(stamp);
    }

    pub(crate) fn stamp(&self) -> Option<ConfigurationStamp> {
        self.stamp
    }

    pub(crate) fn granted_under(&self) -> Option<ConfigurationStamp> {
        self.granted_under
    }

    /// Whether it grants, and did so before.
    pub(crate) fn has_settled(&self, now: HolderTime) -> bool {
        // It has to write once more before it grants as a voter.
        let half = self.granted.unwrap_or_default() / 2;
        self.grants_in_a_row >= GRANTS_SETTLED && self.counted_until > now.plus(half)
    }

    /// The voter's process, once heard.
    pub(crate) fn process(&self) -> Option<Process> {
        Some(Process { id: self.id, boot: self.boot? })
    }

    pub(crate) fn answered(&self) -> Option<HolderTime> {
        self.answered
    }

    /// How long its answers take, as of late.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.0
    }

    /// Whether it is to be asked at once, for it has shown itself. Once in `pause` at most, and
    /// whether it answers or not: two that greet each other for every greeting would never stop.
    pub(crate) fn greet(&mut self, now: HolderTime, pause: Duration) -> bool {
        let lately = |at: Option<HolderTime>| at.is_some_and(|at| now.since(at) < pause);
        let due = !lately(self.answered) && !lately(self.greeted);
        if due {
            self.greeted = Some(now);
        }
        due
    }

    pub(crate) fn answered_request(&self) -> Option<HolderTime> {
        self.answered_request
    }

    pub(crate) fn counted_until(&self) -> HolderTime {
        self.counted_until
    }

    /// It names a ballot that is far above what is known here.
    pub(crate) fn names_ballot(&mut self, ballot: u64) {
        self.named_ballot = ballot;
    }

    pub(crate) fn named_ballot(&self) -> u64 {
        self.named_ballot
    }

    /// What the voter granted last in this tenure: perhaps less than it was asked for.
    pub(crate) fn granted_lease(&self) -> Option<Duration> {
        self.granted
    }

    pub(crate) fn standby(&self) -> Option<(Process, Duration)> {
        self.standby
    }

    pub(crate) fn proposal(&self) -> Option<Proposal> {
        self.proposal
    }

    /// Remembers when a request was sent. A voter ignores a number that is not above the last one,
    /// so numbers only rise.
    pub(crate) fn sent(&mut self, sequence: u64, now: HolderTime, ballot: Option<u64>) {
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(Request { sequence, sent: now, ballot });
    }

    /// Remembers a Poll.
    pub(crate) fn sent_poll(&mut self, sequence: u64, now: HolderTime) {
        self.sent(sequence, now, None);
        self.open_poll = Some((sequence, now));
    }

    /// Whether nothing was asked yet.
    pub(crate) fn is_unasked(&self) -> bool {
        self.requests.is_empty() && self.answered_request.is_none()
    }

    /// When the newest Poll was sent, if it is unanswered.
    pub(crate) fn unanswered_poll(&self) -> Option<HolderTime> {
        self.open_poll.map(|(_, sent)| sent)
    }

    /// Notes an answer and returns when its request was sent: none if there was no such
    /// request, or it was answered before. `ballot` must be the request's own.
    fn answer(
        &mut self,
        sequence: u64,
        ballot: Option<u64>,
        now: HolderTime,
    ) -> Option<HolderTime> {
        let position = self
            .requests
            .iter()
            .position(|request| request.sequence == sequence && request.ballot == ballot)?;
        // Only this one: an earlier request may still be on its way through the voter's disk.
        let sent = self.requests.remove(position)?.sent;
        if self.open_poll.is_some_and(|(open, _)| open <= sequence) {
            self.open_poll = None;
        }
        self.answered_request = self.answered_request.max(Some(sent));
        self.answered = Some(now);
        // A claim's answer waits for the voter's disk.
        if ballot.is_none() || self.granted.is_some() {
            self.round_trip.note(now.since(sent));
        }
        Some(sent)
    }

    /// An answer to a Poll or a Probe, or a refusal of an Acquire. Returns when it was asked for,
    /// if it was.
    pub(crate) fn heard(
        &mut self,
        sequence: u64,
        ballot: Option<u64>,
        now: HolderTime,
    ) -> Option<HolderTime> {
        self.answer(sequence, ballot, now)
    }

    /// The voter says how it stands. A status that is older than the last one is ignored:
    /// a late answer to a poll must not erase a newer notice of vacancy. `asked`: when the poll
    /// was sent that this answers, if it does.
    pub(crate) fn stands(
        &mut self,
        boot: Boot,
        status: &VoterStatus,
        asked: Option<HolderTime>,
        now: HolderTime,
    ) -> bool {
        match self.boot {
            Some(known) if known == boot => {
                if status.sequence <= self.status_sequence {
                    return false;
                }
            }
            Some(known) => {
                // The clock of a machine may be behind. Whoever answers what was asked after the
                // other process was known is alive after it.
                let lives = asked.is_some_and(|asked| asked > self.boot_since)
                    && !mutant::is(Mutant::StartsOrderedByClock);
                if boot.start < known.start && !lives {
                    return false;
                }
                self.reboot(boot, now);
            }
            None => self.reboot(boot, now),
        }
        self.status_sequence = status.sequence;
        self.status = Some((status.clone(), now));
        true
    }

    /// The voter is another process now. What it said before is void; what it granted before
    /// is not, for it waits that out.
    pub(crate) fn reboot(&mut self, boot: Boot, now: HolderTime) {
        if self.boot != Some(boot) {
            self.boot = Some(boot);
            self.boot_since = now;
            self.status = None;
            self.status_sequence = 0;
            self.stamp = None;
            // Whatever it granted before, it may have forgotten as a process that was to learn.
            self.grants_in_a_row = 0;
        }
    }

    /// A grant: it counts from the moment *its own* request was sent. The boot may be older
    /// than the one known: that voter waits out what it granted before. Returns whether it
    /// was expected.
    pub(crate) fn granted(
        &mut self,
        grant: &Grant,
        lease: Duration,
        stamp: ConfigurationStamp,
        now: HolderTime,
    ) -> bool {
        let newest = self.requests.back().map_or(now, |request| request.sent);
        let Some(mut sent) = self.answer(grant.sequence, Some(grant.ballot), now) else {
            return false;
        };
        if mutant::is(Mutant::GrantCountedFromReceipt) {
            sent = now;
        }
        if mutant::is(Mutant::GrantMatchedToNewestRequest) {
            sent = newest;
        }
        if self.counted_until <= now {
            self.grants_in_a_row = 0;
        }
        self.grants_in_a_row = (self.grants_in_a_row + 1).min(GRANTS_SETTLED);
        self.granted_under = Some(stamp);
        let counted = if mutant::is(Mutant::NoDriftMargin) { lease } else { counted(lease) };
        self.counted_until = self.counted_until.max(sent.plus(counted));
        self.granted = Some(lease);
        self.standby = grant.standby;
        self.proposal = grant.lineage;
        self.leaves = grant.leaves;
        self.status = None;
        true
    }

    /// Grants count no more: the tenure ended.
    pub(crate) fn forget_grants(&mut self) {
        self.counted_until = HolderTime(0);
        self.granted = None;
        self.standby = None;
        self.proposal = None;
        self.granted_under = None;
        self.grants_in_a_row = 0;
        self.leaves = false;
        self.requests.retain(|request| request.ballot.is_none());
    }

    /// The last word on its standing that came after `since`.
    pub(crate) fn standing(&self, since: HolderTime) -> Option<&VoterStatus> {
        let (status, received) = self.status.as_ref()?;
        (*received >= since).then_some(status)
    }
}

#[cfg(feature = "simulation")]
impl VoterProgress {
    /// See [`crate::election::Election::numbers`].
    pub(crate) fn numbers(
        &mut self,
        me: Process,
        visit: &mut crate::election::fingerprint::Visitor<'_>,
    ) {
        use crate::election::fingerprint::Counter;
        let requests = Counter::Requests(me);
        self.requests.iter_mut().for_each(|request| visit(requests, &mut request.sequence));
        if let Some((sequence, _)) = &mut self.open_poll {
            visit(requests, sequence);
        }
        if let Some(voter) = self.process() {
            visit(Counter::Statuses(voter), &mut self.status_sequence);
            if let Some((status, _)) = &mut self.status {
                visit(Counter::Statuses(voter), &mut status.sequence);
            }
        }
    }

    /// See [`crate::election::Election::forget_requests`].
    pub(crate) fn forget_requests(&mut self, awaited: &dyn Fn(u64) -> bool) {
        self.requests.retain(|request| awaited(request.sequence));
    }
}
