//! How full the tables are that others fill: for whoever checks that nobody can fill them
//! without end.

use super::NodeCore;
use crate::vocabulary::inspection::TableSize;

/// Outputs are drained after every input, so more than this at once is a flood of our own.
const OUTPUTS_MAX: usize = 4096;

impl NodeCore {
    /// Every table whose entries come from others, with its bound.
    pub fn tables(&self) -> Vec<TableSize> {
        let mut tables = vec![
            TableSize { name: "outputs", size: self.outputs.len(), size_max: OUTPUTS_MAX },
            self.addresses.table(),
            self.proofs.table(),
            self.sealing.table(),
            self.starts.table(),
        ];
        tables.extend(self.membership.tables());
        if let Some(election) = &self.election {
            tables.extend(election.tables());
        }
        tables
    }
}
