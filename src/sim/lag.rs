//! Time passes between reading the clock, deciding, and doing what was decided: a process is not
//! on a processor all the time, and nothing tells it when it is not.
//!
//! Meanwhile nothing is handled, what was decided is not seen by anybody, and if the process dies
//! it is never done.

use super::network::Packet;
use super::world::{Happening, World};

/// So many times in a thousand a process that lags lets time pass.
const OFTEN: u32 = 200;

impl World {
    /// Does what a process has just decided, or lets time pass first.
    pub(super) fn conclude(&mut self, index: usize, repeated: Option<&Packet>) {
        let host = &mut self.hosts[index];
        let most = host.lag;
        if most == 0 || repeated.is_some() || !self.streams.process.chance(OFTEN) {
            return self.take_effects(index, repeated);
        }
        let at = self.now + self.streams.process.between(1, most);
        if let Some(running) = &mut host.running {
            running.decided = Some(host.clocks.now(self.now));
            running.busy_until = running.busy_until.max(at);
        }
        let epoch = host.epoch;
        self.coverage.count("lag");
        self.schedule(at, Happening::CatchUp { host: index, epoch });
    }

    /// What was decided a while ago is done now.
    pub(super) fn catch_up(&mut self, index: usize, epoch: u32) {
        let host = &mut self.hosts[index];
        if host.epoch != epoch || host.frozen {
            return;
        }
        if host.running.as_ref().is_some_and(|running| running.decided.is_some()) {
            self.take_effects(index, None);
            if let Some(running) = &mut self.hosts[index].running {
                running.decided = None;
            }
        }
    }
}
