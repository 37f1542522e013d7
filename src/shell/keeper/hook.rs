//! The hook on-duck of a node that has died and so cannot run it.
//!
//! The node says when there is something to undo: before its hook on-goose begins, and until its own
//! on-duck has run. If it dies in between, the keeper runs on-duck, waits for it, and sends the last will
//! then: as a hand-over waits for it. If it takes longer than the lease lasts, the lease runs out
//! meanwhile, as that of a node without a keeper does.
//!
//! What it writes goes nowhere, for the log was the node's.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::message::decode_environment;
use super::precedence::Precedence;
use crate::shell::clock::Clock;

/// What stands before the words of a hook.
pub(super) const WORD: &str = "hook";
/// Between two looks at whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// A hook, and whether it is to be run.
pub(super) struct Hook {
    /// It is killed after this.
    limit: Duration,
    words: Vec<OsString>,
    /// The variables that are added to its environment; none if there is nothing to undo.
    armed: Option<Vec<u8>>,
}

impl Hook {
    /// The hook with which `words` begin, if they do, and the rest of them: after [`WORD`] come the
    /// limit in milliseconds, the number of its words, and these.
    pub(super) fn of_words(words: &[OsString]) -> io::Result<(Option<Self>, &[OsString])> {
        let [first, limit, count, rest @ ..] = words else { return Ok((None, words)) };
        if first != WORD {
            return Ok((None, words));
        }
        let malformed = || io::Error::other("no hook");
        let limit = limit.to_str().and_then(|word| word.parse().ok()).ok_or_else(malformed)?;
        let count = count.to_str().and_then(|word| word.parse().ok()).ok_or_else(malformed)?;
        let (words, rest) = rest.split_at_checked(count).ok_or_else(malformed)?;
        let limit = Duration::from_millis(limit);
        Ok((Some(Self { limit, words: words.to_vec(), armed: None }), rest))
    }

    /// There is something to undo, with these variables; without any there is not.
    pub(super) fn arm(&mut self, environment: &[u8]) {
        self.armed = (!environment.is_empty()).then(|| environment.to_vec());
    }

    /// Runs it if there is something to undo, until it has ended or its time is over.
    pub(super) fn run(&mut self, precedence: &Precedence) {
        let Some(environment) = self.armed.take() else { return };
        let Some((program, arguments)) = self.words.split_first() else { return };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(decode_environment(&environment))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        // Nobody is there who could be told that it cannot be started.
        let Ok(mut child) = precedence.suspended(|| command.spawn()) else { return };
        let over = Clock::Machine.holder().plus(self.limit);
        while is_running(&mut child) {
            if Clock::Machine.holder() >= over {
                // The number is its own, for it was not waited for.
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
                let _ = child.wait();
                return;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// Whether it has not ended, as far as the system tells.
fn is_running(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_hook_stands_before_the_work_or_is_left_out() {
        let all = words(&["hook", "5000", "2", "/bin/drop", "eth0", "150", "./worker"]);
        let (hook, rest) = Hook::of_words(&all).unwrap();
        let hook = hook.unwrap();
        assert_eq!((hook.limit.as_secs(), hook.words), (5, words(&["/bin/drop", "eth0"])));
        assert_eq!(rest, words(&["150", "./worker"]));
        for other in [&[][..], &["150", "./worker"], &["address", "1", "eth0", "10.0.0.1/24"]] {
            let other = words(other);
            let (hook, rest) = Hook::of_words(&other).unwrap();
            assert!(hook.is_none() && rest == other);
        }
        for wrong in [["hook", "x", "1", "a"], ["hook", "1", "2", "a"]] {
            assert!(Hook::of_words(&words(&wrong)).is_err());
        }
    }
}
