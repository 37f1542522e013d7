//! The command line as it is typed. The settings of a node come from their table, by way of
//! [`super::raw_flags`]; here is what commands take besides, and how values are parsed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exits::ExitTable;
use super::help;
use crate::config::Raw;
use crate::config::flags::{Choice, PROFILES};
use crate::shell::http::api::views::State;
use crate::shell::http::client::{CaFileError, Client, NodeUrl};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::timing::HOLD_MAX;

/// The version with the commit that it is built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILT_FROM_COMMIT"), ")");

/// Exactly one Goose, all others Ducks: leader election for a handful of machines.
#[derive(Debug, Parser)]
#[command(name = "gaggle", version = VERSION, max_term_width = 100)]
#[command(after_help = help::GAGGLE)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a node
    #[command(after_help = help::RUN)]
    Run(Box<Raw>),
    /// Start a node that runs a command while, and only while, it is the Goose
    Exec(Box<ExecArguments>),
    /// Start a node whose machine has an address while, and only while, it is the Goose
    Address(Box<AddressArguments>),
    /// Show what `run` would start with, where each value is from, and what it is worth
    Check(Box<CheckArguments>),
    /// Make a new key for sealing what nodes say to each other
    Keygen(KeygenArguments),
    /// Run a whole local cluster of real processes, with a live view
    Dev(DevArguments),
    /// Ask a node how it stands
    Status(StatusArguments),
    /// Ask a node whom it knows
    Members(MembersArguments),
    /// Ask a node who is the Goose (exit 3: nobody)
    Goose(AskArguments),
    /// Show which terms a node has seen, and why they began and ended
    History(AskArguments),
    /// Ask all nodes which terms they led, and whether that can be true (exit 1: it cannot)
    Audit(AuditArguments),
    /// Show the voters as a node sees them
    #[command(after_help = help::VOTERS)]
    Voters(VotersArguments),
    /// Follow a node live: a full screen on a terminal, a line per event elsewhere
    Watch(AskArguments),
    /// Wait until a node is the Goose, knows one, or knows another one (exit 5: not in time)
    #[command(after_help = help::WAIT)]
    Wait(WaitArguments),
    /// Look for what is wrong with a node, its machine and its cluster (exit 3: no Goose)
    #[command(after_help = help::DOCTOR)]
    Doctor(Box<DoctorArguments>),
    /// Print a script that completes this command line
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command into a folder
    Man {
        /// The folder, which is made if it is missing
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Tell the Goose to hand over (exit 4: the node asked is not the Goose)
    #[command(after_help = help::STEP_DOWN)]
    StepDown(StepDownArguments),
    /// Have a node hand over and hold back until told otherwise, also after a restart. It votes
    Drain(DrainArguments),
    /// Have the Goose make way for nobody by choice (--preempt) for a while. Ends with its term
    Pause(PauseArguments),
    /// End a pause
    Resume(LeaveArguments),
    /// Make the cluster forget members that are down or have left; after a day it does so by itself
    Forget(ForgetArguments),
    /// Tell a node to say goodbye and end
    Leave(LeaveArguments),
}

impl Command {
    /// What `run`, `exec`, `address`, `check` and a preflight are told of the node.
    pub(super) fn raw_mut(&mut self) -> Option<&mut Raw> {
        match self {
            Self::Run(arguments) => Some(arguments),
            Self::Check(arguments) => Some(&mut arguments.run),
            Self::Exec(arguments) => Some(&mut arguments.run),
            Self::Voters(VotersArguments {
                action: Some(VotersAction::Recover(arguments)),
                ..
            }) => Some(&mut arguments.run),
            Self::Address(arguments) => Some(&mut arguments.run),
            Self::Doctor(arguments) => Some(&mut arguments.run),
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = help::EXEC)]
pub(super) struct ExecArguments {
    #[command(flatten)]
    pub(super) run: Raw,
    /// How long the command has between SIGTERM and SIGKILL when the lease is not renewed. It must
    /// fit into the lease [default: half of what fits]
    #[arg(long, value_name = "DURATION", env = "GAGGLE_STOP_TIMEOUT", hide_env = true, value_parser = duration)]
    pub(super) stop_timeout: Option<Duration>,
    /// How long it has when its end is planned (the node is told to end, to step down or to make
    /// way). The lease is renewed meanwhile
    #[arg(long, value_name = "DURATION", env = "GAGGLE_DRAIN_TIMEOUT", hide_env = true, default_value = "30s",
          value_parser = duration)]
    pub(super) drain_timeout: Duration,
    /// Found a cluster of this node alone: without it, and with neither --seed nor --voters, two
    /// machines would run the command side by side
    #[arg(long, env = "GAGGLE_ALONE", hide_env = true, value_parser = truth)]
    pub(super) alone: bool,
    /// Pass SIGHUP on to the command as well; it has the node read its settings again in any case
    #[arg(long, env = "GAGGLE_FORWARD_HUP", hide_env = true, value_parser = truth)]
    pub(super) forward_hup: bool,
    /// What to do when the command ends by itself, for all exit codes, or for some, like
    /// 0=stop,70-78=restart,step-down. step-down: hand over, so that another node runs it; this one
    /// tries again later. restart: start it again here, three times in a row at most, then step-down.
    /// done: hand over, and never start it here again; the others still run it, for no node knows that
    /// it was done elsewhere. stop: hand over, leave, and exit with the code:
    /// that takes a voter along [default: step-down; stop where this node is all of its cluster]
    #[arg(long, value_name = "WORD|CODE=WORD,…", env = "GAGGLE_ON_EXIT", hide_env = true)]
    pub(super) on_exit: Option<ExitTable>,
    /// The command and its arguments. No shell reads them
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct AddressArguments {
    /// The address, and how many bits name its network: 10.0.0.100/24 or fd00::100/64. Without a slash
    /// it is a network of its own. Several are separated by commas
    #[arg(value_name = "ADDRESS/BITS")]
    pub(super) addresses: String,
    /// The network device that gets it
    #[arg(long = "dev", value_name = "DEVICE", env = "GAGGLE_DEV", hide_env = true)]
    pub(super) device: String,
    #[command(flatten)]
    pub(super) run: Raw,
    /// How long a Goose that was not handed the lease waits before it takes the address. The kernel of
    /// a machine whose processes are all frozen keeps an address for up to 1.3s: with less than that
    /// and a bit, minus the lease, two may have it for a moment [default: just so long]
    #[arg(long, value_name = "DURATION", env = "GAGGLE_TAKEOVER_DELAY", hide_env = true, value_parser = duration)]
    pub(super) takeover_delay: Option<Duration>,
    /// Found a cluster of this node alone: without it, and with neither --seed nor --voters, two
    /// machines would have the address side by side
    #[arg(long, env = "GAGGLE_ALONE", hide_env = true, value_parser = truth)]
    pub(super) alone: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    pub(super) run: Raw,
    /// How to show it
    #[arg(short, long, env = "GAGGLE_OUTPUT", hide_env = true, default_value = "table")]
    pub(super) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(super) struct KeygenArguments {
    /// Write the key to a new file that only you can read, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DevArguments {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) nodes: u16,
    /// How many of them vote: the ones with the lowest ids [default: 3, or all if fewer]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=15))]
    pub(super) voters: Option<u16>,
    /// Timings for a kind of network
    #[arg(long, default_value = "lan", value_parser = names(PROFILES))]
    pub(super) profile: String,
}

/// Whom to ask, and how to show the answer.
#[derive(Debug, Args)]
pub(super) struct AskArguments {
    /// The node that is meant: a URL, ADDR:PORT, or the path of its socket [default: the one on
    /// this machine]
    #[arg(long, value_name = "URL", env = "GAGGLE_NODE", hide_env = true)]
    pub(super) node: Option<NodeUrl>,
    /// Ask https:// nodes, and trust the authorities whose certificates are in this PEM file
    /// [default: those that the operating system trusts]
    #[arg(long, value_name = "FILE", env = "GAGGLE_CA", hide_env = true)]
    pub(super) ca: Option<PathBuf>,
    /// How to show the answer; json is the node's own
    #[arg(short, long, env = "GAGGLE_OUTPUT", hide_env = true, default_value = "table")]
    pub(super) output: OutputFormat,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(super) timeout: Duration,
}

impl AskArguments {
    /// By which it is asked.
    pub(super) fn client(&self) -> Result<Client, CaFileError> {
        Client::trusting(self.ca.as_deref())
    }
}

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// Ask these, and not the members that a node knows; repeatable
    #[arg(long, value_name = "URL", value_delimiter = ',', conflicts_with = "node")]
    pub(super) nodes: Vec<NodeUrl>,
    /// By how much the wall clocks may have been off otherwise than they are now, since the first term
    #[arg(long, value_name = "DURATION", default_value = "50ms", value_parser = duration)]
    pub(super) clock_error: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// Say nothing; exit 0 if the node is the Goose at this moment, 4 if not. Advice, no lock
    #[arg(long)]
    pub(super) is_goose: bool,
}

#[derive(Debug, Args)]
pub(super) struct MembersArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// Only those with this tag; repeatable
    #[arg(long = "tag", value_name = "KEY=VALUE", value_delimiter = ',')]
    pub(super) tags: Vec<String>,
    /// Only those in one of these states
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',')]
    pub(super) states: Vec<StateName>,
}

/// What gossip says of a member, as people type it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StateName {
    /// Answers probes
    Alive,
    /// Did not answer lately
    Suspect,
    /// Declared down
    Down,
    /// Said goodbye
    Left,
}

impl StateName {
    /// The state of that name.
    pub(super) fn state(self) -> State {
        match self {
            Self::Alive => State::Alive,
            Self::Suspect => State::Suspect,
            Self::Down => State::Down,
            Self::Left => State::Left,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct VotersArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    #[command(subcommand)]
    pub(super) action: Option<VotersAction>,
}

#[derive(Debug, Subcommand)]
pub(super) enum VotersAction {
    /// Show them; the same as without a word
    List,
    /// Have another node vote, too
    Add(VoteArguments),
    /// Have a node vote no more
    Remove(VoteArguments),
    /// Have one node vote in place of another, lost or not
    Replace(ReplaceArguments),
    /// Have the Goose keep so many voters by itself: it adds and replaces them as nodes come and go
    Auto(AutoArguments),
    /// Keep the voters as they are now: they change by order only
    Fixed(VoterOrderArguments),
    /// On a survivor, stopped: go on without a majority of the voters that is gone for ever
    Recover(Box<RecoverArguments>),
}

#[derive(Debug, Args)]
pub(super) struct RecoverArguments {
    /// The voters that are gone for ever, by ids or addresses
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', required = true)]
    pub(super) lost: Vec<NodeId>,
    /// Do it. You swear that the lost voters never lead again
    #[arg(long)]
    pub(super) yes: bool,
    /// How to show it
    #[arg(short, long, env = "GAGGLE_OUTPUT", hide_env = true, default_value = "table")]
    pub(super) output: OutputFormat,
    /// The settings that the node is started with
    #[command(flatten)]
    pub(super) run: Raw,
}

/// How an order to change voters is given.
#[derive(Debug, Args)]
pub(super) struct VoterOrderArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// Give up after so long, with exit code 5: the Goose goes on with it
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub(super) wait: Duration,
    /// A file with the node's admin token, for an order over TCP; it is sent by https or to
    /// loopback only
    #[arg(long, value_name = "FILE", env = "GAGGLE_ADMIN_TOKEN_FILE", hide_env = true)]
    pub(super) admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct VoteArguments {
    /// The node, by id or address
    #[arg(value_name = "ID")]
    pub(super) id: NodeId,
    #[command(flatten)]
    pub(super) order: VoterOrderArguments,
}

#[derive(Debug, Args)]
pub(super) struct ReplaceArguments {
    /// Who votes no more, by id or address
    #[arg(value_name = "OLD")]
    pub(super) old: NodeId,
    /// Who votes from here on
    #[arg(value_name = "NEW")]
    pub(super) new: NodeId,
    #[command(flatten)]
    pub(super) order: VoterOrderArguments,
}

#[derive(Debug, Args)]
pub(super) struct AutoArguments {
    /// How many
    #[arg(value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=15))]
    pub(super) number: u8,
    #[command(flatten)]
    pub(super) order: VoterOrderArguments,
}

#[derive(Debug, Args)]
pub(super) struct WaitArguments {
    /// The node that is meant: a URL, ADDR:PORT, or the path of its socket [default: the one on
    /// this machine]. It may be started later
    #[arg(long, value_name = "URL", env = "GAGGLE_NODE", hide_env = true)]
    pub(super) node: Option<NodeUrl>,
    /// Ask https:// nodes, and trust the authorities whose certificates are in this PEM file
    /// [default: those that the operating system trusts]
    #[arg(long, value_name = "FILE", env = "GAGGLE_CA", hide_env = true)]
    pub(super) ca: Option<PathBuf>,
    #[command(flatten)]
    pub(super) until: Awaited,
    /// Give up after so long, with exit code 5 [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
}

/// What is waited for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Awaited {
    /// Until the node is the Goose. Advice, no lock
    #[arg(long)]
    pub(super) goose: bool,
    /// Until the node knows a Goose
    #[arg(long)]
    pub(super) goose_known: bool,
    /// Until the node knows another Goose than now, another term, or none any more
    #[arg(long)]
    pub(super) change: bool,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// Look at what a node would be started with, before it is: settings, ports, the clock, the state
    /// folder, and the way to the other nodes over UDP. With the options of `gaggle run`. Run at the
    /// same time on machines that have no node yet (--timeout 1m), it answers for them
    #[arg(long, conflicts_with = "node")]
    pub(super) preflight: bool,
    /// The node that is to be started. Without --preflight only --state-dir counts: the folder is
    /// tried for how fast it can be written to
    #[command(flatten)]
    pub(super) run: Raw,
}

#[derive(Debug, Args)]
pub(super) struct StepDownArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// Hand over to this node, by id or address
    #[arg(long, value_name = "ID")]
    pub(super) to: Option<NodeId>,
    /// Do not contend for so long, a day at most [default: a few leases]
    #[arg(long, value_name = "DURATION", value_parser = up_to_a_day)]
    pub(super) hold: Option<Duration>,
    /// A file with the node's admin token, for an order over TCP; it is sent by https or to
    /// loopback only
    #[arg(long, value_name = "FILE", env = "GAGGLE_ADMIN_TOKEN_FILE", hide_env = true)]
    pub(super) admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DrainArguments {
    /// Let the node lead again, and end any hold of it
    #[arg(long)]
    pub(super) off: bool,
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// A file with the node's admin token, for an order over TCP; it is sent by https or to
    /// loopback only
    #[arg(long, value_name = "FILE", env = "GAGGLE_ADMIN_TOKEN_FILE", hide_env = true)]
    pub(super) admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PauseArguments {
    /// For how long, a day at most
    #[arg(long = "for", value_name = "DURATION", default_value = "1h",
          value_parser = some_of_a_day)]
    pub(super) lasts: Duration,
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// A file with the node's admin token, for an order over TCP; it is sent by https or to
    /// loopback only
    #[arg(long, value_name = "FILE", env = "GAGGLE_ADMIN_TOKEN_FILE", hide_env = true)]
    pub(super) admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ForgetArguments {
    /// The members, by id or address
    #[arg(value_name = "ID", required_unless_present = "down")]
    pub(super) ids: Vec<NodeId>,
    /// All that are down or have left, voters aside: replace or name those
    #[arg(long, conflicts_with = "ids")]
    pub(super) down: bool,
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// A file with the node's admin token, for an order over TCP; it is sent by https or to
    /// loopback only
    #[arg(long, value_name = "FILE", env = "GAGGLE_ADMIN_TOKEN_FILE", hide_env = true)]
    pub(super) admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct LeaveArguments {
    #[command(flatten)]
    pub(super) ask: AskArguments,
    /// A file with the node's admin token, for an order over TCP; it is sent by https or to
    /// loopback only
    #[arg(long, value_name = "FILE", env = "GAGGLE_ADMIN_TOKEN_FILE", hide_env = true)]
    pub(super) admin_token_file: Option<PathBuf>,
}

/// A duration as people write it.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text)
        .map_err(|_| "this is no span of time: write it like 600ms, 3s or 1m30s")
}

/// A duration of up to a day, as the node takes it.
fn up_to_a_day(text: &str) -> Result<Duration, &'static str> {
    let span = duration(text)?;
    (span <= HOLD_MAX).then_some(span).ok_or("a day (24h) is the most")
}

/// The same, and more than nothing.
fn some_of_a_day(text: &str) -> Result<Duration, &'static str> {
    let span = up_to_a_day(text)?;
    (span >= Duration::from_millis(1)).then_some(span).ok_or("give more than nothing, like 10m")
}

/// Yes or no as people write it, and nothing else: a mistyped "false" must not mean yes.
pub(super) fn truth(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "y" | "t" => Ok(true),
        "false" | "no" | "off" | "0" | "n" | "f" => Ok(false),
        _ => Err("this is neither yes nor no: write true or false"),
    }
}

/// The parser of a value that has one of these names.
pub(super) fn names(choices: &'static [Choice]) -> PossibleValuesParser {
    let value = |(name, help): &Choice| {
        let value = PossibleValue::new(*name);
        if help.is_empty() { value } else { value.help(*help) }
    };
    PossibleValuesParser::new(choices.iter().map(value))
}
