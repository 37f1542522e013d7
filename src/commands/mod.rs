//! The command line: what people type, and what they read.
//!
//! Assumptions: data goes to standard output and everything else to standard error; a reader
//! that closes the pipe early is no error; every failure is one line that names the thing,
//! the reason and the next step, with an exit code that a script can tell apart.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::config::key_file::KeyFileError;
use crate::config::{Environment, Fault, Origins, SettingsError};
use crate::shell::host_name::host_name;
use crate::shell::http::client::{CaFileError, ClientError};
#[cfg(target_os = "linux")]
use crate::shell::keeper;
use crate::vocabulary::lineage::{ForeignFounding, Kinship};
use arguments::{Arguments, Command, VotersAction, VotersArguments};
use sources::{SourceError, variables};

#[cfg(target_os = "linux")]
mod address;
mod arguments;
mod ask;
mod audit;
mod check;
mod dev;
mod doctor;
mod documents;
#[cfg(target_os = "linux")]
mod exec;
mod exits;
mod find_node;
mod forget;
mod help;
mod keyboard;
mod keys;
mod launch;
mod log;
mod raw_flags;
mod recover;
mod reload;
mod run;
mod sources;
mod systemd;
mod table;
mod terminal;
mod voters;
mod wait;
mod watch;

/// The exit codes, as they are documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failure = 1,
    Usage = 2,
    NoGoose = 3,
    NotGoose = 4,
    TimedOut = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// The settings make no sense. Nothing was opened.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Neither does what they are taken from.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A key could not be written.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The node could not be started; whatever was opened is closed again.
    #[error(transparent)]
    Launch(#[from] launch::LaunchError),
    /// No answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No answer to an order.
    #[error(
        "{node} did not answer within {limit:?}, and may still do what it was told: see `gaggle status`, \
         then give the order again if it has not"
    )]
    Unanswered {
        /// Who was told.
        node: String,
        /// How long its answer was waited for.
        limit: std::time::Duration,
    },
    /// Nobody to trust.
    #[error(transparent)]
    Ca(#[from] CaFileError),
    /// Nobody to ask or to order.
    #[error("{}", no_node(foreign.as_deref()))]
    NoNode {
        /// The socket of somebody else's node.
        foreign: Option<std::path::PathBuf>,
    },
    /// Of all that were to be asked, none did.
    #[error("nobody has answered: name the nodes with --nodes URL,URL")]
    NobodyAnswered,
    /// More than one; they have been listed.
    #[error(
        "{0} nodes run on this machine: say with --node which one is meant, by its SOCKET or by \
         its HTTP address"
    )]
    SeveralNodes(usize),
    /// The voters have not changed yet.
    #[error(
        "not in force after {limit:?}: it waits for {hold}. The Goose goes on with it while it leads; \
         give the order again to see how far it is"
    )]
    VotersPending {
        /// How long it was waited for.
        limit: std::time::Duration,
        /// What for, in words.
        hold: String,
    },
    /// What was waited for has not come.
    #[error("after {limit:?} {what}")]
    NotYet {
        /// How long it was waited for.
        limit: std::time::Duration,
        /// What is so still.
        what: &'static str,
    },
    /// An answer, but not the one hoped for.
    #[error("{node}: {detail}")]
    Refused {
        /// Whom we asked.
        node: String,
        /// The problem's kind, if it is one of ours.
        kind: Option<String>,
        /// What it said.
        detail: String,
    },
    /// An answer that we do not understand.
    #[error("{node} answered in a way that this version does not understand ({reason})")]
    NotUnderstood {
        /// Whom we asked.
        node: String,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
    /// Nothing could be written to standard output.
    #[error("cannot write the answer: {0}")]
    Output(std::io::Error),
    /// The manual pages could not be written.
    #[error(
        "the manual pages cannot be written into {}: {error}: name a folder that you may write to",
        folder.display()
    )]
    ManualPages {
        /// Where they were to stand.
        folder: std::path::PathBuf,
        /// Why they do not.
        error: std::io::Error,
    },
    /// The local cluster could not be started or kept.
    #[error(transparent)]
    Dev(#[from] dev::DevError),
    /// No keeper, and so no command.
    #[cfg(target_os = "linux")]
    #[error("there is no keeper for the work: {0}")]
    Keeper(#[from] keeper::KeeperError),
    /// Another operating system.
    #[error("exec needs Linux: run a node with `gaggle run`, and ask it")]
    ExecElsewhere,
    /// Another operating system.
    #[cfg(not(target_os = "linux"))]
    #[error("address needs Linux: run a node with `gaggle run` and hooks")]
    AddressElsewhere,
    /// The machine cannot have the address.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Address(#[from] crate::shell::address::AddressError),
    /// The node stopped without being told to.
    #[error("the node has ended by itself: {0}")]
    Ended(String),
    /// The settings lead to another cluster than the state folder.
    #[error("{}", misled(.0))]
    Misled(ForeignFounding),
    /// Nothing can be rescued.
    #[error("nothing is rescued, and nothing was changed: {0}")]
    Recover(#[from] recover::RecoverError),
    /// It would fail somewhere in the midst of starting.
    #[error(
        "this process may have {limit} files open at once, and needs {OPEN_FILES_MIN}: raise the limit \
         (`ulimit -n`, or LimitNOFILE= in a unit)"
    )]
    FewOpenFiles {
        /// What it may.
        limit: u64,
    },
    /// No runtime or signal handler could be made.
    #[error("cannot set up the process: {0}")]
    Process(#[source] std::io::Error),
}

impl From<Fault> for CommandError {
    /// Of what was said on the command line alone.
    fn from(fault: Fault) -> Self {
        Self::Settings(SettingsError::new(fault, &Origins::default()))
    }
}

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Source(_) | Self::Ca(_) => Exit::Usage,
            Self::Launch(error) if error.is_configuration() => Exit::Usage,
            Self::Dev(error) if error.is_usage() => Exit::Usage,
            #[cfg(target_os = "linux")]
            Self::Address(error) if error.is_usage() => Exit::Usage,
            Self::Client(error) if error.is_timeout() => Exit::TimedOut,
            Self::NotYet { .. } | Self::VotersPending { .. } | Self::Unanswered { .. } => {
                Exit::TimedOut
            }
            Self::Client(error) if error.is_usage() => Exit::Usage,
            Self::SeveralNodes(_) | Self::Misled(_) => Exit::Usage,
            Self::Recover(error) if error.is_usage() => Exit::Usage,
            Self::Refused { kind: Some(kind), .. } => match kind.as_str() {
                "no-goose" => Exit::NoGoose,
                "not-the-goose" => Exit::NotGoose,
                "order-timeout" => Exit::TimedOut,
                _ => Exit::Failure,
            },
            _ => Exit::Failure,
        }
    }
}

/// That there is no node, and what to do.
fn no_node(foreign: Option<&std::path::Path>) -> String {
    match foreign {
        Some(path) => format!(
            "the node at {} is another user's: type the command as the user as whom it runs, or \
             as root, or name another node with --node",
            path.display()
        ),
        None => "no node of this user runs on this machine: start one with `gaggle run`, or name \
                 another with --node"
            .to_owned(),
    }
}

/// Writes several lines to standard error, beside the one that says what is wrong.
fn complain(text: &str) {
    // If even this cannot be written, there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The whole program: reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    // Before anything else: the keeper stays as small as a process can be.
    #[cfg(target_os = "linux")]
    if std::env::args_os().nth(1).is_some_and(|word| word == keeper::SUBCOMMAND) {
        return keep();
    }
    if let Err(error) = enough_open_files() {
        return concluded(Err(error));
    }
    let words: Vec<_> = std::env::args_os().collect();
    let outcome = match sources::read(&words) {
        #[cfg(target_os = "linux")]
        Ok(Arguments { command: Command::Exec(arguments) }) => {
            return exec::concluded(exec::exec(&arguments));
        }
        Ok(arguments) => obey(&arguments.command).map(ExitCode::from),
        // Help and version come this way too, and are no failures.
        Err(SourceError::CommandLine(error)) => error.exit(),
        Err(error) => Err(error.into()),
    };
    concluded(outcome)
}

/// A node opens some twenty files before anybody has asked it anything.
const OPEN_FILES_MIN: u64 = 32;

/// With fewer, one part or another would fail in the midst of its start.
fn enough_open_files() -> Result<(), CommandError> {
    use rustix::process::{Resource, getrlimit};
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < OPEN_FILES_MIN => Err(CommandError::FewOpenFiles { limit }),
        _ => Ok(()),
    }
}

/// The exit code, after saying what went wrong, if anything did.
fn concluded(outcome: Result<ExitCode, CommandError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        log::say(&format!("gaggle: {}", one_line(&error.to_string())));
        error.exit().into()
    })
}

/// Where this node's seeds, or the voters of its record, have led.
fn misled(foreign: &ForeignFounding) -> String {
    let ForeignFounding { address, lineage, own, kinship, .. } = foreign;
    if *kinship == Kinship::Rescued {
        return format!(
            "this cluster was rescued without this node's vote: the node at {address} belongs to what is \
             left of it (lineage {lineage}; the record in the state folder is of {own}). Start with an \
             empty --state-dir to join that; if this node was one of the survivors, run `gaggle voters \
             recover` here as on the others"
        );
    }
    format!(
        "the record in the state folder belongs to another founding of the cluster (lineage {own}) than \
         the seed at {address} (lineage {lineage}): to join the seed's, start with an empty --state-dir; \
         to go on with the recorded one, correct or leave out --seed"
    )
}

/// A refusal as people read it: on one line, whatever it quotes, and no longer than a few
/// lines of a terminal. What a file holds must not move somebody's cursor.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for letter in text.chars() {
        if line.len() >= LINE_SIZE_MAX {
            line.push_str(" ...");
            break;
        }
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// See [`one_line`], in bytes.
const LINE_SIZE_MAX: usize = 1000;

/// How far settings got that were made up by a fuzzer.
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub enum Judged {
    /// The command line makes no sense; its parser says so on as many lines as it likes.
    CommandLine,
    /// The file makes no sense, in these words.
    File(String),
    /// Understood, and refused in these words.
    Refused(String),
    /// A node may be started with this.
    Accepted(Box<crate::node::setup::Setup>),
}

/// Judges settings as `run` does: the words of a command line, and the text of a
/// configuration file.
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub fn judge(words: &[std::ffi::OsString], text: &str) -> Judged {
    let mut arguments = match sources::read_with(words, text) {
        Ok(arguments) => arguments,
        Err(SourceError::CommandLine(_)) => return Judged::CommandLine,
        Err(error) => return Judged::File(one_line(&error.to_string())),
    };
    let Some(raw) = arguments.command.raw_mut() else { return Judged::CommandLine };
    let home = std::path::PathBuf::from("/home/nobody");
    // Whoever judges makes up names by the thousand.
    let look_up = crate::config::names::LookUp(|_| Err("nothing is looked up here".to_owned()));
    let environment = Environment { home: Some(home), look_up, ..Environment::default() };
    match crate::config::check(raw, &environment) {
        Ok(checked) => Judged::Accepted(Box::new(checked.setup)),
        Err(error) => Judged::Refused(one_line(&error.to_string())),
    }
}

/// The keeper, with what its node tells it in words.
#[cfg(target_os = "linux")]
fn keep() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(2).collect();
    match keeper::keep(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Its standard error leads nowhere when a node has started it.
            let _ = writeln!(
                std::io::stderr(),
                "gaggle: the keeper is started by a node, not by hand: {error}"
            );
            Exit::Usage.into()
        }
    }
}

fn obey(command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Run(arguments) => run::run(arguments),
        // It has exit codes of its own, so it is started elsewhere.
        Command::Exec(_) => Err(CommandError::ExecElsewhere),
        #[cfg(target_os = "linux")]
        Command::Address(arguments) => address::address(arguments),
        #[cfg(not(target_os = "linux"))]
        Command::Address(_) => Err(CommandError::AddressElsewhere),
        Command::Check(arguments) => check::check(arguments),
        Command::Keygen(arguments) => keys::keygen(arguments),
        Command::Dev(arguments) => dev::dev(arguments),
        Command::Status(arguments) => ask::status(arguments),
        Command::Members(arguments) => ask::members(arguments),
        Command::Goose(arguments) => ask::goose(arguments),
        Command::History(arguments) => ask::history(arguments),
        Command::Audit(arguments) => audit::audit(arguments),
        Command::Voters(VotersArguments { ask, action: None | Some(VotersAction::List) }) => {
            ask::voters(ask)
        }
        Command::Voters(VotersArguments {
            action: Some(VotersAction::Recover(arguments)), ..
        }) => recover::recover(arguments),
        Command::Voters(VotersArguments { action: Some(action), .. }) => voters::change(action),
        Command::Watch(arguments) => watch::watch(arguments),
        Command::Wait(arguments) => wait::wait(arguments),
        Command::Doctor(arguments) => doctor::doctor(arguments),
        Command::Completions { shell } => documents::completions(*shell),
        Command::Man { folder } => documents::man(folder),
        Command::StepDown(arguments) => ask::step_down(arguments),
        Command::Drain(arguments) => ask::drain(arguments),
        Command::Pause(arguments) => ask::pause(arguments),
        Command::Resume(arguments) => ask::resume(arguments),
        Command::Forget(arguments) => forget::forget(arguments),
        Command::Leave(arguments) => ask::leave(arguments),
    }
}

/// Whether anybody still reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Present,
    Gone,
}

/// Writes `text` to standard output. Whoever reads may stop reading: that is no error.
fn print(text: &str) -> Result<Audience, CommandError> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(Audience::Present),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Audience::Gone),
        Err(error) => Err(CommandError::Output(error)),
    }
}

/// The runtime of a command: one thread.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::Process)
}

/// What settings take from this process besides what was given, with `entropy` for its node.
fn environment(entropy: [u8; 32]) -> Environment {
    let path = |name| std::env::var_os(name).map(std::path::PathBuf::from);
    let warnings = variables::strays(&variables::of_process());
    let (state_home, home) = (path("XDG_STATE_HOME"), path("HOME"));
    let (host, search) = (host_name(), std::env::var_os("PATH"));
    Environment {
        state_home,
        home,
        host,
        path: search,
        warnings,
        entropy,
        ..Environment::default()
    }
}

/// Where all randomness comes from: the operating system.
fn entropy() -> Result<[u8; 32], CommandError> {
    use rand::TryRng;
    let mut bytes = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| CommandError::Process(std::io::Error::other(error)))?;
    Ok(bytes)
}
