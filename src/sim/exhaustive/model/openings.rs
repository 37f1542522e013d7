//! Where the checker begins: states that are reached the same way every time, without a fault.

use super::world::World;
use super::{Action, Bounds};

/// A beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Everybody has just started on an empty disk.
    Founding,
    /// Every voter is founded, and nobody has claimed yet.
    Founded,
    /// The highest contender leads, a majority has renewed, and nothing is under way.
    Reign,
    /// The same, but then the Goose stopped for good, and its grants have just run out.
    Orphaned,
}

/// No calm beginning takes more steps than this.
const STEPS_MAX: usize = 2_000;

impl World {
    /// The world in which everything begins.
    pub fn opening(bounds: &Bounds) -> Self {
        let mut world = Self::new(bounds);
        // Whatever is limited or broken afterwards is not, before.
        let calm = Bounds { envelopes: 1_000, slow_disks: false, notices: true, ..bounds.clone() };
        let settled = |world: &Self| world.geese() == 1 && world.is_reigning();
        match bounds.opening {
            Opening::Founding => {
                if !bounds.slow_disks {
                    for place in 0..world.nodes.len() {
                        world.write(bounds, place);
                    }
                }
            }
            Opening::Founded => world.play(&calm, |world| world.is_founded()),
            Opening::Reign => world.play(&calm, settled),
            Opening::Orphaned => {
                world.play(&calm, settled);
                world.orphan(&calm);
            }
        }
        // Polls are repeated, so a story of exchanges need not begin with those of the start.
        if bounds.opening != Opening::Founding || bounds.bursts {
            world.envelopes.clear();
            world.spent = super::world::Spent::default();
        }
        world
    }

    /// Whether a majority has renewed and every release and poll is answered.
    fn is_reigning(&self) -> bool {
        let lease = super::timing().lease;
        let now = super::world::clocks(self.time, super::Break::None);
        let full =
            |until: crate::vocabulary::time::HolderTime| until.since(now.holder) > lease * 3 / 4;
        let counts = |node: &super::node::Node| {
            let counted = node.election.inspect().counted;
            counted.iter().filter(|(_, until)| full(*until)).count() == self.nodes.len()
        };
        self.nodes.iter().any(counts)
    }

    /// Delivers messages in order, and lets time pass when there are none, until `done`.
    fn play(&mut self, bounds: &Bounds, done: impl Fn(&Self) -> bool) {
        for place in 0..self.nodes.len() {
            self.write(bounds, place);
        }
        for _ in 0..STEPS_MAX {
            if done(self) {
                return;
            }
            if self.envelopes.is_empty() {
                let soonest = self.soonest(bounds);
                self.wait(bounds, soonest);
            } else {
                *self = self.after(bounds, Action::Deliver(0));
            }
        }
        unreachable!("a world without faults settles");
    }

    fn soonest(&self, bounds: &Bounds) -> usize {
        let now = self.now(bounds);
        let places = (0..self.nodes.len()).filter(|place| !self.nodes[*place].is_gone);
        let due = |place: &usize| {
            self.nodes[*place].election.poll_timeout(now).unwrap_or(std::time::Duration::MAX)
        };
        places.min_by_key(due).unwrap_or(0)
    }

    fn orphan(&mut self, bounds: &Bounds) {
        let Some(goose) = (0..self.nodes.len()).find(|place| self.leads(*place)) else { return };
        self.nodes[goose].is_gone = true;
        self.envelopes.clear();
        let free = |world: &Self| {
            let grants = |node: &super::node::Node| {
                node.election.inspect().voter.is_some_and(|voter| voter.grant.is_some())
            };
            !world.nodes.iter().filter(|node| !node.is_gone).any(grants)
        };
        for _ in 0..STEPS_MAX {
            if free(self) {
                return;
            }
            let soonest = self.soonest(bounds);
            self.wait(bounds, soonest);
            // Nobody answers meanwhile: all polls are lost.
            self.envelopes.clear();
        }
    }
}
