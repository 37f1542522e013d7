//! Every setting of a node, once: its name as a flag, an environment variable and a key of the
//! file, its help, how it is parsed, where it goes, and whether a reload may change it.
//!
//! The commands make their parser, `gaggle check` its answer, and SIGHUP its rules from this table.
//! A new setting is an entry here, a field of [`Raw`], and a line in [`super::checked`] that hands
//! it on. Entries stand in the order of the help.

use std::path::PathBuf;
use std::time::Duration;

use super::checked::{Checked, Storage};
use super::health::{FAILURES, INTERVAL, SUCCESSES, TIMEOUT};
use super::raw::{
    CLUSTER_DEFAULT, HttpAddress, LogFormat, LogLevel, OnHookFailure, Raw, RawId, RawTag,
};
use crate::vocabulary::health::IfNoneHealthy;
use crate::vocabulary::timing::Profile;

/// One setting.
pub struct Flag {
    /// Its name: `--lease` on the command line, `lease` in the file.
    pub key: &'static str,
    /// Whether it has no flag, but stands alone on the command line.
    pub positional: bool,
    /// What its value is called in the help; empty if it is called like the flag.
    pub value: &'static str,
    /// The environment variable; empty if there is none.
    pub environment: &'static str,
    /// What it is for, as the help says it.
    pub help: &'static str,
    /// Whether the help leaves it out.
    pub hidden: bool,
    /// What holds if it is not given, if that is a value of its own.
    pub default: Option<&'static str>,
    /// Whether the file may have it.
    pub in_file: bool,
    /// How a change is taken.
    pub reload: Reload,
    /// How a program says it; empty if a program cannot.
    pub method: &'static str,
    /// How it is parsed, and where it goes.
    pub take: Take,
    /// How it takes effect, in words; secrets by what tells them apart.
    pub show: Option<fn(&Raw, &Checked) -> String>,
}

/// What SIGHUP does about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It takes effect at once.
    AtOnce,
    /// It waits for a restart.
    Restart,
}

/// How a value is parsed, and where it goes.
pub enum Take {
    /// Any text.
    Text(fn(&mut Raw, String)),
    /// Texts, separated by commas; the flag may be repeated.
    Texts(fn(&mut Raw, Vec<String>)),
    /// A path that is not empty.
    Path(fn(&mut Raw, PathBuf)),
    /// A span of time.
    Span(fn(&mut Raw, Duration)),
    /// How many: from 1 to 1000.
    Count(fn(&mut Raw, u32)),
    /// A node's id, the address that it is made from, or the rule by which it is found.
    Id(fn(&mut Raw, RawId)),
    /// Yes or no; the bare flag means yes.
    Truth(fn(&mut Raw, bool)),
    /// The flag alone, without a value.
    Switch(fn(&mut Raw, bool)),
    /// One of these.
    Choice(&'static [Choice], fn(&mut Raw, &str)),
}

/// A name that a value may have, and what it means; empty if the name says it.
pub type Choice = (&'static str, &'static str);

/// The names of [`Profile`]s.
pub const PROFILES: &[Choice] =
    &[("lan", "One building"), ("fast", "One quiet rack"), ("wan", "Between sites")];

/// What most settings have in common.
const SETTING: Flag = Flag {
    key: "",
    positional: false,
    value: "",
    environment: "",
    help: "",
    hidden: false,
    default: None,
    in_file: true,
    reload: Reload::Restart,
    method: "",
    take: Take::Text(|_, _| ()),
    show: None,
};

/// The setting of this key.
pub fn named(key: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.key == key)
}

/// All of them.
pub static FLAGS: &[Flag] = &[
    Flag {
        key: "listen",
        positional: true,
        value: "ADDR:PORT",
        environment: "GAGGLE_ADDR",
        help: "Where to speak with other nodes, over UDP: an IP address or a host name, and a port",
        default: Some("127.0.0.1:8000"),
        method: "Config::new",
        take: Take::Text(|raw, text| raw.listen = text),
        show: Some(|_, checked| checked.listen.to_string()),
        ..SETTING
    },
    Flag {
        key: "seed",
        value: "HOST:PORT",
        environment: "GAGGLE_SEED",
        help: "A node to join through; repeatable. Host names are looked up again at every attempt",
        reload: Reload::AtOnce,
        method: "Config::seed",
        take: Take::Texts(|raw, texts| raw.seeds = texts),
        show: Some(|_, checked| list(checked.setup.seeds.clone())),
        ..SETTING
    },
    Flag {
        key: "voters",
        value: "A,B,C|auto[:N]",
        environment: "GAGGLE_VOTERS",
        help: "The voters to found a cluster with: ids, addresses, or ID=ADDR:PORT. Addresses also \
               serve as seeds, and may be host names: those of ID=HOST:PORT are looked up again. Or \
               auto:N: this node founds it alone, and the Goose keeps N voters as nodes join. Not \
               needed with a seed of a founded cluster [default without a seed: auto:3]",
        method: "Config::voters",
        take: Take::Text(|raw, text| raw.voters = Some(entries(&text))),
        show: Some(|_, checked| {
            let setup = &checked.setup;
            let voters = setup.voters.iter().flat_map(|set| set.ids());
            match setup.automatic.filter(|_| setup.voters.is_none() && setup.seeds.is_empty()) {
                Some(number) => format!("auto:{number}"),
                None => list(voters.map(ToString::to_string).collect()),
            }
        }),
        ..SETTING
    },
    Flag {
        key: "id",
        value: "N",
        environment: "GAGGLE_ID",
        help: "This node's id, from 1 on; the highest wins elections. \"ordinal\": one more than the \
               number at the end of the host's name [default: made from the address]",
        method: "Config::id",
        take: Take::Id(|raw, id| raw.id = Some(id)),
        show: Some(|_, checked| checked.setup.id.to_string()),
        ..SETTING
    },
    Flag {
        key: "name",
        value: "NAME",
        environment: "GAGGLE_NAME",
        help: "What people call this node, shown beside its id [default: the host's name]",
        method: "Config::name",
        take: Take::Text(|raw, text| raw.name = Some(text)),
        show: Some(|_, checked| checked.setup.name.as_ref().map_or_else(none, ToString::to_string)),
        ..SETTING
    },
    Flag {
        key: "advertise",
        value: "ADDR:PORT",
        environment: "GAGGLE_ADVERTISE",
        help: "The address or host name under which others reach this node [default: ADDR:PORT]",
        method: "Config::advertise",
        take: Take::Text(|raw, text| raw.advertise = Some(text)),
        show: Some(|_, checked| checked.setup.address.to_string()),
        ..SETTING
    },
    Flag {
        key: "http",
        value: "ADDR:PORT",
        environment: "GAGGLE_HTTP",
        help: "Where to serve HTTP. \"off\": nowhere; commands on this machine reach the node all the \
               same [default: ADDR with PORT + 1000]",
        method: "Config::http",
        take: Take::Text(|raw, text| {
            raw.http = if text == "off" { HttpAddress::Off } else { HttpAddress::At(text) };
        }),
        show: Some(|_, checked| checked.http.map_or_else(none, |http| http.to_string())),
        ..SETTING
    },
    Flag {
        key: "advertise-http",
        value: "ADDR:PORT",
        environment: "GAGGLE_ADVERTISE_HTTP",
        help: "The address under which others reach this node's HTTP, behind mapped ports \
               [default: the one of --http]",
        method: "Config::advertise_http",
        take: Take::Text(|raw, text| raw.advertise_http = Some(text)),
        show: Some(|_, checked| checked.setup.http.map_or_else(none, |http| http.to_string())),
        ..SETTING
    },
    Flag {
        key: "http-tls-cert",
        value: "FILE",
        environment: "GAGGLE_HTTP_TLS_CERT",
        help: "Serve HTTP over TLS, with the certificate in this PEM file, and below it those that \
               lead to its authority",
        reload: Reload::AtOnce,
        method: "Config::http_tls",
        take: Take::Path(|raw, path| raw.http_tls_cert = Some(path)),
        show: Some(|raw, _| path(raw.http_tls_cert.as_ref())),
        ..SETTING
    },
    Flag {
        key: "http-tls-key",
        value: "FILE",
        environment: "GAGGLE_HTTP_TLS_KEY",
        help: "The PEM file with the key of that certificate",
        reload: Reload::AtOnce,
        method: "Config::http_tls",
        take: Take::Path(|raw, path| raw.http_tls_key = Some(path)),
        show: Some(|raw, _| path(raw.http_tls_key.as_ref())),
        ..SETTING
    },
    Flag {
        key: "agent-check",
        value: "ADDR:PORT",
        environment: "GAGGLE_AGENT_CHECK",
        help: "Where to answer HAProxy's agent-check: \"up ready\" from the Goose, \"up maint\" from a \
               Duck, \"down\" from a node that cannot tell",
        take: Take::Text(|raw, text| raw.agent_check = Some(text)),
        show: Some(|_, checked| checked.agent_check.map_or_else(none, |it| it.to_string())),
        ..SETTING
    },
    Flag {
        key: "tag",
        value: "KEY=VALUE",
        environment: "GAGGLE_TAG",
        help: "Something to be known of this node, shown with its member; repeatable, up to 8 times",
        method: "Config::tag",
        take: Take::Texts(|raw, texts| {
            raw.tags = texts.into_iter().map(RawTag::Text).collect();
        }),
        show: Some(|_, checked| {
            let tags = checked.setup.tags.given();
            list(tags.iter().map(|(key, value)| format!("{key}={value}")).collect())
        }),
        ..SETTING
    },
    Flag {
        key: "cluster",
        value: "NAME",
        environment: "GAGGLE_CLUSTER",
        help: "The cluster's name",
        default: Some(CLUSTER_DEFAULT),
        method: "Config::cluster",
        take: Take::Text(|raw, text| raw.cluster = text),
        show: Some(|_, checked| checked.setup.cluster.to_string()),
        ..SETTING
    },
    Flag {
        key: "first-term",
        value: "N",
        environment: "GAGGLE_FIRST_TERM",
        help: "The terms of this node are N or above: for a cluster that goes on above the terms of an \
               older one. Give it to every node that founds it",
        method: "Config::first_term",
        take: Take::Text(|raw, text| raw.first_term = Some(text)),
        show: Some(|_, checked| checked.setup.first_term.to_string()),
        ..SETTING
    },
    Flag {
        key: "lease",
        value: "DURATION",
        environment: "GAGGLE_LEASE",
        help: "How long a lease lasts, from 150ms to 10s [default: as the profile says, lan 600ms]",
        method: "Config::lease",
        take: Take::Span(|raw, span| raw.lease = Some(span)),
        show: Some(|_, checked| format!("{:?}", checked.setup.timing.lease)),
        ..SETTING
    },
    Flag {
        key: "profile",
        environment: "GAGGLE_PROFILE",
        help: "Timings for a kind of network",
        default: Some("lan"),
        method: "Config::profile",
        take: Take::Choice(PROFILES, |raw, name| raw.profile = profile(name)),
        show: Some(|raw, _| format!("{:?}", raw.profile).to_lowercase()),
        ..SETTING
    },
    Flag {
        key: "preempt",
        value: "BOOL",
        environment: "GAGGLE_PREEMPT",
        help: "Hand the lease to a higher node once it has been there for 5 s. Settled when the \
               cluster is founded, for all nodes alike [default: the Goose stays until it goes]",
        method: "Config::preempt",
        take: Take::Truth(|raw, truth| raw.preempt = Some(truth)),
        show: Some(|_, checked| preempt(checked)),
        ..SETTING
    },
    Flag {
        key: "never-goose",
        environment: "GAGGLE_NEVER_GOOSE",
        help: "Vote and gossip, but never become Goose",
        method: "Config::never_goose",
        take: Take::Switch(|raw, truth| raw.never_goose = truth),
        show: Some(|_, checked| (!checked.setup.eligible).to_string()),
        ..SETTING
    },
    Flag {
        key: "state-dir",
        value: "DIR",
        environment: "GAGGLE_STATE_DIR",
        help: "Where to keep what must survive a restart [default: gaggle/CLUSTER/ID under the \
               user's state directory]",
        method: "Config::state_dir",
        take: Take::Path(|raw, path| raw.state_dir = Some(path)),
        show: Some(|_, checked| match &checked.storage {
            Storage::Folder(folder) => folder.display().to_string(),
            Storage::Ephemeral => none(),
        }),
        ..SETTING
    },
    Flag {
        key: "ephemeral",
        environment: "GAGGLE_EPHEMERAL",
        help: "Keep nothing: every start waits as if the disk had been lost",
        method: "Config::state(State::ephemeral())",
        take: Take::Switch(|raw, truth| raw.ephemeral = truth),
        show: Some(|_, checked| (checked.storage == Storage::Ephemeral).to_string()),
        ..SETTING
    },
    Flag {
        key: "key-file",
        value: "FILE",
        environment: "GAGGLE_KEY_FILE",
        help: "A file with the keys that seal what nodes say to each other, as `gaggle keygen` \
               makes them: the first seals, all open",
        reload: Reload::AtOnce,
        method: "Config::key",
        take: Take::Path(|raw, path| raw.key_file = Some(path)),
        show: Some(|raw, checked| {
            checked.setup.keys.as_ref().map_or_else(none, |keys| {
                format!("{} (keys {})", path(raw.key_file.as_ref()), keys.hints().join(", "))
            })
        }),
        ..SETTING
    },
    Flag {
        key: "config",
        value: "FILE",
        environment: "GAGGLE_CONFIG",
        help: "A TOML file with settings: keys are named like these flags, and ADDR:PORT is \
               `listen`. Flags and the environment are stronger",
        in_file: false,
        take: Take::Path(|raw, path| raw.config = Some(path)),
        show: Some(|raw, _| path(raw.config.as_ref())),
        ..SETTING
    },
    Flag {
        key: "admin-token-file",
        value: "FILE",
        environment: "GAGGLE_ADMIN_TOKEN_FILE",
        help: "A file with the token that lets whoever holds it give orders over TCP, by TLS or from \
               loopback. On the machine itself the node's user and root need none",
        take: Take::Path(|raw, path| raw.admin_token_file = Some(path)),
        show: Some(|raw, _| path(raw.admin_token_file.as_ref())),
        ..SETTING
    },
    Flag {
        key: "log-format",
        environment: "GAGGLE_LOG_FORMAT",
        help: "How the log is written",
        default: Some("text"),
        take: Take::Choice(
            &[("text", "Lines for people"), ("json", "One JSON object per line")],
            |raw, name| {
                raw.log_format = if name == "json" { LogFormat::Json } else { LogFormat::Text };
            },
        ),
        show: Some(|raw, _| format!("{:?}", raw.log_format).to_lowercase()),
        ..SETTING
    },
    Flag {
        key: "log-level",
        environment: "GAGGLE_LOG_LEVEL",
        help: "How much is logged",
        default: Some("info"),
        reload: Reload::AtOnce,
        take: Take::Choice(
            &[("error", ""), ("warn", ""), ("info", ""), ("debug", ""), ("trace", "")],
            |raw, name| {
                raw.log_level = match name {
                    "error" => LogLevel::Error,
                    "warn" => LogLevel::Warn,
                    "debug" => LogLevel::Debug,
                    "trace" => LogLevel::Trace,
                    _ => LogLevel::Info,
                };
            },
        ),
        show: Some(|raw, _| format!("{:?}", raw.log_level).to_lowercase()),
        ..SETTING
    },
    Flag {
        key: "no-keeper",
        environment: "GAGGLE_NO_KEEPER",
        help: "Start no keeper: a node that is killed then costs the others a lease",
        take: Take::Switch(|raw, truth| raw.no_keeper = truth),
        show: Some(|raw, _| raw.no_keeper.to_string()),
        ..SETTING
    },
    Flag {
        key: "on-goose",
        value: "CMD",
        environment: "GAGGLE_ON_GOOSE",
        help: "What to run when this node has become Goose: a program and its arguments, quoted as \
               for a shell. No shell reads it",
        take: Take::Text(|raw, text| raw.on_goose = Some(text)),
        show: Some(|raw, _| raw.on_goose.clone().unwrap_or_else(none)),
        ..SETTING
    },
    Flag {
        key: "on-duck",
        value: "CMD",
        environment: "GAGGLE_ON_DUCK",
        help: "What to run before this node is Goose no more; and before it joins, for what an \
               earlier process of it may have left (GAGGLE_REASON=started)",
        take: Take::Text(|raw, text| raw.on_duck = Some(text)),
        show: Some(|raw, _| raw.on_duck.clone().unwrap_or_else(none)),
        ..SETTING
    },
    Flag {
        key: "hook-timeout",
        value: "DURATION",
        environment: "GAGGLE_HOOK_TIMEOUT",
        help: "How long a hook may run, up to 20s; a hand-over waits for it [default: 5s]",
        take: Take::Span(|raw, span| raw.hook_timeout = Some(span)),
        show: Some(|_, checked| format!("{:?}", checked.hooks.limit)),
        ..SETTING
    },
    Flag {
        key: "on-hook-failure",
        environment: "GAGGLE_ON_HOOK_FAILURE",
        help: "What to do when --on-goose fails or takes too long",
        default: Some("step-down"),
        take: Take::Choice(
            &[
                ("step-down", "Run --on-duck, hand over, and do not lead for a while"),
                ("stay", "Log it and stay Goose"),
            ],
            |raw, name| {
                let stays = name == "stay";
                raw.on_hook_failure =
                    if stays { OnHookFailure::Stay } else { OnHookFailure::StepDown };
            },
        ),
        show: Some(|_, checked| {
            let stays = checked.hooks.on_failure == OnHookFailure::Stay;
            if stays { "stay" } else { "step-down" }.to_owned()
        }),
        ..SETTING
    },
    Flag {
        key: "health",
        value: "CMD|URL",
        environment: "GAGGLE_HEALTH",
        help: "How to find out whether this node could do its work: a command, quoted as for a \
               shell, that exits with 0, or an http:// URL that answers with 2xx. While it could \
               not it votes, but does not lead, and hands over. At the start one success decides",
        take: Take::Text(|raw, text| raw.health = Some(text)),
        show: Some(|raw, _| raw.health.clone().unwrap_or_else(none)),
        ..SETTING
    },
    Flag {
        key: "health-interval",
        value: "DURATION",
        environment: "GAGGLE_HEALTH_INTERVAL",
        help: "From the start of one health check to the next, from 100ms to 1h [default: 1s]",
        take: Take::Span(|raw, span| raw.health_interval = Some(span)),
        show: Some(|raw, _| format!("{:?}", raw.health_interval.unwrap_or(INTERVAL))),
        ..SETTING
    },
    Flag {
        key: "health-timeout",
        value: "DURATION",
        environment: "GAGGLE_HEALTH_TIMEOUT",
        help: "How long a health check may take, up to 1h; a command is killed then [default: 1s]",
        take: Take::Span(|raw, span| raw.health_timeout = Some(span)),
        show: Some(|raw, _| format!("{:?}", raw.health_timeout.unwrap_or(TIMEOUT))),
        ..SETTING
    },
    Flag {
        key: "health-failures",
        value: "N",
        environment: "GAGGLE_HEALTH_FAILURES",
        help: "How many checks in a row fail before the node is not healthy [default: 3]",
        take: Take::Count(|raw, count| raw.health_failures = Some(count)),
        show: Some(|raw, _| raw.health_failures.unwrap_or(FAILURES).to_string()),
        ..SETTING
    },
    Flag {
        key: "health-successes",
        value: "N",
        environment: "GAGGLE_HEALTH_SUCCESSES",
        help: "How many checks in a row pass before it is healthy again [default: 2]",
        take: Take::Count(|raw, count| raw.health_successes = Some(count)),
        show: Some(|raw, _| raw.health_successes.unwrap_or(SUCCESSES).to_string()),
        ..SETTING
    },
    Flag {
        key: "if-none-healthy",
        environment: "GAGGLE_IF_NONE_HEALTHY",
        help: "Who leads when the health check fails on every node. Tell all nodes the same",
        default: Some("nobody"),
        method: "Config::lead_anyway",
        take: Take::Choice(
            &[
                ("nobody", "Nobody, until a check passes"),
                ("lead-anyway", "One of them, until a check passes; after 5 s if none leads yet"),
            ],
            |raw, name| {
                let anyway = name == "lead-anyway";
                raw.if_none_healthy =
                    if anyway { IfNoneHealthy::LeadAnyway } else { IfNoneHealthy::Nobody };
            },
        ),
        show: Some(|_, checked| {
            let anyway = checked.setup.if_none_healthy == IfNoneHealthy::LeadAnyway;
            if anyway { "lead-anyway" } else { "nobody" }.to_owned()
        }),
        ..SETTING
    },
    Flag {
        key: "exit-with-stdin",
        help: "Leave when standard input ends: a parent that dies takes the node along",
        hidden: true,
        in_file: false,
        take: Take::Switch(|raw, truth| raw.exit_with_stdin = truth),
        ..SETTING
    },
];

/// The profile of one of [`PROFILES`].
fn profile(name: &str) -> Profile {
    match name {
        "fast" => Profile::Fast,
        "wan" => Profile::Wan,
        _ => Profile::Lan,
    }
}

/// A list of voters. A comma at the end or an empty text names nobody; a gap in the middle is a
/// mistake.
fn entries(text: &str) -> Vec<String> {
    let text = text.trim().trim_end_matches(',');
    let entries = text.split(',').filter(|_| !text.is_empty());
    entries.map(str::to_owned).collect()
}

/// Without a word the record or the cluster decides; a cluster founded now goes without.
fn preempt(checked: &Checked) -> String {
    let setup = &checked.setup;
    let founds = setup.voters.is_some() || setup.seeds.is_empty();
    let unsaid = if founds { "false" } else { "as the cluster" };
    setup.preempt.map_or_else(|| unsaid.to_owned(), |said| said.to_string())
}

fn none() -> String {
    "none".to_owned()
}

fn list(items: Vec<String>) -> String {
    if items.is_empty() { none() } else { items.join(", ") }
}

fn path(path: Option<&PathBuf>) -> String {
    path.map_or_else(none, |path| path.display().to_string())
}
