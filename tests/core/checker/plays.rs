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
            "orders" => &mut bounds.orders,
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
    let mut plays = plays_of_fixed_voters();
    plays.extend(plays_of_changes());
    plays
}

fn plays_of_fixed_voters() -> Vec<Play> {
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

/// Voters change. All are played in exchanges, over links that work both ways or not at all. Who
/// votes is told by renewals and polls, and by answers to whoever asks.
fn plays_of_changes() -> Vec<Play> {
    let changing = Bounds {
        bursts: true,
        envelopes: 2,
        one_way: false,
        opening: Opening::Reign,
        orders: 2,
        ..Bounds::default()
    };
    let changing = || changing.clone();
    // Two Geese lead four voters to two different sets of three, neither of them to the end.
    let half = Bounds { voters: 4, goals: &[&[1, 2, 4], &[1, 2, 3]], waits: 3, ..changing() };
    // Voters go and come back, until one is left.
    let shrinking =
        Bounds { goals: &[&[2, 3], &[3], &[1, 2, 3]], crashes: 1, waits: 2, ..changing() };
    // A newcomer learns and votes, in place of another one or of two; a process crashes.
    let newcomer = Bounds {
        newcomers: 1,
        goals: &[&[1, 2, 3, 4], &[1, 2, 4], &[1, 4]],
        crashes: 1,
        orders: 1,
        waits: 2,
        ..changing()
    };
    // The same over disks that take their time.
    let slow = Bounds { goals: &[&[1, 2, 4]], slow_disks: true, waits: 1, ..newcomer.clone() };
    // A newcomer forgets that it has granted, and another Goose asks it to learn.
    let forgetful = Bounds { goals: &[&[1, 2, 3, 4]], wipes: 1, ..newcomer.clone() };
    // One voter becomes three, and the founder may be gone.
    let growth = Bounds {
        newcomers: 2,
        voters: 1,
        contenders: 3,
        goals: &[&[1, 2, 3], &[2, 3]],
        crashes: 1,
        waits: 2,
        ..changing()
    };
    // A voter was replaced while it was away, and may lead; others forget.
    let replaced = Bounds {
        newcomers: 1,
        opening: Opening::Replaced,
        goals: &[&[1, 2, 4], &[2, 3, 4]],
        crashes: 1,
        wipes: 1,
        orders: 1,
        waits: 2,
        ..changing()
    };
    let play = |name, bounds: &Bounds, change: fn(&mut Bounds)| {
        let (bounds, mut small) = (bounds.clone(), bounds.clone());
        change(&mut small);
        Play { name, bounds, small }
    };
    vec![
        play("half changed", &half, |small| small.waits = 2),
        play("shrinking", &shrinking, |small| (small.waits, small.crashes) = (1, 0)),
        play("newcomer", &newcomer, |small| (small.waits, small.crashes) = (1, 0)),
        play("newcomer on a slow disk", &slow, |small| small.waits = 0),
        play("forgetful newcomer", &forgetful, |small| small.waits = 1),
        play("growth", &growth, |small| (small.waits, small.crashes) = (1, 0)),
        play("replaced", &replaced, |small| small.orders = 0),
    ]
}
