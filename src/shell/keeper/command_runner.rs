//! The part of the keeper that runs the node's command, and ends it in time.
//!
//! ```text
//!          Start                      End, deadline near, command ended, node dead
//!   idle ─────────▶ running ────────────────────────────────▶ ending ──▶ nothing left ─┐
//!    ▲                                SIGTERM to all            │ SIGKILL to all        │
//!    └──────────────────────────────── Gone ◀───────────────────┴───────────────────────┘
//! ```
//!
//! What is to be killed is killed first where one call reaches many, whatever else runs on the
//! machine: the process group, then the cgroup; then one by one what descends and has left both.
//! The clock is looked at before and within every walk, and on the way to a kill nothing is
//! allocated, and nothing is read but what the kernel knows of descendants.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process_group, set_child_subreaper, waitid,
};
use signal_hook::consts::SIGCHLD;

use super::KILL_MARGIN;
use super::cgroup::Cgroup;
use super::message::report;
use super::message::{Cause, Order, Report, decode_environment};
use super::precedence::Precedence;
use super::process_tree::{ProcessTree, is_left, reap};
use super::runner::{Runner, pause_until, set_timer, timer};
use crate::shell::clock::Clock;
use crate::vocabulary::time::{HolderTime, nanoseconds};

/// After SIGKILL it is sent again this often, for what was being born meanwhile.
const KILL_INTERVAL: Duration = Duration::from_millis(1);
/// So many times; then ever more seldom: what is left cannot be killed by repetition.
const KILLS_IN_A_HURRY: u32 = 64;
/// No more seldom than this.
const KILL_INTERVAL_MAX: Duration = Duration::from_millis(250);
/// While work ends by itself, it is looked at this often, though the end of a child is told.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// So long after SIGKILL, what the cgroup kills is dead.
const CGROUP_PATIENCE: Duration = Duration::from_millis(5);
/// Processes out of reach that are told of.
const TOLD_MAX: usize = 16;

/// What the command is, and how it stands.
pub(super) struct CommandRunner {
    command: Vec<OsString>,
    stop_timeout: Duration,
    streams: [OwnedFd; 3],
    /// Counts time that the machine slept, as the deadline does.
    timer: OwnedFd,
    /// Becomes readable when a child ends.
    children: UnixStream,
    cgroup: Option<Cgroup>,
    tree: ProcessTree,
    /// Processes out of reach that the node was told of.
    told: Vec<i32>,
    node_dead: bool,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Idle,
    Running { command: Pid, lease: Lease },
    Ending(Ending),
}

#[derive(Clone, Copy)]
struct Lease {
    term: u64,
    deadline: HolderTime,
}

#[derive(Clone, Copy)]
struct Ending {
    /// Not waited for yet, so the number is its own.
    command: Option<Pid>,
    lease: Lease,
    cause: Cause,
    began: HolderTime,
    /// There is no more time to end, however long the lease may last.
    over: HolderTime,
    killed: Option<HolderTime>,
    kills: u32,
}

impl Lease {
    /// What is killed later than this may outlive the lease.
    fn kill_at(self) -> HolderTime {
        HolderTime(self.deadline.0.saturating_sub(nanoseconds(KILL_MARGIN)))
    }

    fn renew(&mut self, term: u64, deadline: HolderTime) {
        if self.term == term {
            self.deadline = deadline;
        }
    }
}

impl Ending {
    fn kill_at(&self) -> HolderTime {
        self.over.min(self.lease.kill_at())
    }

    /// Why there is no more time.
    fn cause_of_kill(&self) -> Cause {
        if self.over <= self.lease.kill_at() { self.cause } else { Cause::LeaseRunsOut }
    }

    /// From one kill to the next.
    fn pause(&self) -> Duration {
        let doublings = self.kills.saturating_sub(KILLS_IN_A_HURRY).min(16);
        (KILL_INTERVAL * (1 << doublings)).min(KILL_INTERVAL_MAX)
    }
}

impl CommandRunner {
    /// Of the stop timeout in milliseconds and the command. Its streams are the first message on
    /// the line.
    pub(super) fn new(timeout: &OsString, command: &[OsString]) -> io::Result<Self> {
        let timeout = timeout.to_str().and_then(|word| word.parse().ok());
        let timeout = timeout.ok_or_else(|| io::Error::other("no stop timeout"))?;
        set_child_subreaper(Some(getpid()))?;
        let (children, note) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGCHLD, note)?;
        rustix::io::ioctl_fionbio(&children, true)?;
        Ok(Self {
            command: command.to_vec(),
            stop_timeout: Duration::from_millis(timeout),
            streams: receive_streams()?,
            timer: timer()?,
            children,
            cgroup: Cgroup::create(),
            tree: ProcessTree::own(),
            told: Vec::with_capacity(TOLD_MAX),
            node_dead: false,
            state: State::Idle,
        })
    }
}

impl Runner for CommandRunner {
    fn children(&self) -> Option<BorrowedFd<'_>> {
        Some(self.children.as_fd())
    }

    fn set_timer(&self) -> io::Result<BorrowedFd<'_>> {
        let pause = match &self.state {
            State::Idle => None,
            State::Running { lease, .. } => Some(pause_until(self.end_at(lease.deadline))),
            State::Ending(ending) if ending.killed.is_some() => Some(ending.pause()),
            State::Ending(ending) => Some(pause_until(ending.kill_at()).min(LOOK_INTERVAL)),
        };
        set_timer(&self.timer, pause)?;
        Ok(self.timer.as_fd())
    }

    fn obey(&mut self, order: Order<'_>, precedence: &Precedence) {
        match (order, &mut self.state) {
            (Order::Start { term, deadline, environment }, state) => {
                let idle = matches!(state, State::Idle);
                if idle && !self.node_dead && !self.is_near(deadline) {
                    self.start(Lease { term, deadline }, environment, precedence);
                } else {
                    report(Report::Gone);
                }
            }
            (Order::Deadline { term, deadline }, State::Running { lease, .. }) => {
                lease.renew(term, deadline);
            }
            (Order::Deadline { term, deadline }, State::Ending(ending)) => {
                ending.lease.renew(term, deadline);
            }
            (Order::End(limit), _) => self.end(Cause::Ordered, limit),
            (Order::Signal(number), State::Running { command, .. }) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    // It may have ended just now.
                    let _ = kill_process_group(*command, signal);
                }
            }
            (
                Order::Deadline { .. }
                | Order::Signal(_)
                | Order::LastWillDatagram(_)
                | Order::Hook(_),
                _,
            ) => {}
        }
    }

    fn outlive_node(&mut self) {
        self.node_dead = true;
        self.end(Cause::NodeDead, self.stop_timeout);
    }

    fn look(&mut self) -> bool {
        let mut ignored = [0; 64];
        while rustix::io::read(&self.children, &mut ignored).is_ok_and(|count| count > 0) {}
        if let State::Running { command, lease } = self.state {
            // It is waited for below: as long as it is not, its group is its own.
            let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if matches!(waitid(WaitId::Pid(command), looking), Ok(Some(_))) {
                self.end(Cause::CommandEnded, self.stop_timeout);
            } else if self.is_near(lease.deadline) {
                self.end(Cause::LeaseRunsOut, self.stop_timeout);
            }
        }
        self.wait_for_children();
        if let State::Ending(ending) = &self.state
            && Clock::Machine.holder() >= ending.kill_at()
        {
            self.kill();
            self.wait_for_children();
        }
        matches!(self.state, State::Idle)
    }

    fn end_all(&mut self) {
        self.end(Cause::NodeDead, Duration::ZERO);
        while let State::Ending(ending) = &mut self.state {
            ending.over = HolderTime(0);
            let pause = ending.pause();
            if !self.look() {
                std::thread::sleep(pause);
            }
        }
    }
}

impl CommandRunner {
    fn start(&mut self, lease: Lease, environment: &[u8], precedence: &Precedence) {
        // This process is in the group already, and its child is born there.
        let spawned = precedence.suspended(|| self.spawn(environment));
        match spawned {
            Ok(command) => {
                self.state = State::Running { command, lease };
                if let Some(cgroup) = &mut self.cgroup {
                    cgroup.leave();
                }
                report(Report::Started { grouped: self.cgroup.is_some() });
            }
            Err(error) => {
                report(Report::Failed(error.raw_os_error().unwrap_or(0)));
                report(Report::Gone);
            }
        }
    }

    fn spawn(&self, environment: &[u8]) -> io::Result<Pid> {
        let (program, arguments) = self.command.split_first().ok_or(Errno::NOENT)?;
        let [input, output, errors] = &self.streams;
        let child = Command::new(program)
            .args(arguments)
            .envs(decode_environment(environment))
            .stdin(Stdio::from(input.try_clone()?))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(errors.try_clone()?))
            .process_group(0)
            .spawn()?;
        Ok(Pid::from_child(&child))
    }

    /// When the work is to be told to end, so that it has its time before it is killed.
    fn end_at(&self, deadline: HolderTime) -> HolderTime {
        HolderTime(deadline.0.saturating_sub(nanoseconds(self.stop_timeout + KILL_MARGIN)))
    }

    /// Whether no more than the kill budget is left.
    fn is_near(&self, deadline: HolderTime) -> bool {
        Clock::Machine.holder() >= self.end_at(deadline)
    }

    /// Tells the work to end, within `limit`. What is ending already is told nothing, but may
    /// have less time from now on.
    fn end(&mut self, cause: Cause, limit: Duration) {
        let now = Clock::Machine.holder();
        let over = now.plus(limit);
        let (command, lease) = match &mut self.state {
            State::Idle => return,
            State::Ending(ending) => {
                if over < ending.over {
                    (ending.over, ending.cause) = (over, cause);
                }
                return;
            }
            State::Running { command, lease } => (*command, *lease),
        };
        let ending = Ending {
            command: Some(command),
            lease,
            cause,
            began: now,
            over,
            killed: None,
            kills: 0,
        };
        self.state = State::Ending(ending);
        // A stopped process hears SIGTERM once it goes on.
        const TERMINATE: &[Signal] = &[Signal::TERM, Signal::CONT];
        for signal in TERMINATE {
            // It may have no member left.
            let _ = kill_process_group(command, *signal);
        }
        let is_urgent = || Clock::Machine.holder() >= ending.kill_at();
        // If it was interrupted, the next look kills.
        self.tree.signal(TERMINATE, Some(command), is_urgent);
        if self.cgroup.is_none() {
            self.tell_unreached();
        }
    }

    /// Kills everything once; what was being born meanwhile is for the next time.
    fn kill(&mut self) {
        let State::Ending(ending) = &mut self.state else { return };
        if let Some(command) = ending.command {
            // First, for it needs no list and outruns whoever multiplies.
            let _ = kill_process_group(command, Signal::KILL);
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        self.tree.signal(&[Signal::KILL], None, || false);
        let now = Clock::Machine.holder();
        ending.kills += 1;
        let first = *ending.killed.get_or_insert(now);
        if ending.kills == 1 {
            report(Report::Killed(ending.cause_of_kill(), now.since(ending.began)));
        }
        if self.cgroup.is_none() || now.since(first) >= CGROUP_PATIENCE {
            self.tell_unreached();
        }
    }

    /// Tells of whom no signal reaches, once.
    fn tell_unreached(&mut self) {
        for unreached in self.tree.unreached() {
            if self.told.len() < TOLD_MAX && !self.told.contains(&unreached.process) {
                self.told.push(unreached.process);
                report(Report::Unreached(*unreached));
            }
        }
    }

    fn wait_for_children(&mut self) {
        let State::Ending(ending) = &mut self.state else {
            // Daemons that have ended.
            reap(None);
            return;
        };
        if let Some(status) = reap(ending.command) {
            // Its number may soon be another process's.
            ending.command = None;
            report(match ending.cause {
                Cause::CommandEnded => Report::Exited(status.as_raw()),
                _ => Report::Ended(status.as_raw()),
            });
        }
        if is_left() {
            return;
        }
        self.state = State::Idle;
        report(Report::Gone);
        self.tree.forget();
        self.told.clear();
        // Nothing will be started for a dead node, and its last will is urgent.
        if let Some(cgroup) = self.cgroup.as_mut().filter(|_| !self.node_dead) {
            cgroup.enter();
        }
    }
}

/// The node's first message: nothing but its standard input, output and error.
fn receive_streams() -> io::Result<[OwnedFd; 3]> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 1];
    recvmsg(
        rustix::stdio::stdin(),
        &mut [io::IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut streams = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            streams.extend(descriptors);
        }
    }
    streams.try_into().map_err(|_| io::Error::other("the node sent no streams"))
}
