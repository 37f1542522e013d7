//! Keys, and how a cluster moves from one to the next.
//!
//! A new key is first added everywhere behind the old one, then put first everywhere, then the
//! old one is removed everywhere. So nodes that are one stage apart understand each other, and
//! nobody begins a stage before everybody has reached the one before.

use crate::wire::seal::{KEY_SIZE, KeyRing};

/// The keys of stage `stage`: one key, that and the next, the next and that, the next alone.
pub(in crate::sim) fn ring(stage: u8) -> Option<KeyRing> {
    let key = |number: u8| [number + 1; KEY_SIZE];
    let old = stage / 3;
    let secrets = match stage % 3 {
        0 => vec![key(old)],
        1 => vec![key(old), key(old + 1)],
        _ => vec![key(old + 1), key(old)],
    };
    KeyRing::new(secrets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seal::{NONCE_SIZE, open};

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
