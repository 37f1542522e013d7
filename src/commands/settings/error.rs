//! What can be wrong with a command line, each with the way out.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::shell::http::admin::TokenError;
use crate::vocabulary::configuration::{ClusterNameError, VoterSetError};
use crate::vocabulary::identity::{NodeId, NodeIdError};
use crate::vocabulary::setup::SEEDS_MAX;
use crate::vocabulary::timing::TimingError;

/// Why settings are refused. Nothing was started and no port was opened.
#[derive(Debug, thiserror::Error)]
pub(in crate::commands) enum SettingsError {
    #[error("{what}: \"{text}\" is not an IP address with a port: write it like 10.0.0.1:8000")]
    Address { what: &'static str, text: String },
    #[error("{what}: {address} has port 0, which others cannot be told: name a port")]
    PortZero { what: &'static str, address: SocketAddr },
    #[error(
        "{0} listens on every address, so others cannot be told which one to use: add \
         --advertise ADDR:PORT"
    )]
    NothingToAdvertise(SocketAddr),
    #[error("--advertise {0} is not the address of a single machine: name the one others reach")]
    AdvertisesNobody(SocketAddr),
    #[error(
        "HTTP is served at the gossip port + 1000, and {0} + 1000 is above 65535: add \
         --http ADDR:PORT"
    )]
    HttpPort(u16),
    #[error("--id: {0}")]
    Id(#[source] NodeIdError),
    #[error("--cluster: {0}")]
    Cluster(#[from] ClusterNameError),
    #[error(
        "--voters: \"{0}\" names no voter: write an id, an address like 10.0.0.1:8000, or both \
         like 1=10.0.0.1:8000"
    )]
    Voter(String),
    #[error("--voters: {0}")]
    VoterId(#[source] NodeIdError),
    #[error("--voters: {0}")]
    VoterSet(#[from] VoterSetError),
    #[error(
        "--voters: {address} is named for node {first} and for node {second}: each has its own"
    )]
    SharedVoterAddress { address: SocketAddr, first: NodeId, second: NodeId },
    #[error(
        "--voters names this node's own address {address}, which means node {meant}, but this \
         is node {own}: leave --id out, or write {own}={address} in every node's --voters"
    )]
    OwnAddressUnderAnotherId { address: SocketAddr, meant: NodeId, own: NodeId },
    #[error(
        "--voters says that node {own}, this one, is at {listed}, but it is at {advertised}: \
         correct the one or the other"
    )]
    OwnIdElsewhere { own: NodeId, listed: SocketAddr, advertised: SocketAddr },
    #[error("--seed: \"{0}\" is not a host with a port: write it like goose.example:8000")]
    Seed(String),
    #[error("{0} seeds are too many: at most {SEEDS_MAX}; a few that are usually up are enough")]
    TooManySeeds(usize),
    #[error(
        "the only seed is this node itself ({0}): name another node to join, or found a \
         cluster with --voters, or of this node alone without --seed"
    )]
    OwnSeed(SocketAddr),
    #[error(
        "this node would be reached at {advertised}, on this machine only, but {seed} is \
         another machine: listen on an address that it can reach, or add --advertise ADDR:PORT"
    )]
    LoopbackWithSeedElsewhere { advertised: SocketAddr, seed: String },
    #[error(transparent)]
    Timing(#[from] TimingError),
    #[error("--state-dir is empty: name a folder, or use --ephemeral")]
    EmptyStateDir,
    #[error(
        "neither XDG_STATE_HOME nor HOME names a folder for state: add --state-dir DIR, or \
         --ephemeral"
    )]
    NoStateFolder,
    #[error("the admin token file {} cannot be read: {source}", file.display())]
    TokenFile { file: PathBuf, source: std::io::Error },
    #[error("the admin token file {} holds no token: {reason}", file.display())]
    Token { file: PathBuf, reason: TokenError },
    #[error(transparent)]
    KeyFile(#[from] crate::commands::keys::KeyFileError),
}
