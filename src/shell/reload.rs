//! What of a running node's settings can be changed without a restart.

use super::driver::Driver;
use super::handle::{Handle, OrderError};
use super::order::{Change, Order};
use crate::wire::seal::KeyRing;

impl Handle {
    /// From here on the first key seals and all open. No term and no grant changes.
    ///
    /// # Errors
    /// [`OrderError::Unavailable`]; the keys are as they were then.
    pub fn rotate_keys(&self, keys: KeyRing) -> Result<(), OrderError> {
        self.change(Change::Keys(keys))
    }

    /// From the next attempt on these are asked for the way into the cluster: host names or
    /// addresses with ports.
    ///
    /// # Errors
    /// [`OrderError::Unavailable`]; the seeds are as they were then.
    pub fn replace_seeds(&self, seeds: Vec<String>) -> Result<(), OrderError> {
        self.change(Change::Seeds(seeds))
    }

    fn change(&self, change: Change) -> Result<(), OrderError> {
        self.orders.try_send(Order::Change(change)).map_err(|_| OrderError::Unavailable)
    }
}

impl Driver {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Keys(keys) => self.core.rotate_keys(keys),
            Change::Seeds(seeds) => self.core.replace_seeds(&seeds),
        }
    }
}
