//! Why a node did not start, in types of the library's own.

use std::fmt;
use std::io::ErrorKind;

use crate::config::words::for_a_program;
use crate::config::{Fault, SettingsError};
use crate::node;
use crate::shell::open::OpenError;
use crate::shell::socket::BindError;
use crate::shell::start;
use crate::shell::store::StoreError;

/// Why a node did not start. Nothing was left open or running, and no record was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Not an IP address with a port, nor a host name that has one.
    #[error(transparent)]
    Address(SettingsError),
    /// Others could not be told how to reach this node.
    #[error(transparent)]
    NothingToAdvertise(SettingsError),
    /// Not a node id.
    #[error(transparent)]
    Id(SettingsError),
    /// Not a cluster name.
    #[error(transparent)]
    Cluster(SettingsError),
    /// Not a voter set.
    #[error(transparent)]
    Voters(SettingsError),
    /// This node's own address stands among the voters under another id.
    #[error(transparent)]
    OwnAddressUnderAnotherId(SettingsError),
    /// A seed that is neither an address nor a host name with a port.
    #[error(transparent)]
    Seed(SettingsError),
    /// More than 64.
    #[error(transparent)]
    TooManySeeds(SettingsError),
    /// The only seed is this node itself: it would wait for a cluster that nobody founds.
    #[error(transparent)]
    OwnSeed(SettingsError),
    /// Not a tag, or one too many.
    #[error(transparent)]
    Tag(SettingsError),
    /// A lease that is not safe or not usable.
    #[error(transparent)]
    Timing(SettingsError),
    /// Not a ring of keys.
    #[error(transparent)]
    Keys(SettingsError),
    /// No folder for state was named, and this user has none: see [`State`](crate::State).
    #[error(transparent)]
    NoStateFolder(SettingsError),
    /// Settings that do not go together in another way.
    #[error(transparent)]
    Settings(SettingsError),
    /// The socket could not be bound.
    #[error(transparent)]
    Bind(StartFailure),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(StartFailure),
    /// What is on disk does not go with these settings.
    #[error(transparent)]
    Record(StartFailure),
    /// There is no keeper: this program is not prepared to be one, or this system offers none. See
    /// [`Config::keeper`](crate::Config::keeper).
    #[cfg(feature = "keeper")]
    #[error(transparent)]
    Keeper(StartFailure),
    /// The operating system refused something.
    #[error("cannot start the node: {0}")]
    System(#[from] std::io::Error),
}

/// What stood in the way of a start, in words: one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    text: String,
    kind: Option<ErrorKind>,
}

impl StartFailure {
    pub(super) fn new(error: &dyn fmt::Display, kind: Option<ErrorKind>) -> Self {
        Self { text: for_a_program(error), kind }
    }

    /// What the operating system said, if it was that.
    pub fn io_kind(&self) -> Option<ErrorKind> {
        self.kind
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for StartFailure {}

impl From<SettingsError> for StartError {
    fn from(error: SettingsError) -> Self {
        match error.fault() {
            Fault::Address { .. } | Fault::PortZero { .. } | Fault::UnknownHost { .. } => {
                Self::Address(error)
            }
            Fault::NothingToAdvertise(_) | Fault::AdvertisesNobody { .. } => {
                Self::NothingToAdvertise(error)
            }
            Fault::Id(_) => Self::Id(error),
            Fault::Cluster(_) => Self::Cluster(error),
            Fault::Voter(_)
            | Fault::VoterId(_)
            | Fault::VoterSet(_)
            | Fault::SharedVoterAddress { .. } => Self::Voters(error),
            Fault::OwnAddressUnderAnotherId { .. } => Self::OwnAddressUnderAnotherId(error),
            Fault::Seed(_) => Self::Seed(error),
            Fault::TooManySeeds(_) => Self::TooManySeeds(error),
            Fault::OwnSeed(_) => Self::OwnSeed(error),
            Fault::Tag(_) => Self::Tag(error),
            Fault::Timing(_) => Self::Timing(error),
            Fault::Keys(_) => Self::Keys(error),
            Fault::NoStateFolder => Self::NoStateFolder(error),
            _ => Self::Settings(error),
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => {
                let kind = match &error {
                    StoreError::Unusable { source, .. } => Some(source.kind()),
                    StoreError::Locked { .. } | StoreError::Later { .. } => None,
                };
                Self::State(StartFailure::new(&error, kind))
            }
            OpenError::Record { .. } => Self::Record(StartFailure::new(&error, None)),
            OpenError::Bind(error) => error.into(),
        }
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Bind(StartFailure::new(&error, Some(error.kind())))
    }
}

impl From<node::StartError> for StartError {
    fn from(error: node::StartError) -> Self {
        Self::Record(StartFailure::new(&error, None))
    }
}

impl From<start::StartError> for StartError {
    fn from(error: start::StartError) -> Self {
        match error {
            start::StartError::Record(error) => error.into(),
            start::StartError::System(error) => Self::System(error),
        }
    }
}
