//! What a node is started with: collected by [`Config`], judged as a whole when it starts.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::node;
use crate::shell::handle::Handle;
use crate::shell::socket::{self, BindError};
use crate::shell::start::{StartOptions, start};
use crate::shell::store::{NoStore, StateFolder, Store, StoreError};
use crate::vocabulary::configuration::{ClusterName, ClusterNameError, VoterSet, VoterSetError};
use crate::vocabulary::identity::{NodeId, NodeIdError, normalised};
use crate::vocabulary::metadata::{TagError, Tags};
use crate::vocabulary::record::Disk;
use crate::vocabulary::seal::{KeyRing, KeyRingError};
use crate::vocabulary::setup::{DRAIN_TIMEOUT, SEEDS_MAX, Setup};
use crate::vocabulary::timing::{Profile, Timing, TimingError};

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
    listen: String,
    socket: Option<UdpSocket>,
    advertise: Option<SocketAddr>,
    id: Option<u64>,
    cluster: String,
    seeds: Vec<String>,
    tags: Vec<(String, String)>,
    voters: Vec<String>,
    profile: Profile,
    lease: Option<Duration>,
    preempt: Option<bool>,
    drain_timeout: Duration,
    eligible: bool,
    state_dir: Option<PathBuf>,
    keys: Vec<Secret>,
    #[cfg(feature = "http")]
    http: Option<std::net::TcpListener>,
}

/// A key that no debug output shows.
struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(secret)")
    }
}

/// Why a node did not start. Nothing was left open or running, and no record was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Not an IP address with a port.
    #[error("\"{0}\" is no IP address with a port: write it like 10.0.0.1:8000")]
    Address(String),
    /// Others could not be told how to reach this node.
    #[error("{0} names no single machine: say with Config::advertise how others reach this node")]
    NothingToAdvertise(SocketAddr),
    /// Not a node id.
    #[error(transparent)]
    Id(#[from] NodeIdError),
    /// Not a cluster name.
    #[error(transparent)]
    Cluster(#[from] ClusterNameError),
    /// Not a voter set.
    #[error(transparent)]
    Voters(#[from] VoterSetError),
    /// This node's own address stands among the voters under another id.
    #[error(
        "the voters name this node's own address {address} as node {meant}, but this is node \
         {own}: leave Config::id out, or write {own}={address} on every node"
    )]
    OwnAddressUnderAnotherId {
        /// This node's address.
        address: SocketAddr,
        /// The id it has among the voters.
        meant: NodeId,
        /// The id it was given.
        own: NodeId,
    },
    /// A seed that is neither an address nor a host name with a port.
    #[error("the seed \"{0}\" is no host with a port: write it like goose.example:8000")]
    Seed(String),
    /// More than 64.
    #[error("{0} seeds are too many: name {SEEDS_MAX} at most; a few that are usually up will do")]
    TooManySeeds(usize),
    /// Not a tag, or one too many.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// A lease that is not safe or not usable.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// Not a ring of keys.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StoreError),
    /// What is on disk does not go with these settings.
    #[error(transparent)]
    Record(#[from] node::StartError),
    /// The operating system refused something.
    #[error("cannot start the node: {0}")]
    System(#[from] std::io::Error),
}

/// A node that runs, with what belongs to it.
pub(super) struct Started {
    pub(super) handle: Handle,
    #[cfg(feature = "http")]
    pub(super) http: Option<crate::shell::http::ServerThread>,
}

impl Config {
    /// A node that speaks with others over UDP on `listen`, an IP address with a port. With
    /// port 0 the system chooses one. Without a [seed](Self::seed) and without
    /// [voters](Self::voters) it founds a cluster of itself alone.
    pub fn new(listen: impl Into<String>) -> Self {
        Self {
            listen: listen.into(),
            socket: None,
            advertise: None,
            id: None,
            cluster: "gaggle".to_owned(),
            seeds: Vec::new(),
            tags: Vec::new(),
            voters: Vec::new(),
            profile: Profile::default(),
            lease: None,
            preempt: None,
            drain_timeout: DRAIN_TIMEOUT,
            eligible: true,
            state_dir: None,
            keys: Vec::new(),
            #[cfg(feature = "http")]
            http: None,
        }
    }

    /// A node on a UDP socket that you bound.
    ///
    /// # Errors
    /// If the socket does not say where it is bound.
    pub fn on_socket(socket: UdpSocket) -> std::io::Result<Self> {
        let mut config = Self::new(socket.local_addr()?.to_string());
        config.socket = Some(socket);
        Ok(config)
    }

    /// A node to join through: a host name or an address, with a port. Repeatable; looked up
    /// again at every attempt.
    #[must_use]
    pub fn seed(mut self, seed: impl Into<String>) -> Self {
        self.seeds.push(seed.into());
        self
    }

    /// Something to be known of this node, shown to everybody with its member. Repeatable: 8 tags
    /// at most, with keys of up to 32 lower-case letters, digits, `-`, `_` and `.`, and values of
    /// up to 64 printable ASCII characters without commas.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// The voters to found a cluster with, the same on each of them: an id, an address, or both
    /// like `1=10.0.0.1:8000`. Addresses also serve as seeds. A record in the state folder wins.
    #[must_use]
    pub fn voters<I>(mut self, voters: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.voters = voters.into_iter().map(Into::into).collect();
        self
    }

    /// This node's id, from 1 to 2^53 − 1; the highest wins elections. Left out, it is made from
    /// the advertised address.
    #[must_use]
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// How others reach this node, if not at the address that it listens on.
    #[must_use]
    pub fn advertise(mut self, address: SocketAddr) -> Self {
        self.advertise = Some(address);
        self
    }

    /// The cluster's name; `gaggle` unless you say otherwise.
    #[must_use]
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
        self
    }

    /// Where to keep what must survive a restart: a folder of this node's own, locked while it
    /// lives. Left out, nothing is kept: as a voter, the node then waits out the longest lease at
    /// every start before it votes, and can take no part in founding a cluster at once.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(folder.into());
        self
    }

    /// Timings for a kind of network.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How long a lease lasts, from 150 ms to 10 s; all other spans go along.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Whether the Goose hands over to a higher node that has come to stay. Settled when the
    /// cluster is founded, for all nodes alike.
    #[must_use]
    pub fn preempt(mut self, preempt: bool) -> Self {
        self.preempt = Some(preempt);
        self
    }

    /// How long an order to step down or to shut down waits for the work in
    /// [`Leadership::run`](crate::Leadership::run) to end, while the lease is renewed (30 s). An
    /// order to step down is given up then; a node that shuts down leaves without releasing its
    /// lease.
    #[must_use]
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.drain_timeout = limit;
        self
    }

    /// Vote and gossip, but never become Goose.
    #[must_use]
    pub fn never_goose(mut self) -> Self {
        self.eligible = false;
        self
    }

    /// A key of the cluster, 32 random bytes. Repeatable: the first seals, all open.
    #[must_use]
    pub fn key(mut self, key: [u8; 32]) -> Self {
        self.keys.push(Secret(key));
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
        self.http = Some(listener);
        self
    }

    /// Judges, opens and starts, in this order.
    pub(super) fn start(mut self) -> Result<Started, StartError> {
        let given = self.listen.parse::<SocketAddr>();
        let listen = given.map_err(|_| StartError::Address(self.listen.clone()))?;
        self.judge()?;
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => socket::bind(listen)?,
        };
        let setup = self.setup(socket.local_addr()?)?;
        let (disk, store): (Disk, Box<dyn Store>) = match &self.state_dir {
            Some(path) => {
                let (folder, disk) = StateFolder::open(path)?;
                (disk, Box::new(folder))
            }
            None => (Disk::Ephemeral, Box::new(NoStore)),
        };
        node::check_record(&setup, &disk)?;
        #[cfg(feature = "http")]
        let interval = setup.timing.standby_interval;
        let handle = start(StartOptions { setup, socket, disk, store, last_will_sender: None });
        let handle = handle.map_err(|error| match error {
            crate::shell::start::StartError::Record(error) => StartError::Record(error),
            crate::shell::start::StartError::System(error) => StartError::System(error),
        })?;
        #[cfg(feature = "http")]
        let folder = self.state_dir.as_deref();
        Ok(Started {
            #[cfg(feature = "http")]
            http: self.http.map(|tcp| serve(tcp, folder, &handle, interval)).transpose()?,
            handle,
        })
    }

    /// What can be judged without opening anything.
    fn judge(&self) -> Result<(), StartError> {
        ClusterName::new(&self.cluster)?;
        if self.seeds.len() + self.voters.len() > SEEDS_MAX {
            return Err(StartError::TooManySeeds(self.seeds.len() + self.voters.len()));
        }
        for seed in &self.seeds {
            let port = seed.rsplit_once(':').and_then(|(host, port)| {
                (!host.is_empty()).then(|| port.parse::<u16>().ok()).flatten()
            });
            if port.is_none_or(|port| port == 0) {
                return Err(StartError::Seed(seed.clone()));
            }
        }
        self.timing()?;
        self.tags()?;
        Ok(())
    }

    fn tags(&self) -> Result<Tags, TagError> {
        Tags::new(self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }

    fn timing(&self) -> Result<Timing, TimingError> {
        let timing = Timing::of(self.profile);
        let timing = match self.lease {
            Some(lease) => timing.with_lease(lease),
            None => timing,
        };
        timing.check_for(self.profile)?;
        Ok(timing)
    }

    fn setup(&self, bound: SocketAddr) -> Result<Setup, StartError> {
        let address = normalised(self.advertise.unwrap_or(bound));
        if address.ip().is_unspecified() || address.port() == 0 {
            return Err(StartError::NothingToAdvertise(address));
        }
        let id = match self.id {
            Some(id) => NodeId::new(id)?,
            None => NodeId::of_address(address)?,
        };
        let mut seeds = self.seeds.clone();
        let (mut voters, mut voter_addresses) = (Vec::new(), Vec::new());
        for text in &self.voters {
            let (voter, place) = voter(text)?;
            voters.push(voter);
            let Some(place) = place else { continue };
            voter_addresses.push((voter, place));
            if place == address && voter != id {
                let (meant, own) = (voter, id);
                return Err(StartError::OwnAddressUnderAnotherId { address, meant, own });
            }
            if place != address {
                seeds.push(place.to_string());
            }
        }
        let voters = if voters.is_empty() { None } else { Some(VoterSet::new(voters)?) };
        let keys = self.keys.iter().map(|key| key.0).collect::<Vec<_>>();
        let keys = if keys.is_empty() { None } else { Some(KeyRing::new(keys)?) };
        #[cfg(feature = "http")]
        let http = self.http.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        #[cfg(not(feature = "http"))]
        let http = None;
        let mut entropy = [0; 32];
        SysRng.try_fill_bytes(&mut entropy).map_err(std::io::Error::other)?;
        Ok(Setup {
            cluster: ClusterName::new(&self.cluster)?,
            id,
            address,
            http,
            tags: self.tags()?,
            seeds,
            voters,
            preempt: self.preempt,
            voter_addresses,
            eligible: self.eligible,
            timing: self.timing()?,
            drain_timeout: self.drain_timeout,
            keys,
            entropy,
        })
    }
}

/// One voter: `ID`, `ADDR:PORT`, or `ID=ADDR:PORT`.
fn voter(text: &str) -> Result<(NodeId, Option<SocketAddr>), StartError> {
    let address = |text: &str| {
        let parsed = text.trim().parse().map(normalised);
        parsed.map_err(|_| StartError::Address(text.to_owned()))
    };
    match text.split_once('=') {
        Some((id, place)) => Ok((id.trim().parse()?, Some(address(place)?))),
        None => match text.trim().parse::<u64>() {
            Ok(number) => Ok((NodeId::new(number)?, None)),
            Err(_) => {
                let address = address(text)?;
                Ok((NodeId::of_address(address)?, Some(address)))
            }
        },
    }
}

#[cfg(feature = "http")]
fn serve(
    tcp: std::net::TcpListener,
    state_folder: Option<&std::path::Path>,
    handle: &Handle,
    standby_interval: Duration,
) -> Result<crate::shell::http::ServerThread, StartError> {
    use crate::shell::control_socket::{ControlSocket, places::Places};
    let id = handle.snapshot().process.id;
    let control = ControlSocket::open(state_folder, id, &Places::of_process());
    let control = control.inspect_err(|error| tracing::warn!("{error}")).ok();
    let listeners = crate::shell::http::Listeners { tcp, control };
    let options = crate::shell::http::Options::new(standby_interval);
    let served = crate::shell::http::spawn_thread(listeners, handle.clone(), options);
    served.map_err(|error| {
        // Nobody will hold this node.
        handle.dismiss();
        StartError::System(std::io::Error::other(error))
    })
}
