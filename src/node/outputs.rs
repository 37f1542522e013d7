//! What a node wants done, in order, and what is counted on the way.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::drained::DrainAnswer;
use super::step_down::{StepDownError, SteppedDown};
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::inspection::TableSize;
use crate::vocabulary::snapshot::Counters;
use crate::vocabulary::work::EndOfWork;
use crate::wire::record::Record;

/// Outputs are drained after every input, so more than this at once is a flood of our own.
const OUTPUTS_MAX: usize = 4096;

/// What a node wants done. Order matters: outputs are carried out in the order given.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram. If that fails, say so with [`super::NodeCore::handle_send_failure`].
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// What.
        datagram: Vec<u8>,
    },
    /// Make a record durable, without blocking, and answer with
    /// [`super::NodeCore::handle_stored`]. At most one is under way at any time.
    Store {
        /// To be given back.
        ticket: u64,
        /// What.
        record: Box<Record>,
    },
    /// Look up host names, without blocking, and answer with
    /// [`super::NodeCore::handle_resolved`].
    Resolve(Vec<String>),
    /// Something happened.
    Event(Event),
    /// Tell whoever works under the lease that it is to end; [`super::NodeCore::end_work`] says
    /// that it has.
    EndWork(EndOfWork),
    /// The answer to every order to step down that was accepted since the last such answer.
    SteppedDown(Result<SteppedDown, StepDownError>),
    /// The answer to every order to drain the node, or to end that, that is answered now.
    Drained(DrainAnswer),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Outputs {
    queue: VecDeque<Output>,
    counters: Counters,
    /// Rises with every change of what the node shows of itself.
    index: u64,
}

impl Outputs {
    pub(super) fn new() -> Self {
        Self { queue: VecDeque::new(), counters: Counters::default(), index: 1 }
    }

    pub(super) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(super) fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.event(Event::Warning(warning));
    }

    /// What the node shows of itself has changed.
    pub(super) fn note_change(&mut self) {
        self.index += 1;
    }

    pub(super) fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The same, to count something.
    pub(super) fn count(&mut self) -> &mut Counters {
        &mut self.counters
    }

    pub(super) fn table(&self) -> TableSize {
        TableSize { name: "outputs", size: self.queue.len(), size_max: OUTPUTS_MAX }
    }
}
