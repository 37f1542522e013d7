//! The node's end of the line to its keeper.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StandardStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use rustix::process::{PidfdFlags, Signal, getpid, pidfd_open, set_child_subreaper};
use tokio::net::UnixStream;

use super::address_runner::WORD;
use super::hook;
use super::message::{Order, REPORT_SIZE_MAX, Report, encode_environment, encode_last_will};
use super::precedence::missing;
use super::process_tree::{ProcessTree, Unreached, is_left, reap};
use super::{EMBEDDED_SUBCOMMAND, KeeperError, SUBCOMMAND};
use crate::config::hooks::Hooks;
use crate::node::LastWillDatagram;
use crate::shell::address::Addresses;
use crate::shell::last_will_sender::{HookRunner, LastWillSender};
use crate::vocabulary::time::HolderTime;

/// The very file that this process was started from, even if it was replaced or removed since.
const OWN_BINARY: &str = "/proc/self/exe";
/// What was left by a keeper that died is killed again after this, and twice that, and so on.
const ORPHANS_INTERVAL: Duration = Duration::from_millis(1);
const ORPHANS_INTERVAL_MAX: Duration = Duration::from_millis(250);

/// The keeper has ended, which it does not while its node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keeper of the work has ended: it can be neither begun nor ended without it")]
pub struct LineBroken;

/// The line to a keeper, as the sender of its last will.
#[derive(Debug)]
pub struct Keeper {
    line: Arc<OwnedFd>,
    has_work: bool,
    has_hook: bool,
    /// A last will that the line had no room for yet.
    unsent: Option<Vec<u8>>,
}

impl Keeper {
    /// Starts a keeper of this process that has no work, but perhaps a hook. To be called before a
    /// runtime is started, so that no thread of it is duplicated for nothing.
    ///
    /// # Errors
    /// As [`KeeperError`] says; nothing is left running then.
    pub fn start(hooks: &Hooks) -> Result<Self, KeeperError> {
        Self::start_as(SUBCOMMAND, hooks)
    }

    /// The same, of a program that is not `gaggle` and looks out for
    /// [`words_of_embedded`](super::words_of_embedded). It runs no hooks.
    ///
    /// # Errors
    /// As [`KeeperError`] says; nothing is left running then.
    pub fn start_embedded() -> Result<Self, KeeperError> {
        Self::start_as(EMBEDDED_SUBCOMMAND, &Hooks::default())
    }

    fn start_as(subcommand: &str, hooks: &Hooks) -> Result<Self, KeeperError> {
        let words = hook_words(hooks);
        let (line, child) = spawn(subcommand, &words, |command| {
            // A hook gets what the node has.
            if words.is_empty() {
                command.env_clear().current_dir("/");
            }
        })?;
        let line = Arc::new(line);
        let first = Arc::clone(&line);
        // It says one thing.
        reap_later(child, move || {
            let mut bytes = [0; REPORT_SIZE_MAX];
            let (count, _) = recv(&*first, &mut bytes, RecvFlags::empty()).unwrap_or_default();
            if let Some(Report::Keeping(precedence)) = Report::decode(&bytes[..count]) {
                say_precedence(precedence);
            }
        })?;
        Ok(Self { line, has_work: false, has_hook: !words.is_empty(), unsent: None })
    }
}

impl LastWillSender for Keeper {
    fn feed(&mut self, last_will: &[LastWillDatagram]) {
        self.unsent = encode_last_will(last_will);
        if self.unsent.is_none() {
            tracing::warn!("the last will is too large for the keeper: a crash costs a lease");
        }
        self.flush();
    }

    fn flush(&mut self) {
        // A full line: the keeper is slow. It is tried again with the next input.
        if let Some(datagrams) = &self.unsent
            && give(&self.line, &Order::LastWillDatagram(datagrams))
                != Err(io::ErrorKind::WouldBlock)
        {
            // Said, or the keeper is gone, which is logged by whoever waits for it.
            self.unsent = None;
        }
    }

    fn hook_runner(&self) -> Option<Box<dyn HookRunner>> {
        let armed: Box<dyn HookRunner> = Box::new(HookOfTheDead { line: Arc::clone(&self.line) });
        self.has_hook.then_some(armed)
    }

    fn renewed(&mut self, term: u64, deadline: HolderTime) {
        if self.has_work {
            // If it cannot be said, the work ends at the deadline that was said last: in time.
            let _ = give(&self.line, &Order::Deadline { term, deadline });
        }
    }
}

/// The line to a keeper, as whoever runs hooks sees it.
struct HookOfTheDead {
    line: Arc<OwnedFd>,
}

impl HookRunner for HookOfTheDead {
    fn arm(&self, variables: &[(String, String)]) {
        let order = Order::Hook(&encode_environment(variables));
        if let Err(kind) = give(&self.line, &order) {
            tracing::debug!("the keeper cannot be told of the hook: {kind}");
        }
    }
}

/// What a keeper is told of the hook on-duck; nothing if there is none.
fn hook_words(hooks: &Hooks) -> Vec<OsString> {
    if hooks.on_duck.is_empty() {
        return Vec::new();
    }
    let numbers = [hooks.limit.as_millis().to_string(), hooks.on_duck.len().to_string()];
    let first = [hook::WORD.to_owned()].into_iter().chain(numbers);
    first.chain(hooks.on_duck.iter().cloned()).map(OsString::from).collect()
}

/// The line to the keeper of a command, or of addresses, for orders. Clones are the same line.
#[derive(Clone, Debug)]
pub struct WorkKeeper {
    line: Arc<OwnedFd>,
}

impl WorkKeeper {
    /// Starts the keeper of a command: to order it, and as the sender of its last will. To be
    /// called before a runtime is started.
    ///
    /// # Errors
    /// As [`KeeperError`] says; nothing is left running then.
    pub fn start(
        command: &[OsString],
        stop_timeout: Duration,
        hooks: &Hooks,
    ) -> Result<(Self, Keeper), KeeperError> {
        let failed = |error: rustix::io::Errno| KeeperError::NoProcess(error.into());
        let mut words = hook_words(hooks);
        let has_hook = !words.is_empty();
        words.push(OsString::from(stop_timeout.as_millis().to_string()));
        words.extend_from_slice(command);
        let (line, child) = spawn(SUBCOMMAND, &words, |_| {})?;
        // If the keeper dies, what it kept becomes a child of this process.
        set_child_subreaper(Some(getpid())).map_err(failed)?;
        send_streams(&line).map_err(KeeperError::NoProcess)?;
        rustix::io::ioctl_fionbio(&line, true).map_err(failed)?;
        reap_later(child, || {})?;
        let line = Arc::new(line);
        let keeper = Keeper { line: Arc::clone(&line), has_work: true, has_hook, unsent: None };
        Ok((Self { line }, keeper))
    }

    /// Starts the keeper of some addresses, as above. It puts them only while more than `least_left`
    /// is left of the lease.
    ///
    /// # Errors
    /// As [`KeeperError`] says; nothing is left running then.
    pub fn of_addresses(
        addresses: &Addresses,
        least_left: Duration,
        hooks: &Hooks,
    ) -> Result<(Self, Keeper), KeeperError> {
        let mut words = hook_words(hooks);
        let has_hook = !words.is_empty();
        let least = least_left.as_millis().to_string();
        let list = addresses.list.iter().map(ToString::to_string);
        let own = [WORD.to_owned(), least, addresses.device.clone()].into_iter().chain(list);
        words.extend(own.map(OsString::from));
        let (line, child) = spawn(SUBCOMMAND, &words, |_| {})?;
        let failed = |error: rustix::io::Errno| KeeperError::NoProcess(error.into());
        rustix::io::ioctl_fionbio(&line, true).map_err(failed)?;
        reap_later(child, || {})?;
        let line = Arc::new(line);
        let keeper = Keeper { line: Arc::clone(&line), has_work: true, has_hook, unsent: None };
        Ok((Self { line }, keeper))
    }

    /// Has the work started under the lease of `term`, which lasts until `deadline`, with
    /// `variables` added to its environment. Never blocks.
    ///
    /// # Errors
    /// [`LineBroken`] if it cannot be said; so with the two below.
    pub fn start_work(
        &self,
        term: u64,
        deadline: HolderTime,
        variables: &[(String, String)],
    ) -> Result<(), LineBroken> {
        let environment = &encode_environment(variables);
        self.order(&Order::Start { term, deadline, environment })
    }

    /// Has the work ended. It may take `limit`, as long as the lease is renewed.
    pub fn end_work(&self, limit: Duration) -> Result<(), LineBroken> {
        self.order(&Order::End(limit))
    }

    /// Has a signal passed on to the command.
    pub fn signal_command(&self, number: i32) -> Result<(), LineBroken> {
        self.order(&Order::Signal(number))
    }

    fn order(&self, order: &Order<'_>) -> Result<(), LineBroken> {
        give(&self.line, order).map_err(|_| LineBroken)
    }

    /// The reports, from here on. To be called once, within a runtime.
    ///
    /// # Errors
    /// What the operating system refused.
    pub fn reports(&self) -> io::Result<Reports> {
        let stream = StandardStream::from(self.line.try_clone()?);
        Ok(Reports { line: UnixStream::from_std(stream)? })
    }
}

/// What the keeper says.
#[derive(Debug)]
pub struct Reports {
    line: UnixStream,
}

impl Reports {
    /// The next report. Cancelling it loses none.
    ///
    /// # Errors
    /// [`LineBroken`]: there will be none.
    pub async fn next(&mut self) -> Result<Report, LineBroken> {
        let mut bytes = [0; REPORT_SIZE_MAX];
        loop {
            self.line.readable().await.map_err(|_| LineBroken)?;
            match self.line.try_read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Err(LineBroken),
                Ok(count) => match Report::decode(&bytes[..count]) {
                    Some(Report::Keeping(precedence)) => say_precedence(precedence),
                    Some(report) => return Ok(report),
                    None => {}
                },
            }
        }
    }
}

/// Kills whatever descends from this process, and returns when nothing is left: the keeper is
/// dead, and what it kept has come to this process, which is a subreaper, too. Those that no
/// signal reaches are told of once, and waited for.
pub async fn end_orphans(mut tell: impl FnMut(Unreached)) {
    let mut tree = ProcessTree::own();
    let mut told = Vec::new();
    let mut pause = ORPHANS_INTERVAL;
    loop {
        reap(None);
        if !is_left() {
            return;
        }
        tree.signal(&[Signal::KILL], None, || false);
        for unreached in tree.unreached() {
            if !told.contains(&unreached.process) {
                told.push(unreached.process);
                tell(*unreached);
            }
        }
        tokio::time::sleep(pause).await;
        if !told.is_empty() {
            pause = (pause * 2).min(ORPHANS_INTERVAL_MAX);
        }
    }
}

/// A keeper with these words, and the line to it.
fn spawn(
    subcommand: &str,
    words: &[OsString],
    prepare: impl FnOnce(&mut Command),
) -> Result<(OwnedFd, Child), KeeperError> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())
        .map_err(|error| KeeperError::NoPidfd(error.into()))?;
    // It keeps messages apart, and passes each whole or not at all.
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .map_err(|error| KeeperError::NoProcess(error.into()))?;
    let mut command = Command::new(OWN_BINARY);
    command
        .arg0("gaggle")
        .arg(subcommand)
        .args(words)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(own))
        .stderr(Stdio::null())
        // Signals of the terminal are meant for the node, which passes them on.
        .process_group(0);
    prepare(&mut command);
    Ok((ours, command.spawn().map_err(KeeperError::NoProcess)?))
}

/// The command gets this process's own standard input, output and error.
fn send_streams(line: &OwnedFd) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [input.as_fd(), output.as_fd(), errors.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&streams));
    sendmsg(line, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Never blocks.
fn give(line: &OwnedFd, order: &Order<'_>) -> Result<(), io::ErrorKind> {
    let message = order.encode().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    send(line, &message, flags).map(|_| ()).map_err(|error| error.kind())
}

fn say_precedence(precedence: i32) {
    match missing(precedence) {
        None => tracing::debug!("the keeper has locked memory, and comes before all others"),
        Some(missing) => tracing::debug!("the keeper is not permitted: {missing}"),
    }
}

/// Does `first`, then waits for the keeper, on a thread of its own, so that it never stays a
/// zombie; and says so if it ends before the node does.
fn reap_later(mut child: Child, first: impl FnOnce() + Send + 'static) -> Result<(), KeeperError> {
    let span = tracing::Span::current();
    let wait = move || {
        let _logs_within = span.entered();
        first();
        match child.wait() {
            Ok(status) => {
                tracing::warn!(
                    "the keeper has ended ({status}): from now on a crash costs a lease"
                );
            }
            Err(error) => tracing::debug!("cannot wait for the keeper: {error}"),
        }
    };
    let thread = thread::Builder::new().name("gaggle-keeper".to_owned()).stack_size(64 * 1024);
    thread.spawn(wait).map(|_| ()).map_err(KeeperError::NoProcess)
}
