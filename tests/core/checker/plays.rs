//! Beginnings and faults, chosen so that each part of the election is gone through as deep as
//! its own states allow.

use gaggle::sim::exhaustive::model::{Bounds, Opening};

/// A named model.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) name: &'static str,
    /// What the large run goes through.
    pub(crate) bounds: Bounds,
    /// What the tests go through.
    pub(crate) small: Bounds,
}

impl Play {
    /// Changes one bound by its name. Returns whether there is one of that name.
    #[allow(dead_code, reason = "the tests take the bounds as they are")]
    pub(crate) fn set(&mut self, name: &str, number: u32) -> bool {
        let bounds = &mut self.bounds;
        let bound = match name {
            "waits" => &mut bounds.waits,
            "repeats" => &mut bounds.repeats,
            "crashes" => &mut bounds.crashes,
            "wipes" => &mut bounds.wipes,
            "failures" => &mut bounds.failures,
            "step-downs" => &mut bounds.step_downs,
            "holds" => &mut bounds.holds,
            "messages" => {
                bounds.envelopes = number as usize;
                return true;
            }
            _ => return false,
        };
        *bound = number;
        true
    }
}

/// All of them.
pub(crate) fn plays() -> Vec<Play> {
    let play = |name, bounds: Bounds, waits| {
        let small = Bounds { waits, ..bounds.clone() };
        Play { name, bounds, small }
    };
    let some = Bounds::default;
    let bursts = || Bounds { bursts: true, envelopes: 2, notices: true, ..some() };
    vec![
        // Message by message: two contenders, one vacancy; who gets which voter, and what a late
        // or repeated grant is worth.
        play("rivalry", Bounds { envelopes: 4, repeats: 1, waits: 2, ..some() }, 1),
        // Message by message: a Goose hands over, steps down or leaves; certificates and releases
        // go astray.
        play(
            "releases",
            Bounds { envelopes: 2, opening: Opening::Reign, step_downs: 1, waits: 1, ..some() },
            0,
        ),
        // Message by message: claims over slow and failing disks, and a crash meanwhile.
        play("disks", Bounds { envelopes: 3, slow_disks: true, crashes: 1, waits: 1, ..some() }, 0),
        // Exchanges: empty disks, writes that take their time, a restart in the midst of it.
        play(
            "founding",
            Bounds {
                opening: Opening::Founding,
                slow_disks: true,
                crashes: 1,
                waits: 2,
                ..bursts()
            },
            0,
        ),
        // Exchanges: a disk is emptied at any moment of the founding or after it.
        play(
            "wipe",
            Bounds { opening: Opening::Founding, crashes: 1, wipes: 1, waits: 4, ..bursts() },
            1,
        ),
        // Exchanges: a Goose reigns, and a voter loses its record. It asks all others.
        play(
            "lost record",
            Bounds { opening: Opening::Reign, crashes: 1, wipes: 1, waits: 5, ..bursts() },
            2,
        ),
        // Exchanges: the same with two voters, who make up for each other.
        play(
            "lost record of two",
            Bounds {
                voters: 2,
                opening: Opening::Reign,
                crashes: 2,
                wipes: 1,
                holds: 1,
                waits: 6,
                ..bursts()
            },
            2,
        ),
        // Exchanges: a Goose reigns while processes crash.
        play("restarts", Bounds { opening: Opening::Reign, crashes: 1, waits: 4, ..bursts() }, 1),
        // Exchanges: the same, and the Goose asks for longer leases than the others would.
        play(
            "mixed leases",
            Bounds { opening: Opening::Reign, mixed: true, crashes: 1, waits: 4, ..bursts() },
            1,
        ),
        // Exchanges: a Goose hands over; a voter crashes, certificates arrive late.
        play(
            "certificates",
            Bounds {
                opening: Opening::Reign,
                step_downs: 1,
                crashes: 1,
                holds: 1,
                waits: 2,
                ..bursts()
            },
            0,
        ),
        // Exchanges: a Goose is gone, the others would lead, disks are slow, messages late.
        play(
            "succession",
            Bounds {
                contenders: 3,
                opening: Opening::Orphaned,
                slow_disks: true,
                crashes: 1,
                holds: 1,
                waits: 2,
                ..bursts()
            },
            1,
        ),
    ]
}
