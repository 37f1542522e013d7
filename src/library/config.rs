//! What a node is started with: collected by [`Config`], judged and opened as the binary's settings
//! are, by [`crate::config`].

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

#[cfg(feature = "http")]
use crate::config::raw::HttpAddress;
use crate::config::raw::{RawId, RawTag, SecretKey};
use crate::config::words::for_a_program;
use crate::config::{Checked, Environment, Fault, Raw, SettingsError, check};
use crate::node;
use crate::shell::handle::Handle;
use crate::shell::host_name::host_name;
#[cfg(feature = "http")]
use crate::shell::http::{self, Listeners, Options, ServerThread};
use crate::shell::open::{Handed, OpenError, Opened};
use crate::shell::socket::{self, BindError};
use crate::shell::start::{self, StartOptions};
use crate::shell::store::StoreError;
use crate::vocabulary::health::IfNoneHealthy;
use crate::vocabulary::timing::Profile;

/// What a node is started with. Nothing is opened or judged before
/// [`Node::start`](crate::Node::start).
///
/// ```
/// use std::time::Duration;
///
/// let config = gaggle::Config::new("10.0.0.1:8000")
///     .voters(["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"])
///     .state_dir("/var/lib/my-service/gaggle")
///     .lease(Duration::from_secs(1));
/// ```
#[derive(Debug)]
pub struct Config {
    raw: Raw,
    handed: Handed,
}

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
    /// Settings that do not go together in another way.
    #[error(transparent)]
    Settings(SettingsError),
    /// The socket could not be bound.
    #[error("{}", for_a_program(.0))]
    Bind(#[source] BindError),
    /// The state folder cannot be used.
    #[error("{}", for_a_program(.0))]
    State(#[source] StoreError),
    /// What is on disk does not go with these settings.
    #[error("{}", for_a_program(.0))]
    Record(#[source] node::StartError),
    /// The operating system refused something.
    #[error("cannot start the node: {0}")]
    System(#[from] std::io::Error),
}

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
            _ => Self::Settings(error),
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => Self::State(error),
            OpenError::Record { reason, .. } => Self::Record(reason),
            OpenError::Bind(error) => Self::Bind(error),
        }
    }
}

impl From<start::StartError> for StartError {
    fn from(error: start::StartError) -> Self {
        match error {
            start::StartError::Record(error) => Self::Record(error),
            start::StartError::System(error) => Self::System(error),
        }
    }
}

/// A node that runs, with what belongs to it.
pub(super) struct Started {
    pub(super) handle: Handle,
    #[cfg(feature = "http")]
    pub(super) http: Option<ServerThread>,
}

impl Config {
    /// A node that speaks with others over UDP on `listen`, an IP address with a port, or a host
    /// name with a port, which the start waits for up to five seconds. With port 0 the system
    /// chooses one. Without a [seed](Self::seed) and without
    /// [voters](Self::voters) it founds a cluster of itself alone.
    pub fn new(listen: impl Into<String>) -> Self {
        Self { raw: Raw::of_program(listen.into()), handed: Handed::default() }
    }

    /// A node on a UDP socket that you bound.
    ///
    /// # Errors
    /// If the socket does not say where it is bound.
    pub fn on_socket(socket: UdpSocket) -> std::io::Result<Self> {
        let mut config = Self::new(socket.local_addr()?.to_string());
        config.handed.socket = Some(socket);
        Ok(config)
    }

    /// A node to join through: a host name or an address, with a port. Repeatable; looked up
    /// again at every attempt. This node itself may be among them, but not be the only one, unless
    /// [voters](Self::voters) are named.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<String>) -> Self {
        self.raw.seeds.push(seed.into());
        self
    }

    /// Something to be known of this node, shown to everybody with its member. Repeatable: 8 tags
    /// at most, with keys of up to 32 lower-case letters, digits, `-`, `_` and `.`, and values of
    /// up to 64 printable ASCII characters without commas.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.raw.tags.push(RawTag::Pair(key.into(), value.into()));
        self
    }

    /// The voters to found a cluster with, the same on each of them: an id, an address, or both
    /// like `1=10.0.0.1:8000`. A host name may stand for an address: with an id it is looked up
    /// again for as long as its voter is found nowhere, without one it is looked up at the start,
    /// to make the id. Addresses and names also serve as seeds. A record in the state folder wins.
    #[must_use]
    pub fn voters<I>(mut self, voters: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let voters: Vec<String> = voters.into_iter().map(Into::into).collect();
        self.raw.voters = (!voters.is_empty()).then_some(voters);
        self
    }

    /// This node's id, from 1 to 2^53 − 1; the highest wins elections. Left out, it is made from
    /// the advertised address.
    #[must_use]
    pub fn id(mut self, id: u64) -> Self {
        self.raw.id = Some(RawId::Number(id));
        self
    }

    /// What people call this node, shown beside its id: 1 to 64 printable ASCII characters
    /// without spaces. Left out, it is the name of the host.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.raw.name = Some(name.into());
        self
    }

    /// How others reach this node, if not at the address that it listens on.
    #[must_use]
    pub fn advertise(mut self, address: SocketAddr) -> Self {
        self.raw.advertise = Some(address.to_string());
        self
    }

    /// The address at which others reach this node's HTTP, if not at the one on which that is
    /// served: behind mapped ports.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn advertise_http(mut self, address: SocketAddr) -> Self {
        self.raw.advertise_http = Some(address.to_string());
        self
    }

    /// The cluster's name; `gaggle` unless you say otherwise.
    #[must_use]
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.raw.cluster = name.into();
        self
    }

    /// Where to keep what must survive a restart: a folder of this node's own, locked while it
    /// lives. Left out, nothing is kept: as a voter, the node then waits out the longest lease at
    /// every start before it votes, and can take no part in founding a cluster at once.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.raw.state_dir = Some(folder.into());
        self.raw.ephemeral = false;
        self
    }

    /// Timings for a kind of network.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.raw.profile = profile;
        self
    }

    /// How long a lease lasts, from 150 ms to 10 s; all other spans go along.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.raw.lease = Some(lease);
        self
    }

    /// The terms of this node are `term` or above (from 1 to 2^40), for a cluster that goes on above
    /// the terms of an older one. Every node that founds it says so.
    #[must_use]
    pub fn first_term(mut self, term: u64) -> Self {
        self.raw.first_term = Some(term.to_string());
        self
    }

    /// Whether the Goose hands over to a higher node that has come to stay. Settled when the
    /// cluster is founded, for all nodes alike.
    #[must_use]
    pub fn preempt(mut self, preempt: bool) -> Self {
        self.raw.preempt = Some(preempt);
        self
    }

    /// How long an order to step down or to shut down waits for the work in
    /// [`Leadership::run`](crate::Leadership::run) to end, while the lease is renewed (30 s). An
    /// order to step down is given up then; a node that shuts down leaves without releasing its
    /// lease.
    #[must_use]
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.raw.drain_timeout = Some(limit);
        self
    }

    /// The node is not healthy until [`Node::set_healthy`](crate::Node::set_healthy) has said that it
    /// is: it votes, and does not lead before. Left out, it begins healthy.
    #[must_use]
    pub fn unhealthy_at_start(mut self) -> Self {
        self.raw.unhealthy_at_start = true;
        self
    }

    /// If no node that may lead is healthy, nobody leads, unless all nodes are told this: then one that
    /// is not healthy leads, until a healthy one is there. One that does not lead already does so after
    /// 5 s without a healthy one.
    #[must_use]
    pub fn lead_anyway(mut self) -> Self {
        self.raw.if_none_healthy = IfNoneHealthy::LeadAnyway;
        self
    }

    /// Vote and gossip, but never become Goose.
    #[must_use]
    pub fn never_goose(mut self) -> Self {
        self.raw.never_goose = true;
        self
    }

    /// A key of the cluster, 32 random bytes. Repeatable: the first seals, all open.
    #[must_use]
    pub fn key(mut self, key: [u8; 32]) -> Self {
        self.raw.keys.push(SecretKey(key));
        self
    }

    /// Answer over HTTP on a listener that you bound, on a thread of its own, and take orders
    /// over a control socket: the file `gaggle.sock` in the state folder, or one in the user's
    /// runtime folder where there is no state folder or its path is too long for a socket. It is
    /// this user's and root's alone, the commands of `gaggle` find it, and it goes when the node
    /// ends. If it cannot be made, that is logged, and the node takes no orders from outside.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http(mut self, listener: std::net::TcpListener) -> Self {
        self.handed.http = Some(listener);
        self
    }

    /// Judges, opens and starts, in this order.
    pub(super) fn start(mut self) -> Result<Started, StartError> {
        let checked = self.checked()?;
        #[cfg(feature = "http")]
        let interval = checked.setup.timing.standby_interval;
        let opened = Opened::of(&checked, self.handed)?;
        let Opened { setup, socket, disk, store, .. } = opened;
        let handle =
            start::start(StartOptions { setup, socket, disk, store, last_will_sender: None })?;
        Ok(Started {
            #[cfg(feature = "http")]
            http: opened.listeners.map(|them| serve(them, &handle, interval)).transpose()?,
            handle,
        })
    }

    /// The judgement. If the system is to choose the port, that is opened in the end, and what
    /// depends on it judged then.
    fn checked(&mut self) -> Result<Checked, StartError> {
        let mut entropy = [0; 32];
        SysRng.try_fill_bytes(&mut entropy).map_err(std::io::Error::other)?;
        let environment = Environment { entropy, host: host_name(), ..Environment::default() };
        #[cfg(feature = "http")]
        if let Some(listener) = &self.handed.http {
            self.raw.http = HttpAddress::At(listener.local_addr()?.to_string());
        }
        let checked = check(&self.raw, &environment)?;
        if checked.listen.port() != 0 {
            return Ok(checked);
        }
        let socket = socket::bind(checked.listen).map_err(StartError::Bind)?;
        self.raw.listen = socket.local_addr()?.to_string();
        self.handed.socket = Some(socket);
        Ok(check(&self.raw, &environment)?)
    }
}

#[cfg(feature = "http")]
fn serve(
    listeners: Listeners,
    handle: &Handle,
    standby_interval: Duration,
) -> Result<ServerThread, StartError> {
    let options = Options::new(standby_interval);
    http::spawn_thread(listeners, handle.clone(), options).map_err(|error| {
        // Nobody will hold this node.
        handle.dismiss();
        StartError::System(std::io::Error::other(error))
    })
}
