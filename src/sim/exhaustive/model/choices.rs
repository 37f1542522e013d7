//! What may happen next in a state, and how that is said.

use super::Bounds;
use super::action::{Action, Links};
use super::state::State;
use crate::vocabulary::identity::NodeId;
use crate::wire::message::Message;

/// Everything that may happen next within the bounds, always in the same order.
pub fn actions(state: &State, bounds: &Bounds, actions: &mut Vec<Action>) {
    let mut choices = Choices { state, bounds, actions };
    if bounds.bursts {
        choices.bursts();
    } else {
        choices.messages();
        choices.steps();
    }
}

struct Choices<'a> {
    state: &'a State,
    bounds: &'a Bounds,
    actions: &'a mut Vec<Action>,
}

impl Choices<'_> {
    /// Whether a message of this kind is answered before anything else happens.
    fn is_brisk(&self, message: &Message) -> bool {
        let asks =
            matches!(message, Message::Poll(_) | Message::Probe { .. } | Message::Release { .. });
        self.bounds.brisk && asks
    }

    fn messages(&mut self) {
        let envelopes = &self.state.envelopes;
        for (place, envelope) in envelopes.iter().enumerate() {
            self.actions.push(if self.is_brisk(&envelope.message) {
                Action::Exchange(place)
            } else {
                Action::Deliver(place)
            });
            if self.state.spent.repeats < self.bounds.repeats {
                self.actions.push(Action::Repeat(place));
            }
            // Staying under way for ever is as good as lost, unless room runs out.
            if 2 * envelopes.len() > self.bounds.envelopes {
                self.actions.push(Action::Lose(place));
            }
        }
    }

    fn steps(&mut self) {
        let (state, bounds) = (self.state, self.bounds);
        for (place, node) in state.nodes.iter().enumerate().filter(|(_, node)| !node.is_gone) {
            if state.spent.waits < bounds.waits {
                self.actions.push(Action::Wait(place));
            }
            if node.pending.is_some() {
                self.actions.push(Action::Write(place));
                if state.spent.failures < bounds.failures {
                    self.actions.push(Action::Fail(place));
                }
            }
            self.crashes(place);
            if state.spent.step_downs < bounds.step_downs && node.leads(state.time) {
                let nominee = state.successor(place);
                for leaving in [false, true] {
                    self.actions.push(Action::StepDown { node: place, nominee, leaving });
                }
                let step_down = Action::StepDown { node: place, nominee: None, leaving: false };
                self.actions.push(step_down);
            }
        }
    }

    /// How a process may end: before its write or after it, or with its disk emptied.
    fn crashes(&mut self, node: usize) {
        let spent = self.state.spent;
        if spent.crashes >= self.bounds.crashes {
            return;
        }
        self.actions.push(Action::Crash { node, written: false });
        if self.state.nodes[node].pending.is_some() {
            self.actions.push(Action::Crash { node, written: true });
        }
        if spent.wipes < self.bounds.wipes {
            self.actions.push(Action::Wipe(node));
        }
    }

    /// Every coarse step that may be next.
    fn bursts(&mut self) {
        let (state, bounds) = (self.state, self.bounds);
        let may_hold = state.spent.holds < bounds.holds;
        let none = Links::none;
        let all = Links::all(state.nodes.len());
        for envelope in 0..state.envelopes.len() {
            self.actions.push(Action::Arrive(envelope, all));
            self.actions.push(Action::Arrive(envelope, none(false)));
        }
        for (place, node) in state.nodes.iter().enumerate().filter(|(_, node)| !node.is_gone) {
            if state.spent.waits < bounds.waits && self.is_heard(place) {
                self.each_links(place, may_hold, |links| Action::Burst(place, links));
            }
            if state.spent.orders < bounds.orders && node.leads(state.time) {
                // Whom it reaches, and when, is for the bursts that follow to choose.
                for goal in 0..bounds.goals.len() {
                    for links in [none(false), all, Links { breaks: true, ..all }] {
                        self.actions.push(Action::Order { node: place, goal, links });
                    }
                }
            }
            if state.spent.step_downs < bounds.step_downs && node.leads(state.time) {
                self.each_links(place, may_hold, |links| Action::HandOver(place, links));
            }
            if node.pending.is_some() {
                self.actions.push(Action::Settle(place, all));
                self.actions.push(Action::Settle(place, none(false)));
                if may_hold {
                    self.actions.push(Action::Settle(place, none(true)));
                }
                if state.spent.failures < bounds.failures {
                    self.actions.push(Action::Fail(place));
                }
            }
            self.crashes(place);
        }
        if state.spent.waits < bounds.waits {
            self.actions.push(Action::Pass);
        }
    }

    /// Whether anybody hears of what this node does when its timer comes. Where notices are lost
    /// and everybody is founded, nobody hears of a never-goose node's; its times pass with others'.
    fn is_heard(&self, place: usize) -> bool {
        let node = &self.state.nodes[place];
        self.bounds.notices || node.is_eligible || node.election.is_blank()
    }

    /// An action for every choice of links of one node. To be heard back, one must have been
    /// heard: an answer alone comes only to what was asked in another step.
    fn each_links(&mut self, place: usize, may_hold: bool, action: impl Fn(Links) -> Action) {
        let nodes = &self.state.nodes;
        let others: Vec<usize> =
            (0..nodes.len()).filter(|other| *other != place && !nodes[*other].is_gone).collect();
        let ways: &[u16] = if self.bounds.one_way { &[0, 0b01, 0b11] } else { &[0, 0b11] };
        // A Goose that leads to other voters may be cut off the moment that it makes a new set.
        let changes = self.state.nodes[place].election.voter_change().is_some();
        for choice in 0..ways.len().pow(u32::try_from(others.len()).unwrap_or(0)) {
            let mut up = 0;
            let mut rest = choice;
            for other in &others {
                up |= ways[rest % ways.len()] << (2 * other);
                rest /= ways.len();
            }
            let links = Links { up, hold: false, breaks: false };
            self.actions.push(action(links));
            if may_hold && up != Links::all(nodes.len()).up {
                self.actions.push(action(Links { hold: true, ..links }));
            }
            if changes && up != 0 {
                self.actions.push(action(Links { breaks: true, ..links }));
            }
        }
    }
}

/// One step in words: which message of whom to whom, at which time.
pub fn tell(state: &State, bounds: &Bounds, action: Action) -> String {
    let envelope = |place: usize| {
        let envelope = &state.envelopes[place];
        let to = envelope.to.id.map_or(0, NodeId::number);
        format!("{} to {to}: {:?}", envelope.from.id, envelope.message)
    };
    let node = |place: usize| state.nodes[place].me.id;
    let words = match action {
        Action::Deliver(place) => format!("arrives, {}", envelope(place)),
        Action::Exchange(place) => format!("arrives and is answered, {}", envelope(place)),
        Action::Repeat(place) => format!("a copy arrives, {}", envelope(place)),
        Action::Lose(place) => format!("is lost, {}", envelope(place)),
        Action::Wait(place) => format!("node {} waits for its next timer", node(place)),
        Action::Write(place) => format!("node {}'s write ends", node(place)),
        Action::Fail(place) => format!("node {}'s write fails", node(place)),
        Action::Crash { node: place, written } => {
            format!("node {} crashes, written: {written}", node(place))
        }
        Action::Wipe(place) => format!("node {} loses its disk", node(place)),
        Action::StepDown { node: place, nominee, leaving } => {
            let nominee = nominee.map(|place| node(place).number());
            format!("node {} steps down for {nominee:?}, leaving: {leaving}", node(place))
        }
        Action::Burst(place, links) => format!("node {}'s timer, {links}", node(place)),
        Action::Arrive(place, links) => format!("arrives, then {links}: {}", envelope(place)),
        Action::Settle(place, links) => format!("node {}'s write ends, {links}", node(place)),
        Action::HandOver(place, links) => format!("node {} hands over, {links}", node(place)),
        Action::Order { node: place, goal, links } => {
            format!("node {} is told to lead to {:?}, {links}", node(place), bounds.goals[goal])
        }
        Action::Pass => "everybody stalls for a lease".to_owned(),
    };
    let milliseconds = state.time / 1_000_000;
    let geese: Vec<u64> = (0..state.nodes.len())
        .filter(|place| state.nodes[*place].leads(state.time))
        .map(|place| node(place).number())
        .collect();
    let envelopes = state.envelopes.len();
    let limit = bounds.envelopes;
    format!("{milliseconds} ms, Geese {geese:?}, {envelopes}/{limit} messages: {words}")
}
