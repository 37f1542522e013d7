//! The keeper's own process, when there is a workload: see [`super`].
//!
//! ```text
//!          Start                      End, deadline near, command ended, node dead
//!   idle ─────────▶ running ────────────────────────────────▶ ending ──▶ nothing left ─┐
//!    ▲                                SIGTERM to all            │ SIGKILL to all        │
//!    └──────────────────────────────── Gone ◀───────────────────┴───────────────────────┘
//! ```

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, set_child_subreaper};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::super::process::{
    close_inherited, ignore_signals, is_pidfd_at_output, is_readable, send,
};
use super::cgroup::Cgroup;
use super::message::{Order, Report};
use super::{KILL_MARGIN, family};
use crate::node::Testament;
use crate::shell::clock::Clock;
use crate::vocabulary::time::HolderTime;

/// Orders that a dead node may have left in the line: more than it holds.
const LAST_ORDERS_MAX: usize = 512;
/// No order is larger.
const ORDER_SIZE_MAX: usize = 16 * 1024;

/// What the command is and how it is ended.
struct Supervisor {
    command: Vec<OsString>,
    stop_timeout: Duration,
    input_and_outputs: [OwnedFd; 3],
    /// Counts time that the machine slept, as the deadline does.
    alarm: OwnedFd,
    cgroup: Option<Cgroup>,
    testament: Vec<Testament>,
    node_dead: bool,
    state: State,
}

enum State {
    Idle,
    Running { command: Pid, end: OwnedFd, term: u64, deadline: HolderTime },
    Ending { command: Option<Pid>, kill_at: HolderTime },
}

/// Runs `command` as the node orders whose pidfd is the standard output and whose line is the
/// standard input. Returns when that node is dead, its work gone, and its testament sent.
///
/// # Errors
/// What the operating system refused; whatever was running is gone then.
pub fn supervise(command: Vec<OsString>, stop_timeout: Duration) -> io::Result<()> {
    if !is_pidfd_at_output() {
        return Err(io::Error::other("the standard output is no pidfd"));
    }
    close_inherited()?;
    ignore_signals()?;
    set_child_subreaper(Some(getpid()))?;
    // For whoever lists processes; without a name it works as well.
    let _ = rustix::thread::set_name(c"gaggle-keeper");
    let input_and_outputs = receive_streams()?;
    let mut supervisor = Supervisor {
        command,
        stop_timeout,
        input_and_outputs,
        alarm: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?,
        cgroup: Cgroup::create(),
        testament: Vec::new(),
        node_dead: false,
        state: State::Idle,
    };
    let outcome = supervisor.run();
    // Whatever happened: nothing outlives this process.
    supervisor.kill();
    family::kill_all();
    drop(supervisor.cgroup.take());
    outcome?;
    send(&supervisor.testament);
    Ok(())
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

impl Supervisor {
    /// Until the node is dead and nothing of its work is left.
    fn run(&mut self) -> io::Result<()> {
        let mut line_open = true;
        while !(self.node_dead && matches!(self.state, State::Idle)) {
            let (spoken, died) = self.wait(line_open)?;
            if spoken {
                line_open = self.listen();
            }
            if died {
                self.node_dead = true;
                // What it said last.
                for _ in 0..LAST_ORDERS_MAX {
                    if !line_open || !is_readable() {
                        break;
                    }
                    line_open = self.listen();
                }
                self.end();
            }
            self.look();
        }
        Ok(())
    }

    /// Waits for an order, the node's death, the command's end or the time to act. Returns
    /// whether it was one of the first two.
    fn wait(&self, line_open: bool) -> io::Result<(bool, bool)> {
        let pause = match &self.state {
            State::Idle => None,
            State::Running { deadline, .. } => {
                let left = deadline.since(Clock.holder());
                // The alarm's clock may be slewed by an eighth, the holder's is not: so it is looked
                // at before the time, and again.
                let left = left.saturating_sub(self.stop_timeout + KILL_MARGIN);
                Some((left * 7 / 8).max(family::KILL_INTERVAL.min(left)))
            }
            State::Ending { .. } => Some(family::KILL_INTERVAL),
        };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would disarm it.
        let pause = pause.map(|pause| pause.max(Duration::from_micros(1)));
        let value = pause.map_or(Ok(zero), Timespec::try_from).unwrap_or(zero);
        let alarm = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &alarm)?;
        let mut waiting = vec![PollFd::new(&self.alarm, PollFlags::IN)];
        if let State::Running { end, .. } = &self.state {
            waiting.push(PollFd::new(end, PollFlags::IN));
        }
        let death = waiting.len();
        if !self.node_dead {
            waiting.push(PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::IN));
        }
        let line = waiting.len();
        if line_open {
            waiting.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        match poll(&mut waiting, None) {
            // A signal: nothing is marked, and the clock is looked at all the same.
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let died = if self.node_dead { PollFlags::empty() } else { waiting[death].revents() };
        if died.intersects(PollFlags::NVAL | PollFlags::ERR) {
            return Err(io::Error::other("the pidfd has become unusable"));
        }
        Ok((line_open && !waiting[line].revents().is_empty(), died.contains(PollFlags::IN)))
    }

    /// Obeys one order. Returns whether more may come.
    fn listen(&mut self) -> bool {
        let mut bytes = [0; ORDER_SIZE_MAX];
        let count = match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
            Err(Errno::INTR | Errno::AGAIN) => return true,
            // The end of the line is no death: the deadline ends the work.
            Ok(0) | Err(_) => return false,
            Ok(count) => count,
        };
        match Order::decode(&bytes[..count]) {
            Some(Order::Testament(testament)) => self.testament = testament,
            Some(Order::Start { term, deadline, environment }) => {
                self.start(term, deadline, environment);
            }
            Some(Order::Deadline { term: renewed, deadline: later }) => {
                if let State::Running { term, deadline, .. } = &mut self.state
                    && *term == renewed
                {
                    *deadline = later;
                }
            }
            Some(Order::End) => self.end(),
            Some(Order::Signal(number)) => {
                if let (State::Running { command, .. }, Some(signal)) =
                    (&self.state, Signal::from_named_raw(number))
                {
                    // It may have ended just now.
                    let _ = rustix::process::kill_process_group(*command, signal);
                }
            }
            None => {}
        }
        true
    }

    fn start(&mut self, term: u64, deadline: HolderTime, environment: Vec<(String, String)>) {
        if self.node_dead || !matches!(self.state, State::Idle) || self.is_near(deadline) {
            report(Report::Gone);
            return;
        }
        match self.spawn(environment) {
            Ok((command, end)) => {
                self.state = State::Running { command, end, term, deadline };
                report(Report::Started { grouped: self.cgroup.is_some() });
            }
            Err(error) => {
                report(Report::Failed(error.raw_os_error().unwrap_or(0)));
                report(Report::Gone);
            }
        }
    }

    /// The command's process, and a descriptor that becomes readable when it ends.
    fn spawn(&self, environment: Vec<(String, String)>) -> io::Result<(Pid, OwnedFd)> {
        let (program, arguments) = self.command.split_first().ok_or(Errno::NOENT)?;
        let [input, output, errors] = &self.input_and_outputs;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::from(input.try_clone()?))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(errors.try_clone()?))
            .process_group(0);
        // This process has no other thread: it visits the group, and its child is born there.
        let entered = self.cgroup.as_ref().is_some_and(Cgroup::enter);
        let spawned = command.spawn();
        if entered && let Some(cgroup) = &self.cgroup {
            cgroup.leave();
        }
        let pid = Pid::from_child(&spawned?);
        // It is not reaped yet, so the number is its own.
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(end) => Ok((pid, end)),
            Err(error) => {
                // Nobody would watch it.
                family::kill_all();
                Err(error.into())
            }
        }
    }

    /// Whether no more than the kill budget is left.
    fn is_near(&self, deadline: HolderTime) -> bool {
        deadline.since(Clock.holder()) <= self.stop_timeout + KILL_MARGIN
    }

    fn end(&mut self) {
        if let State::Running { command, deadline, .. } = &self.state {
            let (command, deadline) = (*command, *deadline);
            let now = Clock.holder();
            // Never later than the deadline allows, whatever was renewed since.
            let left = deadline.since(now).saturating_sub(KILL_MARGIN);
            let kill_at = now.plus(left.min(self.stop_timeout));
            self.state = State::Ending { command: Some(command), kill_at };
            family::signal_all(Signal::TERM);
            // A stopped process hears SIGTERM once it goes on.
            family::signal_all(Signal::CONT);
        }
    }

    /// Looks at the children and at the clock.
    fn look(&mut self) {
        if let State::Running { command, deadline, .. } = &self.state {
            let (command, deadline) = (*command, *deadline);
            if let Some(status) = family::reap(Some(command)) {
                report(Report::Exited(status.as_raw()));
                self.end();
                self.forget_command();
            } else if self.is_near(deadline) {
                self.end();
            }
        }
        if let State::Ending { command, kill_at } = self.state {
            if let Some(status) = family::reap(command) {
                report(Report::Ended(status.as_raw()));
                self.forget_command();
            }
            if !family::is_left() {
                self.state = State::Idle;
                report(Report::Gone);
            } else if Clock.holder() >= kill_at {
                self.kill();
            }
        }
    }

    /// Kills everything once; what was being born meanwhile is for the next time.
    fn kill(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        // Its own group first, which needs no list and outruns whoever multiplies. Not reaped yet,
        // the number is its own.
        if let State::Ending { command: Some(command), .. } = self.state {
            // It may have no member left.
            let _ = rustix::process::kill_process_group(command, Signal::KILL);
        }
        family::signal_all(Signal::KILL);
    }

    /// Its number may soon be another process's.
    fn forget_command(&mut self) {
        if let State::Ending { command, .. } = &mut self.state {
            *command = None;
        }
    }
}

fn report(report: Report) {
    // A node that is dead or frozen does not listen: what was to be done was done.
    let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
    let _ = rustix::net::send(rustix::stdio::stdin(), &report.encode(), flags);
}
