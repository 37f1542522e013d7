//! Processes that do nothing, as many as a busy machine has.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// One small process forks them all. Each waits for the end of its input, and so none outlives
/// whoever asked for them. There is a list of them in `/proc` like of any others.
const FORK: &str = "exec 3<&0; made=0; \
                    while [ $made -lt $COUNT ]; do (read none <&3) & made=$((made + 1)); done; \
                    echo $made; read none";

/// Idle processes, until it is dropped.
pub(crate) struct Crowd {
    parent: Child,
}

impl Crowd {
    /// `count` of them, once they are there.
    pub(crate) fn gather(count: u32) -> Self {
        let mut parent = Command::new("sh")
            .args(["-c", FORK])
            .env("COUNT", count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut said = String::new();
        let output = parent.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut said).expect("the shell says how many");
        assert_eq!(said.trim(), count.to_string(), "the machine has no room for so many");
        Self { parent }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // They all read from it.
        drop(self.parent.stdin.take());
        let _ = self.parent.wait();
    }
}
