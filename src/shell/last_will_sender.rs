//! Who speaks for a node that is dead.

use crate::node::LastWillDatagram;
use crate::vocabulary::time::HolderTime;

/// Somebody outside this process who sends its last will once it is certainly dead.
pub trait LastWillSender: Send {
    /// A new last will, which replaces the one before. Never blocks.
    fn feed(&mut self, last_will: &[LastWillDatagram]);
    /// The lease of `term` now lasts until `deadline`; 0: it is over. Never blocks.
    fn renewed(&mut self, _term: u64, _deadline: HolderTime) {}
    /// Tries again what could not be handed over at once. Never blocks.
    fn flush(&mut self);

    /// Who runs the hook on-duck when this process is dead, if anybody does.
    fn hook_runner(&self) -> Option<Box<dyn HookRunner>> {
        None
    }
}

/// Runs the hook on-duck when this process is dead.
pub trait HookRunner: Send + Sync {
    /// From here on it is to be run then, with these variables in its environment; without any it is
    /// not. Never blocks.
    fn arm(&self, variables: &[(String, String)]);
}
