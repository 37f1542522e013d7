//! What a run has been through: a simulation that never met a fault proves nothing.

use std::collections::BTreeMap;

/// How often something was met, and in how many runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// How often in all.
    pub times: u64,
    /// In how many runs at least once.
    pub runs: u64,
}

/// Counts by name. Names are fixed words, so that runs can be added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, Met>);

impl Coverage {
    /// One more of `name`, in the one run that this is the coverage of.
    pub fn count(&mut self, name: &'static str) {
        let met = self.0.entry(name).or_default();
        met.times += 1;
        met.runs = 1;
    }

    /// How often `name` was met.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |met| met.times)
    }

    /// In how many runs `name` was met.
    pub fn runs_with(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |met| met.runs)
    }

    /// Adds what another run, or many, have met.
    pub fn add(&mut self, other: &Self) {
        for (name, theirs) in &other.0 {
            let met = self.0.entry(name).or_default();
            met.times += theirs.times;
            met.runs += theirs.runs;
        }
    }

    /// Every name with its counts, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Met)> + '_ {
        self.0.iter().map(|(name, met)| (*name, *met))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_once_and_times_each_time() {
        let (mut one, mut other) = (Coverage::default(), Coverage::default());
        one.count("crash");
        one.count("crash");
        other.count("crash");
        other.count("freeze");
        let mut all = Coverage::default();
        all.add(&one);
        all.add(&other);
        assert_eq!(all.iter().next(), Some(("crash", Met { times: 3, runs: 2 })));
        assert_eq!((all.runs_with("freeze"), all.runs_with("replay")), (1, 0));
    }
}
