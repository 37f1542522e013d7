//! Coarse steps: one node does something, and all that follows happens at once over the links
//! that are up in that moment.
//!
//! A story of a founding, a wiped disk and two elections is some sixty messages, too many to go
//! through in every order. As bursts it is ten steps: in each the checker chooses whose timer
//! comes and which of that node's links carry messages, each direction for itself. What meets a
//! link that is down is lost or, within [`Bounds::holds`], stays under way to arrive at any
//! later step. The others' messages to each other are lost meanwhile.

use std::sync::Arc;

use super::Bounds;
use super::action::{Action, Links};
use super::world::{Envelope, World};
use crate::vocabulary::time::nanoseconds;

/// No cascade of messages is longer than this.
const MESSAGES_MAX: usize = 64;

impl World {
    /// Every coarse step that may be next.
    pub(super) fn bursts(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        let may_hold = self.spent.holds < bounds.holds;
        let none = |hold| Links { up: 0, hold };
        let all = Links::all(self.nodes.len());
        for envelope in 0..self.envelopes.len() {
            actions.push(Action::Arrive(envelope, all));
            actions.push(Action::Arrive(envelope, none(false)));
        }
        for (place, node) in self.nodes.iter().enumerate() {
            if node.is_gone {
                continue;
            }
            if self.spent.waits < bounds.waits {
                self.each_links(place, may_hold, |links| actions.push(Action::Burst(place, links)));
            }
            if self.spent.step_downs < bounds.step_downs && self.leads(place) {
                self.each_links(place, may_hold, |links| {
                    actions.push(Action::HandOver(place, links));
                });
            }
            let writing = node.pending.is_some();
            if writing {
                actions.push(Action::Settle(place, all));
                actions.push(Action::Settle(place, none(false)));
                if may_hold {
                    actions.push(Action::Settle(place, none(true)));
                }
                if self.spent.failures < bounds.failures {
                    actions.push(Action::Fail(place));
                }
            }
            self.crashes(place, bounds, actions);
        }
        if self.spent.waits < bounds.waits {
            actions.push(Action::Pass);
        }
    }

    /// Every choice of links of one node. To be heard back, one must have been heard: an answer
    /// alone comes only to what was asked in another step.
    fn each_links(&self, place: usize, may_hold: bool, mut each: impl FnMut(Links)) {
        let others: Vec<usize> = (0..self.nodes.len())
            .filter(|other| *other != place && !self.nodes[*other].is_gone)
            .collect();
        let choices = 3_u32.pow(u32::try_from(others.len()).unwrap_or(0));
        for choice in 0..choices {
            let mut up = 0;
            let mut rest = choice;
            for other in &others {
                up |= [0, 0b01, 0b11][(rest % 3) as usize] << (2 * other);
                rest /= 3;
            }
            each(Links { up, hold: false });
            if may_hold && up != Links::all(self.nodes.len()).up {
                each(Links { up, hold: true });
            }
        }
    }

    /// One coarse step.
    pub(super) fn burst(&mut self, bounds: &Bounds, action: Action) {
        // Only what stays under way is limited, not what comes and goes.
        let roomy = Bounds { envelopes: MESSAGES_MAX, ..bounds.clone() };
        match action {
            Action::Burst(node, links) => {
                self.spent.waits += 1;
                let older = std::mem::take(&mut self.envelopes);
                self.wait(&roomy, node);
                self.cascade(&roomy, bounds.envelopes, node, links, older);
            }
            Action::Arrive(envelope, links) => {
                let envelope = self.envelopes.remove(envelope);
                let older = std::mem::take(&mut self.envelopes);
                if let Some(node) = self.deliver(&roomy, &envelope) {
                    self.cascade(&roomy, bounds.envelopes, node, links, older);
                } else {
                    self.envelopes = older;
                }
            }
            Action::Settle(node, links) => {
                let older = std::mem::take(&mut self.envelopes);
                self.write(&roomy, node);
                self.cascade(&roomy, bounds.envelopes, node, links, older);
            }
            Action::HandOver(node, links) => {
                self.spent.step_downs += 1;
                let older = std::mem::take(&mut self.envelopes);
                self.step_down(&roomy, node, self.successor(node), false);
                self.cascade(&roomy, bounds.envelopes, node, links, older);
            }
            Action::Pass => {
                self.spent.waits += 1;
                self.time += nanoseconds(super::timing().lease_max) * 1_000 / 1_005 + 2_000;
                self.judge(bounds);
            }
            _ => {}
        }
    }

    /// Delivers what is new over the links that are up, and what comes of it, to the end.
    fn cascade(
        &mut self,
        roomy: &Bounds,
        room: usize,
        active: usize,
        links: Links,
        mut under_way: Vec<Arc<Envelope>>,
    ) {
        let mut held = false;
        for _ in 0..MESSAGES_MAX {
            if self.envelopes.is_empty() {
                break;
            }
            let envelope = self.envelopes.remove(0);
            let from = self.nodes.iter().position(|node| node.me.id == envelope.from.id);
            let to = self.addressee(&envelope);
            let (Some(from), Some(to)) = (from, to) else { continue };
            if from != active && to != active {
                continue;
            }
            if links.carries(active, from, to) {
                self.deliver(roomy, &envelope);
            } else if links.hold && under_way.len() < room {
                under_way.push(envelope);
                held = true;
            }
        }
        self.spent.holds += u32::from(held);
        self.envelopes = under_way;
    }
}
