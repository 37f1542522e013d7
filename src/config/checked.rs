//! From raw settings to checked ones: parse, don't validate. Every rule that can be judged without
//! opening anything is judged here, so that refused settings leave nothing behind.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::error::{Fault, LISTEN};
use super::health::HealthCheck;
use super::hooks::{HOOK_TIMEOUT, HOOK_TIMEOUT_MAX, Hooks};
#[cfg(feature = "tls")]
use super::http_tls::HttpTls;
use super::names::{LookUp, is_name};
use super::program;
use super::raw::{HttpAddress, Raw, RawId, RawTag};
use super::token::Token;
use super::voters::Voters;
use crate::node::setup::{DRAIN_TIMEOUT, SEEDS_MAX, Setup};
use crate::vocabulary::configuration::{ClusterName, VOTERS_KEPT, kept};
use crate::vocabulary::identity::{NodeId, normalised};
use crate::vocabulary::metadata::{HTTP_OVER_TLS, HTTP_TAG, TAGS_MAX, Tags};
use crate::vocabulary::node_name::NodeName;
use crate::vocabulary::timing::Timing;
use crate::wire::seal::KeyRing;

/// The highest first term: the voters' clocks, in milliseconds since 1970, are above it.
const FIRST_TERM_MAX: u64 = 1 << 40;

/// HTTP is served this far above the gossip port, unless told otherwise.
pub const HTTP_PORT_OFFSET: u16 = 1000;

/// Everything that is opened and started, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the node itself is told.
    pub setup: Setup,
    /// Where the UDP socket is bound.
    pub listen: SocketAddr,
    /// Where the HTTP listener is bound, if there is one.
    pub http: Option<SocketAddr>,
    /// The certificate and the key with which that speaks TLS, if it does.
    #[cfg(feature = "tls")]
    pub http_tls: Option<HttpTls>,
    /// Whether there is a control socket.
    pub has_control_socket: bool,
    /// Where HAProxy's agent-check is answered, if it is.
    pub agent_check: Option<SocketAddr>,
    /// Where the record is kept.
    pub storage: Storage,
    /// Opens the orders to other machines.
    pub admin_token: Option<Token>,
    /// What is run when the role changes.
    pub hooks: Hooks,
    /// How it is found out whether this node is healthy, if that is to be.
    pub health: Option<HealthCheck>,
    /// What is allowed and still unwise.
    pub warnings: Vec<String>,
}

/// Where the record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this folder, which may not exist yet.
    Folder(PathBuf),
    /// Nowhere.
    Ephemeral,
}

/// What settings take from the process besides what was given.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `XDG_STATE_HOME`
    pub state_home: Option<PathBuf>,
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `PATH`, to look for programs that are to be run.
    pub path: Option<OsString>,
    /// What this machine is called.
    pub host: Option<String>,
    /// What is unwise in it.
    pub warnings: Vec<String>,
    /// Fresh randomness.
    pub entropy: [u8; 32],
    /// How host names are looked up.
    pub look_up: LookUp,
}

impl Environment {
    /// The folder below which state is kept. Relative paths are ignored, as the XDG
    /// specification demands.
    fn state_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &&PathBuf| path.is_absolute();
        let given = self.state_home.as_ref().filter(absolute).cloned();
        given.or_else(|| {
            self.home.as_ref().filter(absolute).map(|home| home.join(".local").join("state"))
        })
    }
}

impl Checked {
    /// Judges `raw`. A program may leave the port to the system: until it is known, what depends on
    /// it is left out, and the result is no more than a judgement.
    ///
    /// # Errors
    /// The first rule that is broken. Nothing was opened but the files that hold keys and the
    /// admin token, and these last.
    pub fn of(raw: &Raw, environment: &Environment) -> Result<Self, Fault> {
        let mut warnings = environment.warnings.clone();
        let cluster = ClusterName::new(&raw.cluster)?;
        let look_up = environment.look_up;
        let listen = listen(raw, look_up)?;
        let advertised = advertised(raw, listen, look_up)?;
        let http = http_listener(raw, listen, look_up)?;
        let published_http = published_http(raw, http, advertised, look_up)?;
        let agent_check = raw.agent_check.as_deref();
        let agent_check =
            agent_check.map(|text| address("agent-check", text, look_up)).transpose()?;
        let id = own_id(raw, environment, advertised)?;
        let name = name(raw, environment)?;
        let own = (advertised.port() != 0).then_some((id, advertised));
        let automatic = raw.voters.as_deref().and_then(Voters::kept).transpose()?;
        let named = raw.voters.as_deref().filter(|_| automatic.is_none());
        let voters = named.map(|entries| Voters::parse(entries, own, look_up));
        let voters = voters.transpose()?;
        if let Some(voters) = &voters {
            warnings.extend(voters.warnings());
        }
        let seeds = seeds(raw, (id, advertised), voters.as_ref())?;
        refuse_unreachable_loopback(advertised, &seeds)?;
        let timing = timing(raw)?;
        let storage = storage(raw, environment, &cluster, id)?;
        let votes = voters.as_ref().is_some_and(|voters| voters.set.contains(id));
        warnings.extend((storage == Storage::Ephemeral && votes).then(forgetful_voter));
        let hooks = hooks(raw, &timing, environment)?;
        let health = HealthCheck::of(raw, environment.path.as_deref())?;
        let speaks_tls = speaks_tls(raw, http)?;
        let tags = tags(raw, speaks_tls)?;
        #[cfg(feature = "tls")]
        let http_tls = http_tls(raw, &mut warnings)?;
        let admin_token = raw.admin_token_file.as_deref().map(Token::read).transpose()?;
        let keys = keys(raw, &[listen, advertised], &seeds, &mut warnings)?;
        let (voters, voter_addresses, voter_names) = match voters {
            Some(Voters { set, addresses, names }) => (Some(set), addresses, names),
            None => (None, Vec::new(), Vec::new()),
        };
        let setup = Setup {
            http: published_http,
            tags,
            name,
            seeds,
            voters,
            automatic: Some(kept(automatic.unwrap_or(VOTERS_KEPT))),
            preempt: raw.preempt,
            first_term: first_term(raw)?,
            voter_addresses,
            voter_names,
            eligible: !raw.never_goose,
            is_checked: health.is_some() || raw.unhealthy_at_start,
            if_none_healthy: raw.if_none_healthy,
            timing,
            drain_timeout: raw.drain_timeout.unwrap_or(DRAIN_TIMEOUT),
            keys,
            entropy: environment.entropy,
            ..Setup::new(cluster, id, advertised)
        };
        let has_control_socket = raw.http != HttpAddress::None;
        Ok(Self {
            setup,
            listen,
            http,
            #[cfg(feature = "tls")]
            http_tls,
            has_control_socket,
            agent_check,
            storage,
            admin_token,
            hooks,
            health,
            warnings,
        })
    }
}

/// An IP address, or a host name that has one, with a port that is not 0.
fn address(key: &'static str, text: &str, look_up: LookUp) -> Result<SocketAddr, Fault> {
    let parsed = match text.parse::<SocketAddr>() {
        Ok(parsed) => parsed,
        Err(_) if is_name(text) => look_up.address(key, text)?,
        Err(_) => return Err(Fault::Address { key, text: text.to_owned() }),
    };
    if parsed.port() == 0 {
        return Err(Fault::PortZero { key, address: parsed });
    }
    Ok(parsed)
}

/// A program may have the system choose the port.
fn listen(raw: &Raw, look_up: LookUp) -> Result<SocketAddr, Fault> {
    match raw.listen.parse::<SocketAddr>() {
        Ok(listen) if listen.port() == 0 && raw.origins.program => Ok(listen),
        _ => address(LISTEN, &raw.listen, look_up),
    }
}

fn advertised(raw: &Raw, listen: SocketAddr, look_up: LookUp) -> Result<SocketAddr, Fault> {
    let Some(text) = &raw.advertise else {
        return if listen.ip().is_unspecified() {
            Err(Fault::NothingToAdvertise(listen))
        } else {
            Ok(normalised(listen))
        };
    };
    published("advertise", text, look_up)
}

/// An address that others are told.
fn published(key: &'static str, text: &str, look_up: LookUp) -> Result<SocketAddr, Fault> {
    let address = address(key, text, look_up)?;
    if address.ip().is_unspecified() || address.ip().is_multicast() {
        return Err(Fault::AdvertisesNobody { key, address });
    }
    Ok(normalised(address))
}

fn http_listener(
    raw: &Raw,
    listen: SocketAddr,
    look_up: LookUp,
) -> Result<Option<SocketAddr>, Fault> {
    match &raw.http {
        HttpAddress::At(text) => address("http", text, look_up).map(Some),
        HttpAddress::Derived => match listen.port().checked_add(HTTP_PORT_OFFSET) {
            Some(port) => Ok(Some(SocketAddr::new(listen.ip(), port))),
            None => Err(Fault::HttpPort(listen.port())),
        },
        HttpAddress::Off | HttpAddress::None => Ok(None),
    }
}

/// Where others reach the listener on `http`, as they are told.
fn published_http(
    raw: &Raw,
    http: Option<SocketAddr>,
    advertised: SocketAddr,
    look_up: LookUp,
) -> Result<Option<SocketAddr>, Fault> {
    let told = raw.advertise_http.as_deref();
    match (told.map(|text| published("advertise-http", text, look_up)).transpose()?, http) {
        (Some(told), None) => Err(Fault::AdvertisesNoHttp(told)),
        (Some(told), Some(_)) => Ok(Some(told)),
        (None, http) => Ok(http.map(|http| reached_at(http, advertised))),
    }
}

/// Whether HTTP is served over TLS.
fn speaks_tls(raw: &Raw, http: Option<SocketAddr>) -> Result<bool, Fault> {
    let (cert, key) = ("http-tls-cert", "http-tls-key");
    match (raw.http_tls_cert.is_some(), raw.http_tls_key.is_some()) {
        (true, false) => Err(Fault::HalfOfTls { given: cert, missing: key }),
        (false, true) => Err(Fault::HalfOfTls { given: key, missing: cert }),
        (true, true) if http.is_none() => Err(Fault::TlsWithoutHttp),
        (both, _) => Ok(both),
    }
}

/// What HTTP over TLS needs, if it is served so.
#[cfg(feature = "tls")]
fn http_tls(raw: &Raw, warnings: &mut Vec<String>) -> Result<Option<HttpTls>, Fault> {
    let (Some(certificate), Some(key)) = (&raw.http_tls_cert, &raw.http_tls_key) else {
        return Ok(None);
    };
    let (tls, unwise) = HttpTls::read(certificate, key)?;
    warnings.extend(unwise);
    Ok(Some(tls))
}

/// Where others reach a listener on `http`, if they reach its port.
pub(crate) fn reached_at(http: SocketAddr, advertised: SocketAddr) -> SocketAddr {
    let ip = if http.ip().is_unspecified() { advertised.ip() } else { http.ip() };
    SocketAddr::new(ip, http.port())
}

/// This node's id. Until the system has chosen a port, another one stands for it.
fn own_id(raw: &Raw, environment: &Environment, advertised: SocketAddr) -> Result<NodeId, Fault> {
    match raw.id {
        Some(RawId::Number(number)) => NodeId::new(number).map_err(Fault::Id),
        Some(RawId::Ordinal) => {
            let host = environment.host.as_deref().unwrap_or_default();
            let known = ordinal(host).and_then(|number| number.checked_add(1));
            let known = known.and_then(|number| NodeId::new(number).ok());
            known.ok_or_else(|| Fault::NoOrdinal(host.to_owned()))
        }
        None => {
            let known = SocketAddr::new(advertised.ip(), advertised.port().max(1));
            NodeId::of_address(known).map_err(Fault::Id)
        }
    }
}

/// The number behind the last dash of a host's name, without its domain.
fn ordinal(host: &str) -> Option<u64> {
    let label = host.split('.').next()?;
    let (_, digits) = label.rsplit_once('-')?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// What people call this node: what was said, or else the host's name, as much of it as fits.
fn name(raw: &Raw, environment: &Environment) -> Result<Option<NodeName>, Fault> {
    match &raw.name {
        Some(text) => Ok(Some(NodeName::new(text)?)),
        None => Ok(environment.host.as_deref().and_then(NodeName::fitting)),
    }
}

/// The lowest term that this node may lead under. Voters take a ballot over that is far above all they
/// know if it is below their clock, so anything below is one that they follow.
fn first_term(raw: &Raw) -> Result<u64, Fault> {
    let Some(text) = &raw.first_term else { return Ok(1) };
    let number = text.trim().parse().ok().filter(|number| (1..=FIRST_TERM_MAX).contains(number));
    number.ok_or_else(|| Fault::FirstTerm(text.clone()))
}

/// The seeds that were given, and the addresses and names of the voters, without this node itself.
fn seeds(
    raw: &Raw,
    (id, advertised): (NodeId, SocketAddr),
    voters: Option<&Voters>,
) -> Result<Vec<String>, Fault> {
    // A name that leads here is known only by its being the same.
    let own = |text: &str| {
        text.parse().map_or(text == raw.listen || raw.advertise.as_deref() == Some(text), |seed| {
            normalised(seed) == advertised
        })
    };
    let mut seeds: Vec<String> = Vec::new();
    for seed in raw.seeds.iter().map(|text| text.trim()) {
        if !is_host_and_port(seed) {
            return Err(Fault::Seed(seed.to_owned()));
        }
        if !own(seed) && !seeds.iter().any(|known| known == seed) {
            seeds.push(seed.to_owned());
        }
    }
    // A cluster that this node should have joined must not be founded a second time.
    if seeds.is_empty() && !raw.seeds.is_empty() && voters.is_none() {
        return Err(Fault::OwnSeed(advertised));
    }
    for (_, address) in voters.into_iter().flat_map(|voters| &voters.addresses) {
        let text = address.to_string();
        if *address != advertised && !seeds.contains(&text) {
            seeds.push(text);
        }
    }
    for (voter, name) in voters.into_iter().flat_map(|voters| &voters.names) {
        if *voter != id && !seeds.contains(name) {
            seeds.push(name.clone());
        }
    }
    if seeds.len() > SEEDS_MAX {
        return Err(Fault::TooManySeeds(seeds.len()));
    }
    Ok(seeds)
}

/// A socket address, or a host name with a port. Whether the name exists is found out at
/// every attempt to join.
fn is_host_and_port(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() != 0 && !address.ip().is_unspecified();
    }
    is_name(text)
}

/// Others cannot answer a node that says it lives on loopback.
fn refuse_unreachable_loopback(advertised: SocketAddr, seeds: &[String]) -> Result<(), Fault> {
    if !advertised.ip().is_loopback() {
        return Ok(());
    }
    let elsewhere =
        |text: &&String| text.parse::<SocketAddr>().is_ok_and(|seed| !is_loopback(seed.ip()));
    match seeds.iter().find(elsewhere) {
        Some(seed) => Err(Fault::LoopbackWithSeedElsewhere { advertised, seed: seed.clone() }),
        None => Ok(()),
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn timing(raw: &Raw) -> Result<Timing, Fault> {
    let timing = Timing::of(raw.profile);
    let timing = match raw.lease {
        Some(lease) => timing.with_lease(lease),
        None => timing,
    };
    timing.check_for(raw.profile)?;
    Ok(timing)
}

/// Of a folder for state and the wish for none, the one from the stronger source counts.
fn storage(
    raw: &Raw,
    environment: &Environment,
    cluster: &ClusterName,
    id: NodeId,
) -> Result<Storage, Fault> {
    let rank = |key| raw.origins.of(key).rank();
    match &raw.state_dir {
        Some(_) if raw.ephemeral && rank("state-dir") == rank("ephemeral") => {
            Err(Fault::TwoStorages)
        }
        Some(folder) if !raw.ephemeral || rank("state-dir") > rank("ephemeral") => {
            if folder.as_os_str().is_empty() {
                return Err(Fault::EmptyStateDir);
            }
            Ok(Storage::Folder(folder.clone()))
        }
        _ if raw.ephemeral => Ok(Storage::Ephemeral),
        _ => {
            let base = environment.state_folder().ok_or(Fault::NoStateFolder)?;
            Ok(Storage::Folder(base.join("gaggle").join(cluster.as_str()).join(id.to_string())))
        }
    }
}

fn forgetful_voter() -> String {
    "--ephemeral: this voter forgets its promises when it stops, so after every start it waits for \
     three seconds before it votes. If all voters were started so, their clocks stand in for what \
     they forget, and leases end after three seconds: the weaker promise"
        .to_owned()
}

/// The tags that somebody gave this node, and its own if it serves HTTP over TLS.
fn tags(raw: &Raw, speaks_tls: bool) -> Result<Tags, Fault> {
    fn pair(tag: &RawTag) -> Result<(&str, &str), Fault> {
        match tag {
            RawTag::Pair(key, value) => Ok((key, value)),
            RawTag::Text(text) => Ok(Tags::split(text)?),
        }
    }
    let mut pairs = raw.tags.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    if pairs.iter().any(|(key, _)| *key == HTTP_TAG) {
        return Err(Fault::OwnTag);
    }
    if speaks_tls && pairs.len() == TAGS_MAX {
        return Err(Fault::NoTagLeft);
    }
    pairs.extend(speaks_tls.then_some((HTTP_TAG, HTTP_OVER_TLS)));
    Ok(Tags::new(pairs)?)
}

/// The hooks: programs that are there, and their arguments.
fn hooks(raw: &Raw, timing: &Timing, environment: &Environment) -> Result<Hooks, Fault> {
    let words = |key, text: &Option<String>| match text {
        Some(text) => program::words(key, text, environment.path.as_deref()),
        None => Ok(Vec::new()),
    };
    let limit = raw.hook_timeout.unwrap_or(HOOK_TIMEOUT);
    if limit.is_zero() || limit > HOOK_TIMEOUT_MAX {
        return Err(Fault::HookTimeout(limit));
    }
    Ok(Hooks {
        on_goose: words("on-goose", &raw.on_goose)?,
        on_duck: words("on-duck", &raw.on_duck)?,
        limit,
        on_failure: raw.on_hook_failure,
        lead: Hooks::lead_of(timing),
    })
}

/// The keys, or a warning of what their absence means.
fn keys(
    raw: &Raw,
    own: &[SocketAddr],
    seeds: &[String],
    warnings: &mut Vec<String>,
) -> Result<Option<KeyRing>, Fault> {
    #[cfg(feature = "cli")]
    if let Some(file) = &raw.key_file {
        let (keys, warning) = super::key_file::read(file)?;
        warnings.extend(warning);
        return Ok(Some(keys));
    }
    if !raw.keys.is_empty() {
        return Ok(Some(KeyRing::new(raw.keys.iter().map(|key| key.0).collect())?));
    }
    let here = |text: &String| {
        text.starts_with("localhost:")
            || text.parse::<SocketAddr>().is_ok_and(|seed| is_loopback(seed.ip()))
    };
    if !own.iter().all(|address| is_loopback(address.ip())) || !seeds.iter().all(here) {
        warnings.push(
            "no --key-file: whoever can reach this port can disturb the cluster; make a key with \
             `gaggle keygen` and give it to every node"
                .to_owned(),
        );
    }
    Ok(None)
}
