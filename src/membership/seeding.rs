//! When to ask whom for the way into the cluster.
//!
//! Seeds are asked at once, then again and again with growing pauses up to a second, for as
//! long as it is needed: a seed that is started an hour later still lets this node in. Host
//! names are looked up at every attempt, for an address behind a name may change.
//!
//! Of many addresses only some are asked in one attempt, for a rate must have a bound. Which ones is
//! drawn anew until each had its turn: the one that answers may be any of them.
//!
//! Seeds are also where two halves of a cluster find each other that have lost every address of
//! each other's. So a node that is well connected looks after its seeds now and then: those that
//! are members already are not asked, and so this costs nothing where all is well but a look-up.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};

use crate::vocabulary::identity::normalised;
use crate::vocabulary::time::HolderTime;

/// The first pause between two attempts.
const PAUSE_LEAST: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// The most questions that an answer is still expected to.
const QUESTIONS_MAX: usize = 128;
/// The most addresses asked in one attempt.
const ASKED_MAX: usize = 32;
/// The most addresses kept from one look-up of all names.
const RESOLVED_MAX: usize = 1024;

/// What seeding wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedingOutput {
    /// Look these names up and hand the addresses to [`Seeding::handle_resolved`].
    Resolve(Vec<String>),
    /// Ask at this address, with this nonce.
    Ask {
        /// Where.
        address: SocketAddr,
        /// To be echoed.
        nonce: u64,
    },
}

/// The state of finding a way in.
#[derive(Debug)]
pub struct Seeding {
    literals: Vec<SocketAddr>,
    names: Vec<String>,
    own: SocketAddr,
    random: ChaCha8Rng,
    needed: bool,
    next_attempt: HolderTime,
    pause: Duration,
    resolved: Vec<SocketAddr>,
    questions: VecDeque<u64>,
    /// Who had a turn, while there are more than can be asked at once.
    turns: BTreeSet<SocketAddr>,
}

impl Seeding {
    /// Seeding that starts at once. `own` is never asked.
    pub fn new(seeds: &[String], own: SocketAddr, entropy: [u8; 32]) -> Self {
        let (literals, names) = sorted(seeds);
        Self {
            literals,
            names,
            own: normalised(own),
            random: ChaCha8Rng::from_seed(entropy),
            needed: false,
            next_attempt: HolderTime(0),
            pause: PAUSE_LEAST,
            resolved: Vec::new(),
            questions: VecDeque::new(),
            turns: BTreeSet::new(),
        }
    }

    /// When the next attempt is due, if one is needed.
    pub fn next_deadline(&self) -> HolderTime {
        self.next_attempt
    }

    /// Makes an attempt, if it is `needed` and due. `known` are addresses from elsewhere that
    /// may help: voters, members. If no attempt is needed any more, members are not asked.
    pub fn handle_timeout(
        &mut self,
        now: HolderTime,
        needed: bool,
        known: &[SocketAddr],
        is_member: &dyn Fn(SocketAddr) -> bool,
    ) -> Vec<SeedingOutput> {
        if needed && !self.needed {
            self.pause = PAUSE_LEAST;
            self.next_attempt = now;
        }
        self.needed = needed;
        let mut outputs = Vec::new();
        // What was looked up was wanted a moment ago, and is asked even if all is well by now.
        let mut targets = std::mem::take(&mut self.resolved);
        targets.retain(|address| needed || !is_member(*address));
        if needed && now >= self.next_attempt {
            targets.extend(self.literals.iter().chain(known));
            if !self.names.is_empty() {
                outputs.push(SeedingOutput::Resolve(self.names.clone()));
            }
            // Jitter, so that a thousand nodes started together do not ask together.
            let jittered = self.pause.mul_f64(self.random.random_range(0.75..1.25));
            self.next_attempt = now.plus(jittered);
            self.pause = (self.pause * 2).min(PAUSE_MOST);
        }
        outputs.extend(self.questions_to(targets));
        outputs
    }

    /// Asks those seeds, and those of `known`, that are no members; names are looked up first.
    pub fn look_after(
        &mut self,
        known: impl Iterator<Item = SocketAddr>,
        is_member: &dyn Fn(SocketAddr) -> bool,
    ) -> Vec<SeedingOutput> {
        let seeds = self.literals.iter().copied().chain(known.map(normalised));
        let lost = seeds.filter(|address| !is_member(*address)).collect();
        let mut outputs = self.questions_to(lost);
        if !self.names.is_empty() {
            outputs.push(SeedingOutput::Resolve(self.names.clone()));
        }
        outputs
    }

    fn questions_to(&mut self, mut targets: Vec<SocketAddr>) -> Vec<SeedingOutput> {
        targets.sort_unstable();
        targets.dedup();
        targets.retain(|address| *address != self.own);
        if targets.len() > ASKED_MAX {
            targets = self.take_turns(targets);
        }
        let ask = |address| SeedingOutput::Ask { address, nonce: self.question() };
        targets.into_iter().map(ask).collect()
    }

    /// As many of the sorted `targets` as are asked at once, at random, those first that had no turn yet.
    fn take_turns(&mut self, mut targets: Vec<SocketAddr>) -> Vec<SocketAddr> {
        self.turns.retain(|address| targets.binary_search(address).is_ok());
        targets.shuffle(&mut self.random);
        targets.sort_by_key(|address| self.turns.contains(address));
        let waiting = targets.iter().filter(|address| !self.turns.contains(*address)).count();
        if waiting <= ASKED_MAX {
            // Everybody has had a turn by now.
            self.turns.clear();
        }
        targets.truncate(ASKED_MAX);
        self.turns.extend(&targets);
        targets
    }

    /// A new question: the nonce to be echoed.
    pub fn question(&mut self) -> u64 {
        let nonce = self.random.next_u64();
        if self.questions.len() >= QUESTIONS_MAX {
            self.questions.pop_front();
        }
        self.questions.push_back(nonce);
        nonce
    }

    /// From the next attempt on these are asked in place of those of before.
    pub fn replace(&mut self, seeds: &[String]) {
        (self.literals, self.names) = sorted(seeds);
    }

    /// Who is asked, as it was given.
    pub fn seeds(&self) -> Vec<String> {
        let others = self.literals.iter().filter(|address| **address != self.own);
        others.map(ToString::to_string).chain(self.names.iter().cloned()).collect()
    }

    /// Names were looked up; the addresses are asked at the next [`Seeding::handle_timeout`].
    pub fn handle_resolved(&mut self, addresses: &[SocketAddr]) {
        let room = RESOLVED_MAX.saturating_sub(self.resolved.len());
        self.resolved.extend(addresses.iter().take(room).copied().map(normalised));
    }

    /// Whether an answer with this nonce is to a question of ours. Each counts once.
    pub fn accepts(&mut self, nonce: u64) -> bool {
        match self.questions.iter().position(|asked| *asked == nonce) {
            Some(position) => {
                self.questions.remove(position);
                true
            }
            None => false,
        }
    }
}

/// Addresses, and names that must be looked up.
fn sorted(seeds: &[String]) -> (Vec<SocketAddr>, Vec<String>) {
    let mut literals = Vec::new();
    let mut names = Vec::new();
    for seed in seeds {
        match seed.parse::<SocketAddr>() {
            Ok(address) => literals.push(normalised(address)),
            Err(_) => names.push(seed.clone()),
        }
    }
    (literals, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> HolderTime {
        HolderTime(milliseconds * 1_000_000)
    }

    fn seeding(seeds: &[&str]) -> Seeding {
        let seeds: Vec<String> = seeds.iter().map(|seed| (*seed).to_owned()).collect();
        Seeding::new(&seeds, "10.0.0.9:8000".parse().unwrap(), [7; 32])
    }

    #[test]
    fn asks_at_once_then_with_growing_pauses_and_never_itself() {
        let mut seeding = seeding(&["10.0.0.1:8000", "10.0.0.9:8000"]);
        let first = seeding.handle_timeout(at(0), true, &[], &|_| false);
        assert!(matches!(first[..], [SeedingOutput::Ask { .. }]), "{first:?}");
        let mut last = at(0);
        for _ in 0..20 {
            let due = seeding.next_deadline();
            assert!(
                seeding.handle_timeout(HolderTime(due.0 - 1), true, &[], &|_| false).is_empty()
            );
            assert_eq!(seeding.handle_timeout(due, true, &[], &|_| false).len(), 1);
            assert!(due.since(last) <= Duration::from_millis(1250));
            last = due;
        }
        assert!(last > at(10_000), "it goes on for ever");
    }

    #[test]
    fn names_are_looked_up_at_every_attempt() {
        let mut seeding = seeding(&["goose.example:8000"]);
        for _ in 0..5 {
            let due = seeding.next_deadline();
            let outputs = seeding.handle_timeout(due, true, &[], &|_| false);
            assert_eq!(outputs, [SeedingOutput::Resolve(vec!["goose.example:8000".into()])]);
        }
        seeding.handle_resolved(&["10.0.0.5:8000".parse().unwrap()]);
        let due = seeding.next_deadline();
        let outputs = seeding.handle_timeout(HolderTime(due.0 - 1), true, &[], &|_| false);
        assert!(matches!(outputs[..], [SeedingOutput::Ask { .. }]));
    }

    #[test]
    fn seeds_that_are_no_members_are_looked_after() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut seeding = seeding(&["10.0.0.1:8000", "10.0.0.2:8000", "goose.example:8000"]);
        let is_member = |other| other == address("10.0.0.1:8000");
        let voters = [address("10.0.0.1:8000"), address("10.0.0.3:8000")];
        let asked = |outputs: &[SeedingOutput]| -> Vec<SocketAddr> {
            let address = |output: &SeedingOutput| match output {
                SeedingOutput::Ask { address, .. } => Some(*address),
                SeedingOutput::Resolve(_) => None,
            };
            outputs.iter().filter_map(address).collect()
        };
        let outputs = seeding.look_after(voters.into_iter(), &is_member);
        assert_eq!(asked(&outputs), [address("10.0.0.2:8000"), voters[1]]);
        assert_eq!(
            outputs.last(),
            Some(&SeedingOutput::Resolve(vec!["goose.example:8000".into()]))
        );
        seeding.handle_resolved(&[address("10.0.0.1:8000"), address("10.0.0.4:8000")]);
        let outputs = seeding.handle_timeout(at(0), false, &[], &is_member);
        assert_eq!(asked(&outputs), [address("10.0.0.4:8000")]);
    }

    /// Of sixty-four seeds, or a name with sixty addresses, the one that lives may be any.
    #[test]
    fn each_of_many_is_asked_before_long_and_few_at_once() {
        let many: Vec<SocketAddr> =
            (1..=64).map(|host| SocketAddr::from(([10, 0, 1, host], 8000))).collect();
        let texts: Vec<String> = many.iter().map(ToString::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut by_address = seeding(&texts);
        let mut by_name = seeding(&["goose.example:8000"]);
        for seeding in [&mut by_address, &mut by_name] {
            let mut asked = BTreeSet::new();
            for _ in 0..3 {
                if !seeding.names.is_empty() {
                    seeding.handle_resolved(&many);
                }
                let outputs =
                    seeding.handle_timeout(seeding.next_deadline(), true, &[], &|_| false);
                let asks = outputs.iter().filter_map(|output| match output {
                    SeedingOutput::Ask { address, .. } => Some(*address),
                    SeedingOutput::Resolve(_) => None,
                });
                let before = asked.len();
                asked.extend(asks);
                assert!(asked.len() - before <= ASKED_MAX);
            }
            assert_eq!(asked.len(), many.len());
        }
    }

    #[test]
    fn only_answers_to_our_questions_count_and_once() {
        let mut seeding = seeding(&["10.0.0.1:8000"]);
        let outputs = seeding.handle_timeout(at(0), true, &[], &|_| false);
        let [SeedingOutput::Ask { nonce, .. }] = outputs[..] else { panic!("{outputs:?}") };
        assert!(!seeding.accepts(nonce.wrapping_add(1)));
        assert!(seeding.accepts(nonce));
        assert!(!seeding.accepts(nonce));
    }

    #[test]
    fn losing_touch_again_starts_quickly_again() {
        let mut seeding = seeding(&["10.0.0.1:8000"]);
        for _ in 0..12 {
            seeding.handle_timeout(seeding.next_deadline(), true, &[], &|_| false);
        }
        seeding.handle_timeout(at(20_000), false, &[], &|_| false);
        assert_eq!(seeding.handle_timeout(at(30_000), true, &[], &|_| false).len(), 1);
        assert!(seeding.next_deadline() <= at(30_026));
    }
}
