//! What the rules of a script ([`super::interceptor`]) do to the messages of a run.

use std::rc::Rc;

use super::interceptor::{Interception, Kept};
use super::world::{Happening, Tale, World};

impl World {
    /// Applies the script's rules to a message of `from`. Returns whether it goes no further.
    pub(super) fn intercept(&mut self, from: usize, envelope: &Kept) -> bool {
        let interception = self.interceptor.interception(from, envelope.to, &envelope.packet);
        if matches!(interception, Some(Interception::Hold | Interception::Copy)) {
            self.interceptor.kept.push(envelope.clone());
        }
        let stays = matches!(interception, Some(Interception::Lose | Interception::Hold));
        if self.interceptor.tells(&envelope.packet) {
            let (to, packet) = (envelope.to, Rc::clone(&envelope.packet));
            let fate =
                if self.network.is_cut(from, to) { Some(Interception::Lose) } else { interception };
            self.tell(Some(from), Tale::Sent { to, packet, fate });
        }
        stays
    }

    /// One kept message arrives after `delay` nanoseconds, whatever the links are like.
    pub fn deliver_kept(&mut self, envelope: &Kept, delay: u64) {
        let Kept { to, address, source, packet } = envelope.clone();
        let arrival = Happening::Arrive { to, address, from: source, packet };
        self.schedule(self.now + delay, arrival);
    }
}
