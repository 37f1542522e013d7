//! From raw flags to one checked [`RunSettings`]: parse, don't validate. Every rule that can
//! be judged without opening anything is judged here, so that a refused configuration leaves
//! nothing behind.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::RunArguments;
use super::keys::read_keys;
use super::sources::variables;
use crate::shell::hooks::Hooks;
use crate::shell::http::api::token::Token;
use crate::vocabulary::configuration::ClusterName;
use crate::vocabulary::identity::{NodeId, normalised};
use crate::vocabulary::metadata::Tags;
use crate::vocabulary::seal::KeyRing;
use crate::vocabulary::setup::{SEEDS_MAX, Setup};
use crate::vocabulary::timing::Timing;

mod error;
#[cfg(test)]
mod tests;
mod voters;

pub(super) use error::SettingsError;
use voters::Voters;

/// A file that is longer holds no token.
const TOKEN_FILE_SIZE_MAX: u64 = 16 * 1024;

/// How long a hook may run, unless told otherwise.
const HOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// A hand-over is given up when the work has not ended after half as long again.
const HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// HTTP is served this far above the gossip port, unless told otherwise.
pub(super) const HTTP_PORT_OFFSET: u16 = 1000;

/// Everything `gaggle run` needs, checked.
#[derive(Clone, Debug)]
pub(super) struct RunSettings {
    /// What the node itself is told.
    pub(super) setup: Setup,
    /// Where the UDP socket is bound.
    pub(super) listen: SocketAddr,
    /// Where the HTTP listener is bound.
    pub(super) http: SocketAddr,
    /// Where the record is kept.
    pub(super) storage: Storage,
    /// Opens the orders to other machines.
    pub(super) admin_token: Option<Token>,
    /// What is run when the role changes.
    pub(super) hooks: Hooks,
    /// What is allowed and still unwise.
    pub(super) warnings: Vec<String>,
}

/// Where the record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In this folder, which may not exist yet.
    Folder(PathBuf),
    /// Nowhere.
    Ephemeral,
}

/// What settings take from the process besides its flags.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// `XDG_STATE_HOME`
    pub(super) state_home: Option<PathBuf>,
    /// `HOME`
    pub(super) home: Option<PathBuf>,
    /// The names of all variables that begin like ours.
    pub(super) variables: Vec<String>,
    /// Fresh randomness.
    pub(super) entropy: [u8; 32],
}

impl Environment {
    /// Of this process, with `entropy` for its node.
    pub(super) fn of_process(entropy: [u8; 32]) -> Self {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        let variables = variables::of_process();
        Self { state_home: path("XDG_STATE_HOME"), home: path("HOME"), variables, entropy }
    }

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

impl RunSettings {
    /// Judges `raw`.
    ///
    /// # Errors
    /// The first rule that is broken. Nothing was opened but the token file.
    pub(super) fn check(
        raw: &RunArguments,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let mut warnings = variables::strays(&environment.variables);
        let cluster = ClusterName::new(&raw.cluster)?;
        let listen = address("listen", &raw.listen)?;
        let advertised = advertised(raw, listen)?;
        let http = http_listener(raw, listen)?;
        let id = own_id(raw, advertised)?;
        let voters = raw.voters.as_deref().map(|text| Voters::parse(text, id, advertised));
        let voters = voters.transpose()?;
        if let Some(voters) = &voters {
            warnings.extend(voters.warnings());
        }
        let seeds = seeds(raw, advertised, voters.as_ref())?;
        refuse_unreachable_loopback(advertised, &seeds)?;
        let timing = Timing::of(raw.profile.into());
        let timing =
            raw.lease.map_or_else(|| timing.clone(), |lease| timing.clone().with_lease(lease));
        timing.check_for(raw.profile.into())?;
        let storage = storage(raw, environment, &cluster, id)?;
        if storage == Storage::Ephemeral && voters.as_ref().is_some_and(|v| v.set.contains(id)) {
            warnings.push(
                "--ephemeral: this voter forgets its promises when it stops, so after every start \
                 it waits for three seconds before it votes. If all voters were started so, their \
                 clocks stand in for what they forget, and leases end after three seconds: the \
                 weaker promise"
                    .to_owned(),
            );
        }
        let admin_token = raw.admin_token_file.as_deref().map(read_token).transpose()?;
        let hooks = hooks(raw, &timing)?;
        let keys = keys(raw, &[listen, advertised], &seeds, &mut warnings)?;
        let http_ip = if http.ip().is_unspecified() { advertised.ip() } else { http.ip() };
        let (voters, voter_addresses) =
            voters.map_or((None, Vec::new()), |voters| (Some(voters.set), voters.addresses));
        let setup = Setup {
            cluster,
            id,
            address: advertised,
            http: Some(SocketAddr::new(http_ip, http.port())),
            tags: Tags::parse(raw.tags.iter().map(String::as_str))?,
            seeds,
            voters,
            preempt: raw.preempt,
            voter_addresses,
            eligible: !raw.never_goose,
            timing,
            drain_timeout: crate::vocabulary::setup::DRAIN_TIMEOUT,
            keys,
            entropy: environment.entropy,
        };
        Ok(Self { setup, listen, http, storage, admin_token, hooks, warnings })
    }
}

/// An IP address with a port that is not 0.
fn address(key: &'static str, text: &str) -> Result<SocketAddr, SettingsError> {
    let malformed = || SettingsError::Address { key, text: text.to_owned() };
    let parsed = text.parse::<SocketAddr>().map_err(|_| malformed())?;
    if parsed.port() == 0 {
        return Err(SettingsError::PortZero { key, address: parsed });
    }
    Ok(parsed)
}

fn advertised(raw: &RunArguments, listen: SocketAddr) -> Result<SocketAddr, SettingsError> {
    let Some(text) = &raw.advertise else {
        return if listen.ip().is_unspecified() {
            Err(SettingsError::NothingToAdvertise(listen))
        } else {
            Ok(normalised(listen))
        };
    };
    let advertised = address("advertise", text)?;
    if advertised.ip().is_unspecified() || advertised.ip().is_multicast() {
        return Err(SettingsError::AdvertisesNobody(advertised));
    }
    Ok(normalised(advertised))
}

fn http_listener(raw: &RunArguments, listen: SocketAddr) -> Result<SocketAddr, SettingsError> {
    match &raw.http {
        Some(text) => address("http", text),
        None => match listen.port().checked_add(HTTP_PORT_OFFSET) {
            Some(port) => Ok(SocketAddr::new(listen.ip(), port)),
            None => Err(SettingsError::HttpPort(listen.port())),
        },
    }
}

fn own_id(raw: &RunArguments, advertised: SocketAddr) -> Result<NodeId, SettingsError> {
    match raw.id {
        Some(id) => Ok(id),
        None => NodeId::of_address(advertised).map_err(SettingsError::Id),
    }
}

/// The seeds that were given and the addresses of the voters, without this node itself.
fn seeds(
    raw: &RunArguments,
    advertised: SocketAddr,
    voters: Option<&Voters>,
) -> Result<Vec<String>, SettingsError> {
    let own = |text: &str| text.parse().is_ok_and(|seed| normalised(seed) == advertised);
    let mut seeds: Vec<String> = Vec::new();
    for seed in raw.seeds.iter().map(|text| text.trim()) {
        if !is_host_and_port(seed) {
            return Err(SettingsError::Seed(seed.to_owned()));
        }
        if !own(seed) && !seeds.iter().any(|known| known == seed) {
            seeds.push(seed.to_owned());
        }
    }
    // A cluster that this node should have joined must not be founded a second time.
    if seeds.is_empty() && !raw.seeds.is_empty() && voters.is_none() {
        return Err(SettingsError::OwnSeed(advertised));
    }
    for (_, address) in voters.into_iter().flat_map(|voters| &voters.addresses) {
        let text = address.to_string();
        if *address != advertised && !seeds.contains(&text) {
            seeds.push(text);
        }
    }
    if seeds.len() > SEEDS_MAX {
        return Err(SettingsError::TooManySeeds(seeds.len()));
    }
    Ok(seeds)
}

/// A socket address, or a host name with a port. Whether the name exists is found out at
/// every attempt to join.
fn is_host_and_port(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() != 0 && !address.ip().is_unspecified();
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // Digits and dots alone are a mistyped address, not a name.
    let named = host.chars().any(|c| !c.is_ascii_digit() && c != '.');
    let sound = host.len() <= 253 && host.chars().all(legal) && named;
    sound && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Others cannot answer a node that says it lives on loopback.
fn refuse_unreachable_loopback(
    advertised: SocketAddr,
    seeds: &[String],
) -> Result<(), SettingsError> {
    if !advertised.ip().is_loopback() {
        return Ok(());
    }
    let elsewhere =
        |text: &&String| text.parse::<SocketAddr>().is_ok_and(|seed| !is_loopback(seed.ip()));
    match seeds.iter().find(elsewhere) {
        Some(seed) => {
            Err(SettingsError::LoopbackWithSeedElsewhere { advertised, seed: seed.clone() })
        }
        None => Ok(()),
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn storage(
    raw: &RunArguments,
    environment: &Environment,
    cluster: &ClusterName,
    id: NodeId,
) -> Result<Storage, SettingsError> {
    if raw.ephemeral {
        return Ok(Storage::Ephemeral);
    }
    if let Some(folder) = &raw.state_dir {
        return if folder.as_os_str().is_empty() {
            Err(SettingsError::EmptyStateDir)
        } else {
            Ok(Storage::Folder(folder.clone()))
        };
    }
    let base = environment.state_folder().ok_or(SettingsError::NoStateFolder)?;
    Ok(Storage::Folder(base.join("gaggle").join(cluster.as_str()).join(id.to_string())))
}

/// The hooks: their words, not yet looked for.
fn hooks(raw: &RunArguments, timing: &Timing) -> Result<Hooks, SettingsError> {
    let words = |key, text: &Option<String>| match text {
        Some(text) if text.trim().is_empty() => Err(SettingsError::EmptyHook(key)),
        Some(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        None => Ok(Vec::new()),
    };
    let limit = raw.hook_timeout.unwrap_or(HOOK_TIMEOUT);
    if limit.is_zero() || limit > HOOK_TIMEOUT_MAX {
        return Err(SettingsError::HookTimeout(limit));
    }
    Ok(Hooks {
        on_goose: words("on-goose", &raw.on_goose)?,
        on_duck: words("on-duck", &raw.on_duck)?,
        limit,
        lead: Hooks::lead_of(timing),
    })
}

/// The keys, or a warning of what their absence means.
fn keys(
    raw: &RunArguments,
    own: &[SocketAddr],
    seeds: &[String],
    warnings: &mut Vec<String>,
) -> Result<Option<KeyRing>, SettingsError> {
    if let Some(file) = &raw.key_file {
        let (keys, warning) = read_keys(file)?;
        warnings.extend(warning);
        return Ok(Some(keys));
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

/// The admin token in `file`.
///
/// # Errors
/// If the file cannot be read or holds no token.
pub(super) fn read_token(file: &Path) -> Result<Token, SettingsError> {
    let failure = |source| SettingsError::TokenFile { file: file.to_owned(), source };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failure)?;
    opened.take(TOKEN_FILE_SIZE_MAX + 1).read_to_string(&mut text).map_err(failure)?;
    if text.len() as u64 > TOKEN_FILE_SIZE_MAX {
        let reason = format!("it is longer than {TOKEN_FILE_SIZE_MAX} bytes");
        return Err(failure(std::io::Error::new(std::io::ErrorKind::FileTooLarge, reason)));
    }
    Token::new(&text).map_err(|reason| SettingsError::Token { file: file.to_owned(), reason })
}
