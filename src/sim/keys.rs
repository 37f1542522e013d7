//! Keys, and how a cluster moves from one to the next.
//!
//! A new key is first added everywhere behind the old one, then put first everywhere, then the
//! old one is removed everywhere. So nodes that are one stage apart understand each other, and
//! nobody begins a stage before everybody has reached the one before.

use super::world::World;
use crate::vocabulary::seal::{KEY_SIZE, KeyRing};

/// The keys of stage `stage`: one key, that and the next, the next and that, the next alone.
pub(super) fn ring(stage: u8) -> Option<KeyRing> {
    let key = |number: u8| [number + 1; KEY_SIZE];
    let old = stage / 3;
    let secrets = match stage % 3 {
        0 => vec![key(old)],
        1 => vec![key(old), key(old + 1)],
        _ => vec![key(old + 1), key(old)],
    };
    KeyRing::new(secrets).ok()
}

impl World {
    /// Moves the keys of host `index` one stage on, if all others are as far as it is. What runs
    /// there goes on with the keys that it has. Returns whether it did.
    pub(super) fn advance_keys(&mut self, index: usize) -> bool {
        let stage = self.hosts[index].key_stage;
        let last = self.hosts.iter().any(|host| host.key_stage < stage);
        if last || self.hosts[index].setup.keys.is_none() || stage == u8::MAX / 2 {
            return false;
        }
        let host = &mut self.hosts[index];
        host.key_stage += 1;
        host.setup.keys = ring(host.key_stage);
        true
    }

    /// A node is told the next keys while it runs.
    pub(super) fn rotate_keys(&mut self, index: usize) {
        // A process that sleeps is told nothing.
        let host = &self.hosts[index];
        let sleeps = host.running.is_some() && !host.is_attentive(self.now);
        if sleeps || !self.advance_keys(index) {
            return;
        }
        let host = &mut self.hosts[index];
        if let (Some(running), Some(keys)) = (&mut host.running, host.setup.keys.clone()) {
            running.core.rotate_keys(keys);
            running.keys.clone_from(&host.setup.keys);
            self.take_effects(index, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::seal::{NONCE_SIZE, open};

    #[test]
    fn neighbouring_stages_understand_each_other_and_distant_ones_do_not() {
        let opens = |to: u8, from: u8| {
            let sealed = ring(from).unwrap().seal([1; NONCE_SIZE], 1, b"honk").unwrap();
            open(ring(to).as_ref(), &sealed).is_ok()
        };
        for stage in 0..12 {
            assert!(opens(stage, stage + 1) && opens(stage + 1, stage), "stage {stage}");
        }
        assert!(!opens(3, 0) && !opens(0, 3));
    }
}
