//! Where the checker begins: states that are reached the same way every time, without a fault.

use std::time::Duration;

use super::Bounds;
use super::action::Action;
use super::breaks::Break;
use super::node::Node;
use super::state::{Spent, State};

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
    /// The highest contender leads, and has led to the voters of the first goal, while the lowest
    /// founder that does not vote any more was away: it knows of nothing.
    Replaced,
}

/// No calm beginning takes more steps than this.
const STEPS_MAX: usize = 2_000;

/// The state in which everything begins.
pub fn open(bounds: &Bounds) -> State {
    let mut state = State::new(bounds);
    // Whatever is limited or broken afterwards is not, before.
    let calm = Bounds { envelopes: 1_000, slow_disks: false, notices: true, ..bounds.clone() };
    let settled = |state: &State| state.geese() == 1 && is_reigning(state);
    match bounds.opening {
        Opening::Founding => {
            if !bounds.slow_disks {
                write_all(&mut state, bounds);
            }
        }
        Opening::Founded => play(&mut state, &calm, State::is_founded),
        Opening::Reign => play(&mut state, &calm, settled),
        Opening::Orphaned => {
            play(&mut state, &calm, settled);
            orphan(&mut state, &calm);
        }
        Opening::Replaced => {
            play(&mut state, &calm, settled);
            replace(&mut state, &calm);
        }
    }
    // Polls are repeated, so a story of exchanges need not begin with those of the start.
    if bounds.opening != Opening::Founding || bounds.bursts {
        state.envelopes.clear();
        state.spent = Spent::default();
    }
    state
}

fn write_all(state: &mut State, bounds: &Bounds) {
    for place in 0..state.nodes.len() {
        state.write(bounds, place);
    }
}

/// Whether a majority has renewed and every release and poll is answered.
fn is_reigning(state: &State) -> bool {
    let lease = super::timing().lease;
    let now = Break::None.clocks(state.time);
    let counts = |node: &Node| {
        let counted = node.election.inspect().counted;
        let full = counted.iter().filter(|(_, until)| until.since(now.holder) > lease * 3 / 4);
        full.count() == node.election.configuration().voters.len()
    };
    state.nodes.iter().any(counts)
}

/// Delivers messages in order, and lets time pass when there are none, until `done`.
fn play(state: &mut State, bounds: &Bounds, done: impl Fn(&State) -> bool) {
    write_all(state, bounds);
    play_without(state, bounds, None, done);
}

/// The same, while the node at this place neither hears nor says nor does anything.
fn play_without(
    state: &mut State,
    bounds: &Bounds,
    away: Option<usize>,
    done: impl Fn(&State) -> bool,
) {
    for _ in 0..STEPS_MAX {
        let absent = away.map(|place| state.nodes[place].me.id);
        state.envelopes.retain(|envelope| {
            ![Some(envelope.from.id), envelope.to.id].contains(&absent) || absent.is_none()
        });
        if done(state) {
            return;
        }
        if state.envelopes.is_empty() {
            let soonest = soonest(state, bounds, away);
            state.wait(bounds, soonest);
        } else {
            *state = state.after(bounds, Action::Deliver(0));
        }
    }
    unreachable!("a state without faults settles");
}

/// The Goose leads to the voters of the first goal, while whoever is to vote no more is away.
fn replace(state: &mut State, bounds: &Bounds) {
    let goal = bounds.goals[0];
    let is_leaving =
        |node: &Node| state.founders.contains(node.me.id) && !goal.contains(&node.me.id.number());
    let away = state.nodes.iter().position(is_leaving);
    let Some(goose) = state.nodes.iter().position(|node| node.leads(state.time)) else { return };
    state.order(bounds, goose, 0);
    let is_done =
        |state: &State| state.nodes[goose].election.voter_change().is_none() && is_reigning(state);
    play_without(state, bounds, away, is_done);
}

fn soonest(state: &State, bounds: &Bounds, away: Option<usize>) -> usize {
    let now = state.now(bounds);
    let is_there = |place: &usize| !state.nodes[*place].is_gone && Some(*place) != away;
    let places = (0..state.nodes.len()).filter(is_there);
    let due =
        |place: &usize| state.nodes[*place].election.poll_timeout(now).unwrap_or(Duration::MAX);
    places.min_by_key(due).unwrap_or(0)
}

/// The Goose stops for good, and its grants run out.
fn orphan(state: &mut State, bounds: &Bounds) {
    let time = state.time;
    let Some(goose) = state.nodes.iter_mut().find(|node| node.leads(time)) else { return };
    goose.is_gone = true;
    state.envelopes.clear();
    let grants =
        |node: &Node| node.election.inspect().voter.is_some_and(|voter| voter.grant.is_some());
    for _ in 0..STEPS_MAX {
        if !state.nodes.iter().any(|node| !node.is_gone && grants(node)) {
            return;
        }
        let soonest = soonest(state, bounds, None);
        state.wait(bounds, soonest);
        // Nobody answers meanwhile: all polls are lost.
        state.envelopes.clear();
    }
}
