//! The model of the election, in the terms of the model checker.

pub(crate) mod plays;

use std::hash::{Hash, Hasher};

use gaggle::sim::exhaustive::model::{self, Action, Bounds, Broken};
use stateright::{Model, Property};

/// All that may happen within the bounds.
#[derive(Clone)]
pub(crate) struct Electing(pub(crate) Bounds);

/// A state, told from others by its fingerprint.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) inner: model::State,
    fingerprint: u64,
}

impl State {
    fn new(inner: model::State, bounds: &Bounds) -> Self {
        let fingerprint = model::fingerprint(&inner, bounds.broken);
        Self { inner, fingerprint }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

impl Model for Electing {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(model::open(&self.0), &self.0)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.inner.broken().is_none() {
            model::actions(&state.inner, &self.0, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(State::new(state.inner.after(&self.0, action), &self.0))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        /// One property for each promise: conditions are plain functions, without captures.
        fn kept<const PLACE: usize>() -> Property<Electing> {
            let (_, promise) = Broken::ALL[PLACE];
            Property::<Electing>::always(promise, |_, state| {
                state.inner.broken() != Some(Broken::ALL[PLACE].0)
            })
        }
        vec![
            kept::<0>(),
            kept::<1>(),
            kept::<2>(),
            kept::<3>(),
            kept::<4>(),
            kept::<5>(),
            kept::<6>(),
            kept::<7>(),
            kept::<8>(),
            Property::<Self>::sometimes("somebody leads", |_, state| state.inner.geese() == 1),
            Property::<Self>::sometimes("a second tenure begins", |_, state| {
                state.inner.tenures() > 1
            }),
            Property::<Self>::sometimes("somebody leads after a crash", |_, state| {
                state.inner.spent().crashes > 0 && state.inner.geese() == 1
            }),
            Property::<Self>::sometimes(
                "somebody leads under a set that it wrote anew",
                |_, state| state.inner.is_led(|it| it.ballot > 0 && it.version == 1),
            ),
            Property::<Self>::sometimes("somebody leads other voters", |_, state| {
                state.inner.has_changed()
            }),
            Property::<Self>::sometimes("somebody else leads other voters", |_, state| {
                state.inner.tenures() > 1 && state.inner.has_changed()
            }),
            Property::<Self>::sometimes("every voter may grant", |_, state| {
                state.inner.is_founded()
            }),
        ]
    }
}

/// Prints the steps of a path, each with what it acted on.
pub(crate) fn tell(electing: &Electing, path: stateright::Path<State, Action>) {
    for (number, (state, action)) in path.into_vec().into_iter().enumerate() {
        if let Some(action) = action {
            println!("    {number:>3}  {}", model::tell(&state.inner, &electing.0, action));
        }
    }
}
