//! Hostile input, by the million: what every way into a node must stand.
//!
//! A [`Target`] takes any bytes, hands them to real code, and says which promise they broke.
//! The same targets serve a short run in `cargo test` (`tests/core/fuzz.rs`) and a long one
//! (`examples/fuzz.rs`).
//!
//! ```text
//!   corpus ──▶ Campaign: pick, mutate ──▶ Target: bytes ──▶ node, record, HTTP, settings
//!                  ▲                          │
//!                  └── what met something new ┴──▶ Failure: the input, and how to repeat it
//! ```
//!
//! Assumption: a target is deterministic, so that an input which broke a promise breaks it
//! again.

mod bytes;
mod campaign;
pub(crate) mod cluster;
mod datagrams;
mod forge;
#[cfg(feature = "http")]
mod http;
mod records;
#[cfg(feature = "cli")]
mod settings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

pub(crate) use campaign::{Campaign, Failure, unhexed};

/// Every target by name, with what it counts.
pub(crate) const TARGETS: &[(&str, &str)] = &[
    ("datagrams", "datagrams to a live node, plain and sealed"),
    ("records", "record files, both slots"),
    #[cfg(feature = "http")]
    ("http", "connections to the HTTP server"),
    #[cfg(feature = "cli")]
    ("settings", "configuration files with a command line"),
];

/// Something that takes any bytes.
pub(crate) trait Target {
    /// Takes `input` and counts what came of it.
    ///
    /// # Errors
    /// The promise that was broken, in words.
    fn take(&mut self, input: &[u8], tally: &mut Tally) -> Result<(), String>;

    /// Inputs to start from, besides what is found in a corpus.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Words that mean something to it.
    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// How many inputs in a thousand are made of nothing but chance.
    fn fresh(&self) -> u32 {
        100
    }

    /// The longest input that is worth trying, in bytes.
    fn size_max(&self) -> usize;
}

/// The target called `name`, fresh.
pub(crate) fn target(name: &str) -> Option<Box<dyn Target>> {
    Some(match name {
        "datagrams" => Box::new(datagrams::Datagrams),
        "records" => Box::new(records::Records),
        #[cfg(feature = "http")]
        "http" => Box::new(http::Connections::new()?),
        #[cfg(feature = "cli")]
        "settings" => Box::new(settings::Settings),
        _ => return None,
    })
}

/// What a campaign counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Datagrams, records and so on; one input may hold many.
    pub(crate) units: u64,
    /// How many of them got so far, by the name of the layer.
    pub(crate) layers: BTreeMap<Cow<'static, str>, u64>,
    /// What the present input met, as hashes: a new one makes the input worth keeping.
    met: Vec<u64>,
}

impl Tally {
    /// One unit more.
    pub(crate) fn unit(&mut self) {
        self.units += 1;
    }

    /// A unit got as far as `layer`.
    pub(crate) fn passed(&mut self, layer: impl Into<Cow<'static, str>>) {
        *self.layers.entry(layer.into()).or_default() += 1;
    }

    /// The input met something.
    pub(crate) fn met(&mut self, what: &str, detail: u64) {
        let mut hasher = SipHasher13::new();
        hasher.write(what.as_bytes());
        hasher.write_u64(detail);
        self.met.push(hasher.finish());
    }

    /// Adds what another campaign counted.
    #[allow(dead_code, reason = "the short run has one campaign")]
    pub(crate) fn add(&mut self, other: &Self) {
        self.units += other.units;
        for (layer, count) in &other.layers {
            *self.layers.entry(layer.clone()).or_default() += count;
        }
    }
}

/// A promise, checked.
pub(crate) fn ensure(holds: bool, promise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(promise()) }
}
