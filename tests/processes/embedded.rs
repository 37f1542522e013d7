//! Programs that embed a node: the example `embedded_keeper`, whose source is beside this file. It is
//! an example because a keeper is a program executed again, which a test program cannot be: what it is
//! called with, that takes for the names of tests.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::process::{GAGGLE, free_port};
use crate::harness::{PATIENCE, poll_until};
use crate::keeper::{children, is_keeping};

/// A program that runs. Dropping it kills it.
struct Program {
    child: Child,
    said: std::path::PathBuf,
}

impl Program {
    fn start(binary: &Path, address: &str, voters: &str, folder: &Path) -> Self {
        let said = folder.join("said");
        std::fs::create_dir_all(folder).unwrap();
        let child = Command::new(binary)
            .args([address, voters])
            .arg(folder.join("state"))
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        Self { child, said }
    }

    /// The last term that it has said it leads under; 0: none.
    fn term(&self) -> u64 {
        let said = std::fs::read_to_string(&self.said).unwrap_or_default();
        let last = said.lines().next_back().and_then(|line| line.strip_prefix("goose "));
        last.and_then(|term| term.parse().ok()).unwrap_or(0)
    }

    fn has_keeper(&self) -> bool {
        children(self.child.id()).into_iter().any(is_keeping)
    }

    fn kill(&mut self) {
        // One that has ended is dead, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_keeper_bears_the_threads_of_a_runtime_that_were_there_before_it() {
    let binary = Path::new(GAGGLE).with_file_name("examples").join("embedded_keeper");
    if !binary.exists() {
        println!("skipped: the example embedded_keeper was not built");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let addresses: Vec<String> = (0..3).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let voters = addresses.join(",");
    let start = |(number, address): (usize, &String)| {
        Program::start(&binary, address, &voters, &folder.path().join(number.to_string()))
    };
    let mut programs: Vec<Program> = addresses.iter().enumerate().map(start).collect();
    let goose = poll_until(PATIENCE, || programs.iter().position(|it| it.term() > 0));
    let goose = goose.expect("somebody leads");
    let term = programs[goose].term();
    let keeps = poll_until(PATIENCE, || programs.iter().all(Program::has_keeper).then_some(()));
    assert!(keeps.is_some(), "each of them has a keeper");
    let killed = Instant::now();
    programs[goose].kill();
    let led = poll_until(PATIENCE, || programs.iter().find(|it| it.term() > term).map(drop));
    // The lease of 10 s was renewed every two.
    assert!(led.is_some() && killed.elapsed() < Duration::from_secs(5), "nobody waits for it");
}
