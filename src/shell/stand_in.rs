//! A node that does what a test says, in the place of one that holds a lease: the same handle, with
//! nobody behind it that speaks with others.
//!
//! ```text
//! test ── grant, freeze, revoke, hand over ──▶ StandIn ──▶ what is published
//! code under test ── Handle ── orders, words ──▶ task ───────┘
//! ```
//!
//! It renews its lease as a Goose does, on the clock of the tokio runtime, and keeps the rules that code
//! under test can see: work is asked to end and waited for before a term is given away, nothing begins
//! under a term that is about to end, and terms only rise. What it says of voters and members is made
//! up, and orders about them are refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::clock::Clock;
use super::handle::{Departure, Handle, Shared};
use super::history::History;
use super::order::{Answer, Order};
use super::published_lease::PublishedLease;
use super::pulse::Stamp;
use super::work::{Asked, Permit, Word};
use crate::node::setup::Setup;
use crate::node::{Drained, NodeCore, NotLeading, Paused, StepDownError, SteppedDown};
use crate::vocabulary::configuration::Configuration;
use crate::vocabulary::event::{DemotionReason, ElectionReason, Event};
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::{Boot, Process};
use crate::vocabulary::snapshot::{KnownGoose, Lease, Phase, Snapshot, VotersView};
use crate::vocabulary::time::HolderTime;
use crate::vocabulary::timing::counted;
use crate::vocabulary::work::{EndOfWork, EndReason, WorkRefused};
use crate::wire::record::Disk;

/// Orders that may wait at once, and events that a reader may be behind.
const ORDERS_MAX: usize = 16;
const EVENTS_MAX: usize = 256;

/// Another node, which may be Goose in its place.
#[derive(Clone, Debug)]
pub struct Other {
    /// Which process.
    pub process: Process,
    /// Where it is.
    pub address: std::net::SocketAddr,
}

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub struct StandIn {
    inner: Arc<Mutex<Inner>>,
    news: Arc<tokio::sync::Notify>,
}

#[derive(Debug)]
struct Inner {
    setup: Setup,
    other: Other,
    snapshot: Snapshot,
    shared: Arc<Shared>,
    asked: watch::Sender<Asked>,
    words: mpsc::UnboundedSender<Word>,
    ended: Option<watch::Sender<Option<Departure>>>,
    /// Pieces of work that have begun and not ended.
    works: usize,
    is_frozen: bool,
    renew_at: HolderTime,
    /// Who waits for the end of the term.
    waiting: Vec<Answer>,
    /// Whether somebody else leads once the term has ended.
    is_handed_over: bool,
    clock: Clock,
}

impl StandIn {
    /// One that is a Duck and knows no Goose, on the current runtime; and the handle to it. `voters`
    /// is what it says of them.
    ///
    /// # Errors
    /// If the setup makes no node.
    pub fn start(
        setup: Setup,
        other: Other,
        voters: Configuration,
    ) -> Result<(Self, Handle), crate::node::StartError> {
        let clock = Clock::Runtime(Instant::now());
        let mut snapshot = NodeCore::new(setup.clone(), Disk::Ephemeral, clock.now())?.snapshot();
        snapshot.phase = Phase::Serving;
        snapshot.term = 0;
        snapshot.voters =
            Some(VotersView { configuration: voters, voters: Vec::new(), awaited: Vec::new() });
        let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
        let (words, said) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(None);
        let history = History::new(snapshot.process, snapshot.address, snapshot.started);
        let shared = Arc::new(Shared {
            lease: PublishedLease::new(),
            dismissed: watch::Sender::new(false),
            stamp: Stamp::new(clock.holder()),
            snapshots: watch::Sender::new(Arc::new(snapshot.clone())),
            events: broadcast::Sender::new(EVENTS_MAX),
            history: watch::Sender::new(Arc::new(history)),
        });
        let inner = Inner {
            setup,
            other,
            snapshot,
            shared: Arc::clone(&shared),
            asked: watch::Sender::new(Asked::default()),
            words: words.clone(),
            ended: Some(end),
            works: 0,
            is_frozen: false,
            renew_at: HolderTime::NEVER,
            waiting: Vec::new(),
            is_handed_over: false,
            clock,
        };
        let stand_in =
            Self { inner: Arc::new(Mutex::new(inner)), news: Arc::new(tokio::sync::Notify::new()) };
        tokio::spawn(stand_in.clone().live(order_queue, said));
        Ok((stand_in, Handle { shared, orders, words, ended, clock }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere cannot have left it half written.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let outcome = change(&mut self.lock());
        self.news.notify_one();
        outcome
    }

    /// It is Goose from here on, if it is not, of a term above all before; returns its term.
    pub fn grant(&self) -> u64 {
        self.change(Inner::grant)
    }

    /// It renews nothing from here on, as if its process were frozen: the lease runs out by itself. Or
    /// it does again: what is left of the lease goes on.
    pub fn set_frozen(&self, is_frozen: bool) {
        self.change(|inner| {
            inner.is_frozen = is_frozen;
            inner.renew_at = inner.clock.holder();
        });
    }

    /// The lease is over at this moment, and nobody was asked.
    pub fn revoke(&self) {
        self.change(|inner| inner.lapse(DemotionReason::Suspended));
    }

    /// Another node is Goose from here on, of a term above all before; returns it. If this one is Goose,
    /// its lease is over at this moment.
    pub fn elect_other(&self) -> u64 {
        self.change(|inner| {
            inner.lapse(DemotionReason::Suspended);
            inner.follow_other()
        })
    }

    /// Nobody is known to lead, but this node itself.
    pub fn forget_goose(&self) {
        self.change(|inner| {
            if inner.snapshot.lease.is_none() {
                inner.know(None);
            }
        });
    }

    /// Ends as a node does that met a bug of its own: nothing is renewed or answered any more.
    pub fn fail(&self) {
        self.change(|inner| inner.ended = None);
    }

    async fn live(
        self,
        mut orders: mpsc::Receiver<Order>,
        mut words: mpsc::UnboundedReceiver<Word>,
    ) {
        loop {
            let pause = match self.lock().advance() {
                Some(pause) => pause,
                None => return,
            };
            tokio::select! {
                biased;
                Some(word) = words.recv() => self.lock().listen(word),
                Some(order) = orders.recv() => self.lock().obey(order),
                () = sleep(pause) => {}
                () = self.news.notified() => {}
            }
        }
    }
}

impl Inner {
    fn grant(&mut self) -> u64 {
        let now = self.clock.holder();
        if let Some(lease) = self.snapshot.lease_at(now) {
            return lease.term;
        }
        self.lapse(DemotionReason::LeaseLapsed { silent: Vec::new() });
        let term = self.snapshot.term + 1;
        let duration = self.setup.timing.lease;
        let deadline = now.plus(counted(duration));
        self.snapshot.term = term;
        self.snapshot.lease = Some(Lease { term, deadline, duration, since: now });
        self.snapshot.ending = None;
        self.is_frozen = false;
        self.renew_at = now.plus(self.setup.timing.renew_interval);
        self.publish();
        self.tell(Event::BecameGoose { term, reason: ElectionReason::Elected });
        let own = Goose {
            term,
            process: self.snapshot.process,
            address: self.snapshot.address,
            http: None,
        };
        self.know(Some(own));
        term
    }

    /// Does what is due; how long nothing will be. None: it has ended.
    fn advance(&mut self) -> Option<Duration> {
        self.ended.as_ref()?;
        let now = self.clock.holder();
        self.shared.stamp.beat(now);
        let Some(mut lease) = self.snapshot.lease else { return Some(super::pulse::LIMIT / 3) };
        if !lease.is_valid_at(now) {
            self.lapse(DemotionReason::LeaseLapsed { silent: Vec::new() });
            return Some(Duration::ZERO);
        }
        if !self.is_frozen && self.renew_at <= now {
            lease.deadline = now.plus(counted(lease.duration));
            self.snapshot.lease = Some(lease);
            self.renew_at = now.plus(self.setup.timing.renew_interval);
            self.publish();
        }
        let limit = self.snapshot.ending.and_then(|end| end.until);
        if limit.is_some_and(|limit| limit <= now) {
            return self.give_up();
        }
        let renewal = Some(self.renew_at).filter(|_| !self.is_frozen);
        let next = [Some(lease.deadline), renewal, limit].into_iter().flatten().min();
        Some(next.map_or(Duration::ZERO, |next| next.since(now)).min(super::pulse::LIMIT / 3))
    }

    fn listen(&mut self, word: Word) {
        match word {
            Word::WorkEnded => self.works = self.works.saturating_sub(1),
            Word::Abdicated(term) => {
                if self.leads().is_some_and(|lease| lease.term == term) {
                    self.end(EndReason::Abdicated, false);
                }
            }
            Word::Leave => self.leave(),
            Word::Health(_, complaint) => {
                self.snapshot.unhealthy = complaint;
                if self.snapshot.unhealthy.is_some() && self.leads().is_some() {
                    self.end(EndReason::Unhealthy, true);
                }
                self.publish();
            }
        }
        self.finish();
    }

    fn obey(&mut self, order: Order) {
        // Whoever asked may have gone; what was ordered stands.
        match order {
            Order::BeginWork { term, reply } => _ = reply.send(self.begin_work(term)),
            Order::StepDown { reply, .. } => match self.leads() {
                None => _ = reply.send(Err(StepDownError::NotGoose)),
                Some(_) => {
                    self.waiting.push(reply);
                    self.end(EndReason::SteppingDown, true);
                }
            },
            Order::Drain { is_drained, reply } => {
                let is_news = self.snapshot.is_drained != is_drained;
                self.snapshot.is_drained = is_drained;
                if is_drained && self.leads().is_some() {
                    self.end(EndReason::SteppingDown, true);
                }
                self.publish();
                let done = Drained { is_drained, is_news, is_kept: false, ended: None };
                let _ = reply.send(Ok(done));
            }
            Order::Pause { lasts, reply } => {
                let now = self.clock.holder();
                let was_paused = self.snapshot.paused_until.is_some_and(|until| now < until);
                let paused = self.leads().ok_or(NotLeading { goose: None }).map(|lease| Paused {
                    term: lease.term,
                    lasts,
                    was_paused,
                });
                if paused.is_ok() {
                    self.snapshot.paused_until = lasts.map(|lasts| now.plus(lasts));
                    self.publish();
                }
                let _ = reply.send(paused);
            }
            // Dropped without an answer: no such order is taken.
            Order::Voters { .. } | Order::Forget { .. } | Order::Change(_) => {}
        }
        self.finish();
    }

    fn begin_work(&mut self, term: u64) -> Result<Permit, WorkRefused> {
        if self.leads().is_none_or(|lease| lease.term != term) {
            return Err(WorkRefused::NotLeading { term });
        }
        if self.snapshot.ending.is_some() {
            return Err(WorkRefused::Ending { term });
        }
        self.works += 1;
        Ok(Permit::new(term, self.asked.subscribe(), self.words.clone()))
    }

    fn leads(&self) -> Option<Lease> {
        self.snapshot.lease_at(self.clock.holder())
    }

    /// Work is asked to end; once none is left, the term is over.
    fn end(&mut self, reason: EndReason, is_handed_over: bool) {
        let Some(lease) = self.leads() else { return };
        self.is_handed_over |= is_handed_over;
        if self.snapshot.ending.is_some() {
            return;
        }
        let until = self.clock.holder().plus(self.setup.drain_timeout);
        let until = Some(until).filter(|_| reason != EndReason::Abdicated);
        let end = EndOfWork { term: lease.term, reason, until };
        self.snapshot.ending = Some(end);
        self.publish();
        if self.works > 0 {
            self.ask(end);
        }
    }

    fn ask(&mut self, end: EndOfWork) {
        self.asked.send_modify(|asked| *asked = Asked { number: asked.number + 1, end: Some(end) });
    }

    fn leave(&mut self) {
        if self.leads().is_some() {
            self.end(EndReason::Leaving, true);
        } else {
            self.depart(Departure::Released);
        }
    }

    fn depart(&mut self, departure: Departure) {
        if let Some(ended) = &self.ended {
            // Nobody may be waiting.
            let _ = ended.send(Some(departure));
        }
        self.ended = None;
    }

    /// Gives the term away if somebody wants that and no work is left.
    fn finish(&mut self) {
        let Some(end) = self.snapshot.ending.filter(|_| self.works == 0) else { return };
        let reason = match end.reason {
            EndReason::Preempted { by } => DemotionReason::Preempted { by },
            EndReason::Unhealthy => DemotionReason::Unhealthy,
            EndReason::Leaving => DemotionReason::Leaving,
            EndReason::Abdicated | EndReason::SteppingDown | EndReason::LeaseOver => {
                DemotionReason::SteppedDown
            }
        };
        let is_handed_over = std::mem::take(&mut self.is_handed_over);
        self.resign(reason);
        let nominee = is_handed_over.then_some(self.other.process.id);
        for reply in self.waiting.drain(..) {
            let _ = reply.send(Ok(SteppedDown { term: end.term, nominee }));
        }
        if is_handed_over {
            self.follow_other();
        }
        if *self.shared.dismissed.borrow() {
            self.depart(Departure::Released);
        }
    }

    /// The work has not ended in time: the lease is kept.
    fn give_up(&mut self) -> Option<Duration> {
        self.snapshot.ending = None;
        self.is_handed_over = false;
        for reply in self.waiting.drain(..) {
            let _ = reply.send(Err(StepDownError::WorkGoesOn));
        }
        self.publish();
        if *self.shared.dismissed.borrow() {
            self.depart(Departure::WorkGoesOn);
            return None;
        }
        Some(Duration::ZERO)
    }

    /// The lease is over without anybody's having been waited for.
    fn lapse(&mut self, reason: DemotionReason) {
        let Some(lease) = self.snapshot.lease else { return };
        let term = lease.term;
        let end = EndOfWork { term, reason: EndReason::LeaseOver, until: None };
        self.is_handed_over = false;
        self.resign(reason);
        if self.works > 0 {
            self.ask(end);
        }
        for reply in self.waiting.drain(..) {
            let _ = reply.send(Err(StepDownError::Lapsed { term }));
        }
        if *self.shared.dismissed.borrow() {
            self.depart(Departure::Released);
        }
    }

    fn resign(&mut self, reason: DemotionReason) {
        let Some(lease) = self.snapshot.lease.take() else { return };
        self.snapshot.ending = None;
        self.publish();
        self.tell(Event::BecameDuck { term: lease.term, reason });
        self.know(None);
    }

    fn follow_other(&mut self) -> u64 {
        let term = self.snapshot.term + 1;
        self.snapshot.term = term;
        let Other { process, address } = self.other.clone();
        self.know(Some(Goose { term, process, address, http: None }));
        term
    }

    fn know(&mut self, goose: Option<Goose>) {
        let confirmed = self.clock.holder();
        let news = goose.clone();
        self.snapshot.goose =
            goose.map(|goose| KnownGoose { goose, confirmed, expires: HolderTime::NEVER });
        self.snapshot.index += 1;
        self.publish();
        self.tell(Event::GooseChanged(news));
    }

    fn publish(&self) {
        let lease = self.snapshot.lease.map(|lease| (lease.term, lease.deadline.0));
        self.shared.lease.publish(lease);
        self.shared.snapshots.send_replace(Arc::new(self.snapshot.clone()));
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.shared.events.send(event);
    }
}

/// Another process for [`Other`], which is nobody's.
pub fn other_process(id: crate::vocabulary::identity::NodeId) -> Process {
    Process { id, boot: Boot { start: 1, nonce: 1 } }
}
