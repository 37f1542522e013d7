//! The README's first minute, typed as it stands there: on a machine of its own, where its ports are
//! free and nobody has a folder of state.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::sandbox;
use crate::harness::poll_until;
use crate::harness::process::GAGGLE;

/// Ten seconds pass until a third node votes, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line that a person types, and what the README says comes of it.
struct Typed {
    command: String,
    expected: Vec<String>,
}

/// The blocks of the section, each line by line.
fn blocks() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = text.split_once("## The first minute\n").expect("the section");
    let section = rest.split("\n## ").next().unwrap();
    let fenced = section.split("```").skip(1).step_by(2);
    fenced.map(|block| block.trim().lines().map(str::to_owned).collect()).collect()
}

/// The commands of all blocks that show what they print.
fn typed(blocks: &[Vec<String>]) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    for line in blocks.iter().filter(|block| block[0].starts_with("$ ")).flatten() {
        match line.strip_prefix("$ ") {
            Some(command) => {
                all.push(Typed { command: command.to_owned(), expected: Vec::new() });
            }
            None => all.last_mut().expect("a command").expected.push(line.clone()),
        }
    }
    all
}

/// What differs from machine to machine and from moment to moment, made alike: each word with a digit,
/// and the name of the host.
fn alike(lines: &[String], host: &str) -> Vec<String> {
    let word = |word: &str| {
        let varies = word.contains(|c: char| c.is_ascii_digit()) || word.contains(host);
        let end = word.trim_start_matches(|c: char| c != ',' && c != ')');
        if varies { format!("#{end}") } else { word.to_owned() }
    };
    let line = |line: &String| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    lines.iter().map(line).collect()
}

struct Person {
    home: PathBuf,
}

impl Person {
    fn shell(&self, command: &str) -> Command {
        let folder = Path::new(GAGGLE).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).env("PATH", path).env("HOME", &self.home);
        shell.env_remove("XDG_STATE_HOME").stdin(Stdio::null());
        shell
    }

    /// What the command prints.
    fn types(&self, command: &str) -> Vec<String> {
        let output = self.shell(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn log(&self, terminal: usize) -> String {
        std::fs::read_to_string(self.home.join(format!("log-{terminal}"))).unwrap_or_default()
    }

    fn opens_terminal(&self, number: usize, command: &str) -> Child {
        let log = File::create(self.home.join(format!("log-{number}"))).unwrap();
        self.shell(command).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }
}

#[test]
fn the_first_minute_is_as_the_readme_says() {
    sandbox::run(|| {
        if !sandbox::is_here("curl") {
            return sandbox::skip("curl is not installed");
        }
        sandbox::tool(&["ip", "link", "set", "lo", "up"]);
        let home = tempfile::tempdir().unwrap();
        let person = Person { home: home.path().to_owned() };
        let blocks = blocks();
        let host = person.types("uname -n").join("");
        let starts = blocks.iter().find(|block| block[0].starts_with("gaggle run ")).unwrap();
        let mut nodes = Vec::new();
        for (number, line) in starts.iter().enumerate() {
            nodes.push(person.opens_terminal(number, line));
            let is_up = || {
                let log = person.log(number);
                (log.contains("became Goose") || log.contains("the Goose is")).then_some(())
            };
            assert!(poll_until(PATIENCE, is_up).is_some(), "{}", person.log(number));
        }
        let told = blocks.iter().find(|block| block[0].starts_with("INFO ")).unwrap();
        let told = alike(told, "pond-1").join("");
        let votes = |log: String| {
            let mut lines =
                log.lines().filter_map(|line| Some(line[line.find("INFO ")?..].to_owned()));
            lines.any(|line| alike(&[line], &host).join("") == told)
        };
        let all_vote = poll_until(PATIENCE, || votes(person.log(2)).then_some(()));
        assert!(all_vote.is_some(), "{told}\n{}", person.log(2));
        for Typed { command, expected } in typed(&blocks) {
            if command == "kill -9 PID" {
                let first = person.log(0).lines().next().unwrap_or_default().to_owned();
                let process = nodes[0].id().to_string();
                assert!(first.contains(&process), "the first line names {process}: {first}");
                nodes[0].kill().unwrap();
                nodes[0].wait().unwrap();
                continue;
            }
            let wanted = alike(&expected, "pond-1");
            let shown = || person.types(&command);
            let same = || (alike(&shown(), &host) == wanted).then_some(());
            assert!(
                poll_until(PATIENCE, same).is_some(),
                "{command}\n{}\n{wanted:#?}",
                shown().join("\n")
            );
        }
        // Started again with the same line, it is a Duck.
        nodes[0] = person.opens_terminal(0, &starts[0]);
        let duck = || (person.types("curl 127.0.0.1:9000/") == ["Duck"]).then_some(());
        assert!(poll_until(PATIENCE, duck).is_some(), "{}", person.log(0));
        let follows = || {
            let goose = person.types("gaggle goose --node 127.0.0.1:9000");
            goose.iter().any(|line| line.contains("127.0.0.1:8002")).then_some(())
        };
        assert!(poll_until(PATIENCE, follows).is_some(), "{}", person.log(0));
        for node in &mut nodes {
            node.kill().unwrap();
            node.wait().unwrap();
        }
    });
}
