//! The Goose, as others hear of it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::identity::Process;

/// A tenure, as it is told to others. Advice: the lease is what makes it true.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Goose {
    /// The ballot at which the tenure began, for ever this tenure's name.
    pub term: u64,
    /// Who.
    pub process: Process,
    /// Its gossip and election address.
    pub address: SocketAddr,
    /// Its HTTP address, if it serves HTTP.
    pub http: Option<SocketAddr>,
}
