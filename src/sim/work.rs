//! Work under the lease of a simulated process: it begins and ends when a script says so, and the
//! judge looks at everything that its process sends meanwhile.

use super::checks::Invariant;
use super::network::Packet;
use super::world::World;
use crate::vocabulary::identity::Process;
use crate::vocabulary::message::{AcquireKind, Message};
use crate::vocabulary::work::{EndOfWork, WorkRefused};

impl World {
    /// Somebody begins to work under the lease that the process of a node shows. Returns its
    /// term; none if no process runs there or it shows none.
    ///
    /// # Errors
    /// As the process says.
    pub fn begin_work(&mut self, index: usize) -> Result<Option<u64>, WorkRefused> {
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.now);
        let Some(running) = &mut host.running else { return Ok(None) };
        let Some(lease) = running.core.lease() else { return Ok(None) };
        let ending = running.core.ending();
        if let Err(refused) = running.core.begin_work(now, lease.term) {
            // Whatever was due meanwhile is done all the same, and shown before it is.
            self.observe(index, None);
            self.drain(index);
            return Err(refused);
        }
        running.work.term = lease.term;
        running.work.alive += 1;
        if let Some(ending) = ending {
            let sentence = format!("work began under term {} after {ending:?}", lease.term);
            self.broken(Invariant::StopThenRelease, sentence);
        }
        self.take_effects(index, None);
        Ok(Some(lease.term))
    }

    /// Some work under the lease of the process of a node has ended.
    pub fn end_work(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let now = host.clocks.now(self.now);
        let Some(running) = &mut host.running else { return };
        if running.work.alive == 0 {
            return;
        }
        running.work.alive -= 1;
        running.core.end_work(now);
        self.take_effects(index, None);
    }

    pub(super) fn asked_to_end(&mut self, index: usize, end: EndOfWork) {
        if let Some(running) = &mut self.hosts[index].running {
            running.work.asked = Some(end);
        }
    }

    /// While work is alive nothing of its process's is released or handed over, and the process
    /// claims nothing.
    pub(super) fn judge_work(&mut self, from: usize, packet: &Packet) {
        let Some((_, message)) = &packet.content else { return };
        let Some(running) = &self.hosts[from].running else { return };
        if running.work.alive == 0 {
            return;
        }
        let own = |process: Process| process == running.process;
        let what = match message {
            Message::Release { release, .. } if own(release.holder) => "releases",
            Message::Handover(release) if own(release.holder) => "hands over",
            Message::Acquire(acquire) if acquire.kind == AcquireKind::Claim => "claims",
            _ => return,
        };
        let sentence =
            format!("{} {what} while work of term {} is alive", running.process, running.work.term);
        self.broken(Invariant::StopThenRelease, sentence);
    }
}
