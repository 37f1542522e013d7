//! What a node is started with: collected by [`Config`], judged and opened as the binary's settings
//! are, by [`crate::config`].

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

use super::start_error::StartError;
use super::state::State;
use crate::config::checked::Storage;
#[cfg(feature = "http")]
use crate::config::raw::HttpAddress;
use crate::config::raw::{RawId, RawTag, SecretKey};
use crate::config::words::for_a_program;
use crate::config::{Checked, Environment, Raw, check};
use crate::shell::handle::Handle;
use crate::shell::host_name::host_name;
#[cfg(feature = "http")]
use crate::shell::http::{self, Listeners, Options, ServerThread};
use crate::shell::last_will_sender::LastWillSender;
#[cfg(feature = "testing")]
use crate::shell::open::Memory;
use crate::shell::open::{Handed, Opened};
use crate::shell::socket;
use crate::shell::start::{self, StartOptions};
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
///     .state(gaggle::State::dir("/var/lib/my-service/gaggle"))
///     .lease(Duration::from_secs(1));
/// ```
#[derive(Debug)]
pub struct Config {
    raw: Raw,
    handed: Handed,
    /// Whether somebody has said where state is kept.
    is_state_chosen: bool,
    #[cfg(feature = "keeper")]
    keeper: bool,
}

/// A node that runs, with what belongs to it.
pub(super) struct Started {
    pub(super) handle: Handle,
    pub(super) claim_lease: Duration,
    #[cfg(feature = "http")]
    pub(super) http: Option<ServerThread>,
}

impl Config {
    /// A node that speaks with others over UDP on `listen`, an IP address with a port, or a host
    /// name with a port, which the start waits for up to five seconds. With port 0 the system
    /// chooses one. Without a [seed](Self::seed) and without
    /// [voters](Self::voters) it founds a cluster of itself alone. What must survive a restart is kept
    /// below the user's state directory unless you say where; see [`State`].
    pub fn new(listen: impl Into<String>) -> Self {
        Self {
            raw: Raw::of_program(listen.into()),
            handed: Handed::default(),
            is_state_chosen: false,
            #[cfg(feature = "keeper")]
            keeper: false,
        }
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
    /// again at every attempt. A node that has seeds and is not told the [voters](Self::voters) joins
    /// a cluster, and waits for as long as there is none: if every node has seeds and none is told the
    /// voters, nobody founds one. All nodes may have the same list, so this node may be among its own
    /// seeds. Where it is the only one, the start is refused unless voters are named.
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
    ///
    /// The one entry `auto:N` names a number instead, 1 to 15, that the Goose keeps by itself as nodes
    /// come and go; it is `auto:3` if neither voters nor seeds are named. A node with `auto:N` and no
    /// seeds founds a cluster of itself alone. A node with `auto:N` and seeds joins, and founds nothing.
    /// See [`Node::keep_voters`](crate::Node::keep_voters) to change the number later, and
    /// [how a cluster begins](crate::guide::library#how-your-cluster-begins).
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

    /// Where to keep what must survive a restart, or that nothing is kept: see [`State`], and what is
    /// so if you say nothing.
    ///
    /// ```
    /// use gaggle::{Config, State};
    ///
    /// let kept = Config::new("10.0.0.1:8000").state(State::dir("/var/lib/my-service/gaggle"));
    /// let forgetful = Config::new("127.0.0.1:0").state(State::ephemeral());
    /// ```
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.raw.ephemeral = state.folder.is_none();
        self.raw.state_dir = state.folder;
        self.is_state_chosen = true;
        self
    }

    /// The same as [`state`](Self::state) with [`State::dir`].
    #[must_use]
    pub fn state_dir(self, folder: impl Into<PathBuf>) -> Self {
        self.state(State::dir(folder))
    }

    /// With a keeper: a small process beside this one that does nothing until this one is dead, and
    /// then tells the voters so. With it the next Goose is there milliseconds after a `kill -9` or a
    /// crash; without it, the voters wait until the lease has run out, up to 600 ms with the usual one.
    ///
    /// The keeper is this very program, executed again. So `main` must begin with
    /// [`keeper::run_if_asked`](crate::keeper::run_if_asked), or the start is refused. On a system that
    /// offers no pidfd, a warning is logged and the node goes without. Needs the feature `keeper`.
    ///
    /// In a test the harness owns `main`, so leave this out of settings that tests share: say it in
    /// `main`, where `run_if_asked` stands.
    #[cfg(feature = "keeper")]
    #[must_use]
    pub fn keeper(mut self, with_keeper: bool) -> Self {
        self.keeper = with_keeper;
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

    /// The lowest term that this node will lead under, from 1 to 2^40. For a cluster that takes the
    /// place of an older one and is to go on above its terms. Every node that founds it says the same.
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

    /// How long an order to step down or to shut down waits for the work to end, while the lease is
    /// renewed (30 s): that in [`Leadership::run`](crate::Leadership::run), and every
    /// [`Work`](crate::Work) that is not dropped. An
    /// order to step down is given up then; a node that shuts down leaves without releasing its
    /// lease.
    #[must_use]
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.raw.drain_timeout = Some(limit);
        self
    }

    /// The node is not healthy until [`Node::set_healthy`](crate::Node::set_healthy) has said that it
    /// is: it votes, and does not lead before. Left out, it begins healthy. For a service that takes a
    /// while to come up.
    #[must_use]
    pub fn unhealthy_at_start(mut self) -> Self {
        self.raw.unhealthy_at_start = true;
        self
    }

    /// What happens if no node that may lead is healthy. Left out, nobody leads. With this, said on all
    /// nodes, an unhealthy one leads until a healthy one is there. A Goose that becomes unhealthy then
    /// keeps leading; a Duck waits until no healthy node has been seen for 5 s.
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

    /// Needs the feature `http`. Answer over HTTP on a listener that you bound, on a thread of its own, and take orders
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

    /// Needs the feature `tls`. HTTP is served over TLS, with the certificate and the key in these PEM files:
    /// in the first the certificate, and below it those that lead to its authority. They are read once, at
    /// the start. The other members learn that this node is to be asked by https.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn http_tls(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.raw.http_tls_cert = Some(cert.into());
        self.raw.http_tls_key = Some(key.into());
        self
    }

    /// What the node remembers is there, and not in a folder.
    #[cfg(feature = "testing")]
    pub(super) fn memory(self, memory: Memory) -> Self {
        let mut config = self.state(State::ephemeral());
        config.handed.memory = Some(memory);
        config
    }

    /// Judges, opens and starts, in this order.
    pub(super) fn start(mut self) -> Result<Started, StartError> {
        let environment = environment()?;
        let checked = self.checked(&environment)?;
        let setup = &checked.setup;
        let name = setup.name.as_ref().map_or_else(|| setup.id.to_string(), ToString::to_string);
        let span = tracing::info_span!("gaggle", node = name, id = setup.id.number());
        let _logs_within = span.clone().entered();
        for warning in &checked.warnings {
            tracing::warn!("{}", for_a_program(warning));
        }
        match &checked.storage {
            Storage::Folder(folder) => tracing::info!("state in {}", folder.display()),
            Storage::Ephemeral => tracing::info!("no state kept"),
        }
        let last_will_sender = self.last_will_sender()?;
        #[cfg(feature = "http")]
        let http_options = options(&checked);
        let claim_lease = checked.setup.timing.claim_lease;
        let opened = Opened::of(&checked, self.handed)?;
        let Opened { setup, socket, disk, store, .. } = opened;
        let options = StartOptions { setup, socket, disk, store, last_will_sender };
        let handle = start::start_embedded(span, options)?;
        Ok(Started {
            #[cfg(feature = "http")]
            http: opened.listeners.map(|them| serve(them, &handle, http_options)).transpose()?,
            handle,
            claim_lease,
        })
    }

    #[cfg(feature = "keeper")]
    fn last_will_sender(&self) -> Result<Option<Box<dyn LastWillSender>>, StartError> {
        if self.keeper { super::keeper::start() } else { Ok(None) }
    }

    #[cfg(not(feature = "keeper"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "so with the feature keeper")]
    fn last_will_sender(&self) -> Result<Option<Box<dyn LastWillSender>>, StartError> {
        Ok(None)
    }

    /// The judgement. If the system is to choose the port, that is opened in the end, and what
    /// depends on it judged then.
    fn checked(&mut self, environment: &Environment) -> Result<Checked, StartError> {
        #[cfg(feature = "http")]
        if let Some(listener) = &self.handed.http {
            self.raw.http = HttpAddress::At(listener.local_addr()?.to_string());
        }
        let chooses_port = self.raw.listen.parse().is_ok_and(|it: SocketAddr| it.port() == 0);
        if chooses_port && self.raw.id.is_none() && !self.is_state_chosen {
            // Another node at every start: what it left would never be found again.
            self.raw.ephemeral = true;
        }
        let checked = check(&self.raw, environment)?;
        if checked.listen.port() != 0 {
            return Ok(checked);
        }
        let socket = socket::bind(checked.listen)?;
        self.raw.listen = socket.local_addr()?.to_string();
        self.handed.socket = Some(socket);
        Ok(check(&self.raw, environment)?)
    }
}

/// What settings take from this process. The folder for state is the only thing that a program has not
/// said itself.
fn environment() -> std::io::Result<Environment> {
    let mut entropy = [0; 32];
    SysRng.try_fill_bytes(&mut entropy).map_err(std::io::Error::other)?;
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    let (state_home, home) = (path("XDG_STATE_HOME"), path("HOME"));
    Ok(Environment { state_home, home, entropy, host: host_name(), ..Environment::default() })
}

/// How HTTP is served.
#[cfg(feature = "http")]
fn options(checked: &Checked) -> Options {
    Options {
        #[cfg(feature = "tls")]
        tls: checked.http_tls.clone(),
        ..Options::new(checked.setup.timing.standby_interval)
    }
}

#[cfg(feature = "http")]
fn serve(
    listeners: Listeners,
    handle: &Handle,
    options: Options,
) -> Result<ServerThread, StartError> {
    http::spawn_thread(listeners, handle.clone(), options).map_err(|error| {
        // Nobody will hold this node.
        handle.dismiss();
        StartError::System(std::io::Error::other(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(mut config: Config, home: Option<&str>) -> Result<Storage, StartError> {
        let environment = Environment { home: home.map(PathBuf::from), ..Environment::default() };
        config.checked(&environment).map(|checked| checked.storage)
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_that_cannot_be_served_is_refused_in_the_words_of_a_program() {
        let config = || {
            let config = Config::new("127.0.0.1:8000").state(State::ephemeral());
            config.http_tls("/nowhere/cert", "/nowhere/key")
        };
        let words = storage(config(), None).unwrap_err().to_string();
        assert!(words.starts_with("Config::http_tls says how HTTP is served, but"), "{words}");
        assert!(words.contains("serve it with Config::http, or leave"), "{words}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let words = storage(config().http(listener), None).unwrap_err().to_string();
        assert!(words.starts_with("Config::http_tls: /nowhere/cert cannot be read: "), "{words}");
    }

    #[test]
    fn a_program_that_says_nothing_of_state_gives_up_no_promise() {
        let silent = || Config::new("127.0.0.1:8000").id(7);
        let kept = storage(silent(), Some("/home/gander")).unwrap();
        assert_eq!(kept, Storage::Folder("/home/gander/.local/state/gaggle/gaggle/7".into()));
        let error = storage(silent(), None).unwrap_err();
        assert!(matches!(error, StartError::NoStateFolder(_)), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("Config::state(State::ephemeral())") && !text.contains("--"),
            "{text}"
        );
    }

    #[test]
    fn whoever_says_that_nothing_is_kept_is_taken_at_their_word() {
        let config = Config::new("127.0.0.1:8000").state(State::ephemeral());
        assert_eq!(storage(config, None).unwrap(), Storage::Ephemeral);
        let config = Config::new("127.0.0.1:8000").state(State::ephemeral()).state_dir("/a");
        assert_eq!(storage(config, None).unwrap(), Storage::Folder("/a".into()));
        let config = Config::new("127.0.0.1:8000").state_dir("/a").state(State::ephemeral());
        assert_eq!(storage(config, None).unwrap(), Storage::Ephemeral);
    }

    #[test]
    fn a_node_that_cannot_be_found_again_keeps_nothing() {
        let open = || Config::new("127.0.0.1:0");
        assert_eq!(storage(open(), Some("/home/gander")).unwrap(), Storage::Ephemeral);
        let known = storage(open().id(7), Some("/home/gander")).unwrap();
        assert_eq!(known, Storage::Folder("/home/gander/.local/state/gaggle/gaggle/7".into()));
        let kept = storage(open().state(State::dir("/a")), Some("/home/gander")).unwrap();
        assert_eq!(kept, Storage::Folder("/a".into()));
    }
}
