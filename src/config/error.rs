//! What can be wrong with settings, each with the way out, in the words of the command line. How
//! a program hears of it is said in [`super::words`].

use std::net::SocketAddr;
use std::time::Duration;

use super::hooks::HOOK_TIMEOUT_MAX;
#[cfg(feature = "tls")]
use super::http_tls::TlsFileError;
#[cfg(feature = "cli")]
use super::key_file::KeyFileError;
use super::token::TokenFileError;
use crate::node::setup::SEEDS_MAX;
use crate::vocabulary::configuration::{ClusterNameError, VoterSetError};
use crate::vocabulary::identity::{NodeId, NodeIdError};
use crate::vocabulary::metadata::{HTTP_TAG, TAGS_MAX, TagError};
use crate::vocabulary::node_name::NodeNameError;
use crate::vocabulary::timing::TimingError;
use crate::wire::seal::KeyRingError;

/// The key of the address to listen on, which has no flag.
pub(super) const LISTEN: &str = "listen";

/// Why settings are refused. Nothing was started, and nothing was opened but the files that they
/// name.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Fault {
    #[error(
        "{}: \"{text}\" is neither an IP address nor a host name with a port: write it like \
         10.0.0.1:8000",
        flag(key)
    )]
    Address { key: &'static str, text: String },
    #[error(
        "{}: {name} cannot be looked up: {reason}. Correct the name, or write an IP address like \
         10.0.0.1:8000",
        flag(key)
    )]
    UnknownHost { key: &'static str, name: String, reason: String },
    #[error("{}: {address} has port 0, which others cannot be told: name a port", flag(key))]
    PortZero { key: &'static str, address: SocketAddr },
    #[error(
        "{0} listens on every address, so others cannot be told which one to use: add \
         --advertise ADDR:PORT"
    )]
    NothingToAdvertise(SocketAddr),
    #[error("--{key} {address} is not the address of a single machine: name the one others reach")]
    AdvertisesNobody { key: &'static str, address: SocketAddr },
    #[error(
        "--advertise-http {0} would be told to others, but this node serves no HTTP: serve it with \
         --http ADDR:PORT, or leave --advertise-http out"
    )]
    AdvertisesNoHttp(SocketAddr),
    #[error(
        "--{given} is of no use alone: HTTP over TLS needs a certificate and its key. Add --{missing} FILE"
    )]
    HalfOfTls { given: &'static str, missing: &'static str },
    #[error(
        "--http-tls-cert says how HTTP is served, but this node serves none: serve it with \
         --http ADDR:PORT, or leave the certificate and its key out"
    )]
    TlsWithoutHttp,
    #[cfg(feature = "tls")]
    #[error(transparent)]
    TlsFile(#[from] TlsFileError),
    #[error(
        "HTTP is served at the gossip port + 1000, and {0} + 1000 is above 65535: add \
         --http ADDR:PORT"
    )]
    HttpPort(u16),
    #[error("--id: {0}")]
    Id(#[source] NodeIdError),
    #[error(
        "--id ordinal: the host is called \"{0}\", which does not end in a number behind a dash, \
         like db-0: give a number"
    )]
    NoOrdinal(String),
    #[error("--name: {0}")]
    Name(#[from] NodeNameError),
    #[error("--cluster: {0}")]
    Cluster(#[from] ClusterNameError),
    #[error(
        "--voters: \"{0}\" names no voter: write an id, an address like 10.0.0.1:8000, or both \
         like 1=10.0.0.1:8000"
    )]
    Voter(String),
    #[error("--first-term: \"{0}\" is no term: write a whole number from 1 to 1099511627776")]
    FirstTerm(String),
    /// Not as many as that.
    #[error(
        "--voters: \"auto:{0}\" names no number of voters: write auto:3, or another from 1 to 15"
    )]
    VotersKept(String),
    #[error("--voters: {0}")]
    VoterId(#[source] NodeIdError),
    #[error("--voters: {0}")]
    VoterSet(#[from] VoterSetError),
    #[error(
        "--voters: {address} is named for node {first} and for node {second}: correct one of the \
         two, for each node has an address of its own"
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
    #[error(
        "--seed: {0} seeds are too many: name {SEEDS_MAX} at most; a few that are usually up are \
         enough"
    )]
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
    #[error("--tag: {0}")]
    Tag(#[from] TagError),
    #[error(
        "--tag: by the key {HTTP_TAG} nodes tell each other how they serve HTTP: use another one"
    )]
    OwnTag,
    #[error(
        "--tag: over TLS a node tells the others so by a tag of its own, so {TAGS_MAX} are one too many \
         beside --http-tls-cert: leave one out"
    )]
    NoTagLeft,
    #[error(transparent)]
    Timing(#[from] TimingError),
    #[error("state-dir and ephemeral contradict each other: leave out the one or the other")]
    TwoStorages,
    #[error("--state-dir is empty: name a folder, or use --ephemeral")]
    EmptyStateDir,
    #[error(
        "neither XDG_STATE_HOME nor HOME names a folder for state: add --state-dir DIR, or \
         --ephemeral"
    )]
    NoStateFolder,
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    #[error(
        "a stop timeout of {asked:?} does not fit into a lease of {lease:?}: give a \
         --stop-timeout of at most {max:?}, or a longer --lease"
    )]
    StopTimeout { asked: Duration, max: Duration, lease: Duration },
    #[error(
        "exec needs its keeper, which ends the command when the node cannot: leave --no-keeper out"
    )]
    ExecWithoutKeeper,
    #[error(
        "exec has neither --seed nor --voters, so this node would found a cluster of its own and run \
         the command beside any other: name a --seed of the cluster to join, the --voters to found \
         one with, or say --alone"
    )]
    ExecAlone,
    #[error(
        "address needs the keeper, which drops the address when the node cannot: leave --no-keeper out"
    )]
    AddressWithoutKeeper,
    #[error(
        "address has neither --seed nor --voters, so this node would found a cluster of its own and \
         have the address beside any other: name a --seed of the cluster to join, the --voters to found \
         one with, or say --alone"
    )]
    AddressAlone,
    #[error("--{0} is empty: name a program to run, or leave it out")]
    EmptyHook(&'static str),
    #[error(
        "--{key}: {reason}: quote arguments as for a shell, like --{key} \"/bin/echo 'two words'\""
    )]
    HookWords { key: &'static str, reason: &'static str },
    #[error("--{key}: {program} cannot be run: {reason}. Correct its path, or its permissions")]
    HookProgram { key: &'static str, program: String, reason: &'static str },
    #[error(
        "--health: \"{0}\" is no URL that can be asked: write one like http://127.0.0.1:8080/healthz, \
         or name a command (curl speaks HTTPS)"
    )]
    HealthUrl(String),
    #[error("--{key}: {span:?} is of no use: give one from {least:?} to {most:?}")]
    HealthSpan { key: &'static str, span: Duration, least: Duration, most: Duration },
    #[error(
        "a hook timeout of {0:?} is of no use: give one above 0 and up to {HOOK_TIMEOUT_MAX:?}, \
         for that long a hand-over waits for a hook"
    )]
    HookTimeout(Duration),
    #[cfg(feature = "cli")]
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error(transparent)]
    Keys(#[from] KeyRingError),
}

/// A key as it is written on the command line.
fn flag(key: &str) -> String {
    if key == LISTEN { "the address to listen on".to_owned() } else { format!("--{key}") }
}

impl Fault {
    /// The keys that are to blame, so that people can be told where those were set.
    pub fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Address { key, .. }
            | Self::UnknownHost { key, .. }
            | Self::PortZero { key, .. }
            | Self::AdvertisesNobody { key, .. } => match *key {
                LISTEN => &[LISTEN],
                "advertise" => &["advertise"],
                "advertise-http" => &["advertise-http"],
                "voters" => &["voters"],
                _ => &["http"],
            },
            Self::AdvertisesNoHttp(_) => &["advertise-http", "http"],
            Self::HalfOfTls { .. } => &["http-tls-cert", "http-tls-key"],
            Self::TlsWithoutHttp => &["http-tls-cert", "http-tls-key", "http"],
            #[cfg(feature = "tls")]
            Self::TlsFile(error) => error.keys(),
            Self::NothingToAdvertise(_) | Self::HttpPort(_) => &[LISTEN],
            Self::Id(_) => &[LISTEN, "advertise"],
            Self::NoOrdinal(_) => &["id"],
            Self::Name(_) => &["name"],
            Self::Cluster(_) => &["cluster"],
            Self::FirstTerm(_) => &["first-term"],
            Self::Voter(_)
            | Self::VotersKept(_)
            | Self::VoterId(_)
            | Self::VoterSet(_)
            | Self::SharedVoterAddress { .. } => &["voters"],
            Self::OwnAddressUnderAnotherId { .. } | Self::OwnIdElsewhere { .. } => {
                &["voters", "id", LISTEN, "advertise"]
            }
            Self::Seed(_) | Self::TooManySeeds(_) => &["seed"],
            Self::OwnSeed(_) => &["seed", LISTEN, "advertise"],
            Self::LoopbackWithSeedElsewhere { .. } => &["seed", "voters", LISTEN, "advertise"],
            Self::Tag(_) | Self::OwnTag => &["tag"],
            Self::NoTagLeft => &["tag", "http-tls-cert"],
            Self::Timing(_) => &["lease", "profile"],
            Self::StopTimeout { .. } => &["lease", "profile"],
            Self::ExecWithoutKeeper | Self::AddressWithoutKeeper => &["no-keeper"],
            Self::ExecAlone | Self::AddressAlone => &[],
            Self::EmptyHook(key)
            | Self::HookWords { key, .. }
            | Self::HookProgram { key, .. }
            | Self::HealthSpan { key, .. } => match *key {
                "on-goose" => &["on-goose"],
                "on-duck" => &["on-duck"],
                "health-interval" => &["health-interval"],
                "health-timeout" => &["health-timeout"],
                _ => &["health"],
            },
            Self::HealthUrl(_) => &["health"],
            Self::HookTimeout(_) => &["hook-timeout"],
            Self::TwoStorages => &["state-dir", "ephemeral"],
            Self::EmptyStateDir => &["state-dir"],
            Self::NoStateFolder => &[],
            Self::TokenFile(_) => &["admin-token-file"],
            #[cfg(feature = "cli")]
            Self::KeyFile(_) => &["key-file"],
            Self::Keys(_) => &["key-file"],
        }
    }
}
