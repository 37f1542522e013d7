//! The one task that owns the core.
//!
//! It waits for whichever comes first: a datagram, the core's deadline, the disk, a name that
//! was looked up, or an order. It hands that to the core with the clocks read *after* it
//! arrived, publishes what the core then shows of itself, and only then carries the core's
//! outputs out: nobody hears of a release while `is_goose` still says yes.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::clock::Clock;
use super::handle::{Departure, Shared};
use super::history::{self, History};
use super::journal;
use super::last_will_sender::LastWillSender;
use super::order::{Answer, DrainReply, Order};
use super::own_address::OwnAddress;
use super::socket::{Endpoint, RECEIVE_SIZE};
use super::store::{Stored, Writer};
use super::timer::Timer;
use super::work::{Asked, Permit, Word};
use crate::node::{NodeCore, Output};
use crate::vocabulary::event::Event;
use crate::vocabulary::time::{HolderTime, Now};
use crate::vocabulary::work::EndOfWork;

/// Datagrams handled before anything else gets a turn.
const BATCH: usize = 64;
/// Orders and words obeyed before the socket gets a turn.
const OBEYED_MAX: usize = 16;
/// Names are looked up for this long at most.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);
/// So many addresses of one name are used.
const ADDRESSES_MAX: usize = 256;
/// At the end, a write that is under way is waited for so long: a disk that takes longer hangs,
/// and may do so for ever.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Counters and the like are published this often at most.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(20);
/// With nothing scheduled the driver still looks at the clock this often. [`super::pulse::LIMIT`]
/// rests on it.
const IDLE: Duration = Duration::from_secs(1);

/// Seeds' names, and what was found behind each.
pub(super) type LookedUp = Vec<(String, journal::Found)>;

/// Everything the task owns.
pub(super) struct Driver {
    pub(super) core: NodeCore,
    pub(super) socket: Endpoint,
    pub(super) timer: Timer,
    pub(super) writer: Writer,
    pub(super) stored: mpsc::UnboundedReceiver<Stored>,
    pub(super) orders: mpsc::Receiver<Order>,
    /// What needs no answer, and the other end of the line, for those who work.
    pub(super) words: (mpsc::UnboundedSender<Word>, mpsc::UnboundedReceiver<Word>),
    /// What those who work are told.
    pub(super) asked: watch::Sender<Asked>,
    /// Who waits for an order to step down that was accepted.
    pub(super) waiting: Vec<Answer>,
    /// Who waits for an order to drain the node, or to end that: what each has asked for.
    pub(super) draining: Vec<(bool, DrainReply)>,
    /// Orders and words obeyed since the socket was last looked at.
    pub(super) obeyed: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) resolved: (mpsc::Sender<LookedUp>, mpsc::Receiver<LookedUp>),
    pub(super) journal: journal::Journal,
    pub(super) published: Published,
    pub(super) own_address: OwnAddress,
    pub(super) last_will_sender: Option<Box<dyn LastWillSender>>,
    /// The writing thread has died, and the core knows.
    pub(super) store_lost: bool,
}

/// What was last published, to see whether it changed.
#[derive(Debug, Default)]
pub(super) struct Published {
    index: u64,
    at: HolderTime,
    ending: Option<EndOfWork>,
    /// When the lease that was published last runs out, or ran out.
    deadline: HolderTime,
    /// The term of the lease, if there is one.
    term: Option<u64>,
    /// The last term that is over, and since when. Stamped before anybody can hear of it, so that it is
    /// over in this node's history before the next one begins in another's.
    over: Option<(u64, Now)>,
}

impl Driver {
    /// Runs until the node has left, and says how.
    pub(super) async fn run(mut self) -> Departure {
        let mut buffer = Box::new([0_u8; RECEIVE_SIZE]);
        loop {
            self.carry_out();
            self.confide();
            let now = self.clock.now();
            self.shared.stamp.beat(now.holder);
            if self.core.has_left(now) {
                break;
            }
            let pause = self.core.poll_timeout(now).unwrap_or(IDLE).min(IDLE);
            self.timer.set(now.holder, pause);
            self.wait(&mut buffer).await;
            self.shared.stamp.came_late(self.clock.holder().since(now.holder.plus(pause)));
        }
        self.publish(true);
        let departure = if self.core.leaves_without_release() {
            Departure::WorkGoesOn
        } else {
            self.core.misled().map_or(Departure::Released, Departure::Misled)
        };
        // The state folder is unlocked once the writing thread is done: whoever waits for the
        // end of this node may start the next one in the same folder.
        drop(self.writer);
        let closed = async { while self.stored.recv().await.is_some() {} };
        if timeout(CLOSE_PATIENCE, closed).await.is_err() {
            tracing::warn!(
                "the last write to the state folder was not confirmed within {CLOSE_PATIENCE:?}: \
                 ending without it. Nothing was granted on it"
            );
        }
        departure
    }

    /// Waits for one input and hands it to the core.
    async fn wait(&mut self, buffer: &mut [u8; RECEIVE_SIZE]) {
        tokio::select! {
            biased;
            stored = self.stored.recv(), if !self.store_lost => match stored {
                Some(Stored { ticket, outcome }) => {
                    self.core.handle_stored(self.clock.now(), ticket, outcome);
                }
                // It lives as long as the writer here does, unless it has died.
                None => self.lose_store(),
            },
            // Before the socket: a flood would put them off for ever. And a program that begins
            // and ends work without a pause must not put the socket off.
            Some(word) = self.words.1.recv(), if self.obeyed < OBEYED_MAX => self.listen(word),
            Some(order) = self.orders.recv(), if self.obeyed < OBEYED_MAX => self.obey(order),
            () = std::future::ready(()), if self.obeyed >= OBEYED_MAX => self.receive(buffer),
            Some(names) = self.resolved.1.recv() => self.take_names(&names),
            () = self.socket.readable() => self.receive(buffer),
            () = self.timer.expired() => self.core.handle_timeout(self.clock.now()),
        }
    }

    fn receive(&mut self, buffer: &mut [u8; RECEIVE_SIZE]) {
        self.obeyed = 0;
        for _ in 0..BATCH {
            let Some((length, from)) = self.socket.try_receive(buffer) else { break };
            self.core.handle_datagram(self.clock.now(), from, &buffer[..length]);
            self.carry_out();
        }
        // A flood must not put off what is due.
        self.core.handle_timeout(self.clock.now());
    }

    fn lose_store(&mut self) {
        self.store_lost = true;
        self.core.handle_store_lost(self.clock.now());
    }

    fn obey(&mut self, order: Order) {
        self.obeyed += 1;
        let now = self.clock.now();
        match order {
            Order::StepDown { to, hold, reply } => match self.core.step_down(now, to, hold) {
                Ok(()) => {
                    self.waiting.retain(|waiting| !waiting.is_closed());
                    self.waiting.push(reply);
                }
                // Whoever asked may have gone.
                Err(error) => _ = reply.send(Err(error)),
            },
            Order::Drain { is_drained, reply } => match self.core.drain(now, is_drained) {
                Ok(()) => {
                    self.journal.drained(is_drained);
                    self.draining.retain(|(_, waiting)| !waiting.is_closed());
                    self.draining.push((is_drained, reply));
                }
                // Whoever asked may have gone.
                Err(error) => _ = reply.send(Err(error)),
            },
            Order::Pause { lasts, reply } => {
                let outcome = self.core.pause(now, lasts);
                self.publish(true);
                // Whoever asked may have gone; the order stands.
                let _ = reply.send(outcome);
            }
            Order::Voters { order, reply } => {
                let outcome = self.core.change_voters(now, &order);
                self.publish(true);
                // Whoever asked may have gone; the order stands.
                let _ = reply.send(outcome);
            }
            Order::BeginWork { term, reply } => {
                let permit = self
                    .core
                    .begin_work(now, term)
                    .map(|()| Permit::new(term, self.asked.subscribe(), self.words.0.clone()));
                // If whoever asked has gone, the permit is dropped, and so the work has ended.
                let _ = reply.send(permit);
            }
            Order::Forget { id, reply } => {
                let outcome = self.core.forget(now, id);
                self.publish(true);
                // Whoever asked may have gone; the order stands.
                let _ = reply.send(outcome);
            }
            Order::Change(change) => self.apply(change),
        }
    }

    fn listen(&mut self, word: Word) {
        self.obeyed += 1;
        let now = self.clock.now();
        match word {
            Word::WorkEnded => self.core.end_work(now),
            Word::Abdicated(term) => self.core.abdicate(now, term),
            Word::Leave => self.core.leave(now),
            Word::Health(by, complaint) => self.core.set_health(now, by, complaint.as_deref()),
        }
    }

    /// Publishes, then does what the core wants done, in order; what is only to be told and
    /// logged comes last, for somebody waits for what is sent and written.
    fn carry_out(&mut self) {
        self.publish(false);
        let mut events = Vec::new();
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Transmit { to, datagram } => {
                    if self.socket.try_send(&datagram, to).is_err() {
                        self.core.handle_send_failure();
                        let gone = self.own_address.gone(self.clock.holder());
                        events.extend(gone.map(Event::Warning));
                    }
                }
                Output::Store { ticket, record } => {
                    if self.writer.write(ticket, record).is_err() {
                        self.lose_store();
                    }
                }
                Output::Resolve(names) => self.resolve(names),
                Output::Event(event) => events.push(event),
                Output::EndWork(end) => self.asked.send_modify(|asked| {
                    *asked = Asked { number: asked.number + 1, end: Some(end) };
                }),
                Output::SteppedDown(outcome) => {
                    for reply in self.waiting.drain(..) {
                        // Whoever asked may have gone; the order stands.
                        let _ = reply.send(outcome);
                    }
                }
                Output::Drained(answer) => {
                    for (_, reply) in self.draining.extract_if(.., |(it, _)| *it == answer.asked) {
                        // Whoever asked may have gone; the order stands.
                        let _ = reply.send(answer.outcome);
                    }
                }
            }
        }
        for event in events {
            self.remember(&event);
            // Nobody may be listening.
            let _ = self.shared.events.send(event);
        }
    }

    /// Logs what happened, and keeps it for those who ask later.
    fn remember(&mut self, event: &Event) {
        let mut now = self.clock.now();
        let members = Arc::clone(&self.shared.snapshots.borrow().members);
        if let Some(words) = self.journal.log(event, now.holder, journal::Names(&members)) {
            if let Event::BecameDuck { term, .. } = event {
                let stamped = self.published.over.filter(|(over, _)| over == term);
                now = stamped.map_or(now, |(_, at)| at);
                now = history::over_at(self.published.deadline, now);
            }
            let index = self.core.index();
            let note = |history: &mut Arc<History>| {
                let history = Arc::make_mut(history);
                history.note(event.clone(), words, index, now);
                history.learn(&members, now);
            };
            self.shared.history.send_modify(note);
        }
    }

    /// Keeps the last will up to date, after everything more urgent.
    fn confide(&mut self) {
        if let Some(last_will_sender) = &mut self.last_will_sender {
            match self.core.poll_last_will() {
                Some(last_will) => last_will_sender.feed(&last_will),
                None => last_will_sender.flush(),
            }
        }
    }

    fn publish(&mut self, force: bool) {
        let lease = self.core.lease();
        let moved = self.shared.lease.publish(lease.map(|lease| (lease.term, lease.deadline.0)));
        if moved && let Some(last_will_sender) = &mut self.last_will_sender {
            let deadline = lease.map_or(HolderTime(0), |lease| lease.deadline);
            last_will_sender.renewed(self.shared.lease.led(), deadline);
        }
        let term = lease.map(|lease| lease.term);
        if let Some(last) = self.published.term.filter(|last| Some(*last) != term) {
            let over = history::over_at(self.published.deadline, self.clock.now());
            self.published.over = Some((last, over));
        }
        self.published.term = term;
        let deadline = lease.map_or(self.published.deadline, |lease| lease.deadline);
        let ending = self.core.ending();
        let moved = moved || ending != self.published.ending;
        let index = self.core.index();
        let now = self.clock.holder();
        let due = now.since(self.published.at) >= PUBLISH_INTERVAL;
        if force || moved || index != self.published.index || due {
            let changed = index != self.published.index;
            let last = &mut self.published;
            (last.index, last.at, last.ending, last.deadline) = (index, now, ending, deadline);
            let snapshot = self.core.snapshot();
            let members = Arc::clone(&snapshot.members);
            self.shared.snapshots.send_replace(Arc::new(snapshot));
            if changed {
                // After the snapshot: whoever waits for an index finds it there.
                let now = self.clock.now();
                let note = |history: &mut Arc<History>| {
                    let history = Arc::make_mut(history);
                    history.index = index;
                    history.learn(&members, now);
                };
                self.shared.history.send_modify(note);
            }
        }
    }

    fn take_names(&mut self, names: &LookedUp) {
        let own = self.core.address();
        for (name, found) in names {
            self.journal.looked_up(name, found, own);
        }
        let found = names.iter().map(|(name, found)| {
            let addresses = found.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
            (name.clone(), addresses)
        });
        let found: Vec<(String, Vec<SocketAddr>)> = found.collect();
        self.core.handle_resolved(self.clock.now(), &found);
    }

    /// Looks the names up side by side: one without an answer holds up no other.
    fn resolve(&self, names: Vec<String>) {
        let answers = self.resolved.0.clone();
        let look_up: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let look_ups: Vec<_> =
                names.into_iter().map(|name| tokio::spawn(look_up(name))).collect();
            let mut found = Vec::new();
            for look_up in look_ups {
                found.extend(look_up.await);
            }
            // A full queue means that earlier answers are waiting already.
            let _ = answers.try_send(found);
        });
        tokio::spawn(look_up);
    }
}

/// The addresses behind one name, or why there are none.
async fn look_up(name: String) -> (String, Result<Vec<SocketAddr>, String>) {
    let addresses = match timeout(RESOLVE_PATIENCE, tokio::net::lookup_host(&name)).await {
        Ok(Ok(addresses)) => Ok(addresses.take(ADDRESSES_MAX).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {RESOLVE_PATIENCE:?}")),
    };
    (name, addresses)
}
