//! Settings as they were given, each with where it was found. Nothing is judged here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::vocabulary::health::IfNoneHealthy;
use crate::vocabulary::identity::{NodeId, NodeIdError};
use crate::vocabulary::timing::Profile;
use crate::wire::seal::KEY_SIZE;

/// The name of a cluster, unless told otherwise.
pub const CLUSTER_DEFAULT: &str = "gaggle";

/// What `--id` is given instead of a number.
pub const ORDINAL: &str = "ordinal";

/// Every setting of a node as it was given. What nobody has said is empty here; of a person's
/// settings those that have a default in the table have that instead.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// Where to speak with other nodes.
    pub listen: String,
    /// Nodes to join through.
    pub seeds: Vec<String>,
    /// The voters to found a cluster with, one entry each.
    pub voters: Option<Vec<String>>,
    /// This node's id.
    pub id: Option<RawId>,
    /// What people call it.
    pub name: Option<String>,
    /// How others reach this node.
    pub advertise: Option<String>,
    /// Where HTTP is served.
    pub http: HttpAddress,
    /// The file with the certificate by which HTTP is served over TLS.
    pub http_tls_cert: Option<PathBuf>,
    /// The file with its key.
    pub http_tls_key: Option<PathBuf>,
    /// How others reach that.
    pub advertise_http: Option<String>,
    /// Where HAProxy's agent-check is answered.
    pub agent_check: Option<String>,
    /// What is to be known of this node.
    pub tags: Vec<RawTag>,
    /// The cluster's name.
    pub cluster: String,
    /// How long a lease lasts.
    pub lease: Option<Duration>,
    /// Above which terms this node goes on.
    pub first_term: Option<String>,
    /// Timings for a kind of network.
    pub profile: Profile,
    /// Whether the Goose hands over to a higher node.
    pub preempt: Option<bool>,
    /// Vote, but never become Goose.
    pub never_goose: bool,
    /// Where the record is kept. None: in a folder of the user's, unless nothing is kept.
    pub state_dir: Option<PathBuf>,
    /// Keep nothing.
    pub ephemeral: bool,
    /// The file with the keys.
    pub key_file: Option<PathBuf>,
    /// The keys themselves, from a program.
    pub keys: Vec<SecretKey>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The file with the admin token.
    pub admin_token_file: Option<PathBuf>,
    /// How the log is written.
    pub log_format: LogFormat,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Start no keeper.
    pub no_keeper: bool,
    /// What to run when this node has become Goose.
    pub on_goose: Option<String>,
    /// What to run before it is Goose no more.
    pub on_duck: Option<String>,
    /// How long a hook may run.
    pub hook_timeout: Option<Duration>,
    /// What a hook that fails means.
    pub on_hook_failure: OnHookFailure,
    /// What finds out whether this node is healthy: a command or a URL.
    pub health: Option<String>,
    /// From one check to the next.
    pub health_interval: Option<Duration>,
    /// How long a check may take.
    pub health_timeout: Option<Duration>,
    /// So many checks in a row fail before the node is not healthy.
    pub health_failures: Option<u32>,
    /// So many checks in a row pass before it is healthy again.
    pub health_successes: Option<u32>,
    /// A program says later whether it is healthy; until then it is not.
    pub unhealthy_at_start: bool,
    /// Whether somebody leads when no node is healthy.
    pub if_none_healthy: IfNoneHealthy,
    /// Leave when standard input ends.
    pub exit_with_stdin: bool,
    /// How long an order waits for the work under the lease to end.
    pub drain_timeout: Option<Duration>,
    /// Where each was found.
    pub origins: Origins,
}

impl Raw {
    /// What a program has said that has said no more than where to listen: no HTTP is served.
    pub fn of_program(listen: String) -> Self {
        Self {
            listen,
            cluster: CLUSTER_DEFAULT.to_owned(),
            http: HttpAddress::None,
            origins: Origins { program: true, ..Origins::default() },
            ..Self::default()
        }
    }
}

/// What follows when the hook on-goose fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnHookFailure {
    /// It is logged, and this node stays Goose.
    Stay,
    /// This node is not healthy for a while, and hands over.
    #[default]
    StepDown,
}

/// Where HTTP is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HttpAddress {
    /// Beside the address to listen on, at a port that follows from its port.
    #[default]
    Derived,
    /// Here.
    At(String),
    /// Nowhere, but for the control socket.
    Off,
    /// Nowhere at all.
    None,
}

/// A node's own id as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawId {
    /// This number.
    Number(u64),
    /// One more than the number at the end of the host's name: what the members of a StatefulSet
    /// are told apart by counts from 0.
    Ordinal,
}

impl std::str::FromStr for RawId {
    type Err = NodeIdError;
    /// `ordinal`, or what is read as a [`NodeId`].
    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        if text == ORDINAL {
            return Ok(Self::Ordinal);
        }
        text.parse::<NodeId>().map(|id| Self::Number(id.number()))
    }
}

/// A tag as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawTag {
    /// `KEY=VALUE`, or what was meant to be that.
    Text(String),
    /// A key and a value.
    Pair(String, String),
}

/// A key that no debug output shows.
#[derive(Clone)]
pub struct SecretKey(pub [u8; KEY_SIZE]);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(secret)")
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How much is logged, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they say it themselves")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Where a setting was found, the weakest first: the stronger one counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere: it is built in or follows from others.
    Default,
    /// In the configuration file.
    File,
    /// In this environment variable.
    Environment(String),
    /// On the command line.
    Flag,
    /// In a program, by a method of [`Config`](crate::Config).
    Program,
}

impl Origin {
    /// How much it counts beside another.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File => 1,
            Self::Environment(_) => 2,
            Self::Flag => 3,
            Self::Program => 4,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File => formatter.write_str("file"),
            Self::Environment(name) => formatter.write_str(name),
            Self::Flag => formatter.write_str("flag"),
            Self::Program => formatter.write_str("program"),
        }
    }
}

/// Every setting's origin, by its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    keys: BTreeMap<&'static str, Origin>,
    /// The file that [`Origin::File`] means.
    pub file: Option<PathBuf>,
    /// A program has said everything.
    pub program: bool,
}

impl Origins {
    /// Where `key` was set.
    pub fn of(&self, key: &str) -> Origin {
        match self.keys.get(key) {
            _ if self.program => Origin::Program,
            Some(origin) => origin.clone(),
            None => Origin::Default,
        }
    }

    /// `key` was found there.
    pub fn note(&mut self, key: &'static str, origin: Origin) {
        self.keys.insert(key, origin);
    }

    /// Which of `keys` were set where nobody looks who reads the command line, in words; empty
    /// if none was.
    pub fn hidden(&self, keys: &[&str]) -> String {
        let place = |key: &&str| match self.of(key) {
            Origin::File => {
                let file = self.file.as_ref().map(|file| file.display().to_string());
                Some(format!("{key} is set in {}", file.unwrap_or_default()))
            }
            Origin::Environment(name) => Some(format!("{key} is set by {name}")),
            Origin::Default | Origin::Flag | Origin::Program => None,
        };
        let places: Vec<String> = keys.iter().filter_map(place).collect();
        if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) }
    }
}
