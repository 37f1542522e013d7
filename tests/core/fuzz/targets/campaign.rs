//! Input after input to one target: from a corpus, changed, and kept if it met something new.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::bytes::{mutate, random};
use super::{Tally, Target, target};
use gaggle::sim::prng::Prng;

/// The most inputs that one campaign keeps in memory.
const CORPUS_MAX: usize = 4096;
/// The most things that it remembers to have met.
const SEEN_MAX: usize = 1 << 16;
/// A failing input is made smaller in so many attempts at most.
const ATTEMPTS_MAX: usize = 2000;

/// An input that broke a promise.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Of which target.
    pub(crate) target: String,
    /// Which input.
    pub(crate) input: Vec<u8>,
    /// Which promise.
    pub(crate) reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: String = self.input.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(
            formatter,
            "{}: {}\nrepeat it: cargo run --release --example fuzz -- {} --input {hex}",
            self.target, self.reason, self.target
        )
    }
}

/// The bytes that [`Failure`] prints.
pub(crate) fn unhexed(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

/// One target under fire.
pub(crate) struct Campaign {
    name: String,
    target: Box<dyn Target>,
    prng: Prng,
    corpus: Vec<Vec<u8>>,
    seen: BTreeSet<u64>,
    /// What was counted.
    pub(crate) tally: Tally,
    /// Inputs that met something that no earlier one had met.
    pub(crate) found: Vec<Vec<u8>>,
}

impl Campaign {
    /// A campaign against the target called `name`, determined by `seed` and `corpus`. None if
    /// there is no such target.
    pub(crate) fn new(name: &str, seed: u64, corpus: Vec<Vec<u8>>) -> Option<Self> {
        let target = target(name)?;
        let mut all = target.seeds();
        all.extend(corpus);
        Some(Self {
            name: name.to_owned(),
            target,
            prng: Prng::new(seed, name),
            corpus: all,
            seen: BTreeSet::new(),
            tally: Tally::default(),
            found: Vec::new(),
        })
    }

    /// Tries everything that it started with.
    ///
    /// # Errors
    /// The first input that broke a promise.
    pub(crate) fn replay(&mut self) -> Result<(), Failure> {
        for input in self.corpus.clone() {
            self.attempt(&input)?;
        }
        Ok(())
    }

    /// Makes one input and tries it.
    ///
    /// # Errors
    /// If it broke a promise.
    pub(crate) fn step(&mut self) -> Result<(), Failure> {
        let input = self.invent();
        if self.attempt(&input)? {
            if self.corpus.len() >= CORPUS_MAX {
                let old = self.prng.below(self.corpus.len());
                self.corpus.swap_remove(old);
            }
            self.corpus.push(input.clone());
            if self.found.len() < CORPUS_MAX {
                self.found.push(input);
            }
        }
        Ok(())
    }

    fn invent(&mut self) -> Vec<u8> {
        let size_max = self.target.size_max();
        if self.corpus.is_empty() || self.prng.chance(self.target.fresh()) {
            let length = 1 + self.prng.below(size_max);
            return (0..length).map(|_| random(&mut self.prng)).collect();
        }
        let mut input = self.corpus[self.prng.below(self.corpus.len())].clone();
        let other = self.corpus[self.prng.below(self.corpus.len())].clone();
        mutate(&mut self.prng, &mut input, &other, self.target.dictionary(), size_max);
        input
    }

    /// Tries `input`. Returns whether it met something new.
    ///
    /// # Errors
    /// If it broke a promise, a panic included.
    pub(crate) fn attempt(&mut self, input: &[u8]) -> Result<bool, Failure> {
        self.tally.met.clear();
        let (target, tally) = (&mut self.target, &mut self.tally);
        let outcome = catch_unwind(AssertUnwindSafe(|| target.take(input, tally)));
        let reason = match outcome {
            Ok(Ok(())) => {
                let mut new = false;
                for what in &self.tally.met {
                    new |= self.seen.len() < SEEN_MAX && self.seen.insert(*what);
                }
                return Ok(new);
            }
            Ok(Err(reason)) => reason,
            Err(payload) => {
                // Nobody knows what state the panic has left it in.
                if let Some(fresh) = target_anew(&self.name) {
                    self.target = fresh;
                }
                format!("it panicked: {}", words(payload.as_ref()))
            }
        };
        Err(Failure { target: self.name.clone(), input: input.to_vec(), reason })
    }

    /// A smaller input that fails too: parts are left out for as long as that works.
    pub(crate) fn reduce(&mut self, failure: Failure) -> Failure {
        let mut best = failure;
        let mut attempts = 0;
        let mut size = (best.input.len() / 2).max(1);
        loop {
            let mut at = 0;
            let mut smaller = false;
            while at < best.input.len() && attempts < ATTEMPTS_MAX {
                attempts += 1;
                let mut input = best.input.clone();
                input.drain(at..(at + size).min(input.len()));
                match self.attempt(&input) {
                    Err(failure) => {
                        best = failure;
                        smaller = true;
                    }
                    Ok(_) => at += size,
                }
            }
            if attempts >= ATTEMPTS_MAX || size == 1 && !smaller {
                return best;
            }
            size = (size / 2).max(1);
        }
    }
}

fn target_anew(name: &str) -> Option<Box<dyn Target>> {
    target(name)
}

fn words(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without words").to_owned()
}
